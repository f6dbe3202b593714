"""What the receipts of tills say of a member's points, as far as the books can say it again."""

from collections.abc import Iterator

from gateway.domain.entry import Entry, EntryKind
from gateway.domain.receipt import Receipt
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference

_OF_MEMBERS = frozenset({EntryKind.ENROL, EntryKind.ADD_IDENTIFIER, EntryKind.CONFIRM_MEMBER})


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
    spendable = told.available_points + told.held_points
    yield "receipt's standing: available and held within the open lots", True, 0 <= spendable <= balance + debt
    parts = (told.next_expiry_points, told.expiring_points)
    yield "receipt's standing: what expires is available", True, all(0 <= part <= told.available_points for part in parts)
    yield "receipt's standing: a next expiry", bool(told.available_points), bool(told.next_expiry_on)
    if told.value is not None:
        unit, value = told.value
        cards = [card for (partner_id, _), card in facts.cards.items() if partner_id == receipt.partner_id]
        worth = {(card.currency, told.available_points * card.face_value_micros // MICROS) for card in cards}
        yield "receipt's standing: value at a card of the partner's", True, (unit, value) in worth
