package org.tallystick.example;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageLite;
import com.google.protobuf.Parser;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.tallystick.example.ReceiptKeys.BadReceipt;
import org.tallystick.v1.Amount;
import org.tallystick.v1.Answer;
import org.tallystick.v1.CheckoutRequest;
import org.tallystick.v1.CheckoutResponse;
import org.tallystick.v1.EnrolMemberRequest;
import org.tallystick.v1.EnrolMemberResponse;
import org.tallystick.v1.GetNetworkRequest;
import org.tallystick.v1.GetNetworkResponse;
import org.tallystick.v1.IssuePointsRequest;
import org.tallystick.v1.IssuePointsResponse;
import org.tallystick.v1.MemberRef;
import org.tallystick.v1.Receipt;
import org.tallystick.v1.RedeemPointsRequest;
import org.tallystick.v1.RedeemPointsResponse;
import org.tallystick.v1.RefundRequest;
import org.tallystick.v1.RefundResponse;
import org.tallystick.v1.SignedReceipt;

/** A till: signs each call, sends it again where that is safe, and believes no answer without a receipt that verifies. */
final class Till implements AutoCloseable {
    private static final int ATTEMPTS_MAX = 8; // with the delays below some 10 s: a till has a queue of people
    private static final long FIRST_DELAY_MS = 100;
    private static final long DELAY_MS_MAX = 5_000;

    private final Profile profile;
    private final PrivateKey key;
    private final Wire wire;
    private long clockOffsetMs;
    private ReceiptKeys receiptKeys;

    /**
     * @param lines what to print on the paper receipt
     * @param attempts how often it was sent
     */
    record Booked(Receipt receipt, SignedReceipt signed, List<String> lines, boolean replayed, int attempts) {}

    private record Sent<A>(A response, int attempts) {}

    Till(Profile profile) throws GeneralSecurityException, IOException {
        this.profile = profile;
        this.key = Keys.load(Path.of(profile.key_file())).getPrivate();
        this.clockOffsetMs = profile.clock_offset_ms();
        this.wire = new Wire(profile.target(), new File(profile.ca_file()));
    }

    // The calls. A further one is as short: its method, its message, and how to read its response.

    Booked enrol(String key, String card) throws Refused, NoAnswer, BadReceipt {
        var request = EnrolMemberRequest.newBuilder().setIdempotencyKey(key).setCardNumber(card).build();
        return book("MemberService/EnrolMember", key, request, EnrolMemberResponse.parser(), EnrolMemberResponse::getAnswer);
    }

    Booked issue(String key, String card, long cents) throws Refused, NoAnswer, BadReceipt {
        var request = IssuePointsRequest.newBuilder().setIdempotencyKey(key).setMember(member(card)).setEligible(euro(cents)).build();
        return book("PointsService/IssuePoints", key, request, IssuePointsResponse.parser(), IssuePointsResponse::getAnswer);
    }

    Booked redeem(String key, String card, long points) throws Refused, NoAnswer, BadReceipt {
        var request = RedeemPointsRequest.newBuilder().setIdempotencyKey(key).setMember(member(card)).setPoints(points).build();
        return book("PointsService/RedeemPoints", key, request, RedeemPointsResponse.parser(), RedeemPointsResponse::getAnswer);
    }

    /** A basket; points pay as much of it as they are worth, 0 for none. */
    Booked checkout(String key, String card, long cents, long points) throws Refused, NoAnswer, BadReceipt {
        var request = CheckoutRequest.newBuilder().setIdempotencyKey(key).setMember(member(card)).setTotal(euro(cents));
        if (points > 0) {
            request.setPoints(points);
        }
        return book("TillService/Checkout", key, request.build(), CheckoutResponse.parser(), CheckoutResponse::getAnswer,
                CheckoutResponse::getReceiptLinesList);
    }

    /** Goods of a checkout came back; the receipt says what of the money goes with them. */
    Booked refund(String key, String checkoutKey, long cents) throws Refused, NoAnswer, BadReceipt {
        var request = RefundRequest.newBuilder()
                .setIdempotencyKey(key).setOriginalIdempotencyKey(checkoutKey).setAmount(euro(cents)).build();
        return book("TillService/Refund", key, request, RefundResponse.parser(), RefundResponse::getAnswer,
                RefundResponse::getReceiptLinesList);
    }

    /** The content of a receipt that holds; asks GetNetwork where its key is new to us. */
    Receipt verify(SignedReceipt signed) throws BadReceipt, Refused, NoAnswer {
        if (receiptKeys == null || !receiptKeys.has(signed.getKeyId())) {
            receiptKeys = fetchReceiptKeys();
        }
        return receiptKeys.verify(signed);
    }

    @Override
    public void close() {
        wire.close();
    }

    private <A> Booked book(String method, String key, MessageLite request, Parser<A> parser, Function<A, Answer> answerOf)
            throws Refused, NoAnswer, BadReceipt {
        return book(method, key, request, parser, answerOf, response -> List.of());
    }

