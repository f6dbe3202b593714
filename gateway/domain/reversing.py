"""How points are taken back and given back. Cumulative by construction: n partial reversals give what one full reversal gives."""

from collections.abc import Sequence

from gateway.domain.draft import Draft
from gateway.domain.entry import PostingKind
from gateway.domain.lot import Lot
from gateway.domain.pricing import points_for, split_further, to_take_back, value_of
from gateway.domain.terms import DebtPolicy
from gateway.domain.units import div_floor
from gateway.domain.working import Original, WorkingSet


def take_back(draft: Draft, original: Original, *, remaining: int) -> None:
    """Takes back what an issue gave for all but `remaining` of its eligible amount, less what was taken back before."""
    account = draft.account
    causes = [account.lots[posting.lot_id] for posting in original.entry.postings if posting.kind is PostingKind.ISSUE]
    wanted = _to_take(draft.work, original, causes, remaining=remaining)
    # Each lot gives its own points first; only then may one stand in for another.
    missing = [points - _take_own(draft, lot, points) for lot, points in zip(causes, wanted, strict=True)]
    missing = [points - _take_others(draft, lot, points) for lot, points in zip(causes, missing, strict=True)]
    _settle_shortfall(draft, causes, missing, original)


def restored_so_far(original: Original) -> int:
    """Points of a redemption that went back into their lots."""
    return sum(original.restored_points(lot_id) for lot_id, _ in _redeemed(original))


def value_to_give_back(original: Original, points: int) -> int:
    """What `points` more of a redemption are worth, in money; by parts, so that the last part gives the rest."""
    redeemed = -original.entry.points
    return div_floor(original.entry.amount * (restored_so_far(original) + points), redeemed) - original.reversed_amount


def give_back(draft: Draft, original: Original, points: int) -> None:
    """Restores points of a redemption to their lots, what was taken last first."""
    entry = original.entry
    for lot_id, redeemed in reversed(_redeemed(original)):
        part = min(points, redeemed - original.restored_points(lot_id))
        if part:
            lot = draft.account.lots[lot_id]
            draft.move(
                PostingKind.RESTORE, lot, part, counterparty_id=entry.partner_id, rate_card_version=entry.rate_card_version
            )
            draft.settle_released(lot, part)
            points -= part


def _redeemed(original: Original) -> Sequence[tuple[str, int]]:
    return [(posting.lot_id, posting.points) for posting in original.entry.postings if posting.kind is PostingKind.REDEEM]


def _to_take(work: WorkingSet, original: Original, causes: list[Lot], *, remaining: int) -> list[int]:
    """Points that each lot of the issue has to give now: the issuer's own by its rate, the funders' by the bonus."""
    if not causes:
        return []
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
    taken = min(points, lot.free_points)
    draft.move(PostingKind.CLAWBACK, lot, taken, cause_lot_id=lot.lot_id)
    return taken


def _take_others(draft: Draft, cause: Lot, points: int) -> int:
    """Takes other lots of the member in order, also points that still wait.

    Another issuer's lot makes a substitution, no obligation.
    """
    taken = 0
    for lot in draft.account.free_lots(draft.work.network_date) if points else ():
        part = min(points - taken, lot.free_points)
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
    shortfall = 0
    # What the member that the account was merged into can pay becomes a debt for as long as it takes to move on to it.
    elsewhere = _points_elsewhere(draft)
    for lot, points in zip(causes, missing, strict=True):
        owed = points if policy is DebtPolicy.DEBT else min(points, elsewhere)
        draft.shortfall(PostingKind.CLAWBACK_TO_DEBT, lot, owed)
        draft.shortfall(PostingKind.WITHHOLD, lot, points - owed)
        elsewhere -= owed
        shortfall += points - owed
    if shortfall:
        card = terms.card(original.entry.partner_id, original.entry.rate_card_version)
        draft.withheld = (card.currency, value_of(shortfall, card))


def _points_elsewhere(draft: Draft) -> int:
    """Usable points of the member that the account was merged into, less what it owes; 0 if it was not merged."""
    present = draft.work.present_account(draft.account.member_id)
    if present is None or present is draft.account:
        return 0
    free = sum(lot.free_points for lot in present.free_lots(draft.work.network_date))
    return max(0, free - present.debt_points)
