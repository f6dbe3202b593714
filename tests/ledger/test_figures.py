"""What the writers count."""

import pytest

from gateway.domain.command import Enrol
from gateway.domain.outcome import Reason, Refusal
from gateway.ledger.figures import SIZE_BOUNDS, TIME_BOUNDS_NS, BatchFigures, BatchTimes, Histogram

COMMAND = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key="enrol-1", card_hash="00")


def times(lane: int, commands: int) -> BatchTimes:
    """Of a batch that took 3 ms."""
    return BatchTimes(lane=lane, commands=commands, lock_wait_ns=1_000_000, commit_ns=1_500_000, whole_ns=3_000_000)


@pytest.mark.parametrize(("value", "place"), [(9, 0), (10, 0), (11, 1), (19, 1), (20, 1), (21, 2)])
def test_a_value_that_equals_a_bound_counts_below_it(value: int, place: int) -> None:
    """As Prometheus means its `le`; what is beyond the last bound has a place too."""
    histogram = Histogram((10, 20))
    histogram.add(value)

    assert histogram.counts.index(1) == place
    assert (sum(histogram.counts), histogram.total) == (1, value)


@pytest.mark.parametrize("bounds", [SIZE_BOUNDS, TIME_BOUNDS_NS])
def test_bounds_rise_without_repeating(bounds: tuple[int, ...]) -> None:
    """Else values would be counted in the wrong places."""
    assert list(bounds) == sorted(set(bounds))


def test_lanes_are_counted_apart() -> None:
    """In the order of their numbers."""
    figures = BatchFigures()
    for lane, commands in ((2, 10), (0, 1), (2, 30)):
        figures.committed(times(lane, commands))

    seen = dict(figures.lanes())
    assert list(seen) == [0, 2]
    assert (seen[2].commands.total, sum(seen[2].commands.counts)) == (40, 2)
    assert (seen[2].whole.total, seen[2].lock_wait.total, seen[2].commit.total) == (6_000_000, 2_000_000, 3_000_000)


def test_what_was_looked_at_changes_no_more() -> None:
    """Whoever shows figures has a copy, while writers go on counting."""
    figures = BatchFigures()
    figures.committed(times(0, 1))
    before = dict(figures.lanes())[0]
    figures.committed(times(0, 1))

    assert before.commands.total == 1
    assert dict(figures.lanes())[0].commands.total == 2


def test_commands_that_entered_no_batch_are_counted_by_reason() -> None:
    """So that a SubmitBatch that was turned away is seen."""
    figures = BatchFigures()
    figures.answered([COMMAND] * 500, [Refusal(Reason.QUEUE_FULL)] * 500)
    figures.answered([COMMAND], [Refusal(Reason.QUEUE_FULL)])

    assert figures.outcomes() == {"QUEUE_FULL": 501}
