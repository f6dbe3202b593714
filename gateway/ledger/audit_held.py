"""Receipts that partners hold, against the books: promises that the network has signed, wherever they are kept.

After a backup was restored they say what is missing; at any other time, that nobody has rewritten the books. Reads only.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from gateway.domain.errors import DomainError, SignatureError
from gateway.domain.network import ReceiptKey
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Receipt
from gateway.domain.signing import Algorithm, Verify, load_verifier, receipt_string
from gateway.storage.audit_reads import outcomes_named, refusals_named, table_rows
from gateway.storage.directory import load_network, load_receipt_keys
from gateway.storage.tables import heads

DecodeReceipt = Callable[[bytes], Receipt]
"""Raises InvalidValue."""

_RANGE_RECEIPTS = 500
# What a command came to. Where in its lane it stands, and what the balance was then, may be otherwise the second time.
_SUBSTANCE = (
    "kind",
    "refused",
    "partner_id",
    "idempotency_key",
    "fingerprint",
    "member_id",
    "points",
    "unit",
    "amount",
    "withheld",
)


class Standing(enum.Enum):
    """How a receipt stands to the books; the value is for people."""

    PROVEN = "in the books"
    LOST = "newer than the books"
    ANEW = "booked anew"
    CONTRADICTED = "contradicts the books"
    UNSIGNED = "not the network's"

    @property
    def advice(self) -> str:
        """What is to be done about such receipts."""
        return _ADVICE[self]


_ADVICE = {
    Standing.PROVEN: "nothing",
    Standing.LOST: "the till sends the same command again, with the same key",
    Standing.ANEW: "the partner puts the new receipt in its place",
    Standing.CONTRADICTED: "find out who changed the books, or booked before the tills had sent again",
    Standing.UNSIGNED: "ask the partner where it comes from",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A receipt as somebody hands it in. `where` names it, such as a file and a line."""

    where: str
    receipt: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Judged:
    """`receipt` is None where the bytes are not to be believed; `why` says what does not fit, for people."""

    held: Held
    standing: Standing
    receipt: Receipt | None = None
    why: str = ""


def judge(connection: Connection, held: Iterable[Held], decode: DecodeReceipt) -> Iterator[Judged]:
    """Each receipt in its turn; memory stays bounded. `connection` must see one state. Raises nothing for what receipts say."""
    judges = _Judges(connection, decode)
    waiting = iter(held)
    while part := list(islice(waiting, _RANGE_RECEIPTS)):
        yield from judges.over(part)


@dataclass(slots=True)
class _Judges:
    """What all receipts are held against; loaded once."""

    connection: Connection
    decode: DecodeReceipt
    audience: str = field(init=False)
    keys: Mapping[str, tuple[ReceiptKey, Verify]] = field(init=False)
    last: Mapping[int, int] = field(init=False)
    last_commit_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.audience = load_network(self.connection).audience
        self.keys = {
            key.key_id: (key, load_verifier(Algorithm.ED25519, key.public_key)) for key in load_receipt_keys(self.connection)
        }
        rows = table_rows(self.connection, heads)
        self.last = {row.lane: row.last_sequence for row in rows}
        self.last_commit_ms = max((row.last_commit_ms for row in rows), default=0)

    def over(self, part: list[Held]) -> Iterator[Judged]:
        opened = [self._opened(held) for held in part]
        ids = {one.receipt.entry_id for one in opened if one.receipt is not None}
        booked = {row.entry_id: row for row in outcomes_named(self.connection, ids)}
        refused = {(row.entry_id, row.fingerprint): row for row in refusals_named(self.connection, ids)}
        for one in opened:
            if one.receipt is None:
                yield one
            elif one.receipt.refused is None:
                yield self._booking(one.held, one.receipt, booked.get(one.receipt.entry_id))
            else:
                row = refused.get((one.receipt.entry_id, one.receipt.fingerprint))
                yield self._refusal(one.held, one.receipt, row, booked.get(one.receipt.entry_id))

    def _opened(self, held: Held) -> Judged:
        """PROVEN so far, with the receipt, if the network has signed it."""
        if held.key_id not in self.keys:
            return Judged(held, Standing.UNSIGNED, why=f"the books have no receipt key {held.key_id!r}")
        key, verify = self.keys[held.key_id]
        try:
            verify(held.signature, receipt_string(audience=self.audience, key_id=held.key_id, receipt=held.receipt))
            receipt = self.decode(held.receipt)
        except SignatureError as error:
            return Judged(held, Standing.UNSIGNED, why=error.cause)
        except DomainError as error:
            return Judged(held, Standing.UNSIGNED, why=str(error))
        if receipt.audience != self.audience or not key.is_valid_at(receipt.booked_at_ms):
            return Judged(held, Standing.UNSIGNED, why=f"key {held.key_id} signed no receipts of this network then")
        return Judged(held, Standing.PROVEN, receipt)

    def _booking(self, held: Held, receipt: Receipt, row: Any) -> Judged:
        if row is not None:
            return self._beside(held, receipt, row.receipt)
        last = self.last.get(receipt.lane, 0)
        if receipt.sequence > last:
            return Judged(held, Standing.LOST, receipt, f"lane {receipt.lane} ends at {last}")
        return Judged(held, Standing.CONTRADICTED, receipt, "another entry has its place")

    def _refusal(self, held: Held, receipt: Receipt, row: Any, booking: Any) -> Judged:
        if row is not None:
            return self._beside(held, receipt, row.receipt)
        if booking is not None and booking.fingerprint == receipt.fingerprint:
            return Judged(held, Standing.CONTRADICTED, receipt, "booked, although it was refused for good")
        # A refusal has no sequence; only its time says whether the books reach so far.
        if receipt.booked_at_ms >= self.last_commit_ms:
            return Judged(held, Standing.LOST, receipt, "later than the last commit")
        return Judged(held, Standing.CONTRADICTED, receipt, "the books have no such refusal")

    def _beside(self, held: Held, receipt: Receipt, stored: bytes) -> Judged:
        if stored == held.receipt:
            return Judged(held, Standing.PROVEN, receipt)
        try:
            there = self.decode(stored)
        except DomainError:
            return Judged(held, Standing.CONTRADICTED, receipt, "what the books have cannot be read")
        differing = [name for name in _SUBSTANCE if getattr(receipt, name) != getattr(there, name)]
        if differing:
            said = (f"{name.replace('_', ' ')} {_shown(getattr(there, name))}" for name in differing)
            return Judged(held, Standing.CONTRADICTED, receipt, f"the books say: {', '.join(said)}")
        again = f"now sequence {there.sequence} in lane {there.lane}" if there.sequence else "refused again"
        return Judged(held, Standing.ANEW, receipt, again)


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return value.name if isinstance(value, enum.Enum | Reason) else value.hex() if isinstance(value, bytes) else str(value)
