"""What comes back in parts comes back as one: to the point and to the cent, however it is cut, whoever paid for the bonus."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.command import BasketLine, Checkout, Command, LineReturned
from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Receipt
from gateway.domain.terms import DebtPolicy
from tests.given import GivenNetwork, at
from tests.properties.copies import Copies, WireBooks, reason_of

Templates = dict[tuple[DebtPolicy, int], GivenNetwork]

FEW = settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))
PARTNERS = ("alpha", "bravo", "charlie", "echo")


def euros(cents: int) -> str:
    """In major units."""
    return f"{cents // 100}.{cents % 100:02}"


def cut(whole: int, cuts: list[int]) -> Iterator[int]:
    """Parts of a whole; the last takes the rest."""
    for part in cuts:
        if 0 < part < whole:
            yield part
            whole -= part
    yield whole


@given(
    partner=st.sampled_from(PARTNERS),
    lines=st.lists(st.tuples(st.integers(1, 9_000), st.booleans()), min_size=1, max_size=4),
    points=st.integers(0, 300),
    cuts=st.lists(st.integers(1, 9_000), max_size=5),
    by_line=st.booleans(),
    wins=st.booleans(),
)
@FEW
def test_partial_refunds_come_to_the_same_as_one_full_refund(
    templates: Templates,
    partner: str,
    lines: list[tuple[int, bool]],
    points: int,
    cuts: list[int],
    *,
    by_line: bool,
    wins: bool,
) -> None:
    """Points paid from lots of several issuers, a bonus of two funders: all is as before, and all the money is back."""
    with Copies(templates[DebtPolicy.DEBT, 1]) as copies:
        books = copies.open()
        for issuer in ("alpha", "bravo", "charlie"):
            books.book(books.issue("ann", "111.00", partner=issuer))
        before = books.open_lots("ann")
        sale = basket(books, partner, lines, points, wins=wins and partner == "charlie")
        told = books.try_to(sale)
        if isinstance(told, Reason):
            assert told in {Reason.MORE_THAN_TOTAL, Reason.OFFER_NOT_IN_FORCE}
            return
        money = 0
        for asked in refunds(books, sale, cuts, by_line=by_line):
            back = books.book(asked)
            assert back.to_pay is not None
            money += back.to_pay[1]

        assert told.to_pay == ("EUR", money)
        assert (books.open_lots("ann"), books.balance("ann")[1]) == (before, 0)
        assert books.refused(books.refund(sale)) is Reason.REFUND_EXCEEDS_REST
        assert books.failures() == []


@given(total=st.integers(100, 20_000), points=st.integers(1, 99), cuts=st.lists(st.integers(1, 5_000), max_size=6))
@FEW
def test_restored_so_far_is_what_the_rest_leaves(templates: Templates, total: int, points: int, cuts: list[int]) -> None:
    """Points - ceil(points x remaining / total), after each return."""
    with Copies(templates[DebtPolicy.DEBT, 1]) as copies:
        books = copies.open()
        books.book(books.issue("ann", "200.00"))
        sale = books.checkout("ann", euros(total), partner="bravo", points=points)
        books.book(sale)
        left, restored = total, 0
        for part in cut(total, cuts):
            left -= part
            restored += moved(books.book(books.refund(sale, amount=euros(part))), EntryKind.REVERSE_REDEMPTION)

            assert restored == points - (points * left + total - 1) // total


@pytest.mark.parametrize("order", list(permutations(("capture", "void", "capture a part"))))
def test_a_hold_is_ended_once_in_whichever_order_they_come(templates: Templates, order: tuple[str, ...]) -> None:
    """The first is booked, and all others hear that it is not open."""
    with Copies(templates[DebtPolicy.DEBT, 1]) as copies:
        books = copies.open()
        books.book(books.issue("ann", "200.00"))
        hold = books.place("ann", 60)
        books.book(hold)
        ways: dict[str, Command] = {
            "capture": books.checkout("ann", "1.00", partner="bravo", hold=hold),
            "void": books.void(hold),
            "capture a part": books.checkout("ann", "1.00", partner="bravo", hold=hold, points=10),
        }
        results = [reason_of(result) for result in books.run(*(ways[way] for way in order))]

        assert results == [None, Reason.HOLD_NOT_OPEN, Reason.HOLD_NOT_OPEN]
        left = {"capture": 40, "void": 100, "capture a part": 90}[order[0]]
        assert books.book(books.redeem("ann", left, partner="alpha")).points == -left
        assert books.failures() == []


@given(held=st.integers(1, 100), taken=st.integers(1, 100), cuts=st.lists(st.integers(1, 60), max_size=3), is_late=st.booleans())
@FEW
def test_holding_capturing_and_returning_dodges_no_expiry(
    templates: Templates, held: int, taken: int, cuts: list[int], *, is_late: bool
) -> None:
    """Points of the last day, held over it: what is not taken, and what comes back, is gone at once; nothing comes of nothing."""
    taken = min(held, taken)
    with Copies(templates[DebtPolicy.DEBT, 1]) as copies:
        books = copies.open()
        books.now_ms = at("2026-06-05")
        books.book(books.issue("ann", "100.00", partner="bravo"))
        books.now_ms = at("2026-06-10")
        hold = books.place("ann", held, partner="charlie", ttl_s=604_800)
        books.book(hold)
        if is_late:
            books.expire("2026-06-11")
        books.now_ms = at("2026-06-11")
        assert books.refused(books.redeem("ann", 1, partner="charlie")) is Reason.INSUFFICIENT_POINTS
        sale = books.checkout("ann", "1.00", partner="charlie", hold=hold, points=taken)
        books.book(sale)
        for part in cut(100, cuts):
            books.book(books.refund(sale, amount=euros(part)))
        books.expire("2026-06-11")

        assert books.balance("ann") == (0, 0)
        assert books.failures() == []


def basket(books: WireBooks, partner: str, lines: list[tuple[int, bool]], points: int, *, wins: bool) -> Checkout:
    """Of lines, some of which earn nothing."""
    made = tuple(BasketLine(f"line-{n}", cents, is_eligible=earns) for n, (cents, earns) in enumerate(lines))
    asked: dict[str, Any] = {"offer_id": "bonus-500"} if wins else {}
    eligible = sum(line.minor_units for line in made if line.is_eligible)
    total = sum(line.minor_units for line in made)
    return books.checkout("ann", euros(total), partner=partner, lines=made, eligible=eligible, points=points or None, **asked)


def refunds(books: WireBooks, sale: Checkout, cuts: list[int], *, by_line: bool) -> Iterator[Command]:
    """All of the basket, in parts."""
    if not by_line:
        for part in cut(sale.total.minor_units, cuts):
            yield books.refund(sale, amount=euros(part))
        return
    for line in reversed(sale.lines or ()):
        for part in cut(line.minor_units, cuts):
            yield books.refund(sale, lines=(LineReturned(line.line_id, part),))


def moved(receipt: Receipt, kind: EntryKind) -> int:
    """Points of the receipt's entries of a kind."""
    found = [(receipt.kind, receipt.points), *((leg.kind, leg.points) for leg in receipt.legs)]
    return sum(points for its_kind, points in found if its_kind is kind)
