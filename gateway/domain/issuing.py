"""What an issue needs, whichever command asks for it: the card of the day, the points of each issuer, and their limits."""

from datetime import date

from gateway.domain.command import AmountAsked, Checkout, ClaimReceipt, Issue, PlaceHold, Redeem
from gateway.domain.draft import Draft
from gateway.domain.entry import PostingKind
from gateway.domain.lanes import Deferred
from gateway.domain.limiting import issue_room
from gateway.domain.lot import Lot, MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import Partner, PartnerRole, PartnerStatus
from gateway.domain.pricing import points_for, split_by_shares
from gateway.domain.terms import Offer, RateCard
from gateway.domain.units import BALANCE_POINTS_MAX, INT64_MAX, MICROS
from gateway.domain.working import WorkingSet

IssuePart = tuple[RateCard, int]
"""A rate card of the issuer or of a funder, and the points that it issues."""


def dated_card(
    work: WorkingSet, command: Issue | Redeem | PlaceHold | Checkout | ClaimReceipt, role: PartnerRole | None
) -> tuple[date, RateCard] | Refusal:
    """The business date, and the partner's rate card that is in force on it; refused without the role, if one is needed."""
    if role is not None and role not in work.terms.partners[command.partner_id].roles:
        return Refusal(Reason.ROLE_NOT_HELD, {"role": role.value})
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    card = work.terms.card_in_force(command.partner_id, on)
    if card is None:
        return Refusal(Reason.RATE_CARD_MISSING, {"business_date": on.isoformat()})
    asked = None if isinstance(command, ClaimReceipt) else command.rate_card_version
    if asked not in (None, card.version):
        return Refusal(Reason.RATE_VERSION_STALE, {"current": str(card.version)})
    return on, card


def issue_parts(
    work: WorkingSet, partner_id: str, eligible: AmountAsked, *, card: RateCard, on: date, offer_id: str | None
) -> list[IssuePart] | Refusal:
    """The issuer's points and, with an offer, those of its funders. UNIT_UNSUPPORTED, OFFER_NOT_IN_FORCE, PARTNER_NOT_ACTIVE."""
    rate = card.issue_rates.get(eligible.unit)
    if rate is None:
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": eligible.unit})
    parts: list[IssuePart] = [(card, points_for(eligible.minor_units, rate, eligible.unit))]
    if offer_id:
        bonus = _bonus(work, partner_id, eligible, on, offer_id)
        if isinstance(bonus, Refusal):
            return bonus
        parts += bonus
    return parts


def issue_limits(
    work: WorkingSet, command: Issue | Checkout | ClaimReceipt, account: MemberAccount, parts: list[IssuePart], on: date
) -> Refusal | Deferred | None:
    """ENTRY_LIMIT, BALANCE_LIMIT, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT, NET_DEBIT_CAP_EXCEEDED.

    An issuer's cap is checked on its issues only. Points that will pay a debt at once count in full: on the safe side. What has
    happened is not undone by a cap, by what a day may have, nor by a suspension since then: see `WorkingSet.despite`.
    """
    issued = sum(points for _, points in parts)
    room = issue_room(work, command.partner_id, command.key_id, account, on)
    limit = room.refuses(issued)
    if limit is not None:
        return limit
    if account.open_points + issued > BALANCE_POINTS_MAX:
        return Refusal(Reason.BALANCE_LIMIT)
    limit = room.refuses_today(issued)
    if limit is not None and not work.overrides_cap(limit):
        return limit
    added: dict[str, int] = {}  # by issuer, in the order of the parts: the same command gets the same answer
    for card, points in parts:
        added[card.partner_id] = added.get(card.partner_id, 0) + points * card.issue_price_micros
    exposed = [(work.terms.partners[issuer_id], micros) for issuer_id, micros in added.items()]
    exposures = [work.exposure_micros(issuer.partner_id, issuer.settlement_currency) + micros for issuer, micros in exposed]
    if max(exposures) > INT64_MAX:
        return Refusal(Reason.BALANCE_LIMIT)
    for (issuer, _), exposure in zip(exposed, exposures, strict=True):
        cap = issuer.net_debit_cap
        if cap is not None and exposure > cap * MICROS:
            exceeded = Refusal(Reason.NET_DEBIT_CAP_EXCEEDED, {"issuer_id": issuer.partner_id})
            if not work.overrides_cap(exceeded):
                return exceeded
    if work.cap_shares and any(_exceeds_share(work, issuer, micros) for issuer, micros in exposed):
        return Deferred()
    return None


def open_lots(draft: Draft, parts: list[IssuePart], on: date) -> None:
    """A lot for the issuer, and one for each funder of a bonus; what nobody issues has none."""
    expires_on, usable_from = draft.work.dates_of_use(on)
    for number, (card, points) in enumerate(parts):
        if points:
            draft.open_lot(_lot(draft, number, card, points, expires_on, usable_from), PostingKind.ISSUE)


def _bonus(work: WorkingSet, partner_id: str, eligible: AmountAsked, on: date, offer_id: str) -> list[IssuePart] | Refusal:
    """What each funder issues, at its own rate card of the day; refused if the offer does not hold for this basket."""
    not_in_force = Refusal(Reason.OFFER_NOT_IN_FORCE, {"offer_id": offer_id})
    offer: Offer | None = work.terms.offers.get(offer_id)
    if (
        offer is None
        or offer.partner_id != partner_id
        or not offer.first_date <= on <= offer.last_date
        or offer.unit != eligible.unit
        or eligible.minor_units < max(offer.minimum_amount, 1)  # goods that earn nothing win nothing: no return could tell
    ):
        return not_in_force
    parts: list[IssuePart] = []
    points = split_by_shares(offer.bonus_points, [share for _, share in offer.shares])
    for (funder_id, _share), part in zip(offer.shares, points, strict=True):
        card = work.terms.card_in_force(funder_id, on)
        status = work.terms.partners[funder_id].status
        if card is None or status not in (PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED):
            return not_in_force
        if status is PartnerStatus.SUSPENDED:
            # Not for good: the same basket is welcome when the funder is back.
            suspended = Refusal(Reason.PARTNER_NOT_ACTIVE, {"status": status.value, "issuer_id": funder_id})
            if not work.overrides_suspension(suspended, work.terms.partners[funder_id]):
                return suspended
        parts.append((card, part))
    return parts


def _exceeds_share(work: WorkingSet, issuer: Partner, micros: int) -> bool:
    """Whether the batch would add more than lanes may side by side."""
    share = work.cap_shares.get(issuer.partner_id)
    if share is None or micros == 0:
        return False
    return work.added_micros(issuer.partner_id, issuer.settlement_currency) + micros > share


def _lot(draft: Draft, number: int, card: RateCard, points: int, expires_on: str, usable_from: str) -> Lot:
    return Lot(
        lot_id=f"{draft.entry_id}-{number}",
        member_id=draft.account.member_id,
        bucket=draft.account.bucket,
        issuer_id=card.partner_id,
        price_micros=card.issue_price_micros,
        currency=card.currency,
        rate_card_version=card.version,
        business_date=draft.business_date,
        expires_on=expires_on,
        arrival=draft.account.take_arrival(),
        points=points,
        open_points=0,
        expired_points=0,
        origin_entry_id=draft.entry_id,
        usable_from=usable_from,
    )
