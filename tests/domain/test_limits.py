"""Limits by themselves: the stricter one holds, and what they leave is a whole number of steps."""

import pytest

from gateway.domain.errors import InvalidValue
from gateway.domain.limits import (
    FREE,
    LIMIT_MAX,
    LIMIT_NAMES,
    NO_LIMITS,
    DayLimit,
    Limits,
    Room,
    check_limits,
    room_for_issue,
    room_for_redemption,
    stricter,
    terminal_of,
)
from gateway.domain.outcome import Reason, Refusal


def reason(refusal: Refusal | None) -> Reason | None:
    """Of a refusal, if it is one."""
    return None if refusal is None else refusal.reason


def test_without_limits_any_number_of_points_is_redeemed_and_issued() -> None:
    """One point at least of a redemption; an issue may be of none."""
    assert room_for_redemption(NO_LIMITS, NO_LIMITS) is FREE
    assert reason(FREE.refuses(0)) is Reason.BELOW_MINIMUM
    assert (FREE.refuses(1), FREE.refuses(10**9), FREE.refuses_today(10**9)) == (None, None, None)
    assert room_for_issue(NO_LIMITS, NO_LIMITS).refuses(0) is None


def test_the_stricter_of_network_and_partner_holds() -> None:
    """The higher minimum, a multiple of both, the lower maximum."""
    network = Limits(minimum_points=100, multiple_points=20, entry_points_max=5_000)
    own = Limits(minimum_points=50, multiple_points=50, entry_points_max=2_000)

    assert room_for_redemption(network, own) == Room(minimum=100, step=100, entry_max=2_000)
    assert room_for_redemption(own, network) == room_for_redemption(network, own)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (99, Reason.BELOW_MINIMUM),
        (100, None),
        (101, Reason.NOT_A_MULTIPLE),
        (149, Reason.NOT_A_MULTIPLE),
        (150, None),
        (500, None),
        (501, Reason.NOT_A_MULTIPLE),
        (550, Reason.ENTRY_LIMIT),
    ],
)
def test_each_limit_is_tried_on_both_of_its_sides(points: int, expected: Reason | None) -> None:
    """n-1, n, n+1; the first that is broken answers."""
    room = Room(minimum=100, step=50, entry_max=500)

    assert reason(room.refuses(points)) is expected


def test_of_two_days_the_one_with_less_left_counts() -> None:
    """A high limit may be used up before a low one is."""
    tight, wide = DayLimit(1_000, 990), DayLimit(100, 0)

    assert stricter(wide, tight) is tight
    assert stricter(None, wide) is wide
    assert stricter(None, None) is None


def test_a_day_that_saw_more_than_a_new_limit_has_nothing_left() -> None:
    """Not less than nothing."""
    day = DayLimit(100, 250, resets_at_ms=7)

    assert day.rest == 0
    assert day.refused(Reason.MEMBER_DAILY_LIMIT).details == {"limit": "100", "used": "250", "resets_at_ms": "7"}


def test_a_terminal_is_the_middle_of_a_key() -> None:
    """With its partner: two partners may both have a till-1."""
    assert terminal_of("acme/till-1/2") == "acme/till-1"


@pytest.mark.parametrize("name", LIMIT_NAMES)
@pytest.mark.parametrize("value", [-1, LIMIT_MAX + 1])
def test_a_limit_out_of_range_is_refused(name: str, value: int) -> None:
    """By its name."""
    with pytest.raises(InvalidValue, match=name.replace("_", " ")):
        check_limits(Limits(**{name: value}))


def test_limits_that_let_nothing_be_redeemed_are_refused() -> None:
    """The most of an entry below its least."""
    with pytest.raises(InvalidValue, match="less than the 100 points"):
        check_limits(Limits(minimum_points=100, entry_points_max=99))
    check_limits(Limits(minimum_points=100, entry_points_max=100))
