"""What limits leave for a command of a batch: the terms of its business date, and what the day has seen so far."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from gateway.domain.entry import Entry, PostingKind
from gateway.domain.limits import (
    ISSUED,
    NO_LIMITS,
    REDEEMED,
    DayLimit,
    Limits,
    Room,
    day_of,
    room_for_issue,
    room_for_redemption,
    stricter,
    terminal_of,
)
from gateway.domain.lot import MemberAccount
from gateway.domain.terms import day_ends_at_ms
from gateway.domain.working import WorkingSet

# What a posting adds to what was issued and redeemed in a day. Points set aside count as redeemed; what is let go does not.
_ADDS = {
    PostingKind.ISSUE: (1, 0),
    PostingKind.HOLD: (0, 1),
    PostingKind.RELEASE: (0, -1),
    PostingKind.REDEEM: (0, 1),
}


def redemption_room(work: WorkingSet, partner_id: str, key_id: str, account: MemberAccount, on: date) -> Room:
    """For a redemption, or for points to be set aside, on a business date."""
    network, own = work.terms.limits_in_force(partner_id, on)
    return _today(work, room_for_redemption(network, own), (network, own), REDEEMED, partner_id, key_id, account, on)


def capture_room(work: WorkingSet, partner_id: str, on: date) -> Room:
    """For a part of what was set aside on a business date: what the day has left was asked when it was set aside."""
    return replace(room_for_redemption(*work.terms.limits_in_force(partner_id, on)), entry_max=None)


def issue_room(work: WorkingSet, partner_id: str, key_id: str, account: MemberAccount, on: date) -> Room:
    """For an issue."""
    network, own = work.terms.limits_in_force(partner_id, on)
    return _today(work, room_for_issue(network, own), (network, own), ISSUED, partner_id, key_id, account, on)


def count_day(work: WorkingSet, entry: Entry) -> None:
    """Notes what an entry has issued and redeemed: in its own day, or in that of the hold that it ends."""
    issued = redeemed = 0
    for posting in entry.postings:
        adds = _ADDS.get(posting.kind)
        if adds is not None:
            issued += adds[0] * posting.points
            redeemed += adds[1] * posting.points
    if issued or redeemed:
        counted = work.holds.get(entry.original_entry_id) or entry
        work.days.add(
            (entry.bucket, day_of(entry.member_id, counted.business_date)),
            counted.partner_id,
            day_of(terminal_of(counted.key_id), counted.business_date),
            entry.lane,
            [issued, redeemed],
        )


_BY_MEMBER: tuple[Callable[[Limits], int], ...] = (
    lambda limits: limits.member_day_issued_max,
    lambda limits: limits.member_day_redeemed_max,
)
_BY_TERMINAL: tuple[Callable[[Limits], int], ...] = (
    lambda limits: limits.terminal_day_issued_max,
    lambda limits: limits.terminal_day_redeemed_max,
)


def _today(
    work: WorkingSet,
    room: Room,
    limits: tuple[Limits, Limits],
    which: int,
    partner_id: str,
    key_id: str,
    account: MemberAccount,
    on: date,
) -> Room:
    """The room with what is left of the day: of the member's over all partners and at this one, and of the terminal's."""
    if limits[0] is limits[1] is NO_LIMITS:
        return room
    (of_network, of_partner), member_day = map(_BY_MEMBER[which], limits), day_of(account.member_id, on.isoformat())
    terminal_max = min((most for most in map(_BY_TERMINAL[which], limits) if most), default=0)
    if not (of_network or of_partner or terminal_max):
        return room
    resets_at_ms = day_ends_at_ms(on, work.terms.zones[partner_id])
    resets = resets_at_ms if resets_at_ms > work.at_ms else None

    def of_member(most: int, at: str | None) -> DayLimit | None:
        return DayLimit(most, work.days.of_member(account.bucket, member_day, which, at), resets) if most else None

    used = work.days.of_terminal(day_of(terminal_of(key_id), on.isoformat()), which) if terminal_max else 0
    return replace(
        room,
        by_member=stricter(of_member(of_network, None), of_member(of_partner, partner_id)),
        by_terminal=DayLimit(terminal_max, used, resets) if terminal_max else None,
    )
