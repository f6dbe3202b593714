"""What a checkout would do now. Changes nothing and promises nothing."""

from dataclasses import dataclass

from gateway.domain.command import AmountAsked
from gateway.domain.issuing import issue_parts
from gateway.domain.limiting import redemption_room
from gateway.domain.limits import Room
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole
from gateway.domain.pricing import points_for_value, value_of
from gateway.domain.standing import Standing, standing_of
from gateway.domain.working import WorkingSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """`points_max` pay `value_max` smallest units of `unit`; `limited_by`: why they are less than the balance, if they are."""

    points_to_issue: int
    points_max: int
    points_step: int
    unit: str
    value_max: int
    face_value_micros: int
    limited_by: Reason | None
    rate_card_version: int
    business_date: str
    standing: Standing


def quote_basket(
    work: WorkingSet,
    partner_id: str,
    key_id: str,
    account: MemberAccount | Refusal,
    total: AmountAsked,
    *,
    eligible: int | None,
    offer_id: str | None,
) -> Quote | Refusal:
    """By the rate card of today and the limits of the key's terminal.

    Refusals in order: RATE_CARD_MISSING, what `account` is refused with, UNIT_UNSUPPORTED.
    """
    on, roles = work.today(partner_id), work.terms.partners[partner_id].roles
    card = work.terms.card_in_force(partner_id, on)
    if card is None:
        return Refusal(Reason.RATE_CARD_MISSING, {"business_date": on.isoformat()})
    if isinstance(account, Refusal):
        return account
    earning = AmountAsked(total.unit, total.minor_units if eligible is None else eligible)
    points_to_issue = 0
    if PartnerRole.ISSUER in roles:
        parts = issue_parts(work, partner_id, earning, card=card, on=on, offer_id=offer_id)
        if isinstance(parts, Refusal) and parts.reason is not Reason.UNIT_UNSUPPORTED:
            parts = issue_parts(work, partner_id, earning, card=card, on=on, offer_id=None)
        if isinstance(parts, Refusal):
            return parts
        points_to_issue = sum(points for _, points in parts)
    standing = standing_of(account, work.network_date, card)
    redeems = PartnerRole.REDEEMER in roles and total.unit == card.currency
    takes = points_for_value(total.minor_units, card) if redeems and card.face_value_micros else 0
    room = redemption_room(work, partner_id, key_id, account, on)
    points_max, limited_by = _most(takes, standing.available_points, account.balance_points, room)
    return Quote(
        points_to_issue=points_to_issue,
        points_max=points_max,
        points_step=room.step,
        unit=card.currency,
        value_max=min(value_of(points_max, card), total.minor_units) if redeems else 0,
        face_value_micros=card.face_value_micros,
        limited_by=_why(limited_by, account, redeems=redeems) if limited_by is not None else None,
        rate_card_version=card.version,
        business_date=on.isoformat(),
        standing=standing,
    )


def _most(takes: int, available: int, balance: int, room: Room) -> tuple[int, Reason | None]:
    """The most points that can be redeemed, and what makes them less than the balance: the tightest bound, or the steps."""
    most, tightest = takes, Reason.MORE_THAN_TOTAL
    for bound, refusal in room.bounds(needed=takes, usable=available):
        if bound < most:
            most, tightest = bound, refusal.reason
    points = room.whole(most)
    if points >= balance:
        return points, None
    if points == most or (most < balance and points):
        return points, tightest
    return points, Reason.BELOW_MINIMUM if not points and most < room.minimum else Reason.NOT_A_MULTIPLE


def _why(tightest: Reason, account: MemberAccount, *, redeems: bool) -> Reason:
    """What lies before all bounds: that the partner does not redeem, or that the member may not give."""
    if not redeems:
        return Reason.ROLE_NOT_HELD
    if not account.may_give:
        return Reason.SPENDING_PAUSED if account.is_paused else Reason.MEMBER_PROVISIONAL
    return tightest
