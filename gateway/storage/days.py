"""What members and terminals did in a day: loaded where a limit asks for it, and always added to.

Always, so that a limit which begins in the middle of a day knows what that day has seen.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from gateway.domain.command import Checkout, ClaimReceipt, Command, Donate, Issue, PlaceHold, Redeem
from gateway.domain.limits import day_of, terminal_of
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Refusal
from gateway.domain.working import WorkingSet
from gateway.storage.bulk import BulkWrite, Lookup, look_up
from gateway.storage.caps import lock_terminals
from gateway.storage.tables_till import member_days, terminal_days

_POINTS = ("issued_points", "redeemed_points")
_MEMBERS = Lookup(
    select(member_days.c.member_day, member_days.c.partner_id, *(member_days.c[name] for name in _POINTS)),
    member_days.c.member_day,
)
_TERMINALS = Lookup(
    select(terminal_days.c.terminal_day, *(func.sum(terminal_days.c[name]) for name in _POINTS)).group_by(
        terminal_days.c.terminal_day
    ),
    terminal_days.c.terminal_day,
)
_ADD_MEMBERS = BulkWrite.add(member_days, _POINTS)
_ADD_TERMINALS = BulkWrite.add(terminal_days, _POINTS)


def load_days(connection: Connection, work: WorkingSet, commands: Sequence[Command]) -> None:
    """The days of members and terminals that a limit of these commands asks for. The terminals are locked before."""
    if not work.terms.has_limits_by_day:
        return
    of_members, of_terminals = set[str](), set[str]()
    for command in commands:
        if not isinstance(command, Issue | Redeem | PlaceHold | Checkout | ClaimReceipt | Donate):
            continue
        if command.partner_id in work.terms.partners:
            on = work.business_date(command)
            account = work.member(command.member)
            if account is not None and not isinstance(on, Refusal):
                limits = work.terms.limits_in_force(command.partner_id, on)
                if any(one.is_by_member for one in limits):
                    of_members.add(day_of(account.member_id, on.isoformat()))
                if any(one.is_by_terminal for one in limits):
                    of_terminals.add(day_of(terminal_of(command.key_id), on.isoformat()))
    if work.lanes > 1:
        lock_terminals(connection, of_terminals)
    _load(connection, work, of_members, of_terminals)


def load_day(connection: Connection, work: WorkingSet, account: MemberAccount, partner_id: str, key_id: str) -> None:
    """The same for somebody who only looks, today."""
    if work.terms.has_limits_by_day:
        today = work.today(partner_id).isoformat()
        _load(connection, work, {day_of(account.member_id, today)}, {day_of(terminal_of(key_id), today)})


def save_days(connection: Connection, work: WorkingSet) -> None:
    """Adds what the batch did. Terminals are shared by lanes: sorted, so that nobody waits in a circle."""
    _ADD_MEMBERS(
        connection,
        [
            (bucket, member_day, partner_id, *count)
            for (bucket, member_day), by_partner in sorted(work.days.added_of_members.items())
            for partner_id, count in sorted(by_partner.items())
        ],
    )
    _ADD_TERMINALS(
        connection,
        [
            (terminal_day, lane, *count)
            for terminal_day, by_lane in sorted(work.days.added_of_terminals.items())
            for lane, count in sorted(by_lane.items())
        ],
    )


def _load(connection: Connection, work: WorkingSet, of_members: set[str], of_terminals: set[str]) -> None:
    by_member, by_terminal = look_up(connection, (_MEMBERS, of_members), (_TERMINALS, of_terminals))
    for member_day, partner_id, issued, redeemed in by_member:
        work.days.of_members.setdefault(member_day, {})[partner_id] = [issued, redeemed]
    for terminal_day, issued, redeemed in by_terminal:
        # PostgreSQL sums 64-bit integers as decimals.
        work.days.of_terminals[terminal_day] = [int(issued), int(redeemed)]
