"""What the receipts of tills say of a member's points, as far as the books can say it again."""

from collections.abc import Iterator, Sequence

from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.receipt import Receipt, TillWarning
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference

_OF_MEMBERS = frozenset({EntryKind.ENROL, EntryKind.ADD_IDENTIFIER, EntryKind.CONFIRM_MEMBER})
# What depends on other commands, or on caps: no entry of the command says it.
_NOT_OF_THE_ENTRIES = frozenset(
    {
        TillWarning.OTHER_MEMBERS_REFUND_PARKED,
        TillWarning.PARKED_REFUND_CUT,
        TillWarning.RECEIPT_NUMBER_USED,
        TillWarning.BOOKED_BEYOND_CAP,
    }
)


def is_of_a_till(entry: Entry) -> bool:
    """Whether the receipt of a command that began with this entry tells how the member stands."""
    return (bool(entry.facts) and entry.kind not in _OF_MEMBERS) or entry.kind is EntryKind.VOID_HOLD


def standing(
    receipt: Receipt, facts: Facts, *, balance: int, debt: int, held: int | None, version: int | None
) -> Iterator[Difference]:
    """Sums that must hold. What was set aside, and the number of entries, are known only to a walk from the first entry."""
    told = receipt.standing
    assert told is not None, "asked only where there is one"
    yield "receipt's standing: debt", debt, told.debt_points
    if held is not None:
        yield "receipt's standing: held points", held, told.held_points
    if version is not None:
        yield "receipt's standing: version", version, told.version
    parts = (told.available_points, told.held_points, told.pending_points)
    within = min(parts) >= 0 and sum(parts) <= balance + debt
    yield "receipt's standing: available, held and pending within the open lots", True, within
    expiring = (told.next_expiry_points, told.expiring_points)
    yield "receipt's standing: what expires is available", True, all(0 <= part <= told.available_points for part in expiring)
    yield "receipt's standing: a next expiry", bool(told.available_points), bool(told.next_expiry_on)
    if told.value is not None:
        unit, value = told.value
        cards = [card for (partner_id, _), card in facts.cards.items() if partner_id == receipt.partner_id]
        worth = {(card.currency, told.available_points * card.face_value_micros // MICROS) for card in cards}
        yield "receipt's standing: value at a card of the partner's", True, (unit, value) in worth


def expected_warnings(told: Receipt, entries: Sequence[Entry], *, debt: int) -> tuple[TillWarning, ...]:
    """What the receipt must warn of by its entries; of the rest, what it does warn of."""
    first = entries[0]
    moved = {kind: sum(one.points for one in first.postings if one.kind is kind) for kind in PostingKind}
    is_captured = first.kind is EntryKind.REDEEM and bool(moved[PostingKind.RELEASE])
    found = {
        TillWarning.REFUND_WAITS_FOR_SALE: first.kind is EntryKind.PARK_REFUND,
        TillWarning.POINTS_IN_DEBT: debt > 0,
        TillWarning.HOLD_CAPTURED_IN_PART: is_captured and moved[PostingKind.REDEEM] < moved[PostingKind.RELEASE],
        TillWarning.CASH_WITHHELD: any(one.kind is PostingKind.WITHHOLD for entry in entries for one in entry.postings),
    }
    return tuple(sorted({one for one, is_due in found.items() if is_due} | (set(told.warnings) & _NOT_OF_THE_ENTRIES)))
