"""How much a job beside traffic writes at once: as much as fits into the time that others may wait."""

import pytest

from gateway.ledger.pace import AIM_NS, Pace


def test_a_quick_write_is_followed_by_a_larger_one() -> None:
    """By half at most, however quick it was."""
    pace = Pace(rows=100)

    pace.took(100, AIM_NS // 10)

    assert pace.rows == 150


def test_a_slow_write_is_followed_by_one_that_fits() -> None:
    """At once."""
    pace = Pace(rows=100)

    pace.took(100, AIM_NS * 4)

    assert pace.rows == 25


def test_a_write_of_a_few_rows_says_nothing_of_many() -> None:
    """The rest of a lane does not make the next write smaller; unless it was slow."""
    pace = Pace(rows=100)

    pace.took(3, AIM_NS // 10)
    assert pace.rows == 100
    pace.took(20, AIM_NS)

    assert pace.rows == 20


@pytest.mark.parametrize(("rows", "took_ns", "expected"), [(10, AIM_NS * 1_000, 10), (2_000, 1, 2_000), (1_900, 1, 2_000)])
def test_a_write_has_a_least_and_a_most(rows: int, took_ns: int, expected: int) -> None:
    """Neither a stalled disk nor a clock that stands still leads beyond."""
    pace = Pace(rows=rows)

    pace.took(rows, took_ns)

    assert pace.rows == expected


def test_a_pace_remembers_its_longest_write() -> None:
    """For whoever measures."""
    pace = Pace()
    for took_ns in (5, 9, 7):
        pace.took(pace.rows, took_ns)

    assert (pace.writes, pace.longest_ns) == (3, 9)
