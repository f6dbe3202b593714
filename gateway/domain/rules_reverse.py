"""Reverse: goods came back, or a redemption is undone; whole or in part, always at the original's prices.

Cumulative by construction: n partial reversals give what one full reversal gives.
"""

from gateway.domain.command import Reverse
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.lot import Lot, MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.pricing import points_for, split_further, to_take_back, value_of
from gateway.domain.terms import DebtPolicy
from gateway.domain.units import div_floor
from gateway.domain.working import Original, WorkingSet


def decide_reverse(work: WorkingSet, command: Reverse) -> Draft | Refusal:
    """An entry that takes points back, or restores them.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, ENTRY_NOT_FOUND (also if it is another partner's),
    ENTRY_NOT_REVERSIBLE, ALREADY_REVERSED.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    original = work.originals.get(command.original_entry_id)
    if original is None or original.entry.partner_id != command.partner_id:
        return Refusal(Reason.ENTRY_NOT_FOUND)
    kind = original.entry.kind
    if kind not in (EntryKind.ISSUE, EntryKind.REDEEM):
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"kind": kind.name})
    decide = _decide_issue if kind is EntryKind.ISSUE else _decide_redemption
    return decide(work, command, original, on.isoformat())


def _decide_issue(work: WorkingSet, command: Reverse, original: Original, business_date: str) -> Draft | Refusal:
    entry = original.entry
    asked = command.eligible
    if command.points is not None or (asked is not None and asked.unit != entry.unit):
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"part": f"an amount in {entry.unit}"})
    rest = entry.amount - original.reversed_amount
    part = rest if asked is None else asked.minor_units
    if not 0 < part <= rest:
        return Refusal(Reason.ALREADY_REVERSED, {"rest": str(rest), "unit": entry.unit})

    # From here on it must succeed.
    draft = _draft(work, command, original, EntryKind.REVERSE_ISSUE, business_date, entry.unit, part)
    account = draft.account
    causes = [account.lots[posting.lot_id] for posting in entry.postings if posting.kind is PostingKind.ISSUE]
    wanted = _to_take(work, original, causes, remaining=rest - part)
    # Each lot gives its own points first; only then may one stand in for another.
    missing = [points - _take_own(draft, lot, points) for lot, points in zip(causes, wanted, strict=True)]
    missing = [points - _take_others(draft, lot, points) for lot, points in zip(causes, missing, strict=True)]
    _settle_shortfall(draft, causes, missing, original)
    return draft


def _to_take(work: WorkingSet, original: Original, causes: list[Lot], *, remaining: int) -> list[int]:
    """Points that each lot of the issue has to give now: the issuer's own by its rate, the funders' by the bonus."""
    entry = original.entry
    taken = {lot.lot_id: original.taken_points(lot.lot_id) for lot in causes}
    base_lot_id = f"{entry.entry_id}-0"
    funded = [lot for lot in causes if lot.lot_id != base_lot_id]
    bonus = sum(lot.points for lot in funded)
    bonus_so_far = to_take_back(bonus, remaining=remaining, original=entry.amount)
    now: dict[str, int] = {}
    if funded:
        by_funder = split_further(bonus_so_far, [lot.points for lot in funded], [taken[lot.lot_id] for lot in funded])
        now = dict(zip((lot.lot_id for lot in funded), by_funder, strict=True))
    rate = work.terms.card(entry.partner_id, entry.rate_card_version).issue_rates[entry.unit]
    for lot in causes:
        if lot.lot_id == base_lot_id:
            now[lot.lot_id] = lot.points - points_for(remaining, rate, entry.unit) - taken[lot.lot_id]
    return [now[lot.lot_id] for lot in causes]


def _take_own(draft: Draft, lot: Lot, points: int) -> int:
    """Takes what has expired of the lot (surrendered already, its breakage is undone), then what is open of it."""
    expired = min(points, lot.expired_points)
    draft.move(PostingKind.EXPIRY_UNDONE, lot, expired)
    taken = min(points, lot.open_points)
    draft.move(PostingKind.CLAWBACK, lot, taken, cause_lot_id=lot.lot_id)
    return taken


def _take_others(draft: Draft, cause: Lot, points: int) -> int:
    """Takes other usable lots of the member in order. Another issuer's lot makes a substitution, no obligation."""
    taken = 0
    for lot in draft.account.usable_lots(draft.work.network_date) if points else ():
        part = min(points - taken, lot.open_points)
        draft.move(
            PostingKind.CLAWBACK,
            lot,
            part,
            counterparty_id=cause.issuer_id,
            rate_card_version=cause.rate_card_version,
            cause_lot_id=cause.lot_id,
        )
        taken += part
    return taken


def _settle_shortfall(draft: Draft, causes: list[Lot], missing: list[int], original: Original) -> None:
    terms = draft.work.terms
    policy = terms.network_in_force(terms.network_date(draft.work.at_ms)).debt_policy
    kind = PostingKind.CLAWBACK_TO_DEBT if policy is DebtPolicy.DEBT else PostingKind.WITHHOLD
    shortfall = 0
    for lot, points in zip(causes, missing, strict=True):
        draft.shortfall(kind, lot, points)
        shortfall += points
    if kind is PostingKind.WITHHOLD and shortfall:
        card = terms.card(original.entry.partner_id, original.entry.rate_card_version)
        draft.withheld = (card.currency, value_of(shortfall, card))


def _decide_redemption(work: WorkingSet, command: Reverse, original: Original, business_date: str) -> Draft | Refusal:
    entry = original.entry
    if command.eligible is not None:
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"part": "a number of points"})
    redeemed = -entry.points
    restored = sum(original.restored_points(posting.lot_id) for posting in entry.postings)
    rest = redeemed - restored
    points = rest if command.points is None else command.points
    if not 0 < points <= rest:
        return Refusal(Reason.ALREADY_REVERSED, {"rest": str(rest), "unit": "points"})

    # From here on it must succeed. The value goes back by parts, so that the last part gives the rest.
    value = div_floor(entry.amount * (restored + points), redeemed) - original.reversed_amount
    draft = _draft(work, command, original, EntryKind.REVERSE_REDEMPTION, business_date, entry.unit, value)
    for posting in reversed(entry.postings):
        part = min(points, posting.points - original.restored_points(posting.lot_id))
        if part:
            _restore(draft, draft.account.lots[posting.lot_id], part, entry.partner_id, entry.rate_card_version)
            points -= part
    return draft


def _restore(draft: Draft, lot: Lot, points: int, redeemer_id: str, version: int) -> None:
    draft.move(PostingKind.RESTORE, lot, points, counterparty_id=redeemer_id, rate_card_version=version)
    paid = draft.pay_debts(lot, points)
    if lot.is_overdue(draft.work.network_date):
        # At once, else redeeming and cancelling would dodge expiry.
        draft.move(PostingKind.EXPIRE, lot, points - paid)


def _draft(
    work: WorkingSet, command: Reverse, original: Original, kind: EntryKind, business_date: str, unit: str, amount: int
) -> Draft:
    account: MemberAccount = work.accounts[original.entry.member_id]
    return Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=kind,
        business_date=business_date,
        occurred_at_ms=work.occurred_at_ms(command),
        unit=unit,
        amount=amount,
        rate_card_version=original.entry.rate_card_version,
        original_entry_id=original.entry.entry_id,
    )
