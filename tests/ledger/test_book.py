"""The rules of the books, one command a batch and several in one, on a real database."""

from dataclasses import replace

import pytest

from gateway.domain.command import AmountAsked, Enrol, MemberRef
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer
from gateway.domain.terms import DebtPolicy
from gateway.network_terms import TermsChange
from tests.given import at
from tests.ledger.books import Books, refusal_of


def test_points_are_issued_on_whole_steps_of_the_rate(books: Books) -> None:
    """A rest below one point is not carried."""
    receipt = books.book(books.issue("ann", "401.99"))

    assert (receipt.points, receipt.balance_points, receipt.rate_card_version) == (200, 200, 1)


def test_a_basket_too_small_for_a_point_is_booked_without_one(books: Books) -> None:
    """Nothing is lost: the sale has a receipt, and can be reversed."""
    small = books.issue("ann", "1.99")
    receipt = books.book(small)

    assert (receipt.points, receipt.lots) == (0, ())
    assert books.book(books.reverse(small)).points == 0


def test_the_second_of_two_redemptions_in_one_batch_sees_the_first(books: Books) -> None:
    """Both want the last points: one gets them."""
    books.book(books.issue("ann", "200.00"))
    first, second = books.run(books.redeem("ann", 60), books.redeem("ann", 60))

    assert isinstance(first, Answer)
    assert first.refusal is None
    assert refusal_of(second).reason is Reason.INSUFFICIENT_POINTS
    assert books.balance("ann") == (40, 0)


