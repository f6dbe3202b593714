using Google.Rpc;
using Grpc.Core;
using Tallystick.V1;

namespace Tallystick.Example;

/// <summary>
/// What a failed call says: docs/protocol.md, section 7. The reason is empty where the gateway itself did not answer; the
/// others are null where it gave none.
/// </summary>
sealed record Failure(StatusCode Code, string Reason, TimeSpan? RetryAfter, long? ServerTimeMs, Answer? Answer)
{
    public static Failure Of(RpcException error)
    {
        var failure = new Failure(error.StatusCode, "", null, null, null);
        byte[]? bytes = error.Trailers.GetValueBytes("grpc-status-details-bin");
        if (bytes is null)
        {
            return failure;
        }
        foreach (var detail in Google.Rpc.Status.Parser.ParseFrom(bytes).Details)
        {
            if (detail.TryUnpack(out ErrorInfo info) && info.Domain == "tallystick")
            {
                long? serverTimeMs = info.Metadata.TryGetValue("server_time_ms", out string? text) ? long.Parse(text) : null;
                failure = failure with { Reason = info.Reason, ServerTimeMs = serverTimeMs };
            }
            else if (detail.TryUnpack(out RetryInfo retry))
            {
                failure = failure with { RetryAfter = retry.RetryDelay.ToTimeSpan() };
            }
            else if (detail.TryUnpack(out Answer answer))
            {
                failure = failure with { Answer = answer };
            }
        }
        return failure;
    }

    /// <summary>Whether the same command, signed anew, may get another answer. What was booked already is not booked twice.</summary>
    public bool MayRepeat => Code switch
    {
        StatusCode.Unavailable or StatusCode.Aborted or StatusCode.DeadlineExceeded or StatusCode.Internal => true,
        StatusCode.Cancelled or StatusCode.Unknown => Reason == "", // made by the network between, not by the gateway
        StatusCode.ResourceExhausted => RetryAfter is not null,
        _ => false,
    };
}
