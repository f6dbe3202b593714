"""Checkouts, refunds and claims: one step, one receipt, and n returns that give what one return gives."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.command import AmountAsked, BasketLine, LineReturned
from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Receipt
from gateway.domain.terms import DebtPolicy
from gateway.ledger.audit import audit
from gateway.network_terms import TermsChange
from gateway.storage.tables import entries
from gateway.storage.tables_till import parked_refunds
from tests.given import at
from tests.ledger.books import Books, card, euros, refusal_of


def moved(receipt: Receipt) -> list[tuple[EntryKind, int]]:
    """Kinds of all entries of a command, and their points."""
    return [(receipt.kind, receipt.points), *((leg.kind, leg.points) for leg in receipt.legs)]


def prove(books: Books) -> None:
    """The audit agrees."""
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()


def test_a_checkout_without_points_is_an_issue(books: Books) -> None:
    """One entry, one call."""
    receipt = books.book(books.checkout("ann", "401.99"))

    assert moved(receipt) == [(EntryKind.ISSUE, 200)]
    assert (receipt.total, receipt.to_pay) == (("EUR", 40199), ("EUR", 40199))


def test_points_and_money_in_one_step(books: Books) -> None:
    """Step 17 of the oracle: a basket of 10.00, 150 points and 8.50 in cash; 4 points are issued on the cash."""
    books.book(books.issue("ann", "150.00", partner="charlie"))
    receipt = books.book(books.checkout("ann", "10.00", points=150))

    assert moved(receipt) == [(EntryKind.REDEEM, -150), (EntryKind.ISSUE, 4)]
    assert (receipt.amount, receipt.legs[0].amount, receipt.to_pay) == (150, 850, ("EUR", 850))
    assert receipt.balance_points == 154
    prove(books)


def test_points_that_pay_for_everything_earn_nothing(books: Books) -> None:
    """One entry; the last point may be worth more than what was left."""
    books.book(books.issue("ann", "200.00"))

    assert moved(books.book(books.checkout("ann", "0.55", up_to_value=euros("0.55")))) == [(EntryKind.REDEEM, -55)]
    assert books.refused(books.checkout("ann", "0.20", points=21)) is Reason.MORE_THAN_TOTAL


def test_goods_that_earn_nothing_may_be_paid_with_points(books: Books) -> None:
    """What points paid is taken from what earns, so that no till must say for what."""
    books.book(books.issue("ann", "200.00"))
    receipt = books.book(books.checkout("ann", "10.00", eligible=700, points=100))

    assert moved(receipt) == [(EntryKind.REDEEM, -100), (EntryKind.ISSUE, 3)]
    assert receipt.legs[0].amount == 600


def test_a_charity_takes_points_and_issues_none(books: Books) -> None:
    """It holds no role to issue."""
    books.book(books.issue("ann", "200.00"))

    assert moved(books.book(books.checkout("ann", "3.00", partner="delta", points=100))) == [(EntryKind.REDEEM, -100)]
    assert books.refused(books.checkout("ann", "3.00", partner="delta")) is Reason.ROLE_NOT_HELD


def test_a_checkout_that_is_refused_books_nothing_of_it(books: Books) -> None:
    """Too few points: no points for the money either, until the till says how it is paid."""
    checkout = books.checkout("ann", "10.00", points=1)

    assert books.refused(checkout) is Reason.INSUFFICIENT_POINTS
    assert books.balance("ann") == (0, 0)


def test_the_same_checkout_twice_is_one(books: Books) -> None:
    """In one batch and later, with all its entries in the receipt."""
    books.book(books.issue("ann", "200.00"))
    checkout = books.checkout("ann", "10.00", points=50)
    first, second = books.run(checkout, checkout)
    (third,) = books.run(checkout)

    assert len({one.receipt for one in (first, second, third) if isinstance(one, Answer)}) == 1
    assert len(books.rows(entries.select().where(entries.c.kind == EntryKind.REDEEM))) == 1


def test_a_refund_of_all_undoes_both_entries(books: Books) -> None:
    """Points back in their lots, issued points gone, the money handed back."""
    books.book(books.issue("ann", "150.00", partner="charlie"))
    checkout = books.checkout("ann", "10.00", points=150)
    books.book(checkout)
    receipt = books.book(books.refund(checkout))

    assert moved(receipt) == [(EntryKind.REVERSE_REDEMPTION, 150), (EntryKind.REVERSE_ISSUE, -4)]
    assert (receipt.total, receipt.to_pay, receipt.balance_points) == (("EUR", 1000), ("EUR", 850), 300)
    assert books.open_lots("ann") == [("charlie", 300)]
    assert books.refused(books.refund(checkout)) is Reason.REFUND_EXCEEDS_REST
    prove(books)


def test_a_refund_of_a_part_is_worked_out_on_what_remains(books: Books) -> None:
    """6.67 of 10.00 are left: ceil(100 × 0.667) = 67 points stay, and floor(9.00 × 0.667) = 6.00 still earn."""
    books.book(books.issue("ann", "200.00"))
    checkout = books.checkout("ann", "10.00", points=100, partner="bravo")
    books.book(checkout)
    receipt = books.book(books.refund(checkout, amount="3.33"))

    assert moved(receipt) == [(EntryKind.REVERSE_REDEMPTION, 33), (EntryKind.REVERSE_ISSUE, -3)]
    assert (receipt.amount, receipt.to_pay) == (33, ("EUR", 300))
    prove(books)


def test_more_than_the_rest_is_refused_with_the_rest(books: Books) -> None:
    """And in the same batch, the second sees the first."""
    checkout = books.checkout("ann", "10.00")
    _, first, second = books.run(checkout, books.refund(checkout, amount="6.00"), books.refund(checkout, amount="4.01"))

    assert isinstance(first, Answer)
    assert first.refusal is None
    assert refusal_of(second).reason is Reason.REFUND_EXCEEDS_REST
    assert refusal_of(second).details == {"rest": "400", "unit": "EUR"}


def test_lines_come_back_by_name_and_each_once(books: Books) -> None:
    """What earns nothing takes no points back; a line has no more than it had."""
    lines = (BasketLine("rice", 800, is_eligible=True), BasketLine("gift card", 200, is_eligible=False))
    checkout = books.checkout("ann", "10.00", lines=lines, eligible=800, partner="bravo")
    assert books.book(checkout).points == 8

    assert books.book(books.refund(checkout, lines=(LineReturned("gift card"),))).points == 0
    assert books.book(books.refund(checkout, lines=(LineReturned("rice", 500),))).points == -5
    assert books.refused(books.refund(checkout, lines=(LineReturned("rice", 301),))) is Reason.REFUND_EXCEEDS_REST
    assert books.refused(books.refund(checkout, lines=(LineReturned("gift card"),))) is Reason.REFUND_EXCEEDS_REST
    assert books.refused(books.refund(checkout, lines=(LineReturned("soap"),))) is Reason.REFUND_EXCEEDS_REST
    assert books.book(books.refund(checkout)).points == -3
    prove(books)


def test_the_entries_of_a_checkout_come_back_together_or_not_at_all(books: Books) -> None:
    """ReverseEntry would undo one of them, and the cumulative sums with it."""
    books.book(books.issue("ann", "200.00"))
    checkout = books.checkout("ann", "10.00", points=50)
    books.book(checkout)

    assert books.refused(books.reverse(checkout)) is Reason.ENTRY_NOT_REVERSIBLE


def test_a_refund_of_what_was_no_checkout_names_the_call(books: Books) -> None:
    """What IssuePoints booked, ReverseEntry undoes."""
    sale = books.issue("ann", "10.00")
    books.book(sale)
    (result,) = books.run(books.refund(sale))

    assert refusal_of(result).details == {"call": "ReverseEntry"}


def test_points_that_are_gone_become_debt_or_cash_to_withhold(books: Books) -> None:
    """Bought, spent elsewhere, returned: the till keeps their value back, where the network allows no debt."""
    books.now_ms = books.network.now_ms = at("2026-06-06")
    books.network.network_terms("2026-06-07", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    books.now_ms = at("2026-06-08")
    checkout = books.checkout("ann", "10.00", partner="bravo")
    books.book(checkout)
    books.book(books.redeem("ann", 10, partner="charlie"))
    receipt = books.book(books.refund(checkout))

    assert (receipt.withheld, receipt.to_pay, receipt.debt_points) == (("EUR", 10), ("EUR", 990), 0)
    prove(books)


def test_a_refund_that_overtakes_its_sale_waits_for_it(books: Books) -> None:
    """Parked with a receipt; completed in the same step as the sale, whose receipt has both."""
    sale = books.checkout("ann", "10.00", partner="bravo")
    waiting = books.book(books.refund(sale, amount="4.00", member=card("ann")))
    assert (waiting.kind, waiting.points) == (EntryKind.PARK_REFUND, 0)

    receipt = books.book(sale)
    assert moved(receipt) == [(EntryKind.ISSUE, 10), (EntryKind.REVERSE_ISSUE, -4)]
    assert receipt.balance_points == 6
    assert [row.is_open for row in books.rows(parked_refunds.select())] == [0]
    assert books.refused(books.refund(sale, amount="6.01")) is Reason.REFUND_EXCEEDS_REST
    prove(books)


def test_a_parked_refund_takes_no_more_than_the_sale_had(books: Books) -> None:
    """Two that waited, together more than the sale: it is all gone, and nothing else."""
    sale = books.checkout("ann", "10.00", partner="bravo")
    books.run(*(books.refund(sale, amount="7.00", member=card("ann")) for _ in range(2)))

    assert books.book(sale).balance_points == 0
    prove(books)


@pytest.mark.parametrize("points", [None, 10, 1_000], ids=["paid in money", "paid in part with points", "paid with points"])
def test_a_parked_refund_for_which_nothing_is_left_is_over_as_well(books: Books, points: int | None) -> None:
    """The first one took all of the sale. The second gets an entry that moves nothing, and waits no longer."""
    books.book(books.issue("ann", "1000.00", partner="bravo"))
    sale = books.checkout("ann", "10.00", partner="bravo", points=points)
    books.run(*(books.refund(sale, amount="10.00", member=card("ann")) for _ in range(2)))
    receipt = books.book(sale)
    closing = receipt.legs[-1]

    assert receipt.balance_points == 1_000
    assert (closing.points, closing.amount, closing.lots) == (0, 0, ())
    assert [row.is_open for row in books.rows(parked_refunds.select())] == [0, 0]
    assert books.refused(books.refund(sale, amount="0.01")) is Reason.REFUND_EXCEEDS_REST
    prove(books)


def test_a_refund_that_waits_for_another_members_sale_stays_parked(books: Books) -> None:
    """Somebody mistook a receipt: nobody's points are touched."""
    sale = books.checkout("ann", "10.00", partner="bravo")
    books.book(books.refund(sale, amount="4.00", member=card("ben")))

    assert books.book(sale).balance_points == 10
    assert [row.is_open for row in books.rows(parked_refunds.select())] == [1]
    prove(books)


