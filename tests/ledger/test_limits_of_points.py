"""Limits in the books: what is refused and with which facts, what counts in a day, and what no limit ever stops."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.domain.command import AmountAsked, Command
from gateway.domain.limits import Limits
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer
from gateway.ledger.audit import audit
from gateway.network_terms import TermsChange
from gateway.storage.tables_till import member_days, terminal_days
from tests.given import at
from tests.ledger.books import NOON, Books, refusal_of

DAY_AFTER = at("2026-06-06", "00:00")


@pytest.fixture
def rich(books: Books) -> Books:
    """Ann has 1,000 points of bravo's, since yesterday: the network's terms may begin today. Hope is a charity."""
    books.network.onboard("hope", {}, roles="charity", issue_price="0")
    books.now_ms = at("2026-06-04")
    books.book(books.issue("ann", "1000.00", partner="bravo"))
    books.now_ms = books.network.now_ms = NOON
    return books


def limit_network(books: Books, **limits: int) -> None:
    """The network's limits, from 5 June on."""
    books.network.network_terms("2026-06-05", TermsChange(limits=Limits(**limits)))


def limit_bravo(books: Books, **limits: int) -> None:
    """Bravo's own, from 5 June on."""
    books.network.limits("bravo", "2026-06-05", **limits)


def refused(books: Books, command: Command) -> Refusal:
    """Reason and facts."""
    return refusal_of(books.run(command)[0])


def asked_in_every_way(books: Books, points: int) -> list[Command]:
    """What asks for exactly this many points of ann's."""
    return [
        books.redeem("ann", points),
        books.place("ann", points),
        books.checkout("ann", "99.00", partner="bravo", points=points),
        books.donate("ann", points, partner="bravo"),
    ]


@pytest.mark.parametrize("who", [limit_network, limit_bravo])
@pytest.mark.parametrize(
    ("limits", "wrong", "reason", "right"),
    [
        ({"minimum_points": 100}, 99, Reason.BELOW_MINIMUM, 100),
        ({"multiple_points": 50}, 51, Reason.NOT_A_MULTIPLE, 50),
        ({"entry_points_max": 200}, 201, Reason.ENTRY_LIMIT, 200),
    ],
)
def test_what_a_redemption_must_be_is_asked_of_all_that_take_points(
    rich: Books, who: Callable[..., None], limits: dict[str, int], wrong: int, reason: Reason, right: int
) -> None:
    """RedeemPoints, PlaceHold, Checkout and DonatePoints alike; remembered, since no other day would change it."""
    who(rich, **limits)
    for command in asked_in_every_way(rich, wrong):
        first, again = rich.run(command), rich.run(command)

        assert refusal_of(first[0]).reason is reason
        assert refusal_of(first[0]).details == {"limit": str(*limits.values()), "asked": str(wrong)}
        assert isinstance(again[0], Answer)
        assert again[0].is_replayed
    for command in asked_in_every_way(rich, right):
        rich.book(command)
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


@pytest.mark.parametrize("who", [limit_network, limit_bravo])
def test_a_member_spends_at_most_so_much_a_day(rich: Books, who: Callable[..., None]) -> None:
    """n-1, n, n+1, twice in one batch; holds count when they are placed, and the next day begins anew."""
    who(rich, member_day_redeemed_max=100)
    rich.book(rich.redeem("ann", 60))
    hold = rich.place("ann", 30)
    rich.book(hold)
    over = rich.redeem("ann", 11)
    last, again = rich.run(rich.redeem("ann", 10), rich.redeem("ann", 1))

    assert isinstance(last, Answer)
    assert refusal_of(again) == Refusal(
        Reason.MEMBER_DAILY_LIMIT, {"limit": "100", "used": "100", "resets_at_ms": str(DAY_AFTER)}
    )
    assert rich.refused(over) is Reason.MEMBER_DAILY_LIMIT
    assert rich.book(rich.checkout("ann", "10.00", partner="bravo", hold=hold)).points == -30
    rich.now_ms = DAY_AFTER
    rich.book(over)
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


