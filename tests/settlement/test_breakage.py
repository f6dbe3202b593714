"""The proportional method: example 52 of IFRS 15, and what happens at its edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.units import MICROS, Rate
from settlement.breakage import ALL_REDEEMED, Progress, price_at_issue, price_of_points

FIRST_YEAR, SECOND_YEAR = Rate(95, 100), Rate(97, 100)


def progress(redeemed: int, *, expired: int = 0) -> Progress:
    """Example 52: 10,000 points came with sales of 100,000."""
    price = price_of_points(sales=100_000, points=10_000, point_value_micros=MICROS, expected_share=FIRST_YEAR)
    return Progress(price, 10_000, redeemed, 10_000 - redeemed - expired)


def test_example_52_divides_the_price_between_goods_and_points() -> None:
    """91,324 and 8,676."""
    price = progress(0).price

    assert (100_000 - price, price) == (91_324, 8_676)


def test_example_52_recognises_the_first_year_by_what_was_redeemed() -> None:
    """4,500 of the 9,500 that are expected."""
    end = progress(4_500)

    assert end.expected_points(FIRST_YEAR) == 9_500
    assert (end.recognised(FIRST_YEAR), end.price - end.recognised(FIRST_YEAR)) == (4_110, 4_566)


def test_example_52_catches_up_when_the_estimate_changes() -> None:
    """8,500 in total of 9,700 expected by now."""
    before, end = progress(4_500), progress(8_500)

    assert end.recognised(SECOND_YEAR) - before.recognised(FIRST_YEAR) == 3_493
    assert end.price - end.recognised(SECOND_YEAR) == 1_073


@pytest.mark.parametrize(("redeemed", "recognised"), [(9_499, 8_675), (9_500, 8_676), (9_501, 8_676), (10_000, 8_676)])
def test_nothing_is_recognised_beyond_the_price(redeemed: int, recognised: int) -> None:
    """Both sides of the point at which more is redeemed than was ever expected."""
    assert progress(redeemed).recognised(FIRST_YEAR) == recognised


def test_what_can_no_longer_be_redeemed_is_no_longer_expected() -> None:
    """6,000 have expired, so at most 4,000 will be redeemed, whatever was estimated."""
    end = progress(3_000, expired=6_000)

    assert end.expected_points(FIRST_YEAR) == 4_000
    assert end.recognised(FIRST_YEAR) == 8_676 * 3_000 // 4_000
    assert progress(3_000, expired=7_000).recognised(FIRST_YEAR) == 8_676


def test_without_an_estimate_only_redemption_and_expiry_recognise() -> None:
    """The careful end: every point is expected."""
    assert Progress(1_000, 100, 25, 75).recognised(ALL_REDEEMED) == 250
    assert Progress(1_000, 100, 0, 100).recognised(ALL_REDEEMED) == 0
    assert Progress(1_000, 100, 0, 0).recognised(ALL_REDEEMED) == 1_000


def test_points_without_a_sale_bear_no_price_of_one() -> None:
    """A bonus that another partner's goods came with; and points that are worth nothing by themselves."""
    assert price_of_points(sales=0, points=500, point_value_micros=MICROS, expected_share=FIRST_YEAR) == 0
    assert price_of_points(sales=500, points=0, point_value_micros=MICROS, expected_share=FIRST_YEAR) == 0


def test_the_issue_price_is_rounded_half_to_even() -> None:
    """0.5 and 1.5 minor units."""
    assert [price_at_issue(points=points, price_micros=500_000) for points in (1, 2, 3)] == [0, 1, 2]


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
    st.integers(0, 10**6),
    st.integers(1, 100),
)
def test_periods_add_up_to_the_whole_price(price: int, redeemed: list[int], never: int, percent: int) -> None:
    """However the redemptions fall into periods: once nothing is open, everything is recognised, and never more before."""
    whole, so_far, sums = sum(redeemed) + never, 0, []
    for points in redeemed:
        so_far += points
        sums.append(Progress(price, whole, so_far, whole - so_far).recognised(Rate(percent, 100)))
    end = Progress(price, whole, so_far, 0).recognised(Rate(percent, 100))

    assert end == price
    assert sums == sorted(sums)
    assert max(sums) <= price
