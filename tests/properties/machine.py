"""What tills may do to three members, step by step, with what the model says beside what the books say.

Numbers pick members, partners, holds and sales, whatever there is by then. Merges of members will be rules of their own.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from gateway.domain.command import AmountAsked, BasketLine, Checkout, ClaimReceipt, Command, LineReturned, Redeem
from gateway.domain.ids import member_id
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Receipt
from gateway.domain.terms import DebtPolicy
from gateway.ledger.batch import expire_lots
from gateway.storage.directory import load_terms
from gateway.storage.tables import lots, members
from tests.given import ZONE, GivenNetwork
from tests.ledger.books import card
from tests.properties.copies import DEBT_POLICIES, MEMBERS, Copies
from tests.properties.model import Model
from tests.properties.purses import RATES

HOUR_MS = 3_600_000
OFFER = "bonus-500"

_T = TypeVar("_T")

who = st.sampled_from(MEMBERS)
shops = st.sampled_from(tuple(RATES))
takers = st.sampled_from((*RATES, "delta"))
cents = st.integers(1, 30_000)
some_points = st.integers(1, 400)
picks = st.integers(0, 1_000)
days_late = st.sampled_from((0, 0, 0, 1, 2))
numbers = st.sampled_from(("", "", "R-1", "R-2"))
baskets = st.lists(st.tuples(st.integers(1, 9_000), st.booleans()), max_size=3)


class Tills(RuleBasedStateMachine):
    """One run: books of its own, and the model."""

    templates: ClassVar[dict[tuple[DebtPolicy, int], GivenNetwork]]
    lanes: ClassVar[int] = 1

    @staticmethod
    def new_url() -> str | None:
        """Of the books: a file, unless somebody says otherwise."""
        return None

    @initialize(policy=st.sampled_from(DEBT_POLICIES))
    def open(self, policy: DebtPolicy) -> None:
        """Nothing is bought yet."""
        self.copies = Copies(self.templates[policy, self.lanes], self.new_url)
        self.books = self.copies.open()
        self.model = Model(MEMBERS, is_debt_allowed=policy is DebtPolicy.DEBT)
        self.bought: list[Command] = []
        self.spent: list[Command] = []
        self.holds: list[Command] = []
        self.sales: list[Command] = []
        self.to_come: list[tuple[Checkout, date]] = []
        self._learn_the_time()

    def teardown(self) -> None:
        """The books are proved."""
        if hasattr(self, "books"):
            failures = self.books.failures()
            self.copies.close()
            assert failures == []

    @rule(name=who, partner=shops, amount=cents, late=days_late, wins=st.booleans())
    def issue(self, name: str, partner: str, amount: int, late: int, *, wins: bool) -> None:
        """Points by themselves."""
        when = self._when(late)
        command = self.books.issue(name, _euros(amount), partner=partner, offer_id=_offer(partner, wins=wins), **when)
        self.bought.append(command)
        self._see(command, self.model.issue(command, self._day(late)))

    @rule(name=who, partner=takers, points=some_points, by_value=st.booleans())
    def redeem(self, name: str, partner: str, points: int, *, by_value: bool) -> None:
        """Points by themselves."""
        command = self.books.redeem(name, partner=partner, **_quantity(points, by_value=by_value))
        self.spent.append(command)
        self._see(command, self.model.redeem(command))

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
    def transfer(self, giver: str, taker: str, points: int) -> None:
        """A gift."""
        self._see(self.books.transfer(giver, taker, points), self.model.transfer(giver, taker, points))

    @rule(name=who, partner=takers, points=some_points, by_value=st.booleans(), ttl_s=st.sampled_from((60, 86_400, 604_800)))
    def place(self, name: str, partner: str, points: int, ttl_s: int, *, by_value: bool) -> None:
        """Points are set aside."""
        command = self.books.place(name, partner=partner, ttl_s=ttl_s, **_quantity(points, by_value=by_value))
        self.holds.append(command)
        self._see(command, self.model.place(command, ttl_s * 1_000))

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
        name: str,
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
            name, partner, total, lines, late, offer_id=_offer(partner, wins=wins), receipt_number=number or None, **paid
        )
        self.sales.append(command)
        self._see_money(command, self.model.checkout(command, self._day(late)))

    @precondition(lambda self: self.holds)
    @rule(pick=picks, name=who, is_buyers=st.sampled_from((True, True, True, False)), total=cents, points=st.integers(0, 60))
    def capture(self, pick: int, name: str, total: int, points: int, *, is_buyers: bool) -> None:
        """Any hold, by the member whose it is or by anybody; 0: the whole of it."""
        hold = _one(pick, self.holds)
        buyer = hold.member.card_hash if is_buyers else name  # type: ignore[attr-defined] # all of them are holds
        command = self._basket(buyer, hold.partner_id, total, [], 0, hold=hold, points=points or None)
        self.sales.append(command)
        self._see_money(command, self.model.checkout(command, self._day(0)))

    @rule(name=who, partner=shops, amount=cents, late=days_late, number=st.sampled_from(("R-1", "R-2", "R-3")))
    def claim(self, name: str, partner: str, amount: int, late: int, number: str) -> None:
        """A card that had been forgotten."""
        occurred_at_ms = self.books.now_ms - late * 24 * HOUR_MS
        command = self.books.claim(name, _euros(amount), number, partner=partner, occurred_at_ms=occurred_at_ms)
        self.sales.append(command)
        self._see_money(command, self.model.claim(command, self._day(late)))

    @precondition(lambda self: self.sales)
    @rule(pick=picks, amount=st.one_of(st.none(), st.integers(1, 9_000)), stranger=st.one_of(st.none(), st.none(), who))
    def refund(self, pick: int, amount: int | None, stranger: str | None) -> None:
        """An amount or all that is left; the till may say whose it was, and be wrong."""
        sale = _one(pick, self.sales)
        asked: dict[str, Any] = {} if stranger is None else {"member": card(stranger)}
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
    def refund_before_its_sale(self, name: str, buyer: str, partner: str, total: int, parts: list[int]) -> None:
        """Refunds that overtake a sale which may come later; perhaps of somebody else."""
        sale = self._basket(buyer, partner, total, [(total, True)], 0)
        for part in parts:
            command = self.books.refund(sale, amount=_euros(part), member=card(name))
            self._see(command, self.model.refund(command))
        self.to_come.append((sale, self._day(0)))

    @precondition(lambda self: self.to_come)
    @rule(pick=picks)
    def sell_at_last(self, pick: int) -> None:
        """The sale comes, and what waited for it is completed."""
        sale, _ = self.to_come.pop(pick % len(self.to_come))
        self.sales.append(sale)
        self._see_money(sale, self.model.checkout(sale, self._day(0)))

    @rule(hours=st.sampled_from((0, 1, 6, 30)), is_night=st.booleans())
    def wait(self, hours: int, *, is_night: bool) -> None:
        """Time passes; the night comes, or is late."""
        self.books.now_ms += hours * HOUR_MS + 1
        self._learn_the_time()
        if is_night:
            is_overdue = lots.c.expires_on < self.model.purses.today.isoformat()
            overdue = select(lots.c.member_id, lots.c.lot_id).where(is_overdue, lots.c.open_points > 0)
            rows = [(row.member_id, row.lot_id) for row in self.books.rows(overdue)]
            expire_lots(self.books.connection, rows, now_ms=self.books.now_ms, load_terms=load_terms)
            self.model.expire()

    @invariant()
    def members_have_what_the_model_says(self) -> None:
        """Open points, debt, held points, each lot in the order in which it is taken; never debt and usable points at once."""
        if not hasattr(self, "books"):
            return
        found = {
            row.member_id: (row.open_points, row.debt_points, row.held_points)
            for row in self.books.rows(
                select(members.c.member_id, members.c.open_points, members.c.debt_points, members.c.held_points)
            )
        }
        for name in MEMBERS:
            opened = self.model.purses.open_lots(name)
            expected = (
                sum(points for _, points in opened),
                self.model.purses.members[name].debt,
                self.model.purses.held_points(name),
            )
            assert found[self._member_id(name)] == expected, name
            assert self.books.open_lots(name) == opened
            assert not (expected[1] and self.model.purses.available(name))

    def _see(self, command: Command, refused: str | None) -> Receipt | None:
        """The books say the same as the model; a receipt of a till's tells what the model knows of the member."""
        told = self.books.try_to(command)
        if isinstance(told, Reason):
            assert told.name == refused, (told, refused, command)
            return None
        assert refused is None, (refused, command)
        if told.standing is not None:
            name = next(name for name in MEMBERS if self._member_id(name) == told.member_id)
            standing, debt = told.standing, self.model.purses.members[name].debt
            assert (standing.available_points, standing.held_points, standing.debt_points) == (
                self.model.purses.available(name),
                self.model.purses.held_points(name),
                debt,
            )
        return told

    def _see_money(self, command: Command, refused: str | None) -> None:
        told = self._see(command, refused)
        if told is not None and told.to_pay is not None:
            kept = [told.withheld, *(leg.withheld for leg in told.legs)]
            withheld = sum(amount for _, amount in (one for one in kept if one is not None))
            assert told.to_pay == ("EUR", self.model.to_pay), command
            assert isinstance(command, Checkout | ClaimReceipt) or withheld == self.model.withheld

    def _basket(self, name: str, partner: str, total: int, lines: list[tuple[int, bool]], late: int, **asked: Any) -> Checkout:
        made = tuple(BasketLine(f"line-{n}", part, is_eligible=earns) for n, (part, earns) in enumerate(lines))
        if made:
            total = sum(line.minor_units for line in made)
            asked |= {"lines": made, "eligible": sum(line.minor_units for line in made if line.is_eligible)}
        return self.books.checkout(name, _euros(total), partner=partner, **self._when(late), **asked)

    def _when(self, late: int) -> dict[str, Any]:
        return {"occurred_at_ms": self.books.now_ms - late * 24 * HOUR_MS} if late else {}

    def _day(self, late: int) -> date:
        return _date(self.books.now_ms - late * 24 * HOUR_MS)

    def _learn_the_time(self) -> None:
        self.model.now_ms, self.model.purses.today = self.books.now_ms, _date(self.books.now_ms)

    def _member_id(self, name: str) -> str:
        return member_id("alpha", f"enrol-{name}")


def _date(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1_000, ZONE).date()


def _euros(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def _offer(partner: str, *, wins: bool) -> str | None:
    return OFFER if wins and partner == "charlie" else None


def _quantity(points: int, *, by_value: bool) -> dict[str, Any]:
    return {"up_to_value": AmountAsked("EUR", points)} if by_value else {"points": points}


def _one(pick: int, some: Sequence[_T]) -> _T:
    return some[pick % len(some)]