def test_the_networks_limit_counts_all_partners_and_a_partners_own_only_its_own(rich: Books) -> None:
    """What ann spends at alpha is nothing to bravo's own limit."""
    limit_bravo(rich, member_day_redeemed_max=100)
    rich.book(rich.redeem("ann", 150, partner="alpha"))
    rich.book(rich.redeem("ann", 100))

    assert refused(rich, rich.redeem("ann", 1)).details["used"] == "100"
    limit_network(rich, member_day_redeemed_max=260)
    assert refused(rich, rich.redeem("ann", 11, partner="alpha")).details["used"] == "250"
    rich.book(rich.redeem("ann", 10, partner="alpha"))


def test_a_donation_counts_in_the_day_of_the_member_and_of_the_till_that_was_asked(rich: Books) -> None:
    """As points redeemed there, and not at the charity, which has no till."""
    limit_bravo(rich, member_day_redeemed_max=100, terminal_day_redeemed_max=120)
    rich.network.limits("hope", "2026-06-05", entry_points_max=1)
    rich.book(rich.donate("ann", 60, partner="bravo"))
    rich.book(rich.redeem("ann", 40))

    assert refused(rich, rich.donate("ann", 1, partner="bravo")) == Refusal(
        Reason.MEMBER_DAILY_LIMIT, {"limit": "100", "used": "100", "resets_at_ms": str(DAY_AFTER)}
    )
    rich.book(rich.donate("ann", 1, partner="alpha"))
    rich.enrol("ben")
    rich.book(rich.issue("ben", "50.00", partner="bravo"))
    assert refused(rich, rich.donate("ben", 21, partner="bravo")).reason is Reason.TERMINAL_DAILY_LIMIT


def test_a_limit_that_begins_in_the_middle_of_a_day_knows_what_the_day_has_seen(rich: Books) -> None:
    """Days are counted whether or not there is a limit."""
    rich.book(rich.redeem("ann", 90))
    limit_bravo(rich, member_day_redeemed_max=100)

    assert refused(rich, rich.redeem("ann", 11)).details == {"limit": "100", "used": "90", "resets_at_ms": str(DAY_AFTER)}
    rich.book(rich.redeem("ann", 10))


def test_what_is_let_go_of_a_hold_is_given_back_to_its_day(rich: Books) -> None:
    """Voided, lapsed, or captured in part."""
    limit_network(rich, member_day_redeemed_max=100)
    whole = rich.place("ann", 100)
    rich.book(whole)
    assert rich.refused(rich.place("ann", 1)) is Reason.MEMBER_DAILY_LIMIT
    rich.book(rich.void(whole))
    part = rich.place("ann", 100)
    rich.book(part)
    rich.book(rich.checkout("ann", "10.00", partner="bravo", hold=part, points=40))
    rich.book(rich.place("ann", 60, ttl_s=1))
    assert rich.refused(rich.redeem("ann", 1)) is Reason.MEMBER_DAILY_LIMIT
    rich.now_ms += 1_000

    rich.book(rich.redeem("ann", 60))
    assert rich.refused(rich.redeem("ann", 1)) is Reason.MEMBER_DAILY_LIMIT
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


def test_a_hold_is_captured_after_midnight_without_a_word_of_the_new_day(rich: Books) -> None:
    """It was counted in its own day, and the new one is whole."""
    limit_network(rich, member_day_redeemed_max=100)
    rich.now_ms = at("2026-06-05", "23:59")
    hold = rich.place("ann", 100)
    rich.book(hold)
    rich.now_ms = at("2026-06-06", "00:01")
    rich.book(rich.checkout("ann", "10.00", partner="bravo", hold=hold))
    rich.book(rich.redeem("ann", 100))

    days = {row.member_day[-10:]: row.redeemed_points for row in rich.rows(member_days.select())}
    assert (days["2026-06-05"], days["2026-06-06"]) == (100, 100)
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


def test_a_member_gets_at_most_so_much_a_day(rich: Books) -> None:
    """IssuePoints, Checkout and ClaimReceipt; a purchase of yesterday is yesterday's."""
    limit_network(rich, member_day_issued_max=100)
    rich.book(rich.issue("ben", "50.00", partner="bravo"))
    rich.book(rich.checkout("ben", "49.00", partner="bravo"))
    for command in (
        rich.issue("ben", "2.00", partner="bravo"),
        rich.checkout("ben", "4.00"),
        rich.claim("ben", "4.00", "R-1", occurred_at_ms=NOON),
    ):
        refusal = refused(rich, command)

        assert (refusal.reason, refusal.details["used"]) == (Reason.MEMBER_DAILY_LIMIT, "99")
    rich.book(rich.issue("ben", "1.00", partner="bravo"))
    rich.book(rich.claim("ben", "4.00", "R-1", occurred_at_ms=at("2026-06-04")))


