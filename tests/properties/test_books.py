"""Any day at the tills: the ledger against a model of a few lines that knows neither lots nor debts.

To the model a member's balance is one number: what comes in less what goes out, negative when goods came back after the
points were spent. Conservation and attribution are read from the ledger's own tables, summed in another way.
"""

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.domain.command import Command, Issue, Redeem, Reverse, Transfer
from gateway.domain.entry import PostingKind
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer
from gateway.storage.tables import debts, lots, totals
from tests.given import GivenNetwork, at, month
from tests.ledger.books import Books

# Without shrinking: each example founds books on disk, and the wishes are short enough to read as they are.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
MEMBERS = ("ann", "ben", "cleo")
RATES = {"alpha": (1, 2), "bravo": (1, 1), "charlie": (2, 1)}


@dataclass(frozen=True)
class Wish:
    """What a till wants next; numbers pick members, partners and originals, whatever there is by then."""

    what: str
    member: int
    partner: int
    size: int
    original: int


WISHES = st.lists(
    st.builds(
        Wish,
        what=st.sampled_from(("issue", "issue", "redeem", "reverse", "reverse", "transfer")),
        member=st.integers(0, len(MEMBERS) - 1),
        partner=st.integers(0, len(RATES) - 1),
        size=st.integers(1, 3_000),
        original=st.integers(0, 50),
    ),
    min_size=1,
    max_size=40,
)


@dataclass
class Naive:
    """The model: balances, and of each entry what is left to reverse."""

    balances: Counter[str] = field(default_factory=Counter)
    issued: dict[str, tuple[str, str, int, int, int]] = field(default_factory=dict)  # member, partner, amount, left, points taken
    redeemed: dict[str, tuple[str, int]] = field(default_factory=dict)  # member, points left

    def accepts(self, command: Command) -> bool:
        """Whether the command is booked; changes the balances if it is."""
        if isinstance(command, Issue):
            self._issue(command.entry_id, str(command.member.card_hash), command.partner_id, command.eligible.minor_units)
            return True
        if isinstance(command, Redeem):
            member, points = str(command.member.card_hash), command.points or 0
            if points > self.balances[member]:
                return False
            self.balances[member] -= points
            self.redeemed[command.entry_id] = (member, points)
            return True
        if isinstance(command, Transfer):
            source, target = str(command.source.card_hash), str(command.target.card_hash)
            if source == target or command.points > self.balances[source]:
                return False
            self.balances[source] -= command.points
            self.balances[target] += command.points
            return True
        assert isinstance(command, Reverse)
        return self._reverse(command)

    def _issue(self, entry_id: str, member: str, partner: str, amount: int) -> None:
        self.balances[member] += points_on(partner, amount)
        self.issued[entry_id] = (member, partner, amount, amount, 0)

    def _reverse(self, command: Reverse) -> bool:
        if command.original_entry_id in self.redeemed:
            member, left = self.redeemed[command.original_entry_id]
            points = left if command.points is None else command.points
            if not 0 < points <= left:
                return False
            self.balances[member] += points
            self.redeemed[command.original_entry_id] = (member, left - points)
            return True
        member, partner, amount, left, taken = self.issued[command.original_entry_id]
        part = left if command.eligible is None else command.eligible.minor_units
        if not 0 < part <= left:
            return False
        gone = points_on(partner, amount) - points_on(partner, left - part)
        self.balances[member] -= gone - taken
        self.issued[command.original_entry_id] = (member, partner, amount, left - part, gone)
        return True


def points_on(partner: str, cents: int) -> int:
    """By the month's first cards."""
    numerator, denominator = RATES[partner]
    return cents * numerator // (denominator * 100)


