"""What holds and parked refunds must say, worked out anew from their postings and facts."""

import json
from collections.abc import Iterator

from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.ids import OPERATOR, entry_id
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference
from gateway.ledger.audit_near import Near, overdue, usable, within_limits, worth


def placed(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Usable lots in their order, worth what the entry says, for some time."""
    card = facts.cards.get((entry.partner_id, entry.rate_card_version))
    points = sum(posting.points for posting in entry.postings)
    if card is None:
        yield "rate card", "one of the partner's", entry.rate_card_version
    else:
        yield from worth(entry, points, card)
    yield "set aside for some time", True, expires_at_ms(entry) > entry.booked_at_ms
    yield from usable(entry, near, facts)
    yield from within_limits(entry, points, facts, redeemed=True)


def let_go(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """All that was set aside is free again, in time or when it was over."""
    hold = near.originals.get(entry.original_entry_id)
    if hold is None or hold.kind is not EntryKind.PLACE_HOLD:
        yield "hold", "an entry that sets points aside", entry.original_entry_id
        return
    is_lapse = entry.kind is EntryKind.LAPSE_HOLD
    if is_lapse:
        yield "entry id", entry_id(OPERATOR, f"lapse/{hold.entry_id}"), entry.entry_id
    yield "time was over", is_lapse, expires_at_ms(hold) <= entry.booked_at_ms
    yield "partner", OPERATOR if is_lapse else hold.partner_id, entry.partner_id
    yield from _freed(entry, hold)
    yield from overdue(entry, near, facts)


def captured(entry: Entry, hold: Entry | None, near: Near, facts: Facts) -> Iterator[Difference]:
    """A redemption of what was set aside, or of the first of it, at the prices of the day on which it was."""
    if hold is None or hold.kind is not EntryKind.PLACE_HOLD:
        yield "hold", "an entry that sets points aside", entry.original_entry_id
        return
    yield (
        "hold's partner and card",
        (hold.partner_id, hold.rate_card_version),
        (entry.partner_id, entry.rate_card_version),
    )
    yield "time was over", False, expires_at_ms(hold) <= entry.booked_at_ms
    yield from _freed(entry, hold)
    taken = [(posting.lot_id, posting.points) for posting in entry.postings if posting.kind is PostingKind.REDEEM]
    rest, expected = sum(points for _, points in taken), []
    for posting in hold.postings:
        if part := min(rest, posting.points):
            expected.append((posting.lot_id, part))
        rest -= part
    yield "taken of the hold", (expected, 0), (taken, rest)
    yield from overdue(entry, near, facts)


def parked(entry: Entry, _near: Near, _facts: Facts) -> Iterator[Difference]:
    """Nothing moves until the sale comes."""
    told = json.loads(entry.facts)
    yield "what came back", (told["unit"], told["returned"]), (entry.unit, entry.amount)
    yield "rate card and original", (0, ""), (entry.rate_card_version, entry.original_entry_id)


def expires_at_ms(hold: Entry) -> int:
    """When a hold lapses, as its entry says."""
    return int(json.loads(hold.facts)["expires_at_ms"])


def _freed(entry: Entry, hold: Entry) -> Iterator[Difference]:
    freed = [(posting.lot_id, posting.points) for posting in entry.postings if posting.kind is PostingKind.RELEASE]
    yield "points freed", [(posting.lot_id, posting.points) for posting in hold.postings], freed
    yield "member", hold.member_id, entry.member_id
