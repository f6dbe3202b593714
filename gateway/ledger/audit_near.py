"""What an entry points to, what a posting does, and which lots may be taken: what the audit's rules of all entries share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.limits import Limits
from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts, local_date
from gateway.ledger.audit_failures import Difference

# Effect of a posting's points on the open points of its lot, and on the member's debt.
LOT_EFFECT = {
    PostingKind.ISSUE: 1,
    PostingKind.REDEEM: -1,
    PostingKind.RESTORE: 1,
    PostingKind.CLAWBACK: -1,
    PostingKind.CLAWBACK_TO_DEBT: 0,
    PostingKind.DEBT_PAID: -1,
    PostingKind.TRANSFER_OUT: -1,
    PostingKind.TRANSFER_IN: 1,
    PostingKind.EXPIRE: -1,
    PostingKind.EXPIRY_UNDONE: 1,
    PostingKind.WITHHOLD: 0,
    PostingKind.HOLD: 0,
    PostingKind.RELEASE: 0,
    PostingKind.DEBT_OUT: 0,
    PostingKind.DEBT_IN: 0,
}
HELD_EFFECT = dict.fromkeys(PostingKind, 0) | {PostingKind.HOLD: 1, PostingKind.RELEASE: -1}
DEBT_EFFECT = dict.fromkeys(PostingKind, 0) | {
    PostingKind.CLAWBACK_TO_DEBT: 1,
    PostingKind.DEBT_PAID: -1,
    PostingKind.DEBT_OUT: -1,
    PostingKind.DEBT_IN: 1,
}
BALANCE_EFFECT = {kind: LOT_EFFECT[kind] - DEBT_EFFECT[kind] for kind in PostingKind}
INCURRED = frozenset({PostingKind.CLAWBACK_TO_DEBT, PostingKind.DEBT_IN})

_SYSTEM = frozenset({EntryKind.TRANSFER_IN, EntryKind.EXPIRE, EntryKind.LAPSE_HOLD, EntryKind.MERGE_IN})


@dataclass(slots=True)
class Near:
    """Rows that the entries of a short range point to; `reversed_points` as (kind, lot, cause, points) by original."""

    lots: Mapping[str, Any] = field(default_factory=dict)
    debts: Mapping[tuple[str, int], Any] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    originals: Mapping[str, Entry] = field(default_factory=dict)
    reversed_amounts: Mapping[str, int] = field(default_factory=dict)
    reversed_points: Mapping[str, Sequence[tuple[int, str, str, int]]] = field(default_factory=dict)


def is_system(entry: Entry) -> bool:
    """Whether nobody asked for the entry: the operator books it. Of a merge, what moves on after a later entry as well."""
    return entry.kind in _SYSTEM or (entry.kind is EntryKind.MERGE_OUT and entry.original_entry_id != "")


def usable(entry: Entry, near: Near, facts: Facts, *, may_wait: bool = False) -> Iterator[Difference]:
    """Lots that are neither overdue nor (unless they may) wait, in the order of expiry, then arrival."""
    today = local_date(facts.network.time_zone, entry.booked_at_ms)
    taken = [lot for posting in entry.postings if (lot := near.lots.get(posting.lot_id)) is not None]
    yield "overdue lots taken", [], [lot.lot_id for lot in taken if lot.expires_on < today]
    yield "lots taken that still wait", [], [lot.lot_id for lot in taken if lot.usable_from > today and not may_wait]
    order = [(lot.expires_on, lot.arrival) for lot in taken]
    yield "order of lots", sorted(order), order


def worth(entry: Entry, points: int, card: RateCard) -> Iterator[Difference]:
    """What the entry says that points are worth. Asked for a value, fewer points would not have reached it."""
    yield "unit", card.currency, entry.unit
    most, least = points * card.face_value_micros // MICROS, (points - 1) * card.face_value_micros // MICROS
    is_right = entry.amount == most or least < entry.amount < most
    yield f"amount {entry.amount} is what {points} points are worth", True, is_right


def kept(lot: Any) -> tuple[object, ...]:
    """What a lot keeps when it moves to another member."""
    return (
        lot.issuer_id,
        lot.price_micros,
        lot.currency,
        lot.rate_card_version,
        lot.business_date,
        lot.expires_on,
        lot.usable_from,
        lot.origin_entry_id,
    )


def received(entry: Entry, given: Entry, near: Near) -> Iterator[Difference]:
    """Points that another member gave, lot by lot, as new lots that keep what the giver's say."""
    gave = [(p.lot_id, p.points) for p in given.postings if p.kind is PostingKind.TRANSFER_OUT]
    got = [posting for posting in entry.postings if posting.kind is PostingKind.TRANSFER_IN]
    yield "points given", gave, [(posting.cause_lot_id, posting.points) for posting in got]
    for number, posting in enumerate(got):
        yield "lot", f"{entry.entry_id}-{number}", posting.lot_id
        lot, source = near.lots.get(posting.lot_id), near.lots.get(posting.cause_lot_id)
        if lot is not None and source is not None:
            yield f"lot {lot.lot_id}: points", posting.points, lot.points
            yield f"lot {lot.lot_id} keeps what {source.lot_id} says", kept(source), kept(lot)


def within_limits(entry: Entry, points: int, facts: Facts, *, redeemed: bool) -> Iterator[Difference]:
    """The minimum, the multiple and the most of an entry, as they may have been in force. What a day had left, no entry says."""
    possible = facts.limits_possible(entry.partner_id, date.fromisoformat(entry.business_date), entry.booked_at_ms)
    yield f"{points} points within the limits", True, any(_fits(points, both, redeemed=redeemed) for both in possible)


def _fits(points: int, limits: tuple[Limits, Limits], *, redeemed: bool) -> bool:
    if any(0 < one.entry_points_max < points for one in limits):
        return False
    return not redeemed or all(points >= one.minimum_points and points % (one.multiple_points or 1) == 0 for one in limits)


def overdue(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Nothing expires before its last day is over."""
    today = local_date(facts.network.time_zone, entry.booked_at_ms)
    expiring = (near.lots.get(posting.lot_id) for posting in entry.postings if posting.kind is PostingKind.EXPIRE)
    yield "lots expired early", [], [lot.lot_id for lot in expiring if lot is not None and lot.expires_on >= today]
