"""What nobody may get out of a till: other people's points, money that was never paid, more than a cap allows."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.domain.command import BasketLine, Command
from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer
from gateway.ledger.audit import audit
from gateway.storage.tables import entries
from gateway.storage.tables_till import parked_refunds
from tests.given import GivenNetwork, at
from tests.ledger.books import Books, card, refusal_of


def test_a_checkout_is_refused_beyond_the_issuers_cap_as_an_issue_is(books: Books) -> None:
    """Also where what it owes already was booked by earlier batches."""
    books.network.cap("alpha", 1_100)
    books.book(books.checkout("ann", "1800.00"))

    assert books.refused(books.checkout("ann", "400.00")) is Reason.NET_DEBIT_CAP_EXCEEDED
    assert books.refused(books.claim("ann", "400.00", "P-1", occurred_at_ms=books.now_ms)) is Reason.NET_DEBIT_CAP_EXCEEDED
    assert books.refused(books.issue("ann", "400.00")) is Reason.NET_DEBIT_CAP_EXCEEDED


def test_points_beside_a_hold_can_be_given_away(books: Books) -> None:
    """What is set aside stays with the giver's lot, and the receiver's lot is all free."""
    books.book(books.issue("ann", "200.00"))
    books.book(books.place("ann", 60))
    books.book(books.transfer("ann", "ben", 40))

    assert books.book(books.redeem("ben", 40)).balance_points == 0


def test_another_partners_checkout_cannot_be_refunded(books: Books) -> None:
    """Nor does the refusal tell that there is one."""
    sale = books.checkout("ann", "100.00")
    books.book(sale)
    foreign = books.refund(sale, partner="bravo")

    assert books.refused(foreign) is Reason.ENTRY_NOT_FOUND
    assert books.balance("ann") == (50, 0)


def test_another_partners_refund_waits_for_no_sale(books: Books) -> None:
    """Whoever guesses the key of a sale to come takes nothing back from its buyer."""
    sale = books.checkout("ann", "100.00")
    waiting = books.refund(sale, partner="bravo", amount="100.00", member=card("ann"))
    books.run(waiting)
    books.book(sale)

    assert books.balance("ann") == (50, 0)


def test_another_partners_entry_that_is_no_checkout_is_not_found_by_a_refund(books: Books) -> None:
    """Its own partner is told which call it takes."""
    issued = books.issue("ann", "100.00")
    books.book(issued)

    assert books.refused(books.refund(issued, partner="bravo")) is Reason.ENTRY_NOT_FOUND
    assert books.refused(books.refund(issued)) is Reason.ENTRY_NOT_REVERSIBLE


@pytest.mark.parametrize("kind", ["refund", "reverse", "void"])
def test_a_refusal_names_nobody_whom_only_another_partners_entry_names(books: Books, kind: str) -> None:
    """Whoever guesses an entry's key learns from the signed refusal no member of somebody else's."""
    sale, issued = books.checkout("ann", "100.00"), books.issue("ann", "100.00")
    books.book(sale)
    books.book(issued)
    hold = books.place("ann", 10, partner="alpha")
    books.book(hold)
    long_ago = at("2026-05-01")
    asked: Command = {
        "refund": books.refund(sale, partner="bravo", occurred_at_ms=long_ago),
        "reverse": replace(books.reverse(issued, occurred_at_ms=long_ago), partner_id="bravo"),
        "void": replace(books.void(hold), partner_id="bravo"),
    }[kind]
    answer = books.run(asked)[0]

    assert refusal_of(answer).reason is (Reason.HOLD_NOT_FOUND if kind == "void" else Reason.EVENT_TOO_OLD)
    if isinstance(answer, Answer):
        assert books.receipts.by_bytes[answer.receipt].member_id == ""


def test_a_refund_that_names_another_member_is_refused_after_the_sale_as_it_would_wait_before(books: Books) -> None:
    """Somebody mistook a receipt: which of the two came first makes no difference to either member."""
    sale = books.checkout("ann", "100.00")
    books.book(sale)

    assert books.refused(books.refund(sale, amount="100.00", member=card("ben"))) is Reason.ENTRY_NOT_FOUND
    assert books.balance("ann") == (50, 0)
    books.book(books.refund(sale, amount="100.00", member=card("ann")))
    assert books.balance("ann") == (0, 0)


def test_a_basket_that_earns_nothing_comes_back(books: Books) -> None:
    """Gift cards alone: no points either way, in parts or in whole."""
    cards = tuple(BasketLine(f"card-{number}", 2_500, is_eligible=False) for number in range(2))
    sale = books.checkout("ann", "50.00", lines=cards, eligible=0)
    assert books.book(sale).points == 0

    assert books.book(books.refund(sale, amount="20.00")).points == 0
    assert books.book(books.refund(sale)).to_pay == ("EUR", 3_000)


def test_returns_in_parts_pay_out_no_money_that_was_never_paid(books: Books) -> None:
    """A point worth a euro pays all of a basket: half of it back is no half point, and no fifty cents either."""
    books.network.rates("bravo", {"EUR": "1"}, effective_from="2026-06-05", face_value="100.00")
    books.book(books.issue("ann", "20.00"))
    sale = books.checkout("ann", "3.00", partner="bravo", points=3)
    assert books.book(sale).to_pay == ("EUR", 0)
    parts = [books.book(books.refund(sale, amount=amount)) for amount in ("0.50", "1.00", "1.50")]

    assert [receipt.to_pay for receipt in parts] == [("EUR", 0)] * 3
    assert books.balance("ann") == (10, 0)


@pytest.mark.parametrize("cuts", [("0.01",) * 9, ("3.33", "3.33", "3.33"), ("1.99", "4.01"), ()])
def test_money_handed_back_in_parts_comes_to_what_was_paid(books: Books, cuts: tuple[str, ...]) -> None:
    """To the cent, and at no time is more handed back than the goods were worth."""
    books.network.rates("bravo", {"EUR": "1"}, effective_from="2026-06-05", face_value="37.00")
    books.book(books.issue("ann", "20.00"))
    sale = books.checkout("ann", "10.00", partner="bravo", points=7)
    paid = books.book(sale).to_pay
    came, money, value = 0, 0, 0
    for cut in (*cuts, None):
        receipt = books.book(books.refund(sale, amount=cut))
        assert receipt.total is not None
        assert receipt.to_pay is not None
        came, money = came + receipt.total[1], money + receipt.to_pay[1]
        value += receipt.amount if receipt.kind is EntryKind.REVERSE_REDEMPTION else 0
        assert money + value <= came

    assert ("EUR", money) == paid == ("EUR", 741)


def test_a_batch_of_till_calls_is_the_fold_of_them_where_a_hold_is_over(
    month_template: GivenNetwork, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever comes first for a member ends its lapsed holds, whether it spends or not."""
    found = []
    for is_batch in (False, True):
        books = Books(month_template.copy(tmp_path_factory.mktemp("fold") / "net"))
        books.enrol("ann")
        sale = books.issue("ann", "100.00")
        books.book(sale)
        books.book(books.place("ann", 50, ttl_s=60))
        books.book(books.reverse(sale))
        books.now_ms += 60_000
        commands = [books.issue("ann", "200.00"), books.redeem("ann", 1)]
        if is_batch:
            books.run(*commands)
        else:
            for command in commands:
                books.run(command)
        found.append(books.contents())

    assert found[0] == found[1]


