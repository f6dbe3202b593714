"""Holds: points set aside until the till is sure. Placed here, captured by a checkout, voided, or lapsed; ended once.

Whether a hold has lapsed is decided by the batch's own time, whoever else looks at it.
"""

from gateway.domain.canonical import canonical
from gateway.domain.command import PlaceHold, VoidHold
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.ids import OPERATOR, entry_id
from gateway.domain.issuing import dated_card
from gateway.domain.limiting import redemption_room
from gateway.domain.lot import Hold, HoldState
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import PartnerRole
from gateway.domain.rules_standing import giving_member
from gateway.domain.spending import points_asked
from gateway.domain.working import WorkingSet

HOLD_TTL_S = 15 * 60  # of a hold whose till does not say
HOLD_TTL_S_MAX = 7 * 24 * 3600


def decide_place(work: WorkingSet, command: PlaceHold) -> list[Draft] | Refusal:
    """An entry that sets lots aside by expiry, then arrival.

    Refusals in order: ROLE_NOT_HELD, EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, RATE_CARD_MISSING, RATE_VERSION_STALE,
    UNIT_UNSUPPORTED, MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, MEMBER_PROVISIONAL, SPENDING_PAUSED,
    BELOW_MINIMUM, NOT_A_MULTIPLE, ENTRY_LIMIT, INSUFFICIENT_POINTS, MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT.
    Points that are set aside count in the day, until they are let go.
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
    limit = room.refuses_today(points)
    if limit is not None:
        return limit

    # From here on it must succeed.
    expires_at_ms = work.at_ms + 1_000 * (HOLD_TTL_S if command.ttl_s is None else command.ttl_s)
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.PLACE_HOLD,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        unit=card.currency,
        amount=value,
        rate_card_version=card.version,
        facts=canonical({"expires_at_ms": expires_at_ms}).decode("ascii"),
    )
    draft.take(PostingKind.HOLD, points)
    hold = Hold(
        hold_id=draft.entry_id,
        member_id=account.member_id,
        bucket=account.bucket,
        partner_id=command.partner_id,
        business_date=draft.business_date,
        rate_card_version=card.version,
        points=points,
        expires_at_ms=expires_at_ms,
        state=HoldState.OPEN.value,
        ended_by="",
        key_id=command.key_id,
        parts=tuple((posting.lot_id, posting.points) for posting in draft.postings),
    )
    work.holds[hold.hold_id] = account.holds[hold.hold_id] = work.changed_holds[hold.hold_id] = hold
    work.new_holds.add(hold.hold_id)
    return [draft]


def decide_void(work: WorkingSet, command: VoidHold) -> list[Draft] | Refusal:
    """An entry that frees what was set aside. Refusals in order: HOLD_NOT_FOUND (also another partner's), HOLD_NOT_OPEN."""
    hold = open_hold(work, command.hold_id, command.partner_id)
    if isinstance(hold, Refusal):
        return hold

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=work.accounts[hold.member_id],
        entry_id=command.entry_id,
        kind=EntryKind.VOID_HOLD,
        business_date=work.today(command.partner_id).isoformat(),
        occurred_at_ms=work.at_ms,
        original_entry_id=hold.hold_id,
    )
    let_go(draft, hold, HoldState.VOIDED)
    return [draft]


def open_hold(work: WorkingSet, hold_id: str, partner_id: str, member_id: str | None = None) -> Hold | Refusal:
    """The partner's hold, of the member if one is named, unless something has ended it. HOLD_NOT_FOUND, HOLD_NOT_OPEN."""
    hold = work.holds.get(hold_id)
    if hold is None or hold.partner_id != partner_id:
        return Refusal(Reason.HOLD_NOT_FOUND)
    if member_id is not None:
        # One that ended before its member was merged is still the member's.
        owner = work.present_account(hold.member_id)
        if owner is None or owner.member_id != member_id:
            return Refusal(Reason.HOLD_NOT_FOUND)
    if not hold.is_open:
        return Refusal(Reason.HOLD_NOT_OPEN, {"state": hold.state})
    return hold


def let_go(draft: Draft, hold: Hold, state: HoldState) -> None:
    """Ends a hold of which nothing is taken."""
    draft.release(hold, state)
    for lot_id, points in hold.parts:
        draft.settle_released(draft.account.lots[lot_id], points)


def lapse(work: WorkingSet, hold: Hold) -> Draft:
    """The operator's entry that ends a hold whose time is over."""
    draft = Draft(
        work=work,
        account=work.accounts[hold.member_id],
        entry_id=entry_id(OPERATOR, f"lapse/{hold.hold_id}"),
        kind=EntryKind.LAPSE_HOLD,
        business_date=work.network_date,
        occurred_at_ms=work.at_ms,
        original_entry_id=hold.hold_id,
    )
    let_go(draft, hold, HoldState.LAPSED)
    return draft
