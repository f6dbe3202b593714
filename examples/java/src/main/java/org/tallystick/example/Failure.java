package org.tallystick.example;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import org.tallystick.v1.Answer;

/**
 * What a failed call says: docs/protocol.md, section 7.
 *
 * @param reason empty where the gateway itself did not answer
 * @param retryAfterMs -1 where it named no delay
 * @param serverTimeMs the gateway's clock where ours is off, else -1
 * @param answer the signed receipt of a refusal that is remembered, else null
 */
record Failure(Code code, String reason, long retryAfterMs, long serverTimeMs, Answer answer) {
    static Failure of(StatusRuntimeException error) {
        String reason = "";
        long retryAfterMs = -1;
        long serverTimeMs = -1;
        Answer answer = null;
        com.google.rpc.Status status = StatusProto.fromThrowable(error);
        try {
            for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
                if (detail.is(ErrorInfo.class) && detail.unpack(ErrorInfo.class).getDomain().equals("tallystick")) {
                    ErrorInfo info = detail.unpack(ErrorInfo.class);
                    reason = info.getReason();
                    serverTimeMs = Long.parseLong(info.getMetadataOrDefault("server_time_ms", "-1"));
                } else if (detail.is(RetryInfo.class)) {
                    Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
                    retryAfterMs = delay.getSeconds() * 1_000 + delay.getNanos() / 1_000_000;
                } else if (detail.is(Answer.class)) {
                    answer = detail.unpack(Answer.class);
                }
            }
        } catch (InvalidProtocolBufferException malformed) {
            return new Failure(error.getStatus().getCode(), "", -1, -1, null);
        }
        return new Failure(error.getStatus().getCode(), reason, retryAfterMs, serverTimeMs, answer);
    }

    /** Whether the same command, signed anew, may get another answer. What was booked already is not booked twice. */
    boolean mayRepeat() {
        return switch (code) {
            case UNAVAILABLE, ABORTED, DEADLINE_EXCEEDED, INTERNAL -> true;
            case CANCELLED, UNKNOWN -> reason.isEmpty(); // made by the network between, not by the gateway
            case RESOURCE_EXHAUSTED -> retryAfterMs >= 0;
            default -> false;
        };
    }
}
