"""What an office sends about settlement, as messages. Pure: nothing is sent here."""

from collections.abc import Iterator

from partners.pos.errors import PosError
from tallystick.v1 import reconciliation_pb2 as pb

CHUNK_BYTES = 192 * 1024  # the most that a call takes


def chunk(
    content: bytes, *, sha256: bytes, total_bytes: int, number: int, window_id: int = 0, business_date: str = ""
) -> pb.UploadPartnerRecordRequest:
    """One chunk of the partner's own record of a window, or of a business date; `number` counts from 1."""
    if bool(window_id) == bool(business_date):
        raise PosError("name what the record is of in one way: by its window, or by its business date")
    request = pb.UploadPartnerRecordRequest(
        sha256=sha256, total_bytes=total_bytes, chunks=chunks_of(total_bytes), number=number, content=content
    )
    if window_id:
        request.window_id = window_id
    else:
        request.business_date = business_date
    return request


def chunks_of(total_bytes: int) -> int:
    """How many chunks a record of this size has. Raises PosError for an empty one."""
    if total_bytes < 1:
        raise PosError("the record is empty: a day without events has a header at least")
    return -(-total_bytes // CHUNK_BYTES)


def parts_of(content: bytes) -> Iterator[bytes]:
    """The chunks of a record, in their order."""
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]


def records(page_size: int = 200) -> pb.ListPartnerRecordsRequest:
    """Ask for the records that were sent."""
    return pb.ListPartnerRecordsRequest(page_size=page_size)


def acknowledge(window_id: int, statement_sha256: bytes) -> pb.AcknowledgeStatementRequest:
    """Say that a statement is right: the signature of the call is one over its hash."""
    return pb.AcknowledgeStatementRequest(window_id=window_id, statement_sha256=statement_sha256)


def acknowledgements(page_size: int = 200) -> pb.ListAcknowledgementsRequest:
    """Ask for the statements that were acknowledged."""
    return pb.ListAcknowledgementsRequest(page_size=page_size)


def open_dispute(window_id: int, line_number: int, *, reason: str, evidence: str, deadline: str) -> pb.OpenDisputeRequest:
    """Dispute a line of the own statement. `reason`: a word of `REASONS`; `deadline`: a date, 1 to 60 days ahead."""
    if reason not in REASONS:
        raise PosError(f"reason {reason!r}: must be one of {', '.join(REASONS)}")
    return pb.OpenDisputeRequest(
        window_id=window_id,
        line_number=line_number,
        reason=pb.DisputeReason.Value(f"DISPUTE_REASON_{_name(reason)}"),
        evidence=evidence,
        deadline=deadline,
    )


def answer_dispute(dispute_id: str, answer: str, *, note: str = "") -> pb.AnswerDisputeRequest:
    """Accept or contest a dispute as its respondent, or withdraw an own one."""
    if answer not in ANSWERS:
        raise PosError(f"answer {answer!r}: must be one of {', '.join(ANSWERS)}")
    return pb.AnswerDisputeRequest(
        dispute_id=dispute_id, answer=pb.DisputeAnswer.Value(f"DISPUTE_ANSWER_{_name(answer)}"), note=note
    )


def disputes(page_size: int = 200) -> pb.ListDisputesRequest:
    """Ask for the disputes that were opened or must be answered."""
    return pb.ListDisputesRequest(page_size=page_size)


def _word(name: str) -> str:
    return name.lower().replace("_", "-")


def _name(word: str) -> str:
    return word.upper().replace("-", "_")


REASONS = tuple(_word(name.removeprefix("DISPUTE_REASON_")) for name, number in pb.DisputeReason.items() if number)
ANSWERS = tuple(_word(name.removeprefix("DISPUTE_ANSWER_")) for name, number in pb.DisputeAnswer.items() if number)
