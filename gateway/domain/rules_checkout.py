"""Checkout: what points pay of a basket, and points for what money pays, as entries that are booked together.

First the redemption, whose lots come from a hold or are taken at once, then the issue on what is left to pay.
"""

from dataclasses import dataclass, replace
from datetime import date

from gateway.domain.checkout import CheckoutState, basket_facts, sale_id
from gateway.domain.command import AmountAsked, Checkout, ClaimReceipt
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.ids import leg_entry_id
from gateway.domain.issuing import IssuePart, dated_card, issue_limits, issue_parts, open_lots
from gateway.domain.lanes import Deferred
from gateway.domain.limiting import capture_room, redemption_room
from gateway.domain.lot import Hold, HoldState, MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole
from gateway.domain.pricing import points_for_value, value_of
from gateway.domain.receipt import TillWarning
from gateway.domain.rules_hold import open_hold
from gateway.domain.rules_standing import giving_member, present_member
from gateway.domain.spending import points_asked
from gateway.domain.terms import RateCard
from gateway.domain.working import WorkingSet


@dataclass(frozen=True, slots=True)
class _Payment:
    """Points that pay a part of the basket, at a card: the day's, or that of the hold they come from."""

    points: int
    value: int
    card: RateCard
    hold: Hold | None


def decide_checkout(work: WorkingSet, command: Checkout) -> list[Draft] | Refusal | Deferred:
    """A redemption, an issue, or both. Deferred if only a batch that is alone may say.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, MEMBER_PROVISIONAL and SPENDING_PAUSED (if points pay),
    UNIT_UNSUPPORTED, HOLD_NOT_FOUND, HOLD_NOT_OPEN, BELOW_MINIMUM, NOT_A_MULTIPLE, ENTRY_LIMIT,
    INSUFFICIENT_POINTS, MORE_THAN_TOTAL, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT, then of the issue OFFER_NOT_IN_FORCE
    (PARTNER_NOT_ACTIVE while one of its funders is suspended), ENTRY_LIMIT, BALANCE_LIMIT, MEMBER_DAILY_LIMIT,
    TERMINAL_DAILY_LIMIT, NET_DEBIT_CAP_EXCEEDED.
    """
    pays_by_points = command.hold_id is not None or command.points is not None or command.up_to_value is not None
    dated = dated_card(work, command, PartnerRole.REDEEMER if pays_by_points else PartnerRole.ISSUER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    find = giving_member if pays_by_points else present_member
    account = find(work, command.member, after=command.hold_id or "")
    if isinstance(account, Refusal):
        return account
    payment = _payment(work, command, account, card, on) if pays_by_points else None
    if isinstance(payment, Refusal):
        return payment
    earning = command.total.minor_units if command.eligible is None else command.eligible
    eligible = AmountAsked(command.total.unit, max(earning - (payment.value if payment else 0), 0))
    parts = _issue(work, command, account, eligible, card=card, on=on, is_needed=payment is None)
    if not isinstance(parts, list):
        return parts

    # From here on it must succeed.
    drafts: list[Draft] = []
    if payment is not None:
        drafts.append(_redemption(work, command, account, payment, on))
    if parts:
        drafts.append(_issue_draft(work, command, account, eligible, parts, on=on, head=drafts[0] if drafts else None))
    _commit_to(work, command, drafts, earning=earning, to_pay=command.total.minor_units - (payment.value if payment else 0))
    return drafts


def decide_claim(work: WorkingSet, command: ClaimReceipt) -> list[Draft] | Refusal | Deferred:
    """An issue for a purchase of an earlier day. Deferred if only a batch that is alone may say.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, MEMBER_NOT_FOUND,
    TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, RECEIPT_ALREADY_CLAIMED, UNIT_UNSUPPORTED, ENTRY_LIMIT, BALANCE_LIMIT,
    MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT, NET_DEBIT_CAP_EXCEEDED.
    """
    dated = dated_card(work, command, PartnerRole.ISSUER)
    if isinstance(dated, Refusal):
        return dated
    on, card = dated
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    if sale_id(command.partner_id, on.isoformat(), command.receipt_number or "") in work.sales:
        return Refusal(Reason.RECEIPT_ALREADY_CLAIMED)
    earning = command.total.minor_units if command.eligible is None else command.eligible
    eligible = AmountAsked(command.total.unit, earning)
    parts = issue_parts(work, command.partner_id, eligible, card=card, on=on, offer_id=None)
    if isinstance(parts, Refusal):
        return parts
    limit = issue_limits(work, command, account, parts, on)
    if limit is not None:
        return limit

    # From here on it must succeed.
    drafts = [_issue_draft(work, command, account, eligible, parts, on=on, head=None)]
    _commit_to(work, command, drafts, earning=earning, to_pay=command.total.minor_units)
    return drafts


def _payment(work: WorkingSet, command: Checkout, account: MemberAccount, card: RateCard, on: date) -> _Payment | Refusal:
    total, asked = command.total, command.up_to_value
    if total.unit != card.currency or (asked is not None and asked.unit != card.currency):
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": total.unit})
    if command.hold_id is not None:
        return _capture(work, command, account)
    if asked is not None:
        asked = replace(asked, minor_units=min(asked.minor_units, total.minor_units))
    room = redemption_room(work, command.partner_id, command.key_id, account, on)
    payment = points_asked(account.usable_points(work.network_date), command.points, asked, card, room)
    if isinstance(payment, Refusal):
        return payment
    within = _within_total(_Payment(*payment, card, None), total)
    return within if isinstance(within, Refusal) else room.refuses_today(within.points) or within


def _capture(work: WorkingSet, command: Checkout, account: MemberAccount) -> _Payment | Refusal:
    hold = open_hold(work, command.hold_id or "", command.partner_id, account.member_id)
    if isinstance(hold, Refusal):
        return hold
    points = hold.points if command.points is None else command.points
    if points < hold.points:
        limit = capture_room(work, hold.partner_id, date.fromisoformat(hold.business_date)).refuses(points)
        if limit is not None:
            return limit
    if points > hold.points:
        return Refusal(Reason.INSUFFICIENT_POINTS, {"held": str(hold.points)})
    card = work.terms.card(hold.partner_id, hold.rate_card_version)
    return _within_total(_Payment(points, value_of(points, card), card, hold), command.total)


def _within_total(payment: _Payment, total: AmountAsked) -> _Payment | Refusal:
    """Nobody pays more points than the basket takes; the last of them may be worth a little more than what is left to pay."""
    points_max = points_for_value(total.minor_units, payment.card)
    if payment.points > points_max:
        return Refusal(Reason.MORE_THAN_TOTAL, {"points_max": str(points_max)})
    return replace(payment, value=min(payment.value, total.minor_units))


def _issue(
    work: WorkingSet,
    command: Checkout,
    account: MemberAccount,
    eligible: AmountAsked,
    *,
    card: RateCard,
    on: date,
    is_needed: bool,
) -> list[IssuePart] | Refusal | Deferred:
    """What is issued on the rest; nothing by a partner that only redeems, or where points paid all that earns."""
    issues = PartnerRole.ISSUER in work.terms.partners[command.partner_id].roles
    if not is_needed and (not issues or not eligible.minor_units):
        return []
    parts = issue_parts(work, command.partner_id, eligible, card=card, on=on, offer_id=command.offer_id)
    if isinstance(parts, Refusal):
        return parts
    return issue_limits(work, command, account, parts, on) or parts


def _redemption(work: WorkingSet, command: Checkout, account: MemberAccount, payment: _Payment, on: date) -> Draft:
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.REDEEM,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=payment.card.currency,
        amount=payment.value,
        rate_card_version=payment.card.version,
        original_entry_id=payment.hold.hold_id if payment.hold else "",
    )
    if payment.hold is None:
        draft.take(PostingKind.REDEEM, payment.points, counterparty=payment.card)
        return draft
    draft.release(payment.hold, HoldState.CAPTURED)
    if payment.points < payment.hold.points:
        draft.warnings.add(TillWarning.HOLD_CAPTURED_IN_PART)
    points = payment.points
    for lot_id, held in payment.hold.parts:
        part = min(held, points)
        draft.move_for(PostingKind.REDEEM, account.lots[lot_id], part, payment.card)
        draft.settle_released(account.lots[lot_id], held - part)
        points -= part
    return draft


