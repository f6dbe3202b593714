"""What a failed call says, in our words: read from the gRPC status, the trailing details, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from partners.pos import service_config
from tallystick.v1 import types_pb2

DOMAIN = "tallystick"
_DETAILS = "grpc-status-details-bin"

# The command may or may not have been booked, or not yet; the same key sent again finds out. RESOURCE_EXHAUSTED says by
# RetryInfo whether time helps.
_RETRYABLE = frozenset(grpc.StatusCode[name] for name in service_config.of_method(service_config.EVERY_METHOD).retryable)
_TRANSIENT = _RETRYABLE - {grpc.StatusCode.RESOURCE_EXHAUSTED}
# Codes that the network between may make, when there is no word of the gateway itself.
_NOT_THE_GATEWAY = _TRANSIENT | {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed. `reason` is empty when the gateway gave none; `retry_after_ms` None when it named no delay."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    field_violations: Sequence[tuple[str, str]] = ()
    retry_after_ms: int | None = None
    answer: types_pb2.Answer | None = None

    @property
    def is_transient(self) -> bool:
        """Whether the same command may be sent again in the hope of another answer."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # a cap is not cured by time, a quota is
            return self.retry_after_ms is not None
        return self.code in _TRANSIENT or (not self.reason and self.code in _NOT_THE_GATEWAY)

    @property
    def server_time_ms(self) -> int | None:
        """The gateway's clock, where it found ours to be off."""
        text = self.details.get("server_time_ms", "")
        return int(text) if self.reason == "SIGNATURE_TIME_OUT_OF_WINDOW" and text.isascii() and text.isdigit() else None

    def __str__(self) -> str:
        """For people: the code, and the reason or the message."""
        return f"{self.code.name}: {self.reason or self.message}"


def failure_of(error: grpc.RpcError) -> Failure:
    """Reads an error of grpc or grpc.aio."""
    trailing: Any = error.trailing_metadata() or ()
    encoded = next((value for key, value in trailing if key == _DETAILS), b"")
    bare = Failure(error.code(), error.details() or "")
    try:
        return _read(bare, status_pb2.Status.FromString(encoded))
    except DecodeError:
        return bare


def _read(bare: Failure, status: status_pb2.Status) -> Failure:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    answer = types_pb2.Answer()
    has_retry = has_answer = False
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
        elif detail.Is(retry.DESCRIPTOR):
            has_retry = detail.Unpack(retry)
        elif detail.Is(answer.DESCRIPTOR):
            has_answer = detail.Unpack(answer)
    return Failure(
        code=bare.code,
        message=bare.message,
        reason=info.reason if info.domain == DOMAIN else "",
        details=dict(info.metadata),
        field_violations=tuple((violation.field, violation.description) for violation in bad.field_violations),
        retry_after_ms=retry.retry_delay.ToMilliseconds() if has_retry else None,
        answer=answer if has_answer else None,
    )