def test_a_refund_without_a_sale_and_without_a_member_finds_nothing(books: Books) -> None:
    """Nobody knows in whose account it would wait."""
    assert books.refused(books.refund(books.checkout("ann", "10.00"))) is Reason.ENTRY_NOT_FOUND


def test_a_paper_receipt_is_claimed_once(books: Books) -> None:
    """By whichever member; what a checkout has named is claimed already, and another day has other receipts."""
    yesterday: dict[str, Any] = {"occurred_at_ms": at("2026-06-04")}
    assert books.book(books.claim("ann", "20.00", "R-1", **yesterday)).points == 10
    assert books.refused(books.claim("ben", "20.00", "R-1", **yesterday)) is Reason.RECEIPT_ALREADY_CLAIMED
    assert books.book(books.claim("ben", "20.00", "R-1", partner="bravo", **yesterday)).points == 20
    assert books.book(books.claim("ben", "20.00", "R-1", occurred_at_ms=at("2026-06-03"))).points == 10
    books.book(books.checkout("ann", "20.00", receipt_number="R-2"))
    assert books.refused(books.claim("ben", "20.00", "R-2", occurred_at_ms=books.now_ms)) is Reason.RECEIPT_ALREADY_CLAIMED
    prove(books)


def test_what_was_claimed_can_come_back(books: Books) -> None:
    """A claim is a checkout like any other."""
    claim = books.claim("ann", "20.00", "R-1", occurred_at_ms=at("2026-06-04"))
    books.book(claim)

    assert books.book(books.refund(claim, amount="10.00")).points == -5


@pytest.mark.parametrize(("points", "value"), [(1, None), (None, AmountAsked("USD", 100))])
def test_a_basket_in_a_unit_without_a_price_takes_no_points(books: Books, points: int | None, value: AmountAsked | None) -> None:
    """Points have a face value in one currency."""
    books.book(books.issue("ann", "200.00"))
    checkout = books.checkout("ann", "10.00", points=points, up_to_value=value)
    in_stars = replace(checkout, total=AmountAsked("charlie:STAR", 10) if value is None else checkout.total)

    assert books.refused(in_stars) is Reason.UNIT_UNSUPPORTED