def _issue_draft(
    work: WorkingSet,
    command: Checkout | ClaimReceipt,
    account: MemberAccount,
    eligible: AmountAsked,
    parts: list[IssuePart],
    *,
    on: date,
    head: Draft | None,
) -> Draft:
    card, _ = parts[0]
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id if head is None else leg_entry_id(command.entry_id, 1),
        kind=EntryKind.ISSUE,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=eligible.unit,
        amount=eligible.minor_units,
        rate_card_version=card.version,
        offer_id=(command.offer_id or "") if isinstance(command, Checkout) else "",
        head_entry_id="" if head is None else head.entry_id,
        partner_id=command.partner_id,
        key_id=command.key_id,
        receipt_number=command.receipt_number or "",
    )
    open_lots(draft, parts, on)
    return draft


def _commit_to(work: WorkingSet, command: Checkout | ClaimReceipt, drafts: list[Draft], *, earning: int, to_pay: int) -> None:
    """The first entry says what the basket was; the checkout can come back, and its paper receipt is claimed."""
    first, unit = drafts[0], command.total.unit
    first.facts = basket_facts(command, earning=earning)
    first.total, first.to_pay = (unit, command.total.minor_units), (unit, to_pay)
    ids = {draft.kind: draft.entry_id for draft in drafts}
    state = CheckoutState(
        entry_id=first.entry_id,
        bucket=first.account.bucket,
        member_id=first.account.member_id,
        partner_id=command.partner_id,
        unit=unit,
        total=command.total.minor_units,
        earning=earning,
        redeem_entry_id=ids.get(EntryKind.REDEEM, ""),
        issue_entry_id=ids.get(EntryKind.ISSUE, ""),
    )
    work.checkouts[state.entry_id] = work.changed_checkouts[state.entry_id] = state
    work.new_checkouts.add(state.entry_id)
    if command.receipt_number:
        sale = sale_id(command.partner_id, first.business_date, command.receipt_number)
        new = work.new_claims if isinstance(command, ClaimReceipt) else work.new_sales
        if sale in work.sales:
            first.warnings.add(TillWarning.RECEIPT_NUMBER_USED)
        else:
            new[sale] = first.entry_id
            work.sales.add(sale)
