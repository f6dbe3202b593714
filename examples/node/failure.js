// What a failed call says: docs/protocol.md, section 7.
import { status as Code } from "@grpc/grpc-js";
import { rpc, types } from "./protos.js";

const NOT_KNOWN = [Code.UNAVAILABLE, Code.ABORTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL];
const OF_THE_NETWORK = [Code.CANCELLED, Code.UNKNOWN]; // made between, where the gateway itself gave no reason
const READERS = { "google.rpc.ErrorInfo": rpc.ErrorInfo, "google.rpc.RetryInfo": rpc.RetryInfo, "tallystick.v1.Answer": types.Answer };

/**
 * { code, reason, retryAfterMs, serverTimeMs, answer }: the reason is empty where the gateway itself did not answer;
 * the others are undefined where it gave none.
 */
export function failureOf(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = {};
  for (const { type_url, value } of bytes ? rpc.Status.deserialize(bytes).details : []) {
    const name = type_url.split("/").pop();
    if (name in READERS) details[name] = READERS[name].deserialize(value);
  }
  const info = details["google.rpc.ErrorInfo"];
  const isOurs = info?.domain === "tallystick";
  const delay = details["google.rpc.RetryInfo"]?.retry_delay;
  return {
    code: error.code,
    reason: isOurs ? info.reason : "",
    serverTimeMs: isOurs && info.metadata.server_time_ms ? Number(info.metadata.server_time_ms) : undefined,
    retryAfterMs: delay && delay.seconds * 1_000 + delay.nanos / 1_000_000,
    answer: details["tallystick.v1.Answer"],
  };
}

/** Whether the same command, signed anew, may get another answer. What was booked already is not booked twice. */
export function mayRepeat({ code, reason, retryAfterMs }) {
  if (code === Code.RESOURCE_EXHAUSTED) return retryAfterMs !== undefined;
  return NOT_KNOWN.includes(code) || (OF_THE_NETWORK.includes(code) && !reason);
}
