"""What limits leave, to the model: counted anew for each wish, by trying every number of points.

From docs/decisions/0027 alone; shares nothing with the ledger.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date

ISSUED, REDEEMED = "issued", "redeemed"
NONE = 10**18


@dataclass(frozen=True)
class Bounds:
    """Of a network or of a partner; the words of the terms. Each partner of the model has one terminal."""

    minimum_points: int = 1
    multiple_points: int = 1
    entry_points_max: int = NONE
    member_day_issued_max: int = NONE
    member_day_redeemed_max: int = NONE
    terminal_day_issued_max: int = NONE
    terminal_day_redeemed_max: int = NONE

    def terms(self) -> dict[str, int]:
        """As the terms have them, where they limit anything."""
        return {name: limit for name, limit in vars(self).items() if limit not in (1, NONE)}


FREE = Bounds()
LIMITED_FROM = date(2026, 6, 4)
OF_NETWORK = Bounds(
    entry_points_max=250,
    member_day_issued_max=400,
    member_day_redeemed_max=300,
    terminal_day_issued_max=900,
    terminal_day_redeemed_max=450,
)
OF_PARTNERS = {"bravo": Bounds(minimum_points=10, multiple_points=5, member_day_issued_max=300, member_day_redeemed_max=150)}


class Days:
    """What was issued and redeemed: by what, member, partner and business date."""

    def __init__(self) -> None:
        self.done: Counter[tuple[str, str, str, date]] = Counter()

    def refuses_issue(self, member: str, partner: str, on: date, points: int) -> str | None:
        """Of an issue, bonus and all."""
        if points > min(bounds.entry_points_max for bounds in _both(partner, on)):
            return "ENTRY_LIMIT"
        return self.refuses_today(ISSUED, member, partner, on, points)

    def refuses_today(self, what: str, member: str, partner: str, on: date, points: int) -> str | None:
        """What another day might allow."""
        return next((reason for reason, rest in self._rests(what, member, partner, on) if points > rest), None)

    def most(self, member: str, partner: str, on: date, *, needed: int, usable: int) -> int | str:
        """The most points up to those needed that may be redeemed, or what leaves none."""
        minimum, multiple = shape(partner, on)
        fits = [points for points in range(minimum, needed + 1) if points % multiple == 0]
        if not fits:
            return "BELOW_MINIMUM" if needed < minimum else "NOT_A_MULTIPLE"
        entry_max = min(bounds.entry_points_max for bounds in _both(partner, on))
        rests = self._rests(REDEEMED, member, partner, on)
        for reason, rest in [("ENTRY_LIMIT", entry_max), ("INSUFFICIENT_POINTS", usable), *rests]:
            fits = [points for points in fits if points <= rest]
            if not fits:
                return reason
        return fits[-1]

    def _rests(self, what: str, member: str, partner: str, on: date) -> list[tuple[str, int]]:
        network, own = _both(partner, on)
        here = {key: points for key, points in self.done.items() if (key[0], key[3]) == (what, on)}
        of_member = sum(points for key, points in here.items() if key[1] == member)
        at_partner = sum(points for key, points in here.items() if key[1:3] == (member, partner))
        of_terminal = sum(points for key, points in here.items() if key[2] == partner)
        day, terminal = f"member_day_{what}_max", f"terminal_day_{what}_max"
        return [
            ("MEMBER_DAILY_LIMIT", min(getattr(network, day) - of_member, getattr(own, day) - at_partner)),
            ("TERMINAL_DAILY_LIMIT", min(getattr(network, terminal), getattr(own, terminal)) - of_terminal),
        ]


def refuses(partner: str, on: date, points: int) -> str | None:
    """What no other day would change, of a redemption."""
    entry_max = min(bounds.entry_points_max for bounds in _both(partner, on))
    return refuses_shape(partner, on, points) or ("ENTRY_LIMIT" if points > entry_max else None)


def refuses_shape(partner: str, on: date, points: int) -> str | None:
    """The least, and the multiple."""
    minimum, multiple = shape(partner, on)
    if points < minimum:
        return "BELOW_MINIMUM"
    return "NOT_A_MULTIPLE" if points % multiple else None


def shape(partner: str, on: date) -> tuple[int, int]:
    """The least that may be redeemed, and what it must be a multiple of; only one of the two knows a multiple here."""
    network, own = _both(partner, on)
    return max(network.minimum_points, own.minimum_points), max(network.multiple_points, own.multiple_points)


def _both(partner: str, on: date) -> tuple[Bounds, Bounds]:
    return (OF_NETWORK, OF_PARTNERS.get(partner, FREE)) if on >= LIMITED_FROM else (FREE, FREE)
