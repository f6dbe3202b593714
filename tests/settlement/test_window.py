"""Which state may follow which, and when a run closes a window."""

from itertools import pairwise

import pytest

from gateway.domain.errors import InvalidValue
from gateway.domain.window import TRANSITIONS, Window, WindowState, changes_state
from settlement.window import is_another_night, is_same_cut_off

CLOSED = Window(7, WindowState.NETTED, "2026-06-30", 1_000, b"", 1, ())


def test_a_window_goes_from_open_to_settled() -> None:
    """The way without a dispute."""
    way = [WindowState.OPEN, WindowState.CLOSED, WindowState.NETTED, WindowState.CONFIRMED, WindowState.SETTLED]

    assert all(changes_state(present=present, target=target) for present, target in pairwise(way))


@pytest.mark.parametrize("state", WindowState)
def test_the_same_state_again_changes_nothing(state: WindowState) -> None:
    """So that a step may be repeated."""
    assert not changes_state(present=state, target=state)


@pytest.mark.parametrize("state", WindowState)
def test_no_state_is_left_but_as_the_table_says(state: WindowState) -> None:
    """All other steps are refused, with those that are allowed."""
    for target in set(WindowState) - TRANSITIONS[state] - {state}:
        with pytest.raises(InvalidValue, match=f"{state} cannot become {target}"):
            changes_state(present=state, target=target)


def test_the_first_window_always_closes() -> None:
    """Also when it is empty."""
    assert not is_same_cut_off(latest=None, network_date="2026-06-30", open_entries=0)


@pytest.mark.parametrize(
    ("network_date", "open_entries", "expected"),
    [("2026-06-29", 0, True), ("2026-06-30", 0, True), ("2026-07-01", 0, False), ("2026-06-30", 1, False)],
)
def test_the_same_cut_off_again_closes_nothing(network_date: str, open_entries: int, *, expected: bool) -> None:
    """Unless entries came since, or on a later date: then even an empty window closes."""
    assert is_same_cut_off(latest=CLOSED, network_date=network_date, open_entries=open_entries) is expected


def test_a_completed_night_goes_on_only_on_a_later_date() -> None:
    """A repeat on the same date is the same night."""
    assert [is_another_night(completed=CLOSED, network_date=date) for date in ("2026-06-30", "2026-07-01")] == [False, True]