def commands_of(books: Books, wishes: Sequence[Wish]) -> Iterator[Command]:
    """The wishes as commands; a reversal names any issue or redemption that was wished before."""
    originals: list[Command] = []
    for wish in wishes:
        member = MEMBERS[wish.member]
        partner = tuple(RATES)[wish.partner]
        if wish.what == "issue":
            originals.append(books.issue(member, f"{wish.size // 10}.{wish.size % 10}", partner=partner))
            yield originals[-1]
        elif wish.what == "redeem":
            originals.append(books.redeem(member, wish.size // 10 + 1, partner=partner))
            yield originals[-1]
        elif wish.what == "transfer":
            yield books.transfer(member, MEMBERS[(wish.member + wish.original) % len(MEMBERS)], wish.size // 10 + 1)
        elif originals:
            original = originals[wish.original % len(originals)]
            if isinstance(original, Redeem):
                yield books.reverse(original, points=None if wish.size % 3 == 0 else wish.size // 20 + 1)
            else:
                yield books.reverse(original, amount=None if wish.size % 3 == 0 else f"{wish.size // 10}.00")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month with three members."""
    network = month(tmp_path_factory.mktemp("month") / "net")
    books = Books(network, now_ms=at("2026-06-02", "09:00"))
    books.enrol(*MEMBERS)
    books.connection.close()
    network.engine.dispose()
    return network


class Copies:
    """Fresh copies of the template for one example, removed when it is over."""

    def __init__(self, template: GivenNetwork) -> None:
        self._template = template
        self._folder = tempfile.TemporaryDirectory(prefix="tallystick-books-")
        self._opened: list[Books] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for books in self._opened:
            books.connection.close()
            books.network.engine.dispose()
        self._folder.cleanup()

    def open(self) -> Books:
        """One more copy."""
        folder = Path(self._folder.name) / str(len(self._opened))
        shutil.copytree(self._template.folder, folder)
        self._opened.append(Books(replace(self._template, folder=folder)))
        return self._opened[-1]


@given(wishes=WISHES)
@settings(max_examples=60, phases=_PHASES)
def test_balances_are_what_a_naive_model_says(template: GivenNetwork, wishes: list[Wish]) -> None:
    """And the ledger refuses exactly what the model refuses."""
    with Copies(template) as copies:
        books, naive = copies.open(), Naive()
        for command in commands_of(books, wishes):
            if isinstance(command, Reverse) and command.original_entry_id not in naive.issued.keys() | naive.redeemed.keys():
                continue  # its original was refused
            result = books.run(command)[0]
            assert (isinstance(result, Answer) and result.refusal is None) == naive.accepts(command), command

        for name in MEMBERS:
            open_points, debt_points = books.balance(name)
            assert open_points - debt_points == naive.balances[name]
            assert not (open_points and debt_points)
        _assert_attributed(books)


def _assert_attributed(books: Books) -> None:
    """Per issuer: issued - reversed - redeemed + restored - expired + substituted = open lots - debts owed to it."""
    expected: Counter[str] = Counter()
    for row in books.rows(select(totals)):
        kind = PostingKind(row.kind)
        if kind in (PostingKind.ISSUE, PostingKind.RESTORE):
            expected[row.issuer_id] += row.points
        elif kind in (PostingKind.REDEEM, PostingKind.CLAWBACK, PostingKind.CLAWBACK_TO_DEBT):
            expected[row.issuer_id] -= row.points
        elif kind is PostingKind.DEBT_PAID:
            expected[row.issuer_id] -= row.points
            expected[row.counterparty_id] += row.points
    found: Counter[str] = Counter()
    for issuer_id, points in books.rows(select(lots.c.issuer_id, func.sum(lots.c.open_points)).group_by(lots.c.issuer_id)):
        found[issuer_id] += points
    for issuer_id, points in books.rows(select(debts.c.issuer_id, func.sum(debts.c.open_points)).group_by(debts.c.issuer_id)):
        found[issuer_id] -= points

    assert {k: v for k, v in expected.items() if v} == {k: v for k, v in found.items() if v}


@given(wishes=WISHES, sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8))
@settings(max_examples=40, phases=_PHASES)
def test_a_batch_is_the_fold_of_its_commands(template: GivenNetwork, wishes: list[Wish], sizes: list[int]) -> None:
    """However the same commands are cut into batches, every row of the books comes out the same."""
    with Copies(template) as copies:
        singly, batched = copies.open(), copies.open()
        commands = list(commands_of(singly, wishes))
        reasons = [_reason(singly.run(command)[0]) for command in commands]
        found: list[Reason | None] = []
        rest, cuts = commands, itertools.cycle(sizes)
        while rest:
            size = next(cuts)
            found += [_reason(result) for result in batched.run(*rest[:size])]
            rest = rest[size:]

        assert found == reasons
        expected = _contents(singly)
        for name, rows in _contents(batched).items():
            assert rows == expected[name], name


def _contents(books: Books) -> dict[str, list[Any]]:
    """Without positions of zero: what comes and goes in one batch leaves none behind."""
    contents = books.contents()
    contents["positions"] = [row for row in contents["positions"] if row[-2:] != (0, 0)]
    return contents


def _reason(result: Answer | Refusal) -> Reason | None:
    refusal = result.refusal if isinstance(result, Answer) else result
    return refusal.reason if refusal else None


@given(amount=st.integers(1, 50_000), cuts=st.lists(st.integers(1, 20_000), max_size=6), partner=st.sampled_from(tuple(RATES)))
@settings(max_examples=40, phases=_PHASES)
def test_partial_returns_come_to_the_same_as_one_full_return(
    template: GivenNetwork, amount: int, cuts: list[int], partner: str
) -> None:
    """To the point, for the issuer's own points and for a bonus with two funders."""
    with Copies(template) as copies:
        books = copies.open()
        asked: dict[str, Any] = {"offer_id": "bonus-500", "occurred_at_ms": at("2026-06-03")} if partner == "charlie" else {}
        sale = books.issue("ann", f"{amount // 100}.{amount % 100:02}", partner=partner, **asked)
        issued = books.book(sale).points
        taken, left = 0, amount
        for cut in cuts:
            part = min(cut, left)
            if part:
                taken -= books.book(books.reverse(sale, amount=f"{part // 100}.{part % 100:02}")).points
                left -= part
        if left:
            taken -= books.book(books.reverse(sale)).points

        assert taken == issued
        assert books.open_lots("ann") == []
