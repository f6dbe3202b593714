"""What an answer says, before it becomes signed bytes. Field for field the `Receipt` of the protos."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.standing import Standing


class TillWarning(enum.IntEnum):
    """What the cashier should know though the command was booked. As `Warning` of the protos, number for number."""

    REFUND_WAITS_FOR_SALE = 1
    OTHER_MEMBERS_REFUND_PARKED = 2
    POINTS_IN_DEBT = 3
    HOLD_CAPTURED_IN_PART = 4
    RECEIPT_NUMBER_USED = 5
    CASH_WITHHELD = 6
    BOOKED_BEYOND_CAP = 7
    PARKED_REFUND_CUT = 8


@dataclass(frozen=True, slots=True)
class LotMovement:
    """What one entry did to points of one lot; positive into the lot.

    `gone_points` came into the lot and left it in the same entry: they paid debt, or the lot had expired. `points` does
    not count them; a redeemer that restores points owes both.
    """

    lot_id: str
    issuer_id: str
    points: int
    expires_on: str
    gone_points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A further entry that a command has booked, in the same step as the one that its receipt describes."""

    entry_id: str
    kind: EntryKind
    lane: int
    sequence: int
    points: int
    unit: str
    amount: int
    rate_card_version: int
    original_entry_id: str
    withheld: tuple[str, int] | None
    lots: tuple[LotMovement, ...]
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A booking, or a refusal that is remembered (`refused` set; no lane, no sequence, no hash).

    `total` is what a basket came to, or what of it came back; `to_pay` what is left of that in money. `standing` stands in
    the receipts of tills' commands, and with it the member's `language` of that moment, empty for none.
    """

    audience: str
    entry_id: str
    kind: EntryKind
    partner_id: str
    idempotency_key: str
    fingerprint: bytes
    member_id: str
    business_date: str
    occurred_at_ms: int
    booked_at_ms: int
    receipt_number: str
    balance_points: int
    debt_points: int
    refused: Reason | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    lane: int = 0
    sequence: int = 0
    points: int = 0
    unit: str = ""
    amount: int = 0
    rate_card_version: int = 0
    original_entry_id: str = ""
    withheld: tuple[str, int] | None = None
    lots: tuple[LotMovement, ...] = ()
    entry_hash: bytes = b""
    legs: tuple[Leg, ...] = ()
    total: tuple[str, int] | None = None
    to_pay: tuple[str, int] | None = None
    hold_expires_at_ms: int = 0
    standing: Standing | None = None
    warnings: tuple[TillWarning, ...] = ()
    language: str = ""


EncodeReceipt = Callable[[Receipt], bytes]
"""Makes the bytes that are stored and signed. The form on the wire is the edge's affair."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The ledger's answer to a command: the bytes of its receipt. `refusal` is set if it was refused for good.

    `signature` is empty until the answer is about to leave: it is made after COMMIT, and can be made again. `lanes`: where
    the batch that gives it has booked it; none for what was booked before.
    """

    receipt: bytes
    receipt_key_id: str
    refusal: Refusal | None = None
    is_replayed: bool = False
    signature: bytes = b""
    lanes: tuple[int, ...] = ()


Result = Answer | Refusal
"""An answer with a receipt; or a refusal that is not remembered and has none."""
