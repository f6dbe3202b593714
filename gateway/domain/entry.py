"""Entries and postings: what the books are made of. Never updated, never deleted.

A posting moves points of one lot from one account to another; `FLOWS` is the chart of accounts. An entry belongs to
one member, so all its rows live in one bucket; a transfer therefore is two entries.
"""

import enum
import hashlib
from dataclasses import dataclass

from gateway.domain.canonical import Plain, canonical


class EntryKind(enum.IntEnum):
    """As `EntryKind` of the protos, number for number; a test compares."""

    ENROL = 1
    ISSUE = 2
    REDEEM = 3
    REVERSE_ISSUE = 4
    REVERSE_REDEMPTION = 5
    TRANSFER_OUT = 6
    TRANSFER_IN = 7
    EXPIRE = 8
    PLACE_HOLD = 9
    VOID_HOLD = 10
    LAPSE_HOLD = 11
    PARK_REFUND = 12
    ADD_IDENTIFIER = 13
    REMOVE_IDENTIFIER = 14
    CONFIRM_MEMBER = 15
    PAUSE_SPENDING = 16
    RESUME_SPENDING = 17
    MERGE_OUT = 18
    MERGE_IN = 19
    ERASE_MEMBER = 20
    DONATE = 21


class Account(enum.StrEnum):
    """Where points can be. Open lots and debt are the member's; the others are sums over the whole network."""

    ISSUED = "issued"
    LOT = "open lot"
    DEBT = "debt"
    REDEEMED = "redeemed"
    CLAWED_BACK = "clawed back"
    EXPIRED = "expired"
    IN_TRANSFER = "in transfer"
    WITHHELD = "withheld in cash"


class PostingKind(enum.IntEnum):
    """What moves points. The number is stored."""

    ISSUE = 1
    REDEEM = 2
    RESTORE = 3
    CLAWBACK = 4
    CLAWBACK_TO_DEBT = 5
    DEBT_PAID = 6
    TRANSFER_OUT = 7
    TRANSFER_IN = 8
    EXPIRE = 9
    EXPIRY_UNDONE = 10
    WITHHOLD = 11
    HOLD = 12
    RELEASE = 13
    DEBT_OUT = 14
    DEBT_IN = 15


# Source and target account of each kind. DEBT as a source means that debt is incurred, as a target that it is paid.
FLOWS: dict[PostingKind, tuple[Account, Account]] = {
    PostingKind.ISSUE: (Account.ISSUED, Account.LOT),
    PostingKind.REDEEM: (Account.LOT, Account.REDEEMED),
    PostingKind.RESTORE: (Account.REDEEMED, Account.LOT),
    PostingKind.CLAWBACK: (Account.LOT, Account.CLAWED_BACK),
    PostingKind.CLAWBACK_TO_DEBT: (Account.DEBT, Account.CLAWED_BACK),
    PostingKind.DEBT_PAID: (Account.LOT, Account.DEBT),
    PostingKind.TRANSFER_OUT: (Account.LOT, Account.IN_TRANSFER),
    PostingKind.TRANSFER_IN: (Account.IN_TRANSFER, Account.LOT),
    PostingKind.EXPIRE: (Account.LOT, Account.EXPIRED),
    PostingKind.EXPIRY_UNDONE: (Account.EXPIRED, Account.LOT),
    PostingKind.WITHHOLD: (Account.WITHHELD, Account.WITHHELD),
    # Points that are set aside stay in their lot: they are the member's, and somebody's liability, until they are redeemed.
    PostingKind.HOLD: (Account.LOT, Account.LOT),
    PostingKind.RELEASE: (Account.LOT, Account.LOT),
    PostingKind.DEBT_OUT: (Account.IN_TRANSFER, Account.DEBT),
    PostingKind.DEBT_IN: (Account.DEBT, Account.IN_TRANSFER),
}

