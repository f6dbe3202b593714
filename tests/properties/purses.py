"""What members have, to the model: lots that come in, are taken, set aside, given back, taken back and handed on; debt.

From DESIGN section 3 (rules 3 to 8) alone; shares nothing with the ledger.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

# Points for so many euros; millionths of a cent that a point is worth; who takes points and gives none.
RATES = {"alpha": (1, 2), "bravo": (1, 1), "charlie": (2, 1), "echo": (3, 7)}
WORTH = defaultdict(lambda: 1_000_000, echo=37_000_000)
FIRST_LAST_DAY, LONG_LIVED_FROM = "2026-06-20", date(2026, 6, 2)
SHORT_LIVED_FROM, DAYS = date(2026, 6, 5), 5
WAITING_FROM, WAIT_DAYS = date(2026, 6, 4), 1
BONUS_DAY, BONUS_POINTS, BONUS_LOTS = date(2026, 6, 3), 500, 2


@dataclass(eq=False)
class Lot:
    """Points of one issue, a number. `free` ones are neither spent nor set aside; before the first day they wait."""

    issuer: str
    first_day: str
    last_day: str
    issue: int
    free: int = 0
    held: int = 0
    expired: int = 0

    def elsewhere(self) -> "Lot":
        """An empty one in another account, for points of this one."""
        return Lot(self.issuer, self.first_day, self.last_day, self.issue)


@dataclass(eq=False)
class Debt:
    """Points that are owed since goods of an issue came back."""

    issue: int
    points: int


@dataclass(eq=False)
class Member:
    """Lots and debts, each in the order of their arrival."""

    lots: list[Lot] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)

    @property
    def debt(self) -> int:
        """All that is owed."""
        return sum(debt.points for debt in self.debts)


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
    on: date
    lots: list[tuple[Lot, int]]
    until_ms: int
    state: str = "open"

    @property
    def points(self) -> int:
        """All that it set aside."""
        return sum(points for _, points in self.lots)


class Purses:
    """Of accounts by id. `today` is the network's date."""

    def __init__(self, accounts: Iterable[str], *, is_debt_allowed: bool) -> None:
        self.members = {account: Member() for account in accounts}
        self.today = date(2026, 6, 3)
        self.is_debt_allowed = is_debt_allowed
        self._issues = itertools.count()

    def free(self, account: str) -> list[Lot]:
        """Lots with points for clawbacks and debts, in the order in which they are taken."""
        lots = [lot for lot in self.members[account].lots if lot.free and not self._is_overdue(lot)]
        return sorted(lots, key=lambda lot: lot.last_day)  # stable: then by arrival

    def usable(self, account: str) -> list[Lot]:
        """Those of them that need not wait."""
        return [lot for lot in self.free(account) if lot.first_day <= self.today.isoformat()]

    def available(self, account: str) -> int:
        """Points that can be spent."""
        return sum(lot.free for lot in self.usable(account))

    def pending(self, account: str) -> int:
        """Points that wait until they can be."""
        return sum(lot.free for lot in self.free(account)) - self.available(account)

    def open_lots(self, account: str) -> list[tuple[str, int]]:
        """Issuer and open points, held ones included."""
        lots = sorted(self.members[account].lots, key=lambda lot: lot.last_day)
        return [(lot.issuer, lot.free + lot.held) for lot in lots if lot.free + lot.held]

    def held_points(self, account: str) -> int:
        """Set aside."""
        return sum(lot.held for lot in self.members[account].lots)

    def has_overdue(self, account: str) -> bool:
        """Whether there are open points of a day that is over."""
        return any(lot.free + lot.held and self._is_overdue(lot) for lot in self.members[account].lots)

    def expire(self) -> None:
        """The night: what is overdue and free expires."""
        for member in self.members.values():
            for lot in member.lots:
                self._expire(lot)

    def take(self, lots: list[Lot], points: int) -> list[tuple[Lot, int]]:
        """From free points of these lots, in their order; they must be there."""
        parts = []
        for lot in lots:
            part = min(lot.free, points)
            if part:
                parts.append((lot, part))
            lot.free -= part
            points -= part
        assert points == 0
        return parts

    def spend(self, account: str, points: int) -> list[tuple[Lot, int]]:
        """What can be spent, in order."""
        return self.take(self.usable(account), points)

    def come_in(self, account: str, lot: Lot, points: int) -> None:
        """Debt first; what is overdue expires at once."""
        for debt in self.members[account].debts:
            paid = min(debt.points, points)
            debt.points -= paid
            points -= paid
        lot.free += points
        self._expire(lot)

    def give(self, source: str, target: str, points: int) -> None:
        """Lots keep what they are, and arrive anew."""
        for given, part in self.spend(source, points):
            self._arrive(target, given, part)

    def hand_on(self, source: str, target: str) -> None:
        """All that is free or owed; then debts are paid, of each purchase from its own points first."""
        giver, taker = self.members[source], self.members[target]
        taker.debts += giver.debts
        giver.debts = []
        for lot in self.free(source):
            points, lot.free = lot.free, 0
            self._arrive(target, lot, points)
        for debt in taker.debts:
            for lot in sorted(self.free(target), key=lambda lot: lot.issue != debt.issue):
                paid = min(debt.points, lot.free)
                debt.points -= paid
                lot.free -= paid

    def issue(self, account: str, partner: str, cents: int, on: date, *, has_won: bool) -> Issued:
        """A lot by the rate, and those of a bonus."""
        last_day = FIRST_LAST_DAY if on < LONG_LIVED_FROM else "2027-06-30"
        if on >= SHORT_LIVED_FROM:
            last_day = (on + timedelta(days=DAYS)).isoformat()
        first_day = (on + timedelta(days=WAIT_DAYS)).isoformat() if on >= WAITING_FROM else ""
        number = next(self._issues)
        lots = [(Lot(issuer, first_day, last_day, number), part) for issuer, part in parts_of(partner, cents, has_won=has_won)]
        for lot, part in lots:
            self.members[account].lots.append(lot)
            self.come_in(account, lot, part)
        return Issued(account, partner, cents, lots, [0] * len(lots), cents)

    def take_back(self, issued: Issued, left: int, *, present: str) -> int:
        """Down to what `left` of the amount earns; answers for how many points money is kept back.

        `present`: the account that pays what this one cannot, if it was merged.
        """
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
        others = self.free(issued.member)
        missing -= sum(part for _, part in self.take(others, min(missing, sum(lot.free for lot in others))))
        if not self.is_debt_allowed:
            elsewhere = sum(lot.free for lot in self.free(present)) if present != issued.member else 0
            kept_back = max(missing - elsewhere, 0)
        else:
            kept_back = 0
        if missing > kept_back:
            self.members[issued.member].debts.append(Debt(issued.lots[0][0].issue, missing - kept_back))
        return kept_back

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

    def _arrive(self, account: str, given: Lot, points: int) -> None:
        lot = given.elsewhere()
        self.members[account].lots.append(lot)
        self.come_in(account, lot, points)

    def _expire(self, lot: Lot) -> None:
        if self._is_overdue(lot):
            lot.expired, lot.free = lot.expired + lot.free, 0

    def _is_overdue(self, lot: Lot) -> bool:
        return lot.last_day < self.today.isoformat()


def parts_of(partner: str, cents: int, *, has_won: bool) -> list[tuple[str, int]]:
    """Who issues how much for a basket."""
    points, euros = RATES[partner]
    bonus = [("charlie", BONUS_POINTS // BONUS_LOTS), ("bravo", BONUS_POINTS // BONUS_LOTS)] if has_won else []
    return [(partner, cents * points // (euros * 100)), *bonus]


def worth(partner: str, points: int) -> int:
    """Of points at a partner, in whole cents."""
    return points * WORTH[partner] // 1_000_000


def needed_for(partner: str, cents: int) -> int:
    """The fewest points that pay a value."""
    return -(-cents * 1_000_000 // WORTH[partner])