def test_another_members_hold_is_not_found_whether_it_is_open_or_not(books: Books) -> None:
    """Not found comes before not open: who names a stranger's hold learns nothing of it."""
    books.book(books.issue("ann", "200.00"))
    hold = books.place("ann", 10, partner="alpha")
    books.book(hold)

    assert books.refused(books.checkout("ben", "5.00", hold=hold)) is Reason.HOLD_NOT_FOUND
    books.book(books.void(hold))
    assert books.refused(books.checkout("ben", "5.00", hold=hold)) is Reason.HOLD_NOT_FOUND
    assert books.refused(books.checkout("ann", "5.00", hold=hold)) is Reason.HOLD_NOT_OPEN


@pytest.mark.parametrize("is_batch", [False, True])
def test_refunds_that_waited_are_completed_in_the_order_in_which_they_came(books: Books, *, is_batch: bool) -> None:
    """In one batch or in many: the last of six finds nothing left, and is over as well."""
    sale = books.checkout("ann", "10.00")
    waiting = [books.refund(sale, amount="2.00", member=card("ann")) for _ in range(6)]
    if is_batch:
        books.run(*waiting)
    else:
        for command in waiting:
            books.book(command)
    books.book(sale)
    its_entries = select(entries.c.facts).where(entries.c.original_entry_id == sale.entry_id).order_by(entries.c.sequence)
    completed = [json.loads(row.facts) for row in books.rows(its_entries)]

    assert [one["parked"] for one in completed] == [one.entry_id for one in waiting]
    assert [one["returned"] for one in completed] == [200] * 5 + [0]
    assert [row.is_open for row in books.rows(parked_refunds.select())] == [0] * 6


def test_the_night_ends_a_hold_that_is_over_so_that_no_point_outlives_its_lot(books: Books) -> None:
    """Nobody comes again after a walk-off: what was set aside, and is overdue, expires all the same, and is counted."""
    books.now_ms = at("2026-06-01", "12:00")
    books.book(books.issue("ann", "200.00", partner="bravo"))
    books.now_ms = at("2026-06-20", "12:00")
    books.book(books.place("ann", 60))
    books.book(books.place("ann", 30, ttl_s=604_800))

    assert books.expire("2026-06-21") == 170
    assert books.balance("ann") == (30, 0)
    assert books.expire("2026-06-27") == 30
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()