    private <A> Booked book(
            String method,
            String key,
            MessageLite request,
            Parser<A> parser,
            Function<A, Answer> answerOf,
            Function<A, List<String>> linesOf)
            throws Refused, NoAnswer, BadReceipt {
        Sent<A> sent = send(method, key, request, parser, this::signed);
        Answer answer = answerOf.apply(sent.response);
        Receipt receipt = verifyFor(key, answer.getReceipt());
        List<String> lines = List.copyOf(linesOf.apply(sent.response));
        return new Booked(receipt, answer.getReceipt(), lines, answer.getReplayed(), sent.attempts);
    }

    /** Sends until there is an answer: the same message with the same idempotency key, each time signed anew. */
    private <A> Sent<A> send(
            String method, String key, MessageLite request, Parser<A> parser, BiFunction<String, byte[], Metadata> headersFor)
            throws Refused, NoAnswer, BadReceipt {
        String path = "/tallystick.v1." + method;
        byte[] body = request.toByteArray(); // once: these bytes are signed, and these are sent
        boolean isClockCorrected = false;
        for (int attempt = 1; ; attempt++) {
            try {
                return new Sent<>(parser.parseFrom(wire.call(path, headersFor.apply(path, body), body)), attempt);
            } catch (StatusRuntimeException error) {
                Failure failure = Failure.of(error);
                if (failure.reason().equals("SIGNATURE_TIME_OUT_OF_WINDOW") && !isClockCorrected) {
                    isClockCorrected = true;
                    clockOffsetMs = failure.serverTimeMs() - System.currentTimeMillis();
                } else if (!failure.mayRepeat()) {
                    SignedReceipt proof = failure.answer() == null ? null : failure.answer().getReceipt();
                    throw new Refused(failure, proof, proof == null ? null : verifyFor(key, proof));
                } else if (attempt == ATTEMPTS_MAX) {
                    throw new NoAnswer(failure, attempt);
                } else {
                    pause(attempt, failure.retryAfterMs());
                }
            } catch (InvalidProtocolBufferException malformed) {
                throw new UncheckedIOException(malformed);
            }
        }
    }

    private Metadata signed(String path, byte[] body) {
        String created = String.valueOf(System.currentTimeMillis() + clockOffsetMs);
        String nonce = Signing.nonce();
        byte[] lines = Signing.request(profile.audience(), path, profile.key_id(), created, nonce, body);
        return Wire.signed(profile.key_id(), created, nonce, Signing.sign(key, lines));
    }

    private ReceiptKeys fetchReceiptKeys() throws Refused, NoAnswer, BadReceipt {
        var request = GetNetworkRequest.getDefaultInstance(); // the only call that is not signed
        var sent = send("NetworkService/GetNetwork", "", request, GetNetworkResponse.parser(), (path, body) -> new Metadata());
        try {
            return new ReceiptKeys(profile.audience(), sent.response.getReceiptKeysList());
        } catch (GeneralSecurityException error) {
            throw new BadReceipt("the network lists a key that is none: " + error.getMessage());
        }
    }

    private Receipt verifyFor(String key, SignedReceipt signed) throws BadReceipt, Refused, NoAnswer {
        Receipt receipt = verify(signed);
        if (!receipt.getPartnerId().equals(profile.partnerId()) || !receipt.getIdempotencyKey().equals(key)) {
            throw new BadReceipt("it answers another request");
        }
        return receipt;
    }

    /** Doubling up to a limit, less a random part up to a half, and never sooner than the gateway asked. */
    private void pause(int attempt, long retryAfterMs) {
        long delayMs = Math.min(FIRST_DELAY_MS << (attempt - 1), DELAY_MS_MAX);
        long spreadMs = ThreadLocalRandom.current().nextLong(delayMs / 2 + 1);
        try {
            Thread.sleep(Math.max(retryAfterMs, delayMs - spreadMs));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting; ask again with the same key", interrupted);
        }
        wire.connectAtOnce();
    }

    private static MemberRef member(String card) {
        return MemberRef.newBuilder().setCardNumber(card).build();
    }

    private static Amount euro(long cents) {
        return Amount.newBuilder().setUnit("EUR").setMinorUnits(cents).build();
    }

    /** Not booked. With a receipt the refusal is final and proven; without one the request must be mended. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;
        final transient Failure failure;
        final transient SignedReceipt signed;
        final transient Receipt receipt;

        Refused(Failure failure, SignedReceipt signed, Receipt receipt) {
            super(failure.code() + " " + failure.reason());
            this.failure = failure;
            this.signed = signed;
            this.receipt = receipt;
        }
    }

    /** Not known whether it was booked: keep the command, and send it again with the same key. */
    static final class NoAnswer extends Exception {
        private static final long serialVersionUID = 1;

        NoAnswer(Failure failure, int attempts) {
            super(failure.code() + " after " + attempts + " attempts");
        }
    }
}
