"""What partners send about settlement, as values: the signed request that is kept, and what it says. Pure.

The form on the wire is the edge's affair; whoever proves what is kept reads the messages by the same function that took them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from gateway.domain.dispute import DisputeReason, DisputeState, dispute_id
from gateway.domain.entry import EntryKind
from gateway.domain.signing import RequestHeader, request_string

RECORD_BYTES_MAX = 128 * 1024 * 1024  # a million lines have some 70 MiB
CHUNKS_MAX = 4_096
CHUNK_BYTES_MAX = 192 * 1024  # leaves room in a message of 256 KiB
RECORDS_UNDER_WAY_MAX = 4
BYTES_A_DAY_MAX = 512 * 1024 * 1024
DISPUTES_LIVE_MAX = 1_000
DAY_MS = 86_400_000

RECORDED_KINDS = (
    EntryKind.ISSUE,
    EntryKind.REDEEM,
    EntryKind.REVERSE_ISSUE,
    EntryKind.REVERSE_REDEMPTION,
    EntryKind.TRANSFER_OUT,
    EntryKind.DONATE,
)
"""What a partner may book that moves points: the entries that its own record is compared with."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it was received, and its signature. `message`: the serialized bytes that were signed."""

    method: str
    key_id: str
    created: str
    nonce: str
    message: bytes
    signature: bytes

    def signed_string(self, audience: str) -> bytes:
        """The eight lines that the signature is over."""
        header = RequestHeader(self.key_id, self.created, self.nonce)
        return request_string(audience=audience, method=self.method, header=header, body=self.message)


@dataclass(frozen=True, slots=True)
class ChunkSent:
    """A chunk of a partner's record; one of `window_id` and `business_date` is set. Its content lies in the message."""

    window_id: int
    business_date: str
    sha256: bytes
    total_bytes: int
    chunks: int
    number: int
    content_at: int
    content_bytes: int

    def record_id(self, partner_id: str) -> str:
        """Of the record that it belongs to."""
        parts = ("TS1-RECORD", partner_id, str(self.window_id), self.business_date, self.sha256.hex())
        return "p" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def intake_id(self, partner_id: str) -> str:
        """Chunks of a record in the order of their ids are in the order of their numbers."""
        return chunk_id(self.record_id(partner_id), self.number)


@dataclass(frozen=True, slots=True)
class StatementAcknowledged:
    """A statement is right, by its hash."""

    window_id: int
    statement_sha256: bytes

    def intake_id(self, _partner_id: str) -> str:
        """One for a window."""
        return f"acknowledgement/{self.window_id}"


@dataclass(frozen=True, slots=True)
class DisputeOpened:
    """A line of the caller's statement is disputed."""

    window_id: int
    line_number: int
    reason: DisputeReason
    evidence: str
    deadline: str

    def intake_id(self, partner_id: str) -> str:
        """One for a line."""
        return f"{dispute_id(partner_id, self.window_id, self.line_number)}/{DisputeState.OPEN}"


@dataclass(frozen=True, slots=True)
class DisputeAnswered:
    """A dispute comes to a state: ACCEPTED or CONTESTED by the respondent, WITHDRAWN by whoever opened it."""

    dispute_id: str
    state: DisputeState
    note: str

    def intake_id(self, _partner_id: str) -> str:
        """One for a state: none is come to twice."""
        return f"{self.dispute_id}/{self.state}"


Sent = ChunkSent | StatementAcknowledged | DisputeOpened | DisputeAnswered
ReadSent = Callable[[str, bytes], Sent]
"""What a method's message says. Raises InvalidValue."""


@dataclass(frozen=True, slots=True)
class PartnerRecord:
    """A record as far as it has come; `completed_at_ms` is 0 until it is whole and has its hash.

    `bad_lines`: how many could not be read when it was to be compared; then it never will be.
    """

    partner_id: str
    record_id: str
    window_id: int
    business_date: str
    sha256: bytes
    bytes: int
    chunks: int
    received: int
    received_bytes: int
    started_at_ms: int
    completed_at_ms: int
    bad_lines: int = 0


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That a partner has signed the hash of its statement."""

    partner_id: str
    window_id: int
    statement_sha256: bytes
    acknowledged_at_ms: int


def chunk_id(record_id: str, number: int) -> str:
    """The intake id of a chunk."""
    return f"{record_id}/{number:04}"
