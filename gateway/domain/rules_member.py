"""Enrol and transfer: which refusals, in which order, and what is booked."""

from dataclasses import replace

from gateway.domain.command import Enrol, Transfer
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.ids import bucket_of, counter_entry_id, member_id
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.units import BALANCE_POINTS_MAX
from gateway.domain.working import WorkingSet


def decide_enrol(work: WorkingSet, command: Enrol) -> list[Draft] | Refusal:
    """An entry without postings, and an empty account. Refused with CARD_ALREADY_ENROLLED."""
    if command.card_hash in work.cards:
        return Refusal(Reason.CARD_ALREADY_ENROLLED)

    # From here on it must succeed.
    new_id = member_id(command.partner_id, command.idempotency_key)
    account = MemberAccount(
        member_id=new_id,
        bucket=bucket_of(new_id),
        enrolled_by=command.partner_id,
        open_points=0,
        debt_points=0,
        next_arrival=1,
        entries=0,
    )
    work.accounts[new_id] = account
    work.new_accounts.add(new_id)
    work.cards[command.card_hash] = work.new_cards[command.card_hash] = new_id
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.ENROL,
        business_date=work.today(command.partner_id).isoformat(),
        occurred_at_ms=work.at_ms,
    )
    return [draft]


def decide_transfer(work: WorkingSet, command: Transfer) -> list[Draft] | Refusal:
    """The giver's side of a transfer, and the receiver's.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, MEMBER_NOT_FOUND, INSUFFICIENT_POINTS, BALANCE_LIMIT.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    source, target = work.member(command.source), work.member(command.target)
    if source is None or target is None or source is target:
        return Refusal(Reason.MEMBER_NOT_FOUND, {"field": "source" if source is None else "target"})
    if source.usable_points(work.network_date) < command.points:
        return Refusal(Reason.INSUFFICIENT_POINTS)
    if target.open_points + command.points > BALANCE_POINTS_MAX:
        return Refusal(Reason.BALANCE_LIMIT)

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=source,
        entry_id=command.entry_id,
        kind=EntryKind.TRANSFER_OUT,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
    )
    draft.take(PostingKind.TRANSFER_OUT, command.points)
    return [draft, _receiving_side(work, command, draft)]


def _receiving_side(work: WorkingSet, command: Transfer, given: Draft) -> Draft:
    """The entry of the member who gets the points: new lots that keep issuer, price and expiry, and pay debt first."""
    target: MemberAccount | None = work.member(command.target)
    assert target is not None, "the giver's side was decided with a target"
    draft = Draft(
        work=work,
        account=target,
        entry_id=counter_entry_id(given.entry_id),
        kind=EntryKind.TRANSFER_IN,
        business_date=given.business_date,
        occurred_at_ms=given.occurred_at_ms,
        original_entry_id=given.entry_id,
    )
    for number, posting in enumerate(given.postings):
        source = given.touched[posting.lot_id]
        lot = replace(
            source,
            lot_id=f"{draft.entry_id}-{number}",
            member_id=target.member_id,
            bucket=target.bucket,
            arrival=target.take_arrival(),
            points=posting.points,
            open_points=0,
            expired_points=0,
            held_points=0,
        )
        draft.open_lot(lot, PostingKind.TRANSFER_IN, cause_lot_id=source.lot_id)
    return draft
