"""Limits on points, of the network and of a partner at its own tills; the stricter one holds. 0 stands for no limit.

They bound what is issued and what is redeemed. Nothing here ever stops a reversal, a refund, or the end of a hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from math import lcm

from gateway.domain.errors import InvalidValue
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.units import BALANCE_POINTS_MAX, div_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In points. A redemption is at least `minimum_points` and a multiple of `multiple_points`.

    `entry_points_max`: of an issue or a redemption. The others: of a member, and of a terminal, in one business date.
    """

    minimum_points: int = 0
    multiple_points: int = 0
    entry_points_max: int = 0
    member_day_issued_max: int = 0
    member_day_redeemed_max: int = 0
    terminal_day_issued_max: int = 0
    terminal_day_redeemed_max: int = 0

    @property
    def is_by_member(self) -> bool:
        """Whether what a member did in a day matters."""
        return bool(self.member_day_issued_max or self.member_day_redeemed_max)

    @property
    def is_by_terminal(self) -> bool:
        """Whether what a terminal did in a day matters."""
        return bool(self.terminal_day_issued_max or self.terminal_day_redeemed_max)


NO_LIMITS = Limits()
"""The one value without any limit: whoever reads terms takes it, so that it is known without comparing."""

LIMIT_NAMES = tuple(one.name for one in fields(Limits))
LIMIT_MAX = BALANCE_POINTS_MAX


def limits_of(values: Mapping[str, int]) -> Limits:
    """Limits by name; `NO_LIMITS` itself where there is none. Raises TypeError for a name that is none of a limit."""
    limits = Limits(**values)
    return NO_LIMITS if limits == NO_LIMITS else limits


def check_limits(limits: Limits) -> Limits:
    """Returns them; raises InvalidValue where one is out of range, or lets nothing be redeemed at all."""
    for name in LIMIT_NAMES:
        if not 0 <= getattr(limits, name) <= LIMIT_MAX:
            raise InvalidValue(f"{name.replace('_', ' ')} {getattr(limits, name)}: must lie within 0 and {LIMIT_MAX}")
    least = max(limits.minimum_points, limits.multiple_points)
    if 0 < limits.entry_points_max < least:
        raise InvalidValue(f"entry points max {limits.entry_points_max}: less than the {least} points of the least redemption")
    return limits


@dataclass(frozen=True, slots=True)
class PartnerLimits:
    """A version of a partner's own limits; replaces all earlier ones from its date on."""

    partner_id: str
    version: int
    effective_from: date
    limits: Limits


@dataclass(frozen=True, slots=True)
class DayLimit:
    """What may be done in a day and what was done of it; `resets_at_ms` is None for a day that is over."""

    limit: int
    used: int
    resets_at_ms: int | None = None

    @property
    def rest(self) -> int:
        """What is left; none once more was done, since a limit may begin in the middle of a day."""
        return max(self.limit - self.used, 0)

    def refused(self, reason: Reason) -> Refusal:
        """Says limit, used, and when it begins anew."""
        facts = {"limit": str(self.limit), "used": str(self.used)}
        return Refusal(reason, facts if self.resets_at_ms is None else facts | {"resets_at_ms": str(self.resets_at_ms)})