def test_a_day_that_is_over_begins_anew_never(rich: Books) -> None:
    """What happened yesterday counts yesterday; the refusal names no moment when that would change."""
    limit_network(rich, member_day_issued_max=100)
    rich.now_ms = at("2026-06-06")
    rich.book(rich.issue("ben", "100.00", partner="bravo", occurred_at_ms=NOON))

    late = rich.issue("ben", "1.00", partner="bravo", occurred_at_ms=NOON)
    assert refused(rich, late) == Refusal(Reason.MEMBER_DAILY_LIMIT, {"limit": "100", "used": "100"})


def test_an_issue_of_nothing_is_within_every_limit(rich: Books) -> None:
    """A basket too small for a point is booked, whatever the day has seen."""
    limit_network(rich, member_day_issued_max=1, entry_points_max=1, terminal_day_issued_max=1)
    rich.book(rich.issue("ben", "1.00", partner="bravo"))

    assert rich.book(rich.issue("ben", "0.50", partner="bravo")).points == 0


def test_an_entry_limit_bounds_an_issue_with_its_bonus(books: Books) -> None:
    """What the member gets by one entry counts, whoever pays for it."""
    books.now_ms = books.network.now_ms = at("2026-06-03")
    books.network.network_terms("2026-06-03", TermsChange(limits=Limits(entry_points_max=502)))
    basket = books.issue("ann", "1.50", partner="charlie", offer_id="bonus-500")

    assert refused(books, basket) == Refusal(Reason.ENTRY_LIMIT, {"limit": "502", "asked": "503"})
    assert books.book(books.issue("ann", "1.00", partner="charlie", offer_id="bonus-500")).points == 502


@pytest.mark.parametrize("who", [limit_network, limit_bravo])
def test_a_terminal_redeems_at_most_so_much_a_day(rich: Books, who: Callable[..., None]) -> None:
    """Over all members and all of its keys; another terminal is not concerned."""
    who(rich, terminal_day_redeemed_max=100)
    rich.book(rich.issue("ben", "500.00", partner="bravo"))
    rich.book(rich.redeem("ann", 60))
    rich.book(replace(rich.place("ben", 40), key_id="bravo/till-1/2"))

    refusal = refused(rich, rich.redeem("ben", 1))
    assert refusal == Refusal(Reason.TERMINAL_DAILY_LIMIT, {"limit": "100", "used": "100", "resets_at_ms": str(DAY_AFTER)})
    rich.book(replace(rich.redeem("ben", 100), key_id="bravo/till-2/1"))
    assert {row.terminal_day: row.redeemed_points for row in rich.rows(terminal_days.select()) if row.redeemed_points} == {
        "bravo/till-1/2026-06-05": 100,
        "bravo/till-2/2026-06-05": 100,
    }


def test_a_terminal_issues_at_most_so_much_a_day(rich: Books) -> None:
    """The member's own limit is named before the terminal's."""
    limit_bravo(rich, terminal_day_issued_max=100, member_day_issued_max=120)
    rich.book(rich.issue("ben", "100.00", partner="bravo"))

    assert rich.refused(rich.issue("ben", "1.00", partner="bravo")) is Reason.TERMINAL_DAILY_LIMIT
    assert rich.refused(rich.issue("ben", "21.00", partner="bravo")) is Reason.MEMBER_DAILY_LIMIT


@pytest.mark.parametrize(
    ("limits", "value", "points"),
    [
        ({"multiple_points": 50}, 199, 150),
        ({"multiple_points": 50}, 200, 200),
        ({"entry_points_max": 120}, 199, 120),
        ({"entry_points_max": 120, "multiple_points": 50}, 199, 100),
        ({"member_day_redeemed_max": 130}, 199, 130),
        ({"terminal_day_redeemed_max": 130, "multiple_points": 50}, 199, 100),
        ({}, 5_000, 1_000),
        ({"multiple_points": 300}, 5_000, 900),
    ],
)
def test_up_to_a_value_takes_what_limits_leave_in_whole_steps(
    rich: Books, limits: dict[str, int], value: int, points: int
) -> None:
    """At the face value of one cent; the answer says what these points are worth."""
    limit_bravo(rich, **limits)
    receipt = rich.book(rich.redeem("ann", up_to_value=AmountAsked("EUR", value)))

    assert (-receipt.points, receipt.amount) == (points, points)
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


