"""What an entry must say by the rules of the books, worked out anew from its postings, lots and terms.

A third, independent sum: none of the code that books is asked. Each rule yields what differs; it decides nothing.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from gateway.domain.entry import Entry, EntryKind, Posting, PostingKind
from gateway.domain.ids import OPERATOR, bucket_of, counter_entry_id, member_id
from gateway.domain.lot import EXPIRED_TOGETHER_MAX
from gateway.domain.terms import DebtPolicy, NetworkTerms, Offer, RateCard
from gateway.domain.units import CURRENCY_EXPONENTS, Rate
from gateway.ledger.audit_facts import Facts, last_day, local_date
from gateway.ledger.audit_failures import Difference
from gateway.ledger.audit_near import BALANCE_EFFECT, INCURRED, Near, is_system, overdue, received, usable, within_limits, worth
from gateway.ledger.audit_rules_member import (
    confirmed,
    donated,
    identifier_added,
    identifier_removed,
    merged_in,
    merged_out,
    plain,
)
from gateway.ledger.audit_rules_till import captured, let_go, parked, placed

TAKEN = frozenset({PostingKind.CLAWBACK, PostingKind.CLAWBACK_TO_DEBT, PostingKind.WITHHOLD})

_SHORTFALL = {DebtPolicy.DEBT: PostingKind.CLAWBACK_TO_DEBT, DebtPolicy.WITHHOLD_CASH: PostingKind.WITHHOLD}
_AHEAD_MS = 30_000
_FREED = frozenset({PostingKind.RELEASE, PostingKind.DEBT_PAID, PostingKind.EXPIRE})
_KINDS: dict[EntryKind, frozenset[PostingKind]] = {
    EntryKind.ENROL: frozenset(),
    EntryKind.ISSUE: frozenset({PostingKind.ISSUE, PostingKind.DEBT_PAID}),
    EntryKind.REDEEM: _FREED | {PostingKind.REDEEM},
    EntryKind.REVERSE_ISSUE: TAKEN | {PostingKind.EXPIRY_UNDONE},
    EntryKind.REVERSE_REDEMPTION: frozenset({PostingKind.RESTORE, PostingKind.DEBT_PAID, PostingKind.EXPIRE}),
    EntryKind.TRANSFER_OUT: frozenset({PostingKind.TRANSFER_OUT}),
    EntryKind.TRANSFER_IN: frozenset({PostingKind.TRANSFER_IN, PostingKind.DEBT_PAID}),
    EntryKind.EXPIRE: frozenset({PostingKind.EXPIRE}),
    EntryKind.PLACE_HOLD: frozenset({PostingKind.HOLD}),
    EntryKind.VOID_HOLD: _FREED,
    EntryKind.LAPSE_HOLD: _FREED,
    EntryKind.PARK_REFUND: frozenset(),
    EntryKind.MERGE_OUT: frozenset({PostingKind.TRANSFER_OUT, PostingKind.DEBT_OUT}),
    EntryKind.MERGE_IN: frozenset({PostingKind.TRANSFER_IN, PostingKind.DEBT_IN, PostingKind.DEBT_PAID}),
    EntryKind.DONATE: frozenset({PostingKind.REDEEM}),
}
_OF_THE_LOT = frozenset(
    {
        PostingKind.ISSUE,
        PostingKind.TRANSFER_OUT,
        PostingKind.TRANSFER_IN,
        PostingKind.EXPIRE,
        PostingKind.EXPIRY_UNDONE,
        PostingKind.HOLD,
        PostingKind.RELEASE,
    }
)
_OF_THE_REDEEMER = frozenset({PostingKind.REDEEM, PostingKind.RESTORE})
_MOVED_ON = frozenset({PostingKind.DEBT_OUT, PostingKind.DEBT_IN})
_WITHOUT_LOT = _MOVED_ON | {PostingKind.CLAWBACK_TO_DEBT, PostingKind.WITHHOLD}
_WITH_CAUSE = TAKEN | _MOVED_ON | {PostingKind.DEBT_PAID, PostingKind.TRANSFER_IN}


def differences(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    """All that is wrong with an entry by itself and what it points to."""
    kinds, points = _KINDS.get(entry.kind, frozenset()), 0
    for ordinal, posting in enumerate(entry.postings):
        points += BALANCE_EFFECT[posting.kind] * posting.points
        if posting.ordinal != ordinal:
            yield "ordinal of a posting", ordinal, posting.ordinal
        if posting.kind not in kinds:
            yield f"kind of posting {ordinal}", "one of this kind of entry", posting.kind.name
        yield from _posting(entry, posting, near)
    yield "points", points, entry.points
    yield "bucket", bucket_of(entry.member_id), entry.bucket
    yield "occurrence in the future", False, entry.occurred_at_ms > entry.booked_at_ms + _AHEAD_MS
    yield "partner is the operator", is_system(entry), entry.partner_id == OPERATOR
    if not is_system(entry):
        yield "business date", local_date(facts.zone_of(entry.partner_id), entry.occurred_at_ms), entry.business_date
    yield from _RULES[entry.kind](entry, near, facts)


def _posting(entry: Entry, posting: Posting, near: Near) -> Iterator[Difference]:
    kind = posting.kind
    lot = near.lots.get(posting.lot_id)
    cause = near.lots.get(posting.cause_lot_id)
    if (cause is None) is (kind in _WITH_CAUSE) or (cause is None and posting.cause_lot_id):
        yield f"cause of posting {posting.ordinal}", "a lot" if kind in _WITH_CAUSE else "", posting.cause_lot_id
        return
    has_no_lot = kind in _WITHOUT_LOT
    if (lot is None) is not has_no_lot or (lot is None and posting.lot_id):
        yield f"lot of posting {posting.ordinal}", "" if has_no_lot else "a lot", posting.lot_id
        return
    owner = lot or cause
    assert owner is not None, "one of the two is there"
    if lot is not None and (lot.member_id, lot.bucket) != (entry.member_id, entry.bucket):
        yield f"lot {lot.lot_id}: member and bucket", (entry.member_id, entry.bucket), (lot.member_id, lot.bucket)
    if kind in _OF_THE_REDEEMER:
        taker = entry.postings[0].counterparty_id if entry.kind is EntryKind.DONATE else entry.partner_id
        expected = (owner.issuer_id, taker, entry.rate_card_version)
    else:
        other = owner if kind in _OF_THE_LOT else cause
        assert other is not None, "what has a cause, has a lot that caused it"
        expected = (owner.issuer_id, other.issuer_id, other.rate_card_version)
    found = (posting.issuer_id, posting.counterparty_id, posting.rate_card_version)
    if found != expected:
        yield f"parties and card of posting {posting.ordinal}", expected, found
    if kind in INCURRED:
        yield from _new_debt(entry, posting, near)


def _new_debt(entry: Entry, posting: Posting, near: Near) -> Iterator[Difference]:
    debt = near.debts.get((entry.entry_id, posting.ordinal))
    if debt is None:
        yield f"posting {posting.ordinal}: debt", "a debt", "none"
        return
    yield (
        f"debt of posting {posting.ordinal}",
        (entry.member_id, entry.bucket, posting.issuer_id, posting.rate_card_version, posting.cause_lot_id, posting.points),
        (debt.member_id, debt.bucket, debt.issuer_id, debt.rate_card_version, debt.cause_lot_id, debt.points),
    )


def _enrol(entry: Entry, near: Near, _facts: Facts) -> Iterator[Difference]:
    member = near.members.get(entry.member_id)
    yield "member", member_id(entry.partner_id, entry.idempotency_key), entry.member_id
    yield "enrolled by", entry.partner_id, member.enrolled_by if member else "no member"
    yield from plain(entry, near, _facts)


def _issue(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    on = date.fromisoformat(entry.business_date)
    card = facts.cards.get((entry.partner_id, entry.rate_card_version))
    rate = card.issue_rates.get(entry.unit) if card else None
    yield "rate card in force", True, _may_be_in_force(facts, card, on, entry.booked_at_ms)
    if rate is None:
        yield "issue rate", f"a rate for {entry.unit}", "none"
        return
    parts = [(entry.partner_id, _issued(entry.amount, rate, entry.unit))]
    if entry.offer_id:
        offer = facts.offers.get(entry.offer_id)
        if offer is None:
            yield "offer", entry.offer_id, "none"
            return
        yield "offer in force", True, _holds(offer, entry, on)
        parts += _bonus(offer)
    expected = [(f"{entry.entry_id}-{n}", issuer, points) for n, (issuer, points) in enumerate(parts) if points]
    issued = [posting for posting in entry.postings if posting.kind is PostingKind.ISSUE]
    yield "points issued", expected, [(posting.lot_id, posting.issuer_id, posting.points) for posting in issued]
    yield from within_limits(entry, sum(posting.points for posting in issued), facts, redeemed=False)
    for posting in issued:
        lot = near.lots.get(posting.lot_id)
        if lot is not None:
            yield from _issued_lot(entry, posting, lot, facts, on)


def _issued_lot(entry: Entry, posting: Posting, lot: Any, facts: Facts, on: date) -> Iterator[Difference]:
    card = facts.cards.get((lot.issuer_id, lot.rate_card_version))
    if card is None or not _may_be_in_force(facts, card, on, entry.booked_at_ms):
        yield f"lot {lot.lot_id}: rate card", "one in force", lot.rate_card_version
        return
    expected = (posting.points, card.issue_price_micros, card.currency, entry.business_date, entry.entry_id)
    found = (lot.points, lot.price_micros, lot.currency, lot.business_date, lot.origin_entry_id)
    if found != expected:
        yield f"lot {lot.lot_id}: points, price, currency, date and origin", expected, found
    lives = [(_usable_from(terms, on), last_day(terms.expiry_rule, on)) for terms in facts.terms_possible(on, entry.booked_at_ms)]
    if (lot.usable_from, lot.expires_on) not in lives:
        yield f"lot {lot.lot_id}: first and last day", lives, (lot.usable_from, lot.expires_on)


def _usable_from(terms: NetworkTerms, on: date) -> str:
    first = (on + timedelta(days=terms.usable_after_days)).isoformat()
    return min(first, last_day(terms.expiry_rule, on)) if terms.usable_after_days else ""


def _redeem(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    hold = near.originals.get(entry.original_entry_id) if entry.original_entry_id else None
    priced = hold or entry
    card = facts.cards.get((entry.partner_id, entry.rate_card_version))
    on = date.fromisoformat(priced.business_date)
    yield "rate card in force", True, _may_be_in_force(facts, card, on, priced.booked_at_ms)
    if card is not None:
        points = sum(posting.points for posting in entry.postings if posting.kind is PostingKind.REDEEM)
        yield from worth(entry, points, card)
    if entry.original_entry_id:
        yield from captured(entry, hold, near, facts)
    else:
        yield "points set aside and freed", [], [posting.kind.name for posting in entry.postings if posting.kind in _FREED]
        yield from usable(entry, near, facts)
        yield from within_limits(entry, sum(posting.points for posting in entry.postings), facts, redeemed=True)


def _reversal(entry: Entry, near: Near, kind: EntryKind) -> Iterator[Difference]:
    original = near.originals.get(entry.original_entry_id)
    if original is None:
        yield "original", "an entry", entry.original_entry_id
        return
    yield (
        "original's kind, partner, member, unit and card",
        (kind.name, entry.partner_id, entry.member_id, entry.unit, entry.rate_card_version),
        (original.kind.name, original.partner_id, original.member_id, original.unit, original.rate_card_version),
    )


def _reverse_issue(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    yield from _reversal(entry, near, EntryKind.ISSUE)
    original = near.originals.get(entry.original_entry_id)
    card = facts.cards.get((original.partner_id, original.rate_card_version)) if original else None
    rate = card.issue_rates.get(entry.unit) if card else None
    if original is None or rate is None:
        return
    remaining = original.amount - near.reversed_amounts.get(original.entry_id, 0)
    # A refund may change nothing of what was issued, and is booked all the same.
    least = 0 if entry.facts else 1
    yield "amount, and what is reversed in all at most the original", True, entry.amount >= least and remaining >= 0
    taken: dict[str, int] = {}
    for kind, _lot_id, cause_id, points in near.reversed_points.get(original.entry_id, ()):
        if kind in TAKEN:
            taken[cause_id] = taken.get(cause_id, 0) + points
    issued = {posting.lot_id: posting.points for posting in original.postings if posting.kind is PostingKind.ISSUE}
    yield "lots taken back for", set(), taken.keys() - issued.keys()
    own_id = f"{original.entry_id}-0"
    own = issued.pop(own_id, 0)
    yield "taken back by the issuer's rate", own - _issued(remaining, rate, original.unit) if own else 0, taken.get(own_id, 0)
    bonus = sum(issued.values())
    going = bonus - (bonus * remaining // original.amount if original.amount else bonus)
    yield "taken back of the bonus", going, sum(taken.get(lot_id, 0) for lot_id in issued)
    yield "lots taken back beyond what they issued", [], [i for i, points in issued.items() if taken.get(i, 0) > points]
    yield from _clawed_back(entry, near, facts)


def _clawed_back(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    undone: dict[str, int] = {}
    for posting in entry.postings:
        if posting.kind is PostingKind.EXPIRY_UNDONE:
            undone[posting.lot_id] = undone.get(posting.lot_id, 0) + posting.points
        elif posting.kind is PostingKind.CLAWBACK and posting.lot_id == posting.cause_lot_id:
            undone[posting.lot_id] = undone.get(posting.lot_id, 0) - posting.points
    yield "expiry undone but not taken back", [], [lot_id for lot_id, points in undone.items() if points > 0]
    today = date.fromisoformat(local_date(facts.network.time_zone, entry.booked_at_ms))
    allowed = {_SHORTFALL[terms.debt_policy] for terms in facts.terms_possible(today, entry.booked_at_ms)}
    member = near.members.get(entry.member_id)
    if member is not None and member.merged_into:
        # What the member that it was merged into can pay moves on as a debt, whatever the policy.
        allowed.add(PostingKind.CLAWBACK_TO_DEBT)
    shortfall = {posting.kind for posting in entry.postings if posting.kind in _SHORTFALL.values()}
    yield "what became of a shortfall", set(), {kind.name for kind in shortfall - allowed}


def _reverse_redemption(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    yield from _reversal(entry, near, EntryKind.REDEEM)
    original = near.originals.get(entry.original_entry_id)
    if original is None or not original.points:
        return
    restored: dict[str, int] = {}
    for kind, lot_id, _cause_id, points in near.reversed_points.get(original.entry_id, ()):
        if kind == PostingKind.RESTORE:
            restored[lot_id] = restored.get(lot_id, 0) + points
    total = sum(restored.values())
    redeemed = [posting for posting in original.postings if posting.kind is PostingKind.REDEEM]
    value = original.amount * total // sum(posting.points for posting in redeemed)
    yield "value given back in all", value, near.reversed_amounts.get(original.entry_id, 0)
    # Newest first: what was taken last is whole again before an earlier lot gets anything.
    expected, rest = {}, total
    for posting in reversed(redeemed):
        part = min(rest, posting.points)
        rest -= part
        if part:
            expected[posting.lot_id] = part
    yield "restored by lot in all", expected, restored
    yield "restored beyond what was redeemed", 0, rest
    yield from overdue(entry, near, facts)


def _transfer_out(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    yield from usable(entry, near, facts)


def _transfer_in(entry: Entry, near: Near, _facts: Facts) -> Iterator[Difference]:
    yield "entry id", counter_entry_id(entry.original_entry_id), entry.entry_id
    given = near.originals.get(entry.original_entry_id)
    if given is None:
        yield "original", "an entry", entry.original_entry_id
        return
    yield (
        "original's kind and dates",
        (EntryKind.TRANSFER_OUT.name, entry.business_date, entry.occurred_at_ms),
        (given.kind.name, given.business_date, given.occurred_at_ms),
    )
    yield from received(entry, given, near)


def _expire(entry: Entry, near: Near, facts: Facts) -> Iterator[Difference]:
    yield "has postings, and few", True, 1 <= len(entry.postings) <= EXPIRED_TOGETHER_MAX
    yield "business date", local_date(facts.network.time_zone, entry.booked_at_ms), entry.business_date
    yield from overdue(entry, near, facts)


def _may_be_in_force(facts: Facts, card: RateCard | None, on: date, booked_at_ms: int) -> bool:
    return card is not None and facts.card_versions[card.partner_id].is_possible(card, on, booked_at_ms)


def _issued(amount: int, rate: Rate, unit: str) -> int:
    scale: int = 10 ** CURRENCY_EXPONENTS.get(unit, 0)
    return amount * rate.numerator // (rate.denominator * scale)


def _holds(offer: Offer, entry: Entry, on: date) -> bool:
    return (
        offer.partner_id == entry.partner_id
        and offer.first_date <= on <= offer.last_date
        and offer.unit == entry.unit
        and entry.amount >= offer.minimum_amount
    )


def _bonus(offer: Offer) -> list[tuple[str, int]]:
    """Whole points first, then one more to each of those that lost the largest fractions."""
    exact = [offer.bonus_points * Fraction(share.numerator, share.denominator) for _, share in offer.shares]
    parts = [int(part) for part in exact]
    lost = sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))
    for n in lost[: offer.bonus_points - sum(parts)]:
        parts[n] += 1
    return [(funder_id, part) for (funder_id, _), part in zip(offer.shares, parts, strict=True)]


_RULES: dict[EntryKind, Callable[[Entry, Near, Facts], Iterator[Difference]]] = {
    EntryKind.ENROL: _enrol,
    EntryKind.ISSUE: _issue,
    EntryKind.REDEEM: _redeem,
    EntryKind.REVERSE_ISSUE: _reverse_issue,
    EntryKind.REVERSE_REDEMPTION: _reverse_redemption,
    EntryKind.TRANSFER_OUT: _transfer_out,
    EntryKind.TRANSFER_IN: _transfer_in,
    EntryKind.EXPIRE: _expire,
    EntryKind.PLACE_HOLD: placed,
    EntryKind.VOID_HOLD: let_go,
    EntryKind.LAPSE_HOLD: let_go,
    EntryKind.PARK_REFUND: parked,
    EntryKind.ADD_IDENTIFIER: identifier_added,
    EntryKind.REMOVE_IDENTIFIER: identifier_removed,
    EntryKind.CONFIRM_MEMBER: confirmed,
    EntryKind.PAUSE_SPENDING: plain,
    EntryKind.RESUME_SPENDING: plain,
    EntryKind.MERGE_OUT: merged_out,
    EntryKind.MERGE_IN: merged_in,
    EntryKind.ERASE_MEMBER: plain,
    EntryKind.DONATE: donated,
}
