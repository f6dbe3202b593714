"""Issue and redeem: which refusals, in which order, and what is booked."""

from datetime import date

from gateway.domain.command import Issue, Redeem
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.lanes import Deferred
from gateway.domain.lot import Lot, MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole, PartnerStatus
from gateway.domain.pricing import points_for, points_for_value, split_by_shares, value_of
from gateway.domain.terms import Offer, RateCard
from gateway.domain.units import BALANCE_POINTS_MAX, INT64_MAX, MICROS
from gateway.domain.working import WorkingSet

_Part = tuple[RateCard, int]
"""A rate card of the issuer or of a funder, and the points that it issues."""


def decide_issue(work: WorkingSet, command: Issue) -> Draft | Refusal | Deferred:
    """An entry with a lot for the issuer and one for each funder of a bonus. Deferred if only a batch that is alone may say.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    UNIT_UNSUPPORTED, OFFER_NOT_IN_FORCE (PARTNER_NOT_ACTIVE while one of its funders is suspended), MEMBER_NOT_FOUND,
    BALANCE_LIMIT, NET_DEBIT_CAP_EXCEEDED.
    """
    dated = _dated_card(work, command, PartnerRole.ISSUER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    eligible = command.eligible
    rate = card.issue_rates.get(eligible.unit)
    if rate is None:
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": eligible.unit})
    parts: list[_Part] = [(card, points_for(eligible.minor_units, rate, eligible.unit))]
    if command.offer_id:
        bonus = _bonus(work, command, on)
        if isinstance(bonus, Refusal):
            return bonus
        parts += bonus
    account = work.member(command.member)
    if account is None:
        return Refusal(Reason.MEMBER_NOT_FOUND)
    limit = _limits(work, account, parts)
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
    expires_on = work.terms.network_in_force(on).expiry_rule.last_day(on).isoformat()
    for number, (part_card, points) in enumerate(parts):
        if points:
            draft.open_lot(_lot(draft, number, part_card, points, expires_on), PostingKind.ISSUE)
    return draft


def decide_redeem(work: WorkingSet, command: Redeem) -> Draft | Refusal:
    """An entry that takes lots by expiry, then arrival.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    UNIT_UNSUPPORTED, MEMBER_NOT_FOUND, INSUFFICIENT_POINTS.
    """
    dated = _dated_card(work, command, PartnerRole.REDEEMER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    asked = command.up_to_value
    if asked is not None and asked.unit != card.currency:
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": asked.unit})
    account = work.member(command.member)
    if account is None:
        return Refusal(Reason.MEMBER_NOT_FOUND)
    lots = account.usable_lots(work.network_date)
    usable = sum(lot.open_points for lot in lots)
    if asked is not None:
        points = min(points_for_value(asked.minor_units, card), usable)
        value = min(asked.minor_units, value_of(points, card))
    else:
        points = command.points or 0
        value = value_of(points, card)
    if not 0 < points <= usable:
        return Refusal(Reason.INSUFFICIENT_POINTS)

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
    for lot in lots:
        part = min(lot.open_points, points)
        draft.move(PostingKind.REDEEM, lot, part, counterparty_id=card.partner_id, rate_card_version=card.version)
        points -= part
    return draft


def _dated_card(work: WorkingSet, command: Issue | Redeem, role: PartnerRole) -> tuple[date, RateCard] | Refusal:
    """The business date, and the partner's rate card that is in force on it."""
    if role not in work.terms.partners[command.partner_id].roles:
        return Refusal(Reason.ROLE_NOT_HELD, {"role": role.value})
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    card = work.terms.card_in_force(command.partner_id, on)
    if card is None:
        return Refusal(Reason.RATE_CARD_MISSING, {"business_date": on.isoformat()})
    if command.rate_card_version not in (None, card.version):
        return Refusal(Reason.RATE_VERSION_STALE, {"current": str(card.version)})
    return on, card


def _bonus(work: WorkingSet, command: Issue, on: date) -> list[_Part] | Refusal:
    """What each funder issues, at its own rate card of the day; refused if the offer does not hold for this basket."""
    not_in_force = Refusal(Reason.OFFER_NOT_IN_FORCE, {"offer_id": command.offer_id or ""})
    offer: Offer | None = work.terms.offers.get(command.offer_id or "")
    if (
        offer is None
        or offer.partner_id != command.partner_id
        or not offer.first_date <= on <= offer.last_date
        or offer.unit != command.eligible.unit
        or command.eligible.minor_units < offer.minimum_amount
    ):
        return not_in_force
    parts: list[_Part] = []
    points = split_by_shares(offer.bonus_points, [share for _, share in offer.shares])
    for (funder_id, _share), part in zip(offer.shares, points, strict=True):
        card = work.terms.card_in_force(funder_id, on)
        status = work.terms.partners[funder_id].status
        if card is None or status not in (PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED):
            return not_in_force
        if status is PartnerStatus.SUSPENDED:
            # Not for good: the same basket is welcome when the funder is back.
            return Refusal(Reason.PARTNER_NOT_ACTIVE, {"status": status.value, "issuer_id": funder_id})
        parts.append((card, part))
    return parts


def _limits(work: WorkingSet, account: MemberAccount, parts: list[_Part]) -> Refusal | Deferred | None:
    """An issuer's cap is checked on its issues only. Points that will pay a debt at once count in full: on the safe side."""
    if account.open_points + sum(points for _, points in parts) > BALANCE_POINTS_MAX:
        return Refusal(Reason.BALANCE_LIMIT)
    added: dict[str, int] = {}  # by issuer, in the order of the parts: the same command gets the same answer
    for card, points in parts:
        added[card.partner_id] = added.get(card.partner_id, 0) + points * card.issue_price_micros
    exposures = {
        issuer_id: work.exposure_micros(issuer_id, work.terms.partners[issuer_id].settlement_currency) + micros
        for issuer_id, micros in added.items()
    }
    if max(exposures.values()) > INT64_MAX:
        return Refusal(Reason.BALANCE_LIMIT)
    for issuer_id, exposure in exposures.items():
        cap = work.terms.partners[issuer_id].net_debit_cap
        if cap is not None and exposure > cap * MICROS:
            return Refusal(Reason.NET_DEBIT_CAP_EXCEEDED, {"issuer_id": issuer_id})
    return Deferred() if any(_exceeds_share(work, issuer_id, micros) for issuer_id, micros in added.items()) else None


def _exceeds_share(work: WorkingSet, issuer_id: str, micros: int) -> bool:
    """Whether the batch would add more than lanes may side by side."""
    share = work.cap_shares.get(issuer_id)
    if share is None or micros == 0:
        return False
    return work.added_micros(issuer_id, work.terms.partners[issuer_id].settlement_currency) + micros > share


def _lot(draft: Draft, number: int, card: RateCard, points: int, expires_on: str) -> Lot:
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
    )
