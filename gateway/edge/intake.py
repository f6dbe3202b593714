"""What partners send about settlement, from messages to values: every rule that the proto comments state about their fields.

The audit reads what was kept by the same functions that took it.
"""

from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError

from gateway.domain.dispute import EVIDENCE_MAX, NOTE_MAX, DisputeReason, DisputeState
from gateway.domain.errors import InvalidValue
from gateway.domain.intake import (
    CHUNK_BYTES_MAX,
    CHUNKS_MAX,
    RECORD_BYTES_MAX,
    ChunkSent,
    DisputeAnswered,
    DisputeOpened,
    Sent,
    StatementAcknowledged,
)
from gateway.edge.validate import INVALID_FORMAT, OUT_OF_RANGE, REQUIRED, UNSUPPORTED, Fields
from tallystick.v1 import reconciliation_pb2 as pb

_HASH_BYTES = 32
_SERVICE = "/tallystick.v1.ReconciliationService/"
_ANSWERS = {
    pb.DISPUTE_ANSWER_ACCEPT: DisputeState.ACCEPTED,
    pb.DISPUTE_ANSWER_CONTEST: DisputeState.CONTESTED,
    pb.DISPUTE_ANSWER_WITHDRAW: DisputeState.WITHDRAWN,
}
_REASONS = {pb.DisputeReason.Value(f"DISPUTE_REASON_{reason.name}"): reason for reason in DisputeReason}


def chunk_sent(message: pb.UploadPartnerRecordRequest, body: bytes, fields: Fields) -> ChunkSent:
    """`body`: the message as it was received, in which the content lies."""
    match message.WhichOneof("scope"):
        case "window_id":
            fields.window_id(message.window_id)
        case "business_date" if message.business_date:
            fields.date(message.business_date, "business_date")
        case _:
            fields.wrong("window_id", REQUIRED, "window_id or business_date")
    _hash(message.sha256, "sha256", fields)
    _within(message.total_bytes, 1, RECORD_BYTES_MAX, "total_bytes", fields)
    _within(message.chunks, 1, CHUNKS_MAX, "chunks", fields)
    _within(message.number, 1, max(message.chunks, 1), "number", fields)
    _within(len(message.content), 1, CHUNK_BYTES_MAX, "content", fields)
    return ChunkSent(
        window_id=message.window_id,
        business_date=message.business_date,
        sha256=message.sha256,
        total_bytes=message.total_bytes,
        chunks=message.chunks,
        number=message.number,
        content_at=body.rfind(message.content),
        content_bytes=len(message.content),
    )


def statement_acknowledged(message: pb.AcknowledgeStatementRequest, _body: bytes, fields: Fields) -> StatementAcknowledged:
    """A statement is right."""
    _hash(message.statement_sha256, "statement_sha256", fields)
    return StatementAcknowledged(fields.window_id(message.window_id), message.statement_sha256)


def dispute_opened(message: pb.OpenDisputeRequest, _body: bytes, fields: Fields) -> DisputeOpened:
    """A line is disputed."""
    _within(message.line_number, 1, 2**63 - 1, "line_number", fields)
    reason = _REASONS.get(message.reason)
    if reason is None:
        fields.wrong("reason", UNSUPPORTED if message.reason else REQUIRED, "a reason of this version")
    if not message.evidence.strip():
        fields.wrong("evidence", REQUIRED, f"1 to {EVIDENCE_MAX} printable characters")
    _text(message.evidence, EVIDENCE_MAX, "evidence", fields)
    if not fields.date(message.deadline, "deadline"):
        fields.wrong("deadline", REQUIRED, "a date as YYYY-MM-DD")
    window_id = fields.window_id(message.window_id)
    return DisputeOpened(window_id, message.line_number, reason or DisputeReason.OTHER, message.evidence, message.deadline)


def dispute_answered(message: pb.AnswerDisputeRequest, _body: bytes, fields: Fields) -> DisputeAnswered:
    """A dispute is answered."""
    if not message.dispute_id or len(message.dispute_id) > _ID_MAX or not message.dispute_id.isprintable():
        fields.wrong("dispute_id", INVALID_FORMAT if message.dispute_id else REQUIRED, "as OpenDispute answered it")
    state = _ANSWERS.get(message.answer)
    if state is None:
        fields.wrong("answer", UNSUPPORTED if message.answer else REQUIRED, "an answer of this version")
    _text(message.note, NOTE_MAX, "note", fields)
    return DisputeAnswered(message.dispute_id, state or DisputeState.CONTESTED, message.note)


def read_sent(method: str, body: bytes) -> Sent:
    """What a kept message says. Raises InvalidValue if it is none of its method's, or would have been refused."""
    reader = _READERS.get(method)
    if reader is None:
        raise InvalidValue(f"method {method}: not one whose messages are kept")
    fields = Fields(b"")
    try:
        sent = reader(body, fields)
    except DecodeError:
        raise InvalidValue(f"{method}: not a message of this method") from None
    if fields.violations:
        raise InvalidValue(f"{method}: {fields.violations[0].field} is wrong")
    return sent


_ID_MAX = 40
_READERS: Mapping[str, Callable[[bytes, Fields], Sent]] = {
    f"{_SERVICE}UploadPartnerRecord": lambda body, fields: chunk_sent(
        pb.UploadPartnerRecordRequest.FromString(body), body, fields
    ),
    f"{_SERVICE}AcknowledgeStatement": lambda body, fields: statement_acknowledged(
        pb.AcknowledgeStatementRequest.FromString(body), body, fields
    ),
    f"{_SERVICE}OpenDispute": lambda body, fields: dispute_opened(pb.OpenDisputeRequest.FromString(body), body, fields),
    f"{_SERVICE}AnswerDispute": lambda body, fields: dispute_answered(pb.AnswerDisputeRequest.FromString(body), body, fields),
}


def _within(value: int, least: int, most: int, field: str, fields: Fields) -> None:
    if not least <= value <= most:
        fields.wrong(field, OUT_OF_RANGE if value else REQUIRED, f"{least} to {most}")


def _hash(value: bytes, field: str, fields: Fields) -> None:
    if len(value) != _HASH_BYTES:
        fields.wrong(field, INVALID_FORMAT if value else REQUIRED, f"{_HASH_BYTES} bytes")


def _text(value: str, most: int, field: str, fields: Fields) -> None:
    if len(value) > most or not value.isprintable():
        fields.wrong(field, INVALID_FORMAT, f"up to {most} printable characters")