LOT_SIGN: dict[PostingKind, int] = {
    kind: (target is Account.LOT) - (source is Account.LOT) for kind, (source, target) in FLOWS.items()
}
DEBT_SIGN: dict[PostingKind, int] = {
    kind: (source is Account.DEBT) - (target is Account.DEBT) for kind, (source, target) in FLOWS.items()
}
HELD_SIGN: dict[PostingKind, int] = {kind: (kind is PostingKind.HOLD) - (kind is PostingKind.RELEASE) for kind in PostingKind}

# What takes points out of a lot in the very entry that a partner asked for and that brought them in.
GONE_AT_ONCE = frozenset({PostingKind.DEBT_PAID, PostingKind.EXPIRE})


@dataclass(frozen=True, slots=True)
class Posting:
    """Points of one lot that moved, always positive; `kind` says whence and whither.

    `issuer_id` issued the lot. `counterparty_id` is the redeemer of a redemption or restoration, the issuer that took
    back for clawback and debt, else the issuer itself; `rate_card_version` is a version of the counterparty's card.
    `cause_lot_id` is the lot whose issue was reversed (clawback, debt, also where debt moves on with a merge), the giver's lot
    (transfer in), else empty.
    """

    ordinal: int
    kind: PostingKind
    lot_id: str
    issuer_id: str
    counterparty_id: str
    rate_card_version: int
    points: int
    cause_lot_id: str = ""

    @property
    def lot_points(self) -> int:
        """Effect on the lot's open points."""
        return LOT_SIGN[self.kind] * self.points

    @property
    def held_points(self) -> int:
        """Effect on what is set aside of the lot."""
        return HELD_SIGN[self.kind] * self.points

    @property
    def debt_points(self) -> int:
        """Effect on the member's debt."""
        return DEBT_SIGN[self.kind] * self.points

    @property
    def balance_points(self) -> int:
        """Effect on the member's balance: open lots less debt."""
        return self.lot_points - self.debt_points


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact of the books. Dates are ISO strings, times unix milliseconds, `amount` in smallest units of `unit`.

    `amount` is the eligible amount of an issue or its reversal, and the money value of a redemption, its reversal or a hold.
    System entries (expiry, lapse, the receiving side of a transfer or of a merge) have the operator as partner and no
    idempotency key.
    A further entry of a command has none either: `head_entry_id` names the first one.
    `facts` is canonical JSON of what else the entry commits to, such as a basket or an identifier; empty where there is nothing.
    """

    entry_id: str
    bucket: int
    lane: int
    sequence: int
    window_id: int
    kind: EntryKind
    partner_id: str
    key_id: str
    idempotency_key: str
    fingerprint: bytes
    member_id: str
    business_date: str
    occurred_at_ms: int
    booked_at_ms: int
    points: int
    unit: str
    amount: int
    rate_card_version: int
    original_entry_id: str
    offer_id: str
    receipt_number: str
    postings: tuple[Posting, ...]
    head_entry_id: str = ""
    facts: str = ""

    def chained_hash(self, previous_hash: bytes) -> bytes:
        """SHA-256 over the predecessor's hash and the canonical form of this entry (32 bytes)."""
        return hashlib.sha256(previous_hash + canonical(self._plain())).digest()

    def _plain(self) -> Plain:
        further = {name: value for name, value in (("head", self.head_entry_id), ("facts", self.facts)) if value}
        return [
            "TS1-ENTRY",
            self.entry_id,
            self.bucket,
            self.lane,
            self.sequence,
            self.window_id,
            self.kind.value,
            self.partner_id,
            self.key_id,
            self.idempotency_key,
            self.fingerprint.hex(),
            self.member_id,
            self.business_date,
            self.occurred_at_ms,
            self.booked_at_ms,
            self.points,
            self.unit,
            self.amount,
            self.rate_card_version,
            self.original_entry_id,
            self.offer_id,
            self.receipt_number,
            [
                [
                    posting.ordinal,
                    posting.kind.value,
                    posting.lot_id,
                    posting.issuer_id,
                    posting.counterparty_id,
                    posting.rate_card_version,
                    posting.points,
                    posting.cause_lot_id,
                ]
                for posting in self.postings
            ],
            *([further] if further else ()),
        ]
