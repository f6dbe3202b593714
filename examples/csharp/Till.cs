using System.Security.Cryptography;
using Google.Protobuf;
using Grpc.Core;
using Tallystick.V1;

namespace Tallystick.Example;

/// <summary>Where the gateway is, whom to sign for and with which key; a JSON file.</summary>
sealed record Profile(string target, string audience, string key_id, string key_file, string ca_file, long clock_offset_ms = 0);

/// <summary>Lines: what to print on the paper receipt. Attempts: how often it was sent.</summary>
sealed record Booked(Receipt Receipt, SignedReceipt Signed, IReadOnlyList<string> Lines, bool Replayed, int Attempts);

/// <summary>Not booked. With a receipt the refusal is final and proven; without one the request must be mended.</summary>
sealed class RefusedException(Failure failure, SignedReceipt? signed) : Exception($"{failure.Code} {failure.Reason}")
{
    public Failure Failure => failure;

    public SignedReceipt? Signed => signed;
}

/// <summary>Not known whether it was booked: keep the command, and send it again with the same key.</summary>
sealed class NoAnswerException(Failure failure, int attempts) : Exception($"{failure.Code} after {attempts} attempts");

/// <summary>A till: signs each call, sends it again where that is safe, and believes no answer without a receipt that verifies.</summary>
sealed class Till(Profile profile) : IDisposable
{
    const int AttemptsMax = 8; // with the delays below some 10 s: a till has a queue of people
    const int FirstDelayMs = 100;
    const int DelayMsMax = 5_000;

    readonly ECDsa key = Keys.Load(profile.key_file);
    readonly Wire wire = new(profile.target, profile.ca_file);
    long clockOffsetMs = profile.clock_offset_ms;
    ReceiptKeys? receiptKeys;

    // The calls. A further one is as short: its method, its message, and how to read its response.

    public Booked Enrol(string key, string card)
    {
        var request = new EnrolMemberRequest { IdempotencyKey = key, CardNumber = card };
        return Book("MemberService/EnrolMember", key, request, EnrolMemberResponse.Parser, response => response.Answer);
    }

    public Booked Issue(string key, string card, long cents)
    {
        var request = new IssuePointsRequest { IdempotencyKey = key, Member = Member(card), Eligible = Euro(cents) };
        return Book("PointsService/IssuePoints", key, request, IssuePointsResponse.Parser, response => response.Answer);
    }

    public Booked Redeem(string key, string card, long points)
    {
        var request = new RedeemPointsRequest { IdempotencyKey = key, Member = Member(card), Points = points };
        return Book("PointsService/RedeemPoints", key, request, RedeemPointsResponse.Parser, response => response.Answer);
    }

    /// <summary>A basket; points pay as much of it as they are worth, 0 for none.</summary>
    public Booked Checkout(string key, string card, long cents, long points)
    {
        var request = new CheckoutRequest { IdempotencyKey = key, Member = Member(card), Total = Euro(cents) };
        if (points > 0)
        {
            request.Points = points;
        }
        return Book(
            "TillService/Checkout", key, request, CheckoutResponse.Parser, response => response.Answer, response => response.ReceiptLines);
    }

    /// <summary>Goods of a checkout came back; the receipt says what of the money goes with them.</summary>
    public Booked Refund(string key, string checkoutKey, long cents)
    {
        var request = new RefundRequest { IdempotencyKey = key, OriginalIdempotencyKey = checkoutKey, Amount = Euro(cents) };
        return Book(
            "TillService/Refund", key, request, RefundResponse.Parser, response => response.Answer, response => response.ReceiptLines);
    }

