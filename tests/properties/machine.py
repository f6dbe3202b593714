"""What tills may do to members, step by step, with what the model says beside what the books say.

Numbers pick members, holds and sales, whatever there is by then; members come, are merged, paused and erased, and are named
by their cards or their ids, also by those of before. From the second day on there are limits, and points that wait.
"""

import itertools
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from gateway.domain.command import AmountAsked, BasketLine, Checkout, Command, LineReturned, MemberRef, Redeem
from gateway.domain.receipt import Receipt
from tests.properties.copies import MEMBERS
from tests.properties.desk import HOUR_MS, Desk, who
from tests.properties.purses import RATES

OFFER = "bonus-500"

_T = TypeVar("_T")

shops = st.sampled_from(tuple(RATES))
takers = st.sampled_from((*RATES, "delta"))
cents = st.integers(1, 30_000)
some_points = st.integers(1, 400)
picks = st.integers(0, 1_000)
days_late = st.sampled_from((0, 0, 0, 1, 2))
numbers = st.sampled_from(("", "", "R-1", "R-2"))
baskets = st.lists(st.tuples(st.integers(1, 9_000), st.booleans()), max_size=3)


class Tills(Desk):
    """One run: points and money."""

    def _begin(self) -> None:
        """Everybody has points of several issuers."""
        self.bought: list[Command] = []
        self.spent: list[Command] = []
        self.holds: list[Command] = []
        self.sales: list[Command] = []
        self.to_come: list[tuple[Checkout, date]] = []
        for card_hash, partner in itertools.product(MEMBERS, RATES):
            command = self.books.issue(card_hash, "120.00", partner=partner)
            self._keep(self.bought, command, self._see(command, self.model.issue(command, self._day(0))))

    @rule(name=who, partner=shops, amount=cents, late=days_late, wins=st.booleans())
    def issue(self, name: int, partner: str, amount: int, late: int, *, wins: bool) -> None:
        """Points by themselves."""
        when = self._when(late)
        command = self.books.issue(self._ref(name), _euros(amount), partner=partner, offer_id=_offer(partner, wins=wins), **when)
        self._keep(self.bought, command, self._see(command, self.model.issue(command, self._day(late))))

    @rule(name=who, partner=takers, points=some_points, by_value=st.booleans())
    def redeem(self, name: int, partner: str, points: int, *, by_value: bool) -> None:
        """Points by themselves."""
        command = self.books.redeem(self._ref(name), partner=partner, **_quantity(points, by_value=by_value))
        self._keep(self.spent, command, self._see(command, self.model.redeem(command, self._day(0))))

    @precondition(lambda self: self.bought or self.spent or self.sales)
    @rule(pick=picks, part=st.integers(0, 300))
    def reverse(self, pick: int, part: int) -> None:
        """An issue, a redemption, or the entry of a checkout, which Refund alone may; 0: all that is left."""
        original = _one(pick, self.bought + self.spent + self.sales)
        asked: dict[str, Any] = {"points": part or None} if isinstance(original, Redeem) else {}
        if part and not asked:
            asked = {"amount": f"{part}.00"}
        command = self.books.reverse(original, **asked)
        self._see(command, self.model.reverse(command))

    @rule(giver=who, taker=who, points=some_points)
    def transfer(self, giver: int, taker: int, points: int) -> None:
        """A gift."""
        source, target = self._ref(giver), self._ref(taker)
        self._see(self.books.transfer(source, target, points), self.model.transfer(source, target, points))

    @rule(name=who, partner=takers, points=some_points, by_value=st.booleans(), ttl_s=st.sampled_from((60, 86_400, 604_800)))
    def place(self, name: int, partner: str, points: int, ttl_s: int, *, by_value: bool) -> None:
        """Points are set aside."""
        command = self.books.place(self._ref(name), partner=partner, ttl_s=ttl_s, **_quantity(points, by_value=by_value))
        self._keep(self.holds, command, self._see(command, self.model.place(command, self._day(0), ttl_s * 1_000)))

    @precondition(lambda self: self.holds)
    @rule(pick=picks)
    def void(self, pick: int) -> None:
        """Any hold, open or not."""
        hold = _one(pick, self.holds)
        self._see(self.books.void(hold), self.model.void(hold.entry_id, hold.partner_id))

    @rule(
        name=who,
        partner=shops,
        total=cents,
        lines=baskets,
        points=st.one_of(st.none(), some_points),
        by_value=st.booleans(),
        late=days_late,
        wins=st.booleans(),
        number=numbers,
    )
    def checkout(
        self,
        name: int,
        partner: str,
        total: int,
        lines: list[tuple[int, bool]],
        points: int | None,
        late: int,
        number: str,
        *,
        by_value: bool,
        wins: bool,
    ) -> None:
        """Money, or points and money at once; lines of which some earn nothing."""
        paid = {} if points is None else _quantity(points, by_value=by_value)
        command = self._basket(
            self._ref(name),
            partner,
            total,
            lines,
            late,
            offer_id=_offer(partner, wins=wins),
            receipt_number=number or None,
            **paid,
        )
        self._keep(self.sales, command, self._see_money(command, self.model.checkout(command, self._day(late))))

    @precondition(lambda self: self.holds)
    @rule(pick=picks, name=who, is_buyers=st.sampled_from((True, True, True, False)), total=cents, points=st.integers(0, 60))
    def capture(self, pick: int, name: int, total: int, points: int, *, is_buyers: bool) -> None:
        """Any hold, by the member whose it is or by anybody; 0: the whole of it."""
        hold = _one(pick, self.holds)
        buyer = hold.member if is_buyers else self._ref(name)  # type: ignore[attr-defined] # all of them are holds
        command = self._basket(buyer, hold.partner_id, total, [], 0, hold=hold, points=points or None)
        self._keep(self.sales, command, self._see_money(command, self.model.checkout(command, self._day(0))))

    @rule(name=who, partner=shops, amount=cents, late=days_late, number=st.sampled_from(("R-1", "R-2", "R-3")))
    def claim(self, name: int, partner: str, amount: int, late: int, number: str) -> None:
        """A card that had been forgotten."""
        occurred_at_ms = self.books.now_ms - late * 24 * HOUR_MS
        command = self.books.claim(self._ref(name), _euros(amount), number, partner=partner, occurred_at_ms=occurred_at_ms)
        self._keep(self.sales, command, self._see_money(command, self.model.claim(command, self._day(late))))

    @precondition(lambda self: self.sales)
    @rule(pick=picks, amount=st.one_of(st.none(), st.integers(1, 9_000)), stranger=st.one_of(st.none(), st.none(), who))
    def refund(self, pick: int, amount: int | None, stranger: int | None) -> None:
        """An amount or all that is left; the till may say whose it was, and be wrong."""
        sale = _one(pick, self.sales)
        asked: dict[str, Any] = {} if stranger is None else {"member": self._ref(stranger)}
        command = self.books.refund(sale, amount=None if amount is None else _euros(amount), **asked)
        self._see_money(command, self.model.refund(command))

    @precondition(lambda self: self.sales)
    @rule(
        pick=picks,
        lines=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4_000)), min_size=1, max_size=3, unique_by=lambda one: one[0]),
    )
    def refund_lines(self, pick: int, lines: list[tuple[int, int]]) -> None:
        """Some lines, whole (0) or in part; some are in no basket."""
        sale = _one(pick, self.sales)
        asked = tuple(LineReturned(f"line-{number}", part or None) for number, part in lines)
        command = self.books.refund(sale, lines=asked)
        self._see_money(command, self.model.refund(command))

    @precondition(lambda self: self.sales)
    @rule(pick=picks, partner=shops)
    def refund_of_another_shop(self, pick: int, partner: str) -> None:
        """By the sale's own partner now and then."""
        command = self.books.refund(_one(pick, self.sales), partner=partner)
        self._see_money(command, self.model.refund(command))

    @rule(name=who, buyer=who, partner=shops, total=cents, parts=st.lists(st.integers(1, 20_000), min_size=1, max_size=3))
    def refund_before_its_sale(self, name: int, buyer: int, partner: str, total: int, parts: list[int]) -> None:
        """Refunds that overtake a sale which may come later; perhaps of somebody else."""
        sale = self._basket(self._ref(buyer), partner, total, [(total, True)], 0)
        for part in parts:
            command = self.books.refund(sale, amount=_euros(part), member=self._ref(name))
            self._see(command, self.model.refund(command))
        self.to_come.append((sale, self._day(0)))

    @precondition(lambda self: self.to_come)
    @rule(pick=picks)
    def sell_at_last(self, pick: int) -> None:
        """The sale comes, and what waited for it is completed."""
        sale, _ = self.to_come.pop(pick % len(self.to_come))
        self._keep(self.sales, sale, self._see_money(sale, self.model.checkout(sale, self._day(0))))

    @rule(hours=st.sampled_from((0, 1, 13, 30)), is_night=st.booleans())
    def wait(self, hours: int, *, is_night: bool) -> None:
        """Time passes; the night comes, or is late."""
        self.books.now_ms += hours * HOUR_MS + 1
        self._learn_the_time()
        if is_night:
            self.books.expire_before(self.model.purses.today.isoformat())
            self.model.expire()

    def _basket(
        self, buyer: MemberRef, partner: str, total: int, lines: list[tuple[int, bool]], late: int, **asked: Any
    ) -> Checkout:
        made = tuple(BasketLine(f"line-{n}", part, is_eligible=earns) for n, (part, earns) in enumerate(lines))
        if made:
            total = sum(line.minor_units for line in made)
            asked |= {"lines": made, "eligible": sum(line.minor_units for line in made if line.is_eligible)}
        return self.books.checkout(buyer, _euros(total), partner=partner, **self._when(late), **asked)

    def _keep(self, where: list[Command], command: Command, told: Receipt | None) -> None:
        """For later steps: what was booked, and what was refused as long as there is nothing else."""
        if told is not None or not where:
            where.append(command)

    def _when(self, late: int) -> dict[str, Any]:
        return {"occurred_at_ms": self.books.now_ms - late * 24 * HOUR_MS} if late else {}


def _euros(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def _offer(partner: str, *, wins: bool) -> str | None:
    return OFFER if wins and partner == "charlie" else None


def _quantity(points: int, *, by_value: bool) -> dict[str, Any]:
    return {"up_to_value": AmountAsked("EUR", points)} if by_value else {"points": points}


def _one(pick: int, some: Sequence[_T]) -> _T:
    return some[pick % len(some)]