def stricter(first: DayLimit | None, second: DayLimit | None) -> DayLimit | None:
    """Of which less is left; the first of equals."""
    if first is None or second is None:
        return first or second
    return second if second.rest < first.rest else first


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What limits leave for one issue or redemption; None where there is no limit."""

    minimum: int = 1
    step: int = 1
    entry_max: int | None = None
    by_member: DayLimit | None = None
    by_terminal: DayLimit | None = None

    def refuses(self, points: int) -> Refusal | None:
        """BELOW_MINIMUM, NOT_A_MULTIPLE, ENTRY_LIMIT: what no other day would change."""
        if points < self.minimum:
            return Refusal(Reason.BELOW_MINIMUM, {"limit": str(self.minimum), "asked": str(points)})
        if points % self.step:
            return Refusal(Reason.NOT_A_MULTIPLE, {"limit": str(self.step), "asked": str(points)})
        if self.entry_max is not None and points > self.entry_max:
            return Refusal(Reason.ENTRY_LIMIT, {"limit": str(self.entry_max), "asked": str(points)})
        return None

    def refuses_today(self, points: int) -> Refusal | None:
        """MEMBER_DAILY_LIMIT, TERMINAL_DAILY_LIMIT."""
        if self.by_member is not None and points > self.by_member.rest:
            return self.by_member.refused(Reason.MEMBER_DAILY_LIMIT)
        if self.by_terminal is not None and points > self.by_terminal.rest:
            return self.by_terminal.refused(Reason.TERMINAL_DAILY_LIMIT)
        return None

    def whole(self, points: int) -> int:
        """So many of the points as are a multiple; none if they are too few for a redemption."""
        whole = div_floor(points, self.step) * self.step
        return whole if whole >= self.minimum else 0

    def bounds(self, *, needed: int, usable: int) -> Iterator[tuple[int, Refusal]]:
        """What bounds a redemption of as many points as possible, in the order of precedence, each with its refusal."""
        short = Reason.BELOW_MINIMUM if needed < self.minimum else Reason.NOT_A_MULTIPLE
        yield needed, Refusal(short, {"limit": str(max(self.minimum, self.step)), "asked": str(needed)})
        if self.entry_max is not None:
            yield self.entry_max, Refusal(Reason.ENTRY_LIMIT, {"limit": str(self.entry_max), "asked": str(needed)})
        yield usable, Refusal(Reason.INSUFFICIENT_POINTS)
        if self.by_member is not None:
            yield self.by_member.rest, self.by_member.refused(Reason.MEMBER_DAILY_LIMIT)
        if self.by_terminal is not None:
            yield self.by_terminal.rest, self.by_terminal.refused(Reason.TERMINAL_DAILY_LIMIT)


FREE, FREE_TO_ISSUE = Room(), Room(minimum=0)
"""Without any limit."""


def room_for_redemption(network: Limits, own: Limits) -> Room:
    """What holds for every redemption, whoever's and whenever in the day."""
    if network is own is NO_LIMITS:
        return FREE
    return Room(
        minimum=max(network.minimum_points, own.minimum_points, 1),
        step=lcm(network.multiple_points or 1, own.multiple_points or 1),
        entry_max=_entry_max(network, own),
    )


def room_for_issue(network: Limits, own: Limits) -> Room:
    """The same for an issue, which may also be of nothing."""
    return FREE_TO_ISSUE if network is own is NO_LIMITS else Room(minimum=0, entry_max=_entry_max(network, own))


def _entry_max(network: Limits, own: Limits) -> int | None:
    return min((one.entry_points_max for one in (network, own) if one.entry_points_max), default=None)


Count = list[int]
"""Points issued, and points redeemed: [0, 0] at first."""


@dataclass(slots=True)
class DayCounts:
    """Points by day: as they were read, and what the batch adds to them.

    A member's by partner. A day is named by whose it is and its date: "m…/2026-06-05", "acme/till-1/2026-06-05".
    """

    of_members: dict[str, dict[str, Count]] = field(default_factory=dict)
    of_terminals: dict[str, Count] = field(default_factory=dict)
    added_of_members: dict[tuple[int, str], dict[str, Count]] = field(default_factory=dict)
    added_of_terminals: dict[str, dict[int, Count]] = field(default_factory=dict)

    def add(self, member: tuple[int, str], partner_id: str, terminal_day: str, lane: int, added: Count) -> None:
        """`member`: bucket and day. What a hold gives back is below zero."""
        of_member = self.added_of_members.setdefault(member, {}).setdefault(partner_id, [0, 0])
        of_terminal = self.added_of_terminals.setdefault(terminal_day, {}).setdefault(lane, [0, 0])
        for n in range(2):
            of_member[n] += added[n]
            of_terminal[n] += added[n]

    def of_member(self, bucket: int, member_day: str, which: int, partner_id: str | None) -> int:
        """Points of a member's day so far, at one partner or at all of them."""
        read, added = self.of_members.get(member_day, {}), self.added_of_members.get((bucket, member_day), {})
        return sum(
            count[which] for counts in (read, added) for at, count in counts.items() if partner_id is None or at == partner_id
        )

    def of_terminal(self, terminal_day: str, which: int) -> int:
        """Points of a terminal's day so far, over all lanes."""
        read = self.of_terminals.get(terminal_day, (0, 0))[which]
        return read + sum(count[which] for count in self.added_of_terminals.get(terminal_day, {}).values())


ISSUED, REDEEMED = 0, 1


def day_of(whose: str, business_date: str) -> str:
    """Names a day of a member's or of a terminal's."""
    return f"{whose}/{business_date}"


def terminal_of(key_id: str) -> str:
    """The terminal that a key belongs to: "acme/till-1" of "acme/till-1/1"."""
    return key_id.rpartition("/")[0]