    /// <summary>The content of a receipt that holds; asks GetNetwork where its key is new to us.</summary>
    public Receipt Verify(SignedReceipt signed)
    {
        if (receiptKeys is null || !receiptKeys.Has(signed.KeyId))
        {
            // The only call that is not signed.
            var (network, _) = Send(
                "NetworkService/GetNetwork", "", new GetNetworkRequest(), GetNetworkResponse.Parser, (_, _) => new Metadata());
            receiptKeys = new ReceiptKeys(profile.audience, network.ReceiptKeys);
        }
        return receiptKeys.Verify(signed);
    }

    public void Dispose()
    {
        wire.Dispose();
        key.Dispose();
    }

    Booked Book<A>(
        string method,
        string key,
        IMessage request,
        MessageParser<A> parser,
        Func<A, Answer> answerOf,
        Func<A, IReadOnlyList<string>>? linesOf = null)
        where A : IMessage<A>
    {
        var (response, attempts) = Send(method, key, request, parser, Signed);
        Answer answer = answerOf(response);
        IReadOnlyList<string> lines = linesOf?.Invoke(response) ?? [];
        return new Booked(VerifyFor(key, answer.Receipt), answer.Receipt, lines, answer.Replayed, attempts);
    }

    // Sends until there is an answer: the same message with the same idempotency key, each time signed anew.
    (A Response, int Attempts) Send<A>(
        string method, string key, IMessage request, MessageParser<A> parser, Func<string, byte[], Metadata> headersFor)
        where A : IMessage<A>
    {
        string path = $"/tallystick.v1.{method}";
        byte[] body = request.ToByteArray(); // once: these bytes are signed, and these are sent
        bool isClockCorrected = false;
        for (int attempt = 1; ; attempt++)
        {
            Failure failure;
            try
            {
                return (parser.ParseFrom(wire.Call(path, headersFor(path, body), body)), attempt);
            }
            catch (RpcException error)
            {
                failure = Failure.Of(error);
            }
            if (failure.Reason == "SIGNATURE_TIME_OUT_OF_WINDOW" && failure.ServerTimeMs is long serverTimeMs && !isClockCorrected)
            {
                isClockCorrected = true;
                clockOffsetMs = serverTimeMs - DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
            }
            else if (!failure.MayRepeat)
            {
                SignedReceipt? proof = failure.Answer?.Receipt;
                if (proof is not null)
                {
                    VerifyFor(key, proof);
                }
                throw new RefusedException(failure, proof);
            }
            else if (attempt == AttemptsMax)
            {
                throw new NoAnswerException(failure, attempt);
            }
            else
            {
                Thread.Sleep(Delay(attempt, failure.RetryAfter ?? TimeSpan.Zero));
            }
        }
    }

    Metadata Signed(string path, byte[] body)
    {
        string created = $"{DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() + clockOffsetMs}";
        string nonce = Signing.Nonce();
        byte[] lines = Signing.Request(profile.audience, path, profile.key_id, created, nonce, body);
        return new Metadata
        {
            { "tally-key-id", profile.key_id },
            { "tally-created", created },
            { "tally-nonce", nonce },
            { "tally-sig-bin", Signing.Sign(key, lines) },
        };
    }

    Receipt VerifyFor(string key, SignedReceipt signed)
    {
        Receipt receipt = Verify(signed);
        bool isOurs = receipt.PartnerId == profile.key_id.Split('/')[0] && receipt.IdempotencyKey == key;
        return isOurs ? receipt : throw new BadReceiptException("it answers another request");
    }

    // Doubling up to a limit, less a random part up to a half, and never sooner than the gateway asked.
    static TimeSpan Delay(int attempt, TimeSpan retryAfter)
    {
        int delayMs = Math.Min(FirstDelayMs << (attempt - 1), DelayMsMax);
        var delay = TimeSpan.FromMilliseconds(delayMs - Random.Shared.Next((delayMs / 2) + 1));
        return delay > retryAfter ? delay : retryAfter;
    }

    static MemberRef Member(string card) => new() { CardNumber = card };

    static Amount Euro(long cents) => new() { Unit = "EUR", MinorUnits = cents };
}
