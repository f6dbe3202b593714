"""From reasons to gRPC: one total table, and the rich status made from it. Carries no exception's text, ever.

The retry classes must never blur: FAILED_PRECONDITION is final, ABORTED is contention, UNAVAILABLE means that nothing was
written, DEADLINE_EXCEEDED that nobody knows: the caller repeats with the same key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.domain.outcome import Reason, Refusal
from gateway.edge.refused import Violation
from tallystick.v1 import types_pb2

ERROR_DOMAIN = "tallystick"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
VIOLATIONS_MAX = 20  # keeps the status under 4 KiB, which is what clients take in trailing metadata


@dataclass(frozen=True, slots=True)
class Answered:
    """How a reason is answered: the status code, a sentence, after how many milliseconds to try again (None: do not).

    `violation`: the field that the books found wrong, where the reason always means the same one.
    """

    code: grpc.StatusCode
    sentence: str
    retry_ms: int | None = None
    violation: Violation | None = None


ANSWERS: dict[Reason, Answered] = {
    Reason.SIGNATURE_MISSING: Answered(grpc.StatusCode.UNAUTHENTICATED, "signature metadata is missing"),
    Reason.SIGNATURE_PARAM_DUPLICATE: Answered(grpc.StatusCode.INVALID_ARGUMENT, "a signature parameter was sent twice"),
    Reason.SIGNATURE_PARAM_MALFORMED: Answered(grpc.StatusCode.INVALID_ARGUMENT, "a signature parameter is not of its form"),
    Reason.SIGNATURE_INVALID: Answered(grpc.StatusCode.UNAUTHENTICATED, "the signature is not valid for this request"),
    Reason.SIGNATURE_TIME_OUT_OF_WINDOW: Answered(
        grpc.StatusCode.UNAUTHENTICATED, "the request was signed too long ago, or in the future; sign again by server_time_ms"
    ),
    Reason.METHOD_NOT_ALLOWED_FOR_KEY: Answered(grpc.StatusCode.PERMISSION_DENIED, "the key is not meant for this method"),
    Reason.AUTH_FAILURES_LIMITED: Answered(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "too many bad signatures from this address", retry_ms=30_000
    ),
    Reason.RATE_LIMITED: Answered(grpc.StatusCode.RESOURCE_EXHAUSTED, "more calls a second than agreed", retry_ms=1_000),
    Reason.MALFORMED_MESSAGE: Answered(grpc.StatusCode.INVALID_ARGUMENT, "the signed bytes are not a message of this method"),
    Reason.UNKNOWN_FIELDS: Answered(grpc.StatusCode.INVALID_ARGUMENT, "the message has fields that this gateway does not know"),
    Reason.INVALID_FIELDS: Answered(grpc.StatusCode.INVALID_ARGUMENT, "fields are missing or out of range"),
    Reason.BATCH_TOO_LARGE: Answered(grpc.StatusCode.INVALID_ARGUMENT, "more commands than a batch may have"),
    Reason.MESSAGE_COUNT: Answered(grpc.StatusCode.INVALID_ARGUMENT, "the call must carry a message"),
    Reason.BODY_TIMEOUT: Answered(grpc.StatusCode.DEADLINE_EXCEEDED, "the message did not arrive in time; nothing was written"),
    Reason.DEADLINE_REQUIRED: Answered(grpc.StatusCode.INVALID_ARGUMENT, "a call that may book something must set a deadline"),
    Reason.QUEUE_FULL: Answered(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "the gateway's queue is full; nothing was written", retry_ms=200
    ),
    Reason.DRAINING: Answered(grpc.StatusCode.UNAVAILABLE, "the gateway is shutting down; nothing was written", retry_ms=1_000),
    Reason.STORE_UNAVAILABLE: Answered(
        grpc.StatusCode.UNAVAILABLE, "the store did not answer; send the same key again", retry_ms=1_000
    ),
    Reason.INTERNAL: Answered(grpc.StatusCode.INTERNAL, "a fault of the gateway; error_id names it in the operator's log"),
    Reason.PARTNER_MISMATCH: Answered(grpc.StatusCode.PERMISSION_DENIED, "the message names another partner than the key's"),
    Reason.IDEMPOTENCY_KEY_REUSED: Answered(
        grpc.StatusCode.ALREADY_EXISTS, "the idempotency key belongs to another command that was booked"
    ),
    Reason.PARTNER_NOT_ACTIVE: Answered(grpc.StatusCode.PERMISSION_DENIED, "the partner is not active"),
    Reason.EVENT_TIME_IN_FUTURE: Answered(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the occurrence lies in the future",
        violation=Violation("occurred_at_ms", "OUT_OF_RANGE", "not after the gateway's time"),
    ),
    Reason.EVENT_TOO_OLD: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the occurrence lies too far back"),
    Reason.RATE_CARD_MISSING: Answered(grpc.StatusCode.FAILED_PRECONDITION, "no rate card is in force on the business date"),
    Reason.RATE_VERSION_STALE: Answered(grpc.StatusCode.FAILED_PRECONDITION, "another rate card version is in force"),
    Reason.UNIT_UNSUPPORTED: Answered(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the rate card has no rate for the unit",
        violation=Violation("unit", "UNSUPPORTED", "a unit of the rate card in force"),
    ),
    Reason.OFFER_NOT_IN_FORCE: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the offer is not in force"),
    Reason.MEMBER_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "no such member"),
    Reason.CARD_ALREADY_ENROLLED: Answered(grpc.StatusCode.ALREADY_EXISTS, "the card belongs to a member already"),
    Reason.ENTRY_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "no such entry"),
    Reason.ENTRY_NOT_REVERSIBLE: Answered(grpc.StatusCode.FAILED_PRECONDITION, "only issues and redemptions can be reversed"),
    Reason.ALREADY_REVERSED: Answered(grpc.StatusCode.FAILED_PRECONDITION, "more than what is left to reverse"),
    Reason.INSUFFICIENT_POINTS: Answered(grpc.StatusCode.FAILED_PRECONDITION, "fewer usable points than asked for"),
    Reason.BALANCE_LIMIT: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the sum would exceed what an account can hold"),
    Reason.NET_DEBIT_CAP_EXCEEDED: Answered(grpc.StatusCode.RESOURCE_EXHAUSTED, "the issuer's net debit cap would be exceeded"),
    Reason.REQUEST_IN_PROGRESS: Answered(grpc.StatusCode.ABORTED, "the same key is being booked elsewhere", retry_ms=200),
    Reason.STATEMENT_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "no such statement"),
    Reason.DEADLINE_PASSED: Answered(
        grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the command was booked; nothing was written"
    ),
    Reason.PAGE_TOKEN_INVALID: Answered(grpc.StatusCode.INVALID_ARGUMENT, "the page token is not one that this gateway gave"),
    Reason.ROLE_NOT_HELD: Answered(grpc.StatusCode.PERMISSION_DENIED, "the partner does not hold the role that this needs"),
    Reason.HOLD_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "no such hold"),
    Reason.HOLD_NOT_OPEN: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the hold was captured, voided, or has lapsed"),
    Reason.REFUND_EXCEEDS_REST: Answered(grpc.StatusCode.FAILED_PRECONDITION, "more than what is left of the checkout"),
    Reason.RECEIPT_ALREADY_CLAIMED: Answered(grpc.StatusCode.FAILED_PRECONDITION, "somebody has the points of this receipt"),
    Reason.BELOW_MINIMUM: Answered(grpc.StatusCode.FAILED_PRECONDITION, "fewer points than a redemption must have"),
    Reason.NOT_A_MULTIPLE: Answered(grpc.StatusCode.FAILED_PRECONDITION, "points are redeemed in multiples"),
    Reason.ENTRY_LIMIT: Answered(grpc.StatusCode.FAILED_PRECONDITION, "more points than one issue or redemption may have"),
    Reason.MEMBER_DAILY_LIMIT: Answered(grpc.StatusCode.RESOURCE_EXHAUSTED, "the member's points of the day are used up"),
    Reason.TERMINAL_DAILY_LIMIT: Answered(grpc.StatusCode.RESOURCE_EXHAUSTED, "the terminal's points of the day are used up"),
    Reason.EVENT_GAP: Answered(grpc.StatusCode.FAILED_PRECONDITION, "events are missing before the first one sent"),
    Reason.EVENT_TIME_NOT_MONOTONIC: Answered(grpc.StatusCode.INVALID_ARGUMENT, "an event happened before the one before it"),
    Reason.FRAME_SIGNATURE_INVALID: Answered(
        grpc.StatusCode.UNAUTHENTICATED, "an event does not continue the terminal's chain, or its signature does not hold"
    ),
    Reason.TERMINAL_EQUIVOCATION: Answered(
        grpc.StatusCode.PERMISSION_DENIED, "an event was signed with another content before; the terminal is frozen"
    ),
    Reason.TERMINAL_FROZEN: Answered(
        grpc.StatusCode.PERMISSION_DENIED, "the terminal is frozen until the network's operator releases it"
    ),
    Reason.OFFLINE_NOT_ALLOWED: Answered(
        grpc.StatusCode.FAILED_PRECONDITION, "the command needs the gateway's word when it happens"
    ),
    Reason.MORE_THAN_TOTAL: Answered(grpc.StatusCode.FAILED_PRECONDITION, "more points than the basket takes"),
    Reason.SPENDING_PAUSED: Answered(grpc.StatusCode.PERMISSION_DENIED, "the member has asked that no points are taken"),
    Reason.MEMBER_MERGED: Answered(grpc.StatusCode.FAILED_PRECONDITION, "both are one member already"),
    Reason.IDENTIFIER_TAKEN: Answered(grpc.StatusCode.ALREADY_EXISTS, "the identifier belongs to a member already"),
    Reason.IDENTIFIER_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "the member has no such identifier"),
    Reason.LAST_IDENTIFIER: Answered(grpc.StatusCode.FAILED_PRECONDITION, "a member keeps one lasting identifier"),
    Reason.MEMBER_NOT_PROVISIONAL: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the member is confirmed already"),
    Reason.NOT_A_CHARITY: Answered(grpc.StatusCode.FAILED_PRECONDITION, "no such charity"),
    Reason.TOKEN_USED_OR_EXPIRED: Answered(
        grpc.StatusCode.FAILED_PRECONDITION, "the one-time token was used, or its time is over"
    ),
    Reason.MEMBER_ERASED: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the member's identity was erased"),
    Reason.MEMBER_PROVISIONAL: Answered(grpc.StatusCode.PERMISSION_DENIED, "the member is not confirmed yet"),
    Reason.MEMBER_HAS_HOLDS: Answered(grpc.StatusCode.PERMISSION_DENIED, "points of the member are set aside by open holds"),
    Reason.RECORD_CHUNK_DIFFERS: Answered(grpc.StatusCode.ALREADY_EXISTS, "the chunk was sent otherwise before"),
    Reason.RECORD_HASH_DIFFERS: Answered(
        grpc.StatusCode.FAILED_PRECONDITION, "the chunks together have not the record's size and hash; send all of them again"
    ),
    Reason.INTAKE_QUOTA_EXCEEDED: Answered(grpc.StatusCode.RESOURCE_EXHAUSTED, "more than a partner may send about settlement"),
    Reason.STATEMENT_HASH_DIFFERS: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the statement has another hash"),
    Reason.DISPUTE_NOT_FOUND: Answered(grpc.StatusCode.NOT_FOUND, "no such dispute"),
    Reason.DISPUTE_NOT_OPEN: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the dispute takes no such answer any more"),
    Reason.DISPUTE_EXISTS: Answered(grpc.StatusCode.ALREADY_EXISTS, "the line is disputed already"),
    Reason.NOT_DISPUTABLE: Answered(grpc.StatusCode.FAILED_PRECONDITION, "the line cannot be disputed, or not any more"),
}


QUOTAS = {
    Reason.NET_DEBIT_CAP_EXCEEDED: "net debit cap",
    Reason.MEMBER_DAILY_LIMIT: "member's day",
    Reason.TERMINAL_DAILY_LIMIT: "terminal's day",
    Reason.INTAKE_QUOTA_EXCEEDED: "partner's intake",
}


def rich_status(
    refusal: Refusal, *, violations: Sequence[Violation] = (), answer: types_pb2.Answer | None = None
) -> tuple[grpc.StatusCode, str, bytes]:
    """Status code, sentence and the serialized google.rpc.Status of a refusal.

    The details: ErrorInfo, then BadRequest, RetryInfo or QuotaFailure where they apply, then the signed `answer` of a
    refusal that is remembered.
    """
    answered = ANSWERS[refusal.reason]
    packed = [_packed(error_details_pb2.ErrorInfo(reason=refusal.reason.name, domain=ERROR_DOMAIN, metadata=refusal.details))]
    wrong = violations or violations_of(refusal.reason)
    if wrong:
        packed.append(_packed(_bad_request(wrong)))
    if answered.retry_ms is not None:
        packed.append(_packed(error_details_pb2.RetryInfo(retry_delay=_duration(answered.retry_ms))))
    if refusal.reason in QUOTAS:
        # Without RetryInfo: a cap is no matter of seconds, and a day's limit says itself when the day is over.
        violation = error_details_pb2.QuotaFailure.Violation(subject=QUOTAS[refusal.reason], description=answered.sentence)
        packed.append(_packed(error_details_pb2.QuotaFailure(violations=[violation])))
    if answer is not None:
        packed.append(_packed(answer))
    sentence = f"{refusal.reason.name}: {answered.sentence}"
    status = status_pb2.Status(code=code_number(refusal.reason), message=sentence, details=packed)
    return answered.code, sentence, status.SerializeToString()


def trailers(reason: Reason, details: bytes) -> tuple[tuple[str, str | bytes], ...]:
    """What travels behind a refusal: the rich status, and what gRPC's own retries go by, which do not read it.

    A delay in milliseconds where time helps; -1, never, where the code alone would let a client try again in vain.
    """
    answered = ANSWERS[reason]
    if answered.retry_ms is not None:
        return (DETAILS_KEY, details), (PUSHBACK_KEY, str(answered.retry_ms))
    if answered.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return (DETAILS_KEY, details), (PUSHBACK_KEY, "-1")
    return ((DETAILS_KEY, details),)


def code_number(reason: Reason) -> int:
    """The status code as it goes over the wire."""
    number: int = ANSWERS[reason].code.value[0]
    return number


def violations_of(reason: Reason) -> tuple[Violation, ...]:
    """The field that a refusal of the books is about; mostly none."""
    violation = ANSWERS[reason].violation
    return () if violation is None else (violation,)


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description, reason=violation.word
            )
            for violation in violations[:VIOLATIONS_MAX]
        ]
    )


def _duration(ms: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