def test_three_issues_of_600_under_a_cap_worth_1000_in_one_batch_pass_once(books: Books) -> None:
    """The headroom is derived from one running value, not kept beside it."""
    books.network.cap("bravo", 1_000 * 120 // 100)
    results = books.run(*(books.issue("ann", "600.00", partner="bravo") for _ in range(3)))

    reasons = [None if isinstance(r, Answer) and r.refusal is None else refusal_of(r).reason for r in results]
    assert reasons == [None, Reason.NET_DEBIT_CAP_EXCEEDED, Reason.NET_DEBIT_CAP_EXCEEDED]


@pytest.mark.parametrize(("amount", "passes"), [("999.00", True), ("1000.00", True), ("1001.00", False)])
def test_a_cap_is_held_to_the_point(books: Books, amount: str, passes: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """One below, at, and one above the cap."""
    books.network.cap("bravo", 1_000 * 120 // 100)
    result = books.run(books.issue("ann", amount, partner="bravo"))[0]

    assert isinstance(result, Answer) is passes


def test_a_member_may_redeem_whatever_the_cap_of_the_issuer(books: Books) -> None:
    """The cap binds issues only."""
    books.book(books.issue("ann", "100.00", partner="bravo"))
    books.network.cap("bravo", 1_20)  # all of it used

    assert books.book(books.redeem("ann", 100, partner="delta")).points == -100
    assert books.refused(books.issue("ann", "100.00", partner="bravo")) is Reason.NET_DEBIT_CAP_EXCEEDED


def test_the_same_key_gets_the_same_receipt_in_one_batch_and_later(books: Books) -> None:
    """The second joins the first, byte for byte."""
    command = books.issue("ann", "10.00")
    first, second = books.run(command, command)
    (third,) = books.run(replace(command, key_id="alpha/till-2/9"))

    answers = [answer for answer in (first, second, third) if isinstance(answer, Answer)]
    assert len({answer.receipt for answer in answers}) == 1
    assert [answer.is_replayed for answer in answers] == [False, True, True]
    assert books.balance("ann") == (5, 0)


def test_a_booked_key_with_another_command_is_refused(books: Books) -> None:
    """Whatever differs: the amount, or the method."""
    command = books.issue("ann", "10.00")
    books.book(command)
    other_method = replace(books.redeem("ann", 1), partner_id="alpha", idempotency_key=command.idempotency_key)

    assert books.refused(replace(command, eligible=AmountAsked("EUR", 1_100))) is Reason.IDEMPOTENCY_KEY_REUSED
    assert books.refused(other_method) is Reason.IDEMPOTENCY_KEY_REUSED


def test_the_same_key_of_another_partner_is_another_key(books: Books) -> None:
    """Keys are unique per partner."""
    command = books.issue("ann", "10.00")
    books.book(command)

    assert books.book(replace(command, partner_id="bravo", key_id="bravo/till-1/1")).points == 10


def test_a_final_refusal_is_remembered_for_its_command_only(books: Books) -> None:
    """A delayed duplicate cannot book what the till was refused; another command may use the key."""
    command = books.redeem("ann", 50)
    (refused,) = books.run(command)
    books.book(books.issue("ann", "200.00"))
    (again,) = books.run(command)

    assert isinstance(refused, Answer)
    assert isinstance(again, Answer)
    assert again.receipt == refused.receipt
    assert (again.is_replayed, refusal_of(again).reason) == (True, Reason.INSUFFICIENT_POINTS)
    assert books.book(replace(command, points=60)).points == -60


def test_what_time_can_cure_is_not_remembered(books: Books) -> None:
    """The same command passes when the cap is lifted."""
    books.network.cap("alpha", 0)
    command = books.issue("ann", "10.00")

    assert books.refused(command) is Reason.NET_DEBIT_CAP_EXCEEDED
    books.network.cap("alpha", None)
    assert books.book(command).points == 5


def test_an_answer_given_before_outlives_whatever_changed_since(books: Books) -> None:
    """The look-up precedes suspension, terms and caps."""
    command = books.issue("ann", "10.00")
    (first,) = books.run(command)
    books.network.cap("alpha", 6)  # all of it used
    books.now_ms = at("2026-08-01")
    (again,) = books.run(command)

    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert again.receipt == first.receipt


@pytest.mark.parametrize(("day", "reason"), [("2026-06-02", None), ("2026-06-01", Reason.EVENT_TOO_OLD)])
def test_an_occurrence_lies_at_most_three_business_dates_back(books: Books, day: str, reason: Reason | None) -> None:
    """On 5 June the 2nd is accepted and the 1st is not."""
    command = books.issue("ann", "10.00", occurred_at_ms=at(day))

    if reason is None:
        assert books.book(command).business_date == day
    else:
        assert books.refused(command) is reason


@pytest.mark.parametrize(("ahead_ms", "is_booked"), [(30_000, True), (30_001, False)])
def test_an_occurrence_may_be_ahead_by_as_much_as_a_clock_may(books: Books, ahead_ms: int, is_booked: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """30 seconds and no more."""
    result = books.run(books.issue("ann", "10.00", occurred_at_ms=books.now_ms + ahead_ms))[0]

    assert isinstance(result, Answer) is is_booked


def test_the_card_of_the_business_date_prices_a_late_entry(books: Books) -> None:
    """Booked on 17 June, it happened on the 14th: the old price holds."""
    books.now_ms = at("2026-06-17")

    assert books.book(books.issue("ann", "10.00", occurred_at_ms=at("2026-06-14"))).rate_card_version == 1
    assert books.book(books.issue("ann", "10.00")).rate_card_version == 2


def test_a_quoted_rate_card_that_is_no_longer_in_force_is_refused(books: Books) -> None:
    """The refusal says which one is."""
    refusal = refusal_of(books.run(books.issue("ann", "10.00", rate_card_version=2))[0])

    assert (refusal.reason, refusal.details) == (Reason.RATE_VERSION_STALE, {"current": "1"})


def test_a_unit_that_the_card_does_not_have_is_refused(books: Books) -> None:
    """Another partner's points are not this partner's."""
    assert books.refused(books.issue("ann", "10", unit="charlie:STAR")) is Reason.UNIT_UNSUPPORTED


def test_a_partner_does_only_what_it_applied_for(books: Books) -> None:
    """The charity redeems and does not issue; a partner that only issues does not redeem."""
    books.network.onboard("echo", {"EUR": "1"}, reimbursement_rate="0", roles="issuer")
    books.book(books.issue("ann", "10.00", partner="echo"))

    assert books.refused(books.issue("ann", "10.00", partner="delta")) is Reason.ROLE_NOT_HELD
    assert books.refused(books.redeem("ann", 5, partner="echo")) is Reason.ROLE_NOT_HELD


def test_up_to_a_value_takes_the_fewest_points_that_cover_it(books: Books) -> None:
    """At a face value of 1 cent: 37 points for 37 cents."""
    books.book(books.issue("ann", "200.00"))
    receipt = books.book(books.redeem("ann", up_to_value=AmountAsked("EUR", 37)))

    assert (receipt.points, receipt.amount, receipt.unit) == (-37, 37, "EUR")


def test_up_to_a_value_takes_what_there_is(books: Books) -> None:
    """100 points of 1 cent against 2.50."""
    books.book(books.issue("ann", "200.00"))
    receipt = books.book(books.redeem("ann", up_to_value=AmountAsked("EUR", 250)))

    assert (receipt.points, receipt.amount) == (-100, 100)


def test_up_to_a_value_of_a_member_without_points_is_refused(books: Books) -> None:
    """Nothing to take is a refusal, not a redemption of nothing."""
    assert books.refused(books.redeem("ann", up_to_value=AmountAsked("EUR", 1))) is Reason.INSUFFICIENT_POINTS


def test_an_unknown_member_is_not_found(books: Books) -> None:
    """By card and by id."""
    assert books.refused(books.issue("nobody", "10.00")) is Reason.MEMBER_NOT_FOUND
    assert books.refused(replace(books.issue("ann", "10.00"), member=MemberRef(member_id="m-x"))) is Reason.MEMBER_NOT_FOUND


def test_the_overdue_lot_is_unusable_before_the_night_has_met_it(books: Books) -> None:
    """Usable through 20 June, not on the 21st."""
    books.now_ms = at("2026-06-01")
    books.book(books.issue("ann", "200.00"))
    books.now_ms = at("2026-06-20", "23:59")
    books.book(books.redeem("ann", 30))
    books.now_ms = at("2026-06-21", "00:00")

    assert books.refused(books.redeem("ann", 1)) is Reason.INSUFFICIENT_POINTS
    assert books.expire("2026-06-21") == 70
    assert books.expire("2026-06-21") == 0
    assert books.balance("ann") == (0, 0)


def test_points_restored_to_an_expired_lot_expire_at_once(books: Books) -> None:
    """Else redeeming and cancelling would dodge expiry."""
    books.now_ms = at("2026-06-01")
    books.book(books.issue("ann", "200.00"))
    books.now_ms = at("2026-06-19")
    redemption = books.redeem("ann", 100)
    books.book(redemption)
    books.now_ms = at("2026-06-21")
    receipt = books.book(books.reverse(redemption))

    assert (receipt.points, receipt.balance_points) == (0, 0)


def test_a_return_after_expiry_takes_the_expired_points(books: Books) -> None:
    """They are surrendered already: no debt, and no other lot is touched."""
    books.now_ms = at("2026-06-01")
    sale = books.issue("ann", "200.00")
    books.book(sale)
    books.now_ms = at("2026-06-02")
    books.book(books.issue("ann", "100.00"))
    books.expire("2026-06-21")
    receipt = books.book(books.reverse(sale))

    assert receipt.points == 0
    assert (books.balance("ann"), books.open_lots("ann")) == ((50, 0), [("alpha", 50)])


def test_an_entry_can_be_reversed_by_its_own_partner_only(books: Books) -> None:
    """To another it does not exist."""
    sale = books.issue("ann", "200.00")
    books.book(sale)
    foreign = replace(books.reverse(sale), partner_id="bravo", key_id="bravo/till-1/1")

    assert books.refused(foreign) is Reason.ENTRY_NOT_FOUND


def test_a_sale_and_its_return_may_come_in_one_batch(books: Books) -> None:
    """The second command reverses what the first books."""
    sale = books.issue("ann", "200.00")
    results = books.run(sale, books.reverse(sale, amount="50.00"), books.reverse(sale))

    assert [isinstance(r, Answer) for r in results] == [True, True, True]
    assert books.balance("ann") == (0, 0)


def test_more_than_the_rest_is_refused_with_the_rest(books: Books) -> None:
    """Twice the whole, and one cent more than what is left."""
    sale = books.issue("ann", "200.00")
    books.book(sale)
    books.book(books.reverse(sale, amount="150.00"))
    refusal = refusal_of(books.run(books.reverse(sale, amount="50.01"))[0])

    assert (refusal.reason, refusal.details) == (Reason.ALREADY_REVERSED, {"rest": "5000", "unit": "EUR"})
    books.book(books.reverse(sale, amount="50.00"))
    assert books.refused(books.reverse(sale)) is Reason.ALREADY_REVERSED


def test_a_reversal_cannot_be_reversed(books: Books) -> None:
    """Nor can an enrolment."""
    sale = books.issue("ann", "200.00")
    books.book(sale)
    back = books.reverse(sale)
    books.book(back)

    assert books.refused(books.reverse(back)) is Reason.ENTRY_NOT_REVERSIBLE


def test_points_that_are_gone_become_debt_that_the_next_issue_pays(books: Books) -> None:
    """A member never has debt and usable lots at once."""
    sale = books.issue("ann", "200.00")
    books.book(sale)
    books.book(books.redeem("ann", 80))
    books.book(books.reverse(sale))
    in_debt = books.balance("ann")
    receipt = books.book(books.issue("ann", "100.00", partner="bravo"))

    assert in_debt == (0, 80)
    assert (receipt.points, receipt.balance_points, receipt.debt_points) == (100, 20, 0)


def test_without_debt_the_till_withholds_cash(books: Books) -> None:
    """The shortfall at the face value of the original's card; it is not asked for again."""
    books.network.network_terms("2026-06-04", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    sale = books.issue("ann", "200.00")
    books.book(sale)
    books.book(books.redeem("ann", 80))
    first = books.book(books.reverse(sale, amount="100.00"))
    second = books.book(books.reverse(sale, amount="100.00"))

    assert (first.points, first.withheld) == (-20, ("EUR", 30))
    assert (second.points, second.withheld) == (0, ("EUR", 50))
    assert books.balance("ann") == (0, 0)


def test_a_transfer_keeps_issuer_and_expiry_and_pays_the_debt_of_the_receiver(books: Books) -> None:
    """Ben owes 50; of 120 points that come, 70 are left, still bravo's."""
    sale = books.issue("ben", "100.00")
    books.book(sale)
    books.book(books.redeem("ben", 50))
    books.book(books.reverse(sale))
    books.book(books.issue("ann", "200.00", partner="bravo"))
    receipt = books.book(books.transfer("ann", "ben", 120))

    assert (receipt.points, receipt.balance_points) == (-120, 80)
    assert (books.balance("ben"), books.open_lots("ben")) == ((70, 0), [("bravo", 70)])


def test_nobody_transfers_to_oneself_or_more_than_there_is(books: Books) -> None:
    """Both are refused, and nothing moves."""
    books.book(books.issue("ann", "200.00"))

    assert books.refused(books.transfer("ann", "ann", 10)) is Reason.MEMBER_NOT_FOUND
    assert books.refused(books.transfer("ann", "ben", 101)) is Reason.INSUFFICIENT_POINTS
    assert books.balance("ann") == (100, 0)


def test_a_card_is_enrolled_once(books: Books) -> None:
    """Also twice in one batch under two keys."""
    first = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key="one", card_hash="cleo")
    results = books.run(first, replace(first, idempotency_key="two"))

    assert refusal_of(results[1]).reason is Reason.CARD_ALREADY_ENROLLED


def test_an_offer_binds_only_on_its_dates_at_its_partner(books: Books) -> None:
    """The bonus of 3 June at charlie's."""
    assert books.refused(books.issue("ann", "250.00", partner="charlie", offer_id="bonus-500")) is Reason.OFFER_NOT_IN_FORCE
    books.now_ms = at("2026-06-05")
    on_the_day = books.issue("ann", "250.00", partner="charlie", offer_id="bonus-500", occurred_at_ms=at("2026-06-03"))

    assert books.book(on_the_day).points == 1_000
    assert books.open_lots("ann") == [("charlie", 500), ("charlie", 250), ("bravo", 250)]


def test_a_bonus_goes_back_to_its_funders_by_largest_remainder(books: Books) -> None:
    """A third of the goods comes back: of 500 bonus points 167, from each funder's own lot."""
    sale = books.issue("ann", "3.00", partner="charlie", offer_id="bonus-500", occurred_at_ms=at("2026-06-03"))
    books.book(sale)
    books.book(books.reverse(sale, amount="1.00"))
    after_a_third = books.open_lots("ann")
    books.book(books.reverse(sale))

    assert after_a_third == [("charlie", 4), ("charlie", 166), ("bravo", 167)]
    assert books.balance("ann") == (0, 0)
