"""What entries about who a member is must say, and those of merges and donations: worked out anew from what they point to."""

import json
from collections.abc import Iterator
from datetime import date

from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.ids import OPERATOR, counter_entry_id, onward_entry_id
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference
from gateway.ledger.audit_near import Near, received, usable, within_limits, worth

GIVES_IDENTIFIER = frozenset({EntryKind.ENROL, EntryKind.ADD_IDENTIFIER})


def plain(entry: Entry, _near: Near, _facts: Facts) -> Iterator[Difference]:
    """Such an entry is worth nothing."""
    yield "amount, unit, card", (0, "", 0), (entry.amount, entry.unit, entry.rate_card_version)


def identifier_added(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Commits to an identifier; a token names the one whose place it takes."""
    yield from plain(entry, near, facts)
    yield "commitment to an identifier", True, "identifier" in _told(entry)
    if entry.original_entry_id:
        yield from _ended(entry, near)


def identifier_removed(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Names the entry that had given the identifier."""
    yield from plain(entry, near, facts)
    yield from _ended(entry, near)


def confirmed(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Commits to how the member stands now."""
    yield from plain(entry, near, facts)
    yield "commitment to a standing", True, "standing" in _told(entry)


def merged_out(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """What can be used and what is owed leaves; at the merge, or behind an entry that left something again."""
    yield from plain(entry, near, facts)
    yield from usable(entry, near, facts, may_wait=True)
    if entry.original_entry_id:
        cause = near.originals.get(entry.original_entry_id)
        yield "entry id", onward_entry_id(entry.original_entry_id), entry.entry_id
        found = (cause.member_id, cause.lane, cause.business_date) if cause is not None else None
        yield "what it follows", (entry.member_id, entry.lane, entry.business_date), found


def merged_in(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """Takes over, lot by lot and debt by debt, what the old account has given."""
    yield from plain(entry, near, facts)
    yield "entry id", counter_entry_id(entry.original_entry_id), entry.entry_id
    given = near.originals.get(entry.original_entry_id)
    if given is None:
        yield "original", "an entry", entry.original_entry_id
        return
    yield (
        "original's kind and dates",
        (EntryKind.MERGE_OUT.name, entry.business_date, entry.occurred_at_ms),
        (given.kind.name, given.business_date, given.occurred_at_ms),
    )
    yield "another member", True, given.member_id != entry.member_id
    yield from received(entry, given, near)
    yield "debts given", _debts(given, PostingKind.DEBT_OUT), _debts(entry, PostingKind.DEBT_IN)


def donated(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """A redemption at a charity, by its rate card of the day."""
    takers = {posting.counterparty_id for posting in entry.postings}
    yield "charities", 1, len(takers & facts.charities)
    yield "parties beside the charity", set(), takers - facts.charities
    for taker in takers:
        card = facts.cards.get((taker, entry.rate_card_version))
        if card is None:
            yield "rate card", f"one of {taker}'s", entry.rate_card_version
            continue
        on = date.fromisoformat(entry.business_date)
        yield "rate card in force", True, facts.card_versions[taker].is_possible(card, on, entry.booked_at_ms)
        yield from worth(entry, -entry.points, card)
    yield from usable(entry, near, facts)
    yield from within_limits(entry, -entry.points, facts, redeemed=True)


def _ended(entry: Entry, near: Near) -> Iterator[Difference]:
    given = near.originals.get(entry.original_entry_id)
    is_right = given is not None and given.kind in GIVES_IDENTIFIER and given.partner_id != OPERATOR
    yield "original gives an identifier", True, is_right


def _debts(entry: Entry, kind: PostingKind) -> list[tuple[str, int, str, int]]:
    return [(p.issuer_id, p.rate_card_version, p.cause_lot_id, p.points) for p in entry.postings if p.kind is kind]


def _told(entry: Entry) -> dict[str, object]:
    told: dict[str, object] = json.loads(entry.facts) if entry.facts else {}
    return told
