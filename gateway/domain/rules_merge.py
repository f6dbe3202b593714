"""Making one member of two: what the old account had goes on to the new one, at the merge and whenever something comes back.

The old account stays where its entries are, for reversals name them; whatever is free in it moves on in the same step. So
nobody has debt and usable lots at once, and both sides are entries of their own, which may stand in different lanes.
"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.domain.command import Merge
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.identifiers import IDENTIFIERS_MAX
from gateway.domain.ids import counter_entry_id, onward_entry_id
from gateway.domain.member import MemberStatus
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.rules_standing import present_member
from gateway.domain.units import BALANCE_POINTS_MAX
from gateway.domain.working import WorkingSet


def decide_merge(work: WorkingSet, command: Merge) -> list[Draft] | Refusal:
    """The source's side of a merge, and the target's.

    Refusals in order: MEMBER_MERGED, MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, SPENDING_PAUSED,
    MEMBER_HAS_HOLDS, BALANCE_LIMIT.
    """
    if (same := work.member(command.source)) is not None and same is work.member(command.target):
        return Refusal(Reason.MEMBER_MERGED)
    source = present_member(work, command.source)
    if isinstance(source, Refusal):
        return replace(source, details={"field": "source"})
    target = present_member(work, command.target)
    if isinstance(target, Refusal):
        return replace(target, details={"field": "target"})
    if source.is_paused:
        return Refusal(Reason.SPENDING_PAUSED)
    if source.held_points:
        # Some till is about to take what it has set aside; its hold is captured, voided or lapses.
        return Refusal(Reason.MEMBER_HAS_HOLDS)
    moving = work.identifiers_of(source.member_id)
    if len(moving) + len(work.identifiers_of(target.member_id)) > IDENTIFIERS_MAX:
        return Refusal(Reason.BALANCE_LIMIT, {"identifiers_max": str(IDENTIFIERS_MAX)})
    if source.open_points + target.open_points > BALANCE_POINTS_MAX:
        return Refusal(Reason.BALANCE_LIMIT)

    # From here on it must succeed.
    for known in moving:
        known.member_id = target.member_id
        work.change_identifier(known)
    source.status, source.language, source.merged_into = MemberStatus.MERGED, "", target.member_id
    draft = Draft(
        work=work,
        account=source,
        entry_id=command.entry_id,
        kind=EntryKind.MERGE_OUT,
        business_date=work.today(command.partner_id).isoformat(),
        occurred_at_ms=work.at_ms,
    )
    _hand_on(draft)
    return [draft, _joining_side(work, draft)]


def moving_on(work: WorkingSet, booked: Draft) -> Iterator[Draft]:
    """The operator's entries that move on what a command on an entry of a merged member's has left there."""
    account = booked.account
    if not account.merged_into or booked.kind is EntryKind.MERGE_OUT:
        return
    if not account.debt_points and not account.free_lots(work.network_date):
        return
    draft = Draft(
        work=work,
        account=account,
        entry_id=onward_entry_id(booked.entry_id),
        kind=EntryKind.MERGE_OUT,
        business_date=booked.business_date,
        occurred_at_ms=booked.occurred_at_ms,
        original_entry_id=booked.entry_id,
    )
    _hand_on(draft)
    yield draft
    yield _joining_side(work, draft)


def _joining_side(work: WorkingSet, given: Draft) -> Draft:
    """The entry of the member that goes on: lots keep issuer, price, expiry and order; then all debts are paid that can be."""
    target = work.present_account(given.account.member_id)
    assert target is not None, "a merged member leads to one that is there"
    draft = Draft(
        work=work,
        account=target,
        entry_id=counter_entry_id(given.entry_id),
        kind=EntryKind.MERGE_IN,
        business_date=given.business_date,
        occurred_at_ms=given.occurred_at_ms,
        original_entry_id=given.entry_id,
    )
    for posting in given.postings:
        if posting.kind is PostingKind.DEBT_OUT:
            draft.take_over(posting)
    for number, posting in enumerate(given.postings):
        if posting.kind is PostingKind.TRANSFER_OUT:
            draft.receive(given.touched[posting.lot_id], posting.points, number=number)
    draft.settle_debts()
    return draft


def _hand_on(draft: Draft) -> None:
    """What can be used, now or later, and what is owed. Overdue lots stay, and expire where they are."""
    for lot in draft.account.free_lots(draft.work.network_date):
        draft.move(PostingKind.TRANSFER_OUT, lot, lot.free_points)
    for debt in draft.account.open_debts() if draft.account.debt_points else ():
        draft.hand_on(debt)
