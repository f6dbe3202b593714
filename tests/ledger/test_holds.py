"""Holds: set aside, captured whole or in part, voided, lapsed; ended once, and what is set aside is nobody else's."""

from dataclasses import replace

import pytest

from gateway.domain.command import AmountAsked
from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Receipt
from gateway.ledger.audit import audit
from gateway.storage.tables import entries, lots
from gateway.storage.tables_till import holds
from tests.given import at
from tests.ledger.books import Books, refusal_of


@pytest.fixture
def rich(books: Books) -> Books:
    """Ann has 100 points of bravo's."""
    books.book(books.issue("ann", "100.00", partner="bravo"))
    return books


def standing(receipt: Receipt) -> tuple[int, int, int]:
    """Balance, available and held points."""
    assert receipt.standing is not None
    return receipt.balance_points, receipt.standing.available_points, receipt.standing.held_points


def state_of(books: Books) -> list[str]:
    """Of all holds, in the order of their ids."""
    return [row.state for row in books.rows(holds.select().order_by(holds.c.hold_id))]


def test_what_is_set_aside_stays_in_the_balance_and_cannot_be_spent(rich: Books) -> None:
    """Available is the balance less holds."""
    receipt = rich.book(rich.place("ann", 70))

    assert (receipt.kind, receipt.points) == (EntryKind.PLACE_HOLD, 0)
    assert standing(receipt) == (100, 30, 70)
    assert rich.refused(rich.redeem("ann", 31)) is Reason.INSUFFICIENT_POINTS
    assert rich.refused(rich.transfer("ann", "ben", 31)) is Reason.INSUFFICIENT_POINTS
    assert rich.refused(rich.place("ann", 31)) is Reason.INSUFFICIENT_POINTS
    assert rich.book(rich.redeem("ann", 30)).points == -30


def test_the_second_of_two_holds_in_one_batch_sees_the_first(rich: Books) -> None:
    """Both want the last points: one gets them."""
    first, second = rich.run(rich.place("ann", 60), rich.place("ann", 60))

    assert isinstance(first, Answer)
    assert first.refusal is None
    assert refusal_of(second).reason is Reason.INSUFFICIENT_POINTS


def test_a_hold_up_to_a_value_takes_as_many_points_as_the_value_does(rich: Books) -> None:
    """At the face value of one cent: 45 points; then what is left."""
    assert standing(rich.book(rich.place("ann", up_to_value=AmountAsked("EUR", 45)))) == (100, 55, 45)
    assert standing(rich.book(rich.place("ann", up_to_value=AmountAsked("EUR", 900)))) == (100, 0, 100)


def test_a_captured_hold_pays_and_is_over(rich: Books) -> None:
    """The receipt names the hold; nothing of it can be had twice."""
    hold = rich.place("ann", 70)
    rich.book(hold)
    receipt = rich.book(rich.checkout("ann", "1.00", partner="bravo", hold=hold))

    assert (receipt.kind, receipt.points, receipt.amount) == (EntryKind.REDEEM, -70, 70)
    assert (receipt.original_entry_id, receipt.to_pay) == (hold.entry_id, ("EUR", 30))
    assert standing(receipt) == (30, 30, 0)
    assert rich.refused(rich.void(hold)) is Reason.HOLD_NOT_OPEN
    assert rich.refused(rich.checkout("ann", "1.00", partner="bravo", hold=hold)) is Reason.HOLD_NOT_OPEN
    assert state_of(rich) == ["CAPTURED"]


def test_a_capture_of_a_part_frees_the_rest(rich: Books) -> None:
    """One hold, one end."""
    hold = rich.place("ann", 70)
    rich.book(hold)
    receipt = rich.book(rich.checkout("ann", "1.00", partner="bravo", hold=hold, points=20))

    assert (receipt.points, *standing(receipt)) == (-20, 80, 80, 0)


@pytest.mark.parametrize(("points", "reason"), [(71, Reason.INSUFFICIENT_POINTS), (70, None)])
def test_no_more_is_captured_than_was_set_aside(rich: Books, points: int, reason: Reason | None) -> None:
    """However much else the member has."""
    hold = rich.place("ann", 70)
    rich.book(hold)
    (result,) = rich.run(rich.checkout("ann", "1.00", partner="bravo", hold=hold, points=points))

    assert isinstance(result, Answer)
    assert (None if result.refusal is None else result.refusal.reason) == reason


