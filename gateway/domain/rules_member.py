"""From member to member, and from member to charity: which refusals, in which order, and what is booked."""

from gateway.domain.command import Donate, Transfer
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.ids import counter_entry_id
from gateway.domain.limiting import redemption_room
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole, PartnerStatus
from gateway.domain.pricing import value_of
from gateway.domain.rules_standing import giving_member, present_member
from gateway.domain.units import BALANCE_POINTS_MAX
from gateway.domain.working import WorkingSet


def decide_transfer(work: WorkingSet, command: Transfer) -> list[Draft] | Refusal:
    """The giver's side of a transfer, and the receiver's.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED,
    MEMBER_PROVISIONAL, SPENDING_PAUSED, INSUFFICIENT_POINTS, BALANCE_LIMIT.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    source, target = work.member(command.source), work.member(command.target)
    if source is None or target is None or source is target:
        return Refusal(Reason.MEMBER_NOT_FOUND, {"field": "source" if source is None else "target"})
    receiver, giver = present_member(work, command.target), giving_member(work, command.source)
    if isinstance(giver, Refusal):
        return giver
    if isinstance(receiver, Refusal):
        return receiver
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
        draft.receive(given.touched[posting.lot_id], posting.points, number=number)
    return draft


def decide_donate(work: WorkingSet, command: Donate) -> list[Draft] | Refusal:
    """Points redeemed at a charity, by whoever has a till.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, NOT_A_CHARITY, PARTNER_NOT_ACTIVE (the charity), RATE_CARD_MISSING,
    MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, MEMBER_PROVISIONAL, SPENDING_PAUSED, BELOW_MINIMUM, NOT_A_MULTIPLE,
    ENTRY_LIMIT, INSUFFICIENT_POINTS, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    charity = work.terms.partners.get(command.charity_id)
    if charity is None or PartnerRole.CHARITY not in charity.roles or charity.status is PartnerStatus.CLOSED:
        return Refusal(Reason.NOT_A_CHARITY)
    if charity.status is not PartnerStatus.ACTIVE:
        return Refusal(Reason.PARTNER_NOT_ACTIVE, {"status": charity.status.value, "charity_id": charity.partner_id})
    card = work.terms.card_in_force(charity.partner_id, on)
    if card is None:
        return Refusal(Reason.RATE_CARD_MISSING, {"business_date": on.isoformat()})
    account = giving_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    room = redemption_room(work, command.partner_id, command.key_id, account, on)
    refusal = room.refuses(command.points)
    if refusal is not None:
        return refusal
    if account.usable_points(work.network_date) < command.points:
        return Refusal(Reason.INSUFFICIENT_POINTS)
    refusal = room.refuses_today(command.points)
    if refusal is not None:
        return refusal

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.DONATE,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=card.currency,
        amount=value_of(command.points, card),
        rate_card_version=card.version,
    )
    draft.take(PostingKind.REDEEM, command.points, counterparty=card)
    return [draft]
