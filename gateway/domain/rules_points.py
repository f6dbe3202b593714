"""Issue and redeem: which refusals, in which order, and what is booked."""

from gateway.domain.command import Issue, Redeem
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.issuing import dated_card, issue_limits, issue_parts, open_lots
from gateway.domain.lanes import Deferred
from gateway.domain.limiting import redemption_room
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole
from gateway.domain.rules_standing import giving_member, present_member
from gateway.domain.spending import points_asked
from gateway.domain.working import WorkingSet


def decide_issue(work: WorkingSet, command: Issue) -> list[Draft] | Refusal | Deferred:
    """An entry with a lot for the issuer and one for each funder of a bonus. Deferred if only a batch that is alone may say.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    UNIT_UNSUPPORTED, OFFER_NOT_IN_FORCE (PARTNER_NOT_ACTIVE while one of its funders is suspended), MEMBER_NOT_FOUND,
    TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, ENTRY_LIMIT, BALANCE_LIMIT, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT,
    NET_DEBIT_CAP_EXCEEDED.
    """
    dated = dated_card(work, command, PartnerRole.ISSUER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    eligible = command.eligible
    parts = issue_parts(work, command.partner_id, eligible, card=card, on=on, offer_id=command.offer_id)
    if isinstance(parts, Refusal):
        return parts
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    limit = issue_limits(work, command, account, parts, on)
    if limit is not None:
        return limit

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.ISSUE,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=eligible.unit,
        amount=eligible.minor_units,
        rate_card_version=card.version,
        offer_id=command.offer_id or "",
    )
    open_lots(draft, parts, on)
    return [draft]


def decide_redeem(work: WorkingSet, command: Redeem) -> list[Draft] | Refusal:
    """An entry that takes lots by expiry, then arrival.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    UNIT_UNSUPPORTED, MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, MEMBER_PROVISIONAL, SPENDING_PAUSED,
    BELOW_MINIMUM, NOT_A_MULTIPLE, ENTRY_LIMIT, INSUFFICIENT_POINTS, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT.
    """
    dated = dated_card(work, command, PartnerRole.REDEEMER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    asked = command.up_to_value
    if asked is not None and asked.unit != card.currency:
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": asked.unit})
    account = giving_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    room = redemption_room(work, command.partner_id, command.key_id, account, on)
    quantity = points_asked(account.usable_points(work.network_date), command.points, asked, card, room)
    if isinstance(quantity, Refusal):
        return quantity
    points, value = quantity
    refusal = room.refuses_today(points)
    if refusal is not None:
        return refusal

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.REDEEM,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=card.currency,
        amount=value,
        rate_card_version=card.version,
    )
    draft.take(PostingKind.REDEEM, points, counterparty=card)
    return [draft]