def test_a_voided_hold_is_free_again(rich: Books) -> None:
    """And voiding it with the same key again says the same."""
    hold = rich.place("ann", 70)
    void = rich.void(hold)
    rich.book(hold)

    assert standing(rich.book(void)) == (100, 100, 0)
    assert standing(rich.book(void)) == (100, 100, 0)
    assert rich.refused(rich.void(hold)) is Reason.HOLD_NOT_OPEN


def test_a_hold_that_is_placed_and_voided_in_one_batch_leaves_nothing(rich: Books) -> None:
    """The second sees the first."""
    hold = rich.place("ann", 70)
    results = rich.run(hold, rich.void(hold), rich.redeem("ann", 100))

    assert all(isinstance(result, Answer) and result.refusal is None for result in results)
    assert rich.balance("ann") == (0, 0)


def test_a_hold_lapses_at_the_gateways_time_and_not_a_millisecond_earlier(rich: Books) -> None:
    """Whoever comes next books the lapse first, and then sees free points."""
    hold = rich.place("ann", 70, ttl_s=60)
    rich.book(hold)
    rich.now_ms += 59_999
    assert rich.refused(rich.redeem("ann", 31)) is Reason.INSUFFICIENT_POINTS
    rich.now_ms += 1
    assert rich.refused(rich.checkout("ann", "1.00", partner="bravo", hold=hold)) is Reason.HOLD_NOT_OPEN

    assert rich.book(rich.redeem("ann", 100)).points == -100
    assert state_of(rich) == ["LAPSED"]
    assert [row.kind for row in rich.rows(entries.select().where(entries.c.partner_id == "operator"))] == [EntryKind.LAPSE_HOLD]


def test_another_partners_hold_does_not_exist(rich: Books) -> None:
    """Neither to void nor to capture; nor does a hold of another member."""
    hold = rich.place("ann", 70)
    rich.book(hold)
    rich.book(rich.issue("ben", "100.00"))

    assert rich.refused(replace(rich.void(hold), partner_id="alpha", key_id="alpha/till-1/1")) is Reason.HOLD_NOT_FOUND
    assert rich.refused(rich.checkout("ann", "1.00", hold=hold)) is Reason.HOLD_NOT_FOUND
    assert rich.refused(rich.checkout("ben", "1.00", partner="bravo", hold=hold)) is Reason.HOLD_NOT_FOUND


def test_no_clawback_takes_what_is_set_aside(books: Books) -> None:
    """It takes what is free, and the rest becomes debt; the debt is paid when the hold is let go."""
    bought = books.issue("ann", "200.00")
    hold = books.place("ann", 80)
    books.book(bought)
    books.book(hold)
    returned = books.book(books.reverse(bought))
    assert (returned.balance_points, returned.debt_points) == (0, 80)

    receipt = books.book(books.void(hold))
    assert (receipt.balance_points, receipt.debt_points) == (0, 0)
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()


def test_reserved_points_do_not_expire_until_they_are_free(books: Books) -> None:
    """A capture takes them after their last day; what is let go expires at once."""
    books.now_ms = at("2026-06-01")
    books.book(books.issue("ann", "200.00"))  # points of 1 June expire on 20 June
    books.now_ms = at("2026-06-20")
    kept, let_go = books.place("ann", 60, ttl_s=172_800), books.place("ann", 30, ttl_s=172_800)
    books.run(kept, let_go)

    assert books.expire("2026-06-21") == 10
    receipt = books.book(books.checkout("ann", "1.00", partner="bravo", hold=kept, points=50))
    assert (receipt.points, receipt.balance_points) == (-60, 30)  # 10 of the hold were not taken, and are overdue
    assert books.book(books.void(let_go)).balance_points == 0
    assert [(row.open_points, row.expired_points, row.held_points) for row in books.rows(lots.select())] == [(0, 50, 0)]
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()


def test_a_capture_is_priced_by_the_day_on_which_the_hold_was_placed(books: Books) -> None:
    """Charlie gets 1.00 a point until 15 June, 0.98 from the 16th; what is issued goes by the capture's day."""
    books.now_ms = at("2026-06-15", "23:50")
    books.book(books.issue("ann", "200.00"))
    hold = books.place("ann", 50, partner="charlie")
    books.book(hold)
    books.now_ms = at("2026-06-16", "00:01")
    receipt = books.book(books.checkout("ann", "2.00", partner="charlie", hold=hold))

    assert (receipt.business_date, receipt.rate_card_version) == ("2026-06-16", 1)
    assert [(leg.kind, leg.rate_card_version) for leg in receipt.legs] == [(EntryKind.ISSUE, 2)]
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()
