"""What a checkout would do now. Changes nothing and promises nothing."""

from dataclasses import dataclass

from gateway.domain.command import AmountAsked
from gateway.domain.issuing import issue_parts
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
    account: MemberAccount | Refusal,
    total: AmountAsked,
    *,
    eligible: int | None,
    offer_id: str | None,
) -> Quote | Refusal:
    """By the rate card of today. Refusals in order: RATE_CARD_MISSING, what `account` is refused with, UNIT_UNSUPPORTED."""
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
    points_max = min(takes, standing.available_points)
    return Quote(
        points_to_issue=points_to_issue,
        points_max=points_max,
        points_step=1,
        unit=card.currency,
        value_max=min(value_of(points_max, card), total.minor_units) if redeems else 0,
        face_value_micros=card.face_value_micros,
        limited_by=_limited_by(points_max, takes, account, redeems=redeems),
        rate_card_version=card.version,
        business_date=on.isoformat(),
        standing=standing,
    )


def _limited_by(points_max: int, takes: int, account: MemberAccount, *, redeems: bool) -> Reason | None:
    if points_max >= account.balance_points:
        return None
    if not redeems:
        return Reason.ROLE_NOT_HELD
    if not account.may_give:
        return Reason.SPENDING_PAUSED if account.is_paused else Reason.MEMBER_PROVISIONAL
    return Reason.MORE_THAN_TOTAL if points_max == takes else Reason.INSUFFICIENT_POINTS
