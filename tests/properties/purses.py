"""What members have, to the model: lots that come in, are taken, set aside, given back and taken back; debt; what is overdue.

From DESIGN section 3 (rules 3 to 8) alone; shares nothing with the ledger.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

from gateway.domain.command import AmountAsked

# Points for so many euros; millionths of a cent that a point is worth; who takes points and gives none.
RATES = {"alpha": (1, 2), "bravo": (1, 1), "charlie": (2, 1), "echo": (3, 7)}
WORTH = defaultdict(lambda: 1_000_000, echo=37_000_000)
FIRST_LAST_DAY, LONG_LIVED_FROM = "2026-06-20", date(2026, 6, 2)
SHORT_LIVED_FROM, DAYS = date(2026, 6, 5), 5
BONUS_DAY, BONUS_POINTS, BONUS_LOTS = date(2026, 6, 3), 500, 2


@dataclass(eq=False)
class Lot:
    """Points of one issue. `free` ones are neither spent nor set aside."""

    issuer: str
    last_day: str
    free: int = 0
    held: int = 0
    expired: int = 0


@dataclass(eq=False)
class Member:
    """Lots in the order of their arrival."""

    lots: list[Lot] = field(default_factory=list)
    debt: int = 0


@dataclass
class Issued:
    """An issue: its lots with what each got and gave back."""

    member: str
    partner: str
    amount: int
    lots: list[tuple[Lot, int]]
    taken: list[int]
    left: int

    @property
    def points(self) -> int:
        """All that it gave."""
        return sum(points for _, points in self.lots)


@dataclass
class Redeemed:
    """A redemption: lots in the order in which they were taken."""

    member: str
    partner: str
    value: int
    lots: list[tuple[Lot, int]]
    restored: int = 0

    @property
    def points(self) -> int:
        """All that it took."""
        return sum(points for _, points in self.lots)


@dataclass
class Held:
    """Points set aside."""

    member: str
    partner: str
    lots: list[tuple[Lot, int]]
    until_ms: int
    state: str = "open"


class Purses:
    """Of members by name. `today` is the network's date."""

    def __init__(self, names: tuple[str, ...], *, is_debt_allowed: bool) -> None:
        self.members = {name: Member() for name in names}
        self.today = date(2026, 6, 3)
        self.is_debt_allowed = is_debt_allowed

    def usable(self, name: str) -> list[Lot]:
        """In the order in which they are taken."""
        lots = [lot for lot in self.members[name].lots if lot.free and lot.last_day >= self.today.isoformat()]
        return sorted(lots, key=lambda lot: lot.last_day)  # stable: then by arrival

    def available(self, name: str) -> int:
        """Open points that are not held and not overdue."""
        return sum(lot.free for lot in self.usable(name))

    def open_lots(self, name: str) -> list[tuple[str, int]]:
        """Issuer and open points, held ones included."""
        lots = sorted(self.members[name].lots, key=lambda lot: lot.last_day)
        return [(lot.issuer, lot.free + lot.held) for lot in lots if lot.free + lot.held]

    def held_points(self, name: str) -> int:
        """Set aside."""
        return sum(lot.held for lot in self.members[name].lots)

    def spend(self, name: str, partner: str, points: int | None, up_to: AmountAsked | None) -> tuple[int, int] | None:
        """Points, and their value; None if there are not as many."""
        worth, usable = WORTH[partner], self.available(name)
        value = 0
        if up_to is not None:
            points = min(-(-up_to.minor_units * 1_000_000 // worth), usable)
            value = min(up_to.minor_units, points * worth // 1_000_000)
        else:
            value = (points or 0) * worth // 1_000_000
        return (points or 0, value) if 0 < (points or 0) <= usable else None

    def has_overdue(self, name: str) -> bool:
        """Whether there are open points of a day that is over."""
        return any(lot.free + lot.held and lot.last_day < self.today.isoformat() for lot in self.members[name].lots)

    def expire(self) -> None:
        """The night: what is overdue and free expires."""
        for member in self.members.values():
            for lot in member.lots:
                self.expire_of(lot)

    def take(self, name: str, points: int) -> list[tuple[Lot, int]]:
        """From the lots that are usable, in order; they must be there."""
        parts = []
        for lot in self.usable(name):
            part = min(lot.free, points)
            if part:
                parts.append((lot, part))
            lot.free -= part
            points -= part
        assert points == 0
        return parts

    def come_in(self, name: str, lot: Lot, points: int) -> None:
        """Debt first; what is overdue expires at once."""
        member = self.members[name]
        paid = min(member.debt, points)
        member.debt -= paid
        lot.free += points - paid
        self.expire_of(lot)

    def expire_of(self, lot: Lot) -> None:
        """What is free of a lot, if it is overdue."""
        if lot.last_day < self.today.isoformat():
            lot.expired, lot.free = lot.expired + lot.free, 0

    def issue(self, name: str, partner: str, cents: int, on: date, *, has_won: bool) -> Issued:
        """A lot by the rate, and those of a bonus."""
        points, euros = RATES[partner]
        whole = cents * points // (euros * 100)
        parts = [(partner, whole)]
        if has_won:
            parts += [("charlie", BONUS_POINTS // BONUS_LOTS), ("bravo", BONUS_POINTS // BONUS_LOTS)]
        last_day = FIRST_LAST_DAY if on < LONG_LIVED_FROM else "2027-06-30"
        if on >= SHORT_LIVED_FROM:
            last_day = (on + timedelta(days=DAYS)).isoformat()
        lots = [(Lot(issuer, last_day), part) for issuer, part in parts]
        for lot, part in lots:
            self.members[name].lots.append(lot)
            self.come_in(name, lot, part)
        return Issued(name, partner, cents, lots, [0] * len(lots), cents)

    def take_back(self, issued: Issued, left: int) -> int:
        """Down to what `left` of the amount earns; answers what was found nowhere."""
        points, euros = RATES[issued.partner]
        wanted = [issued.lots[0][1] - left * points // (euros * 100)]
        bonus = sum(part for _, part in issued.lots[1:])
        if bonus:
            going = bonus - bonus * left // issued.amount
            wanted += [going - going // BONUS_LOTS, going // BONUS_LOTS]  # halves; an odd one goes to the first
        now = [want - taken for want, taken in zip(wanted, issued.taken, strict=True)]
        issued.taken, issued.left = wanted, left
        missing = 0
        for (lot, _), points_now in zip(issued.lots, now, strict=True):
            expired = min(lot.expired, points_now)
            free = min(lot.free, points_now - expired)
            lot.expired -= expired
            lot.free -= free
            missing += points_now - expired - free
        from_others = min(missing, self.available(issued.member))
        self.take(issued.member, from_others)
        shortfall = missing - from_others
        if self.is_debt_allowed:
            self.members[issued.member].debt += shortfall
        return shortfall

    def give_back(self, redeemed: Redeemed, restored: int) -> None:
        """Up to so many in all, newest first."""
        before = 0
        for lot, part in reversed(redeemed.lots):
            had, has = (min(max(n - before, 0), part) for n in (redeemed.restored, restored))
            if has > had:
                self.come_in(redeemed.member, lot, has - had)
            before += part
        redeemed.restored = restored

    def end(self, hold: Held, state: str, *, taken: int) -> list[tuple[Lot, int]]:
        """Of the first of it so many are taken, the rest is free again."""
        hold.state = state
        parts = []
        for lot, points in hold.lots:
            lot.held -= points
        for lot, points in hold.lots:
            part = min(points, taken)
            taken -= part
            if part:
                parts.append((lot, part))
            if points > part:
                self.come_in(hold.member, lot, points - part)
        return parts
