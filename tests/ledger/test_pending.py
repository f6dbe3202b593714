"""Points that wait until they can be spent: in the balance, not available, and good for debts and clawbacks all the same."""

import pytest

from gateway.domain.outcome import Reason
from gateway.domain.receipt import Receipt
from gateway.domain.terms import ExpiryRule
from gateway.ledger.audit import audit
from gateway.network_terms import TermsChange
from gateway.storage.tables import lots
from tests.given import at
from tests.ledger.books import NOON, Books


@pytest.fixture
def slow(books: Books) -> Books:
    """From 5 June on, points wait 14 days; ann has 40 from the day before, which do not."""
    books.now_ms = at("2026-06-04")
    books.book(books.issue("ann", "40.00", partner="bravo"))
    books.now_ms = books.network.now_ms = NOON
    books.network.network_terms("2026-06-05", TermsChange(usable_after_days=14))
    return books


def standing(receipt: Receipt) -> tuple[int, int, int]:
    """Balance, available and pending points."""
    assert receipt.standing is not None
    return receipt.balance_points, receipt.standing.available_points, receipt.standing.pending_points


def test_pending_points_are_in_the_balance_and_cannot_be_spent(slow: Books) -> None:
    """Neither redeemed, nor set aside, nor given to somebody else."""
    assert standing(slow.book(slow.checkout("ann", "100.00", partner="bravo"))) == (140, 40, 100)
    for command in (slow.redeem("ann", 41), slow.place("ann", 41), slow.transfer("ann", "ben", 41)):
        assert slow.refused(command) is Reason.INSUFFICIENT_POINTS
    assert slow.book(slow.redeem("ann", 40)).balance_points == 100


def test_they_can_be_spent_from_their_first_day_on(slow: Books) -> None:
    """14 days after the business date, by the network's date."""
    slow.book(slow.issue("ann", "100.00", partner="bravo"))
    slow.now_ms = at("2026-06-18", "23:59")
    assert slow.refused(slow.redeem("ann", 41)) is Reason.INSUFFICIENT_POINTS
    slow.now_ms = at("2026-06-19", "00:00")

    assert slow.book(slow.redeem("ann", 140)).balance_points == 0
    assert audit(slow.network.engine, full=True, now_ms=slow.now_ms).failures == ()


def test_the_delay_is_that_of_the_business_date(slow: Books) -> None:
    """A purchase of the day before, sent late, does not wait; one of today waits 14 days from today."""
    slow.book(slow.issue("ben", "10.00", partner="bravo", occurred_at_ms=at("2026-06-04")))
    slow.book(slow.issue("ben", "10.00", partner="bravo"))

    of_ben = slow.rows(lots.select().where(lots.c.points == 10).order_by(lots.c.arrival))
    assert [row.usable_from for row in of_ben] == ["", "2026-06-19"]


def test_debt_is_paid_from_pending_points_at_once(slow: Books) -> None:
    """Who owes does not wait."""
    bought = slow.issue("ben", "50.00", partner="bravo", occurred_at_ms=at("2026-06-04"))
    slow.book(bought)
    slow.book(slow.redeem("ben", 50))
    slow.book(slow.reverse(bought))
    receipt = slow.book(slow.checkout("ben", "80.00", partner="bravo"))

    assert receipt.debt_points == 0
    assert standing(receipt) == (30, 0, 30)
    assert audit(slow.network.engine, full=True, now_ms=slow.now_ms).failures == ()


def test_a_clawback_takes_pending_points_of_its_own_lot_then_of_others_in_order(slow: Books) -> None:
    """A return within the delay costs nobody a debt."""
    first, second = slow.issue("ann", "100.00", partner="bravo"), slow.issue("ann", "30.00", partner="bravo")
    slow.run(first, second)
    slow.book(slow.reverse(first, amount="60.00"))
    assert slow.open_lots("ann") == [("bravo", 40), ("bravo", 40), ("bravo", 30)]
    spent = slow.issue("ben", "20.00", partner="bravo", occurred_at_ms=at("2026-06-04"))
    slow.book(spent)
    slow.book(slow.redeem("ben", 20))
    slow.book(slow.issue("ben", "25.00", partner="bravo"))
    slow.book(slow.reverse(spent))

    assert slow.balance("ben") == (5, 0)
    assert audit(slow.network.engine, full=True, now_ms=slow.now_ms).failures == ()


def test_pending_points_expire_like_others_and_can_be_spent_on_their_last_day(slow: Books) -> None:
    """A delay longer than their life would make them worth nothing."""
    slow.network.network_terms("2026-06-05", TermsChange(usable_after_days=30, expiry_rule=ExpiryRule(after_days=10)))
    slow.book(slow.issue("ben", "10.00", partner="bravo"))
    slow.now_ms = at("2026-06-15", "00:00")
    slow.book(slow.redeem("ben", 4))

    assert slow.expire("2026-06-16") == 6
    assert audit(slow.network.engine, full=True, now_ms=slow.now_ms).failures == ()


def test_paper_receipts_have_a_horizon_of_their_own(books: Books) -> None:
    """30 days where the network says nothing, though tills may be 3 days late."""
    books.now_ms = at("2026-07-05")
    for occurred, refused in (("2026-06-05", False), ("2026-06-04", True)):
        command = books.claim("ann", "10.00", f"R-{occurred}", occurred_at_ms=at(occurred))
        if refused:
            assert books.refused(command) is Reason.EVENT_TOO_OLD
        else:
            assert books.book(command).points == 5
    late = books.issue("ann", "10.00", occurred_at_ms=at("2026-07-01"))
    assert books.refused(late) is Reason.EVENT_TOO_OLD
    books.network.now_ms = books.now_ms
    books.network.network_terms("2026-07-05", TermsChange(claim_days_max=2))
    assert books.refused(books.claim("ann", "10.00", "R-9", occurred_at_ms=at("2026-07-02"))) is Reason.EVENT_TOO_OLD


def test_points_that_wait_go_along_when_members_are_merged(slow: Books) -> None:
    """They pay what the other one owes, and the rest waits as long as before."""
    bought = slow.issue("ben", "30.00", partner="bravo", occurred_at_ms=at("2026-06-04"))
    slow.book(bought)
    slow.book(slow.redeem("ben", 30))
    slow.book(slow.reverse(bought))
    slow.book(slow.issue("ann", "100.00", partner="bravo"))
    slow.book(slow.merge("ann", "ben"))

    assert slow.balance("ben") == (110, 0)
    assert slow.refused(slow.redeem("ben", 41)) is Reason.INSUFFICIENT_POINTS
    assert audit(slow.network.engine, full=True, now_ms=slow.now_ms).failures == ()
    slow.now_ms = at("2026-06-19", "00:00")
    slow.book(slow.redeem("ben", 110))
