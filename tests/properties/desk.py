"""Members at a desk, step by step: they come, are confirmed, merged, paused and erased; and how steps are compared.

Each is named by a card or an id that some member has or had, also by those that lead to another one since a merge.
"""

from datetime import date, datetime
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from gateway.domain.command import Checkout, ClaimReceipt, Command, Enrol, MemberRef
from gateway.domain.ids import member_id
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Receipt
from gateway.domain.terms import DebtPolicy
from gateway.edge.receipts import decode_receipt
from gateway.storage.tables import lots, members
from tests.given import ZONE, GivenNetwork
from tests.ledger.books import card
from tests.properties.copies import DEBT_POLICIES, MEMBERS, Copies
from tests.properties.model import Model

HOUR_MS = 3_600_000
MEMBERS_LEFT_MIN = 2  # so that a run has somebody to go on with

who = st.integers(0, 1_000)


class Desk(RuleBasedStateMachine):
    """One run: books of its own, and the model."""

    templates: ClassVar[dict[tuple[DebtPolicy, int], GivenNetwork]]
    lanes: ClassVar[int] = 1

    @staticmethod
    def new_url() -> str | None:
        """Of the books: a file, unless somebody says otherwise."""
        return None

    @initialize(policy=st.sampled_from(DEBT_POLICIES), days=st.sampled_from((0, 1, 2)))
    def open(self, policy: DebtPolicy, days: int) -> None:
        """On the day of the offer, or some days later."""
        self.copies = Copies(self.templates[policy, self.lanes], self.new_url)
        self.books = self.copies.open()
        by_card = {name: self.books.id_of(name).member_id or "" for name in MEMBERS}
        self.model = Model(by_card, is_debt_allowed=policy is DebtPolicy.DEBT)
        self.names = [card("nobody"), *map(card, by_card), *map(MemberRef, by_card.values())]
        self.cards = list(by_card)
        self.booked: list[tuple[Command, Receipt]] = []
        self._learn_the_time()
        self._begin()
        self.books.now_ms += days * 24 * HOUR_MS
        self._learn_the_time()

    def _begin(self) -> None:
        """What is there before the first step."""

    def teardown(self) -> None:
        """The books are proved."""
        if hasattr(self, "books"):
            failures = self.books.failures()
            self.copies.close()
            assert failures == []

    @rule(pick=who, is_new=st.booleans(), is_provisional=st.sampled_from((False, False, True)))
    def enrol(self, pick: int, *, is_new: bool, is_provisional: bool) -> None:
        """Under a new card, or one that somebody has or had."""
        card_hash = f"card-{len(self.model.people.known)}" if is_new else self.cards[pick % len(self.cards)]
        command = Enrol(
            partner_id="alpha",
            key_id="alpha/till-1/1",
            idempotency_key=f"new-{len(self.model.people.known)}",
            card_hash=card_hash,
            provisional=is_provisional,
        )
        account = member_id("alpha", command.idempotency_key)
        if self._see(command, self.model.enrol(card_hash, account, is_provisional=is_provisional)):
            self.names += [card(card_hash), MemberRef(account)]
            self.cards.append(card_hash)

    @rule(name=who, what=st.sampled_from(("pause", "resume", "resume", "confirm", "confirm", "erase")))
    def change(self, name: int, what: str) -> None:
        """More often resumed than paused; erased while there are others."""
        ref, people = self._ref(name), self.model.people
        self.model.touch(ref)
        if what == "confirm":
            self._see(self.books.confirm(ref), people.confirm(ref))
        elif what == "erase":
            if self._members_left() > MEMBERS_LEFT_MIN and self._see(self.books.erase(ref), people.erase(ref)):
                self.names = [known for known in self.names if people.find(known) is not None]  # its ids stay
        elif what == "pause":
            self._see(self.books.pause(ref), people.pause(ref, is_paused=True))
        else:
            self._see(self.books.resume(ref), people.pause(ref, is_paused=False))

    @rule(name=who, into=who)
    def merge(self, name: int, into: int) -> None:
        """Two members, or two names of one."""
        source, target = self._ref(name), self._ref(into)
        self._see(self.books.merge(source, target), self.model.merge(source, target))

    @precondition(lambda self: self.booked)
    @rule(pick=who)
    def send_again(self, pick: int) -> None:
        """Whatever it was and whatever has become of its members: the same receipt, and nothing else happens."""
        command, told = self.booked[pick % len(self.booked)]
        (answer,) = self.books.run(command)
        assert isinstance(answer, Answer)
        assert answer.is_replayed
        assert decode_receipt(answer.receipt) == told

    @invariant()
    def members_have_what_the_model_says(self) -> None:
        """Open points, debt, held points, each lot in the order in which it is taken; never debt and points that could pay it."""
        if not hasattr(self, "books"):
            return
        account, purses = members.c, self.model.purses
        columns = (account.member_id, account.open_points, account.debt_points, account.held_points)
        found = {whose: tuple(points) for whose, *points in self.books.rows(select(*columns))}
        is_open = lots.c.open_points > 0
        in_order = select(lots).where(is_open).order_by(lots.c.member_id, lots.c.expires_on, lots.c.arrival)
        open_lots: dict[str, list[tuple[str, int]]] = {}
        for lot in self.books.rows(in_order):
            open_lots.setdefault(lot.member_id, []).append((lot.issuer_id, lot.open_points))
        for whose, member in purses.members.items():
            expected = purses.open_lots(whose)
            points = sum(part for _, part in expected)
            assert open_lots.get(whose, []) == expected, whose
            assert found[whose] == (points, member.debt, purses.held_points(whose)), whose
            assert not (member.debt and purses.free(whose)), whose

    def _see(self, command: Command, refused: str | None) -> Receipt | None:
        """The books say the same as the model; a receipt tells what the model knows of the member."""
        told = self.books.try_to(command)
        if isinstance(told, Reason):
            assert told.name == refused, (told, refused, command)
            return None
        assert refused is None, (refused, command)
        self.booked.append((command, told))
        whose, purses = told.member_id, self.model.purses
        if self.model.people.lead(whose) != whose:
            return told  # at an old account, from which points may just be moving on: see docs/decisions/0028
        debt = purses.members[whose].debt
        assert (told.balance_points, told.debt_points) == (sum(part for _, part in purses.open_lots(whose)) - debt, debt)
        if (standing := told.standing) is not None:
            available = purses.available(whose) if self.model.people.may_give(whose) else 0
            assert (standing.available_points, standing.pending_points) == (available, purses.pending(whose))
            assert (standing.held_points, standing.debt_points) == (purses.held_points(whose), debt)
        return told

    def _see_money(self, command: Command, refused: str | None) -> Receipt | None:
        told = self._see(command, refused)
        if told is not None and told.to_pay is not None:
            kept = [told.withheld, *(leg.withheld for leg in told.legs)]
            withheld = sum(amount for _, amount in (one for one in kept if one is not None))
            assert told.to_pay == ("EUR", self.model.to_pay), command
            assert isinstance(command, Checkout | ClaimReceipt) or withheld == self.model.withheld
        return told

    def _ref(self, pick: int) -> MemberRef:
        return self.names[pick % len(self.names)]

    def _members_left(self) -> int:
        return sum(person.into is None and not person.is_erased for person in self.model.people.known.values())

    def _day(self, late: int) -> date:
        return _date(self.books.now_ms - late * 24 * HOUR_MS)

    def _learn_the_time(self) -> None:
        self.model.now_ms, self.model.purses.today = self.books.now_ms, _date(self.books.now_ms)


def _date(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1_000, ZONE).date()