@pytest.mark.parametrize(
    ("limits", "value", "reason"),
    [
        ({"minimum_points": 100}, 99, Reason.BELOW_MINIMUM),
        ({"multiple_points": 100}, 99, Reason.NOT_A_MULTIPLE),
        ({"minimum_points": 1_001}, 5_000, Reason.INSUFFICIENT_POINTS),
        ({"member_day_redeemed_max": 99, "minimum_points": 100}, 199, Reason.MEMBER_DAILY_LIMIT),
        ({"terminal_day_redeemed_max": 99, "multiple_points": 100}, 199, Reason.TERMINAL_DAILY_LIMIT),
    ],
)
def test_up_to_a_value_is_refused_by_what_first_leaves_too_little(
    rich: Books, limits: dict[str, int], value: int, reason: Reason
) -> None:
    """In the order in which the call lists its refusals."""
    limit_bravo(rich, **limits)

    assert rich.refused(rich.place("ann", up_to_value=AmountAsked("EUR", value))) is reason


def test_a_part_of_a_hold_is_a_redemption_of_its_own(rich: Books) -> None:
    """It has the minimum and is a multiple; all of it is captured whatever was decided meanwhile."""
    limit_bravo(rich, minimum_points=100, multiple_points=50)
    first, second = rich.place("ann", 200), rich.place("ann", 200)
    rich.run(first, second)

    def capture(hold: Command, points: int | None) -> Command:
        return rich.checkout("ann", "10.00", partner="bravo", hold=hold, points=points)

    assert rich.refused(capture(first, 50)) is Reason.BELOW_MINIMUM
    assert rich.refused(capture(first, 101)) is Reason.NOT_A_MULTIPLE
    assert rich.book(capture(first, 150)).points == -150
    limit_bravo(rich, minimum_points=500)
    assert rich.book(capture(second, None)).points == -200
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


def test_no_limit_stops_a_reversal_or_a_refund(rich: Books) -> None:
    """Points go back and are taken back in any number, and give nothing back to the day."""
    bought, spent = rich.issue("ben", "70.00", partner="bravo"), rich.redeem("ann", 77)
    basket = rich.checkout("ann", "50.00", partner="bravo", points=33)
    for command in (bought, spent, basket):
        rich.book(command)
    limit_network(
        rich,
        minimum_points=500,
        multiple_points=500,
        entry_points_max=500,
        member_day_issued_max=1,
        member_day_redeemed_max=1,
        terminal_day_issued_max=1,
        terminal_day_redeemed_max=1,
    )
    back: list[Command] = [rich.reverse(bought, amount="3.00"), rich.reverse(spent, points=7), rich.refund(basket, amount="1.00")]
    for reversal in back:
        rich.book(reversal)
    rich.book(rich.reverse(spent))
    rich.book(rich.refund(basket))

    assert refused(rich, rich.redeem("ann", 500)).details["used"] == "110"
    assert audit(rich.network.engine, full=True, now_ms=rich.now_ms).failures == ()


def test_limits_hold_by_business_date(rich: Books) -> None:
    """A late event goes by the limits of its own day."""
    limit_bravo(rich, minimum_points=100)

    assert rich.book(rich.redeem("ann", 5, occurred_at_ms=at("2026-06-04"))).points == -5
    assert rich.refused(rich.redeem("ann", 5)) is Reason.BELOW_MINIMUM


def test_a_checkout_is_also_bound_by_the_cap_of_its_issuer(rich: Books) -> None:
    """By all that the partner has open, not only by what the same batch adds."""
    rich.network.cap("alpha", 110)
    rich.book(rich.checkout("ben", "200.00"))

    assert rich.refused(rich.checkout("ben", "2.00")) is Reason.NET_DEBIT_CAP_EXCEEDED
    assert rich.refused(rich.claim("ben", "2.00", "R-1", occurred_at_ms=NOON)) is Reason.NET_DEBIT_CAP_EXCEEDED
