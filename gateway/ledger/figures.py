"""What the writers did so far, in plain integers: cheap to count, and read by whoever shows them. Times in nanoseconds.

Counted once a batch, never once a command's field; the lock is held for microseconds, by writers' threads and readers.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.domain.command import Command
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Result

BOOKED, REPLAYED = "BOOKED", "REPLAYED"
"""Outcomes of a command, beside the names of reasons."""

SIZE_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
TIME_BOUNDS_NS = tuple(
    int(ms * 1_000_000) for ms in (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
)


@dataclass(slots=True)
class Histogram:
    """How many values fell between bounds, and their sum. A value that equals a bound counts below it."""

    bounds: tuple[int, ...]
    counts: list[int] = field(init=False)
    total: int = 0

    def __post_init__(self) -> None:
        """One count a bound, and one for what lies above the last."""
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: int) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> "Histogram":
        """As it stands now."""
        twin = Histogram(self.bounds, self.total)
        twin.counts = self.counts.copy()
        return twin


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTimes:
    """How long one batch of a lane took, its COMMIT included."""

    lane: int
    commands: int
    lock_wait_ns: int  # from asking for the transaction until the lane's head was its own
    commit_ns: int  # COMMIT alone; on PostgreSQL with the writes that go in the same round trip
    whole_ns: int


@dataclass(slots=True)
class LaneFigures:
    """Of one lane's batches that were committed."""

    commands: Histogram = field(default_factory=lambda: Histogram(SIZE_BOUNDS))
    whole: Histogram = field(default_factory=lambda: Histogram(TIME_BOUNDS_NS))
    lock_wait: Histogram = field(default_factory=lambda: Histogram(TIME_BOUNDS_NS))
    commit: Histogram = field(default_factory=lambda: Histogram(TIME_BOUNDS_NS))

    def copy(self) -> "LaneFigures":
        """As they stand now."""
        return LaneFigures(self.commands.copy(), self.whole.copy(), self.lock_wait.copy(), self.commit.copy())


@dataclass(frozen=True, slots=True)
class QueueState:
    """Commands that wait for a writer, and since when the oldest does: an instant of `time.monotonic`; None if none waits."""

    commands: int
    oldest_since_s: float | None


WatchTimes = Callable[[BatchTimes], None]
"""Called after COMMIT with a batch's times."""


class BatchFigures:
    """Counts for one gateway. `committed` is a WatchTimes; `queues` are asked when somebody looks, by lane."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.queues: dict[int, Callable[[], QueueState]] = {}
        self._lock = threading.Lock()
        self._lanes: dict[int, LaneFigures] = {}
        self._outcomes: dict[str, int] = {}
        self._replays: dict[str, int] = {}
        self._conflicts: dict[str, int] = {}

    def committed(self, times: BatchTimes) -> None:
        """Counts a batch that was committed."""
        with self._lock:
            lane = self._lanes.get(times.lane)
            if lane is None:
                lane = self._lanes[times.lane] = LaneFigures()
            lane.commands.add(times.commands)
            lane.whole.add(times.whole_ns)
            lane.lock_wait.add(times.lock_wait_ns)
            lane.commit.add(times.commit_ns)

    def answered(self, commands: Sequence[Command], results: Sequence[Result]) -> None:
        """Counts what became of commands, those that entered no batch as well."""
        with self._lock:
            for command, result in zip(commands, results, strict=True):
                self._count(command.partner_id, result)

    def lanes(self) -> Iterator[tuple[int, LaneFigures]]:
        """Lanes in order, each with its figures as they stand now."""
        with self._lock:
            copies = {lane: figures.copy() for lane, figures in sorted(self._lanes.items())}
        return iter(copies.items())

    def outcomes(self) -> dict[str, int]:
        """Commands by outcome: BOOKED, REPLAYED or the name of a reason."""
        return self._outcomes.copy()

    def replays(self) -> dict[str, int]:
        """Commands that were answered with an earlier answer, by partner."""
        return self._replays.copy()

    def conflicts(self) -> dict[str, int]:
        """Commands whose idempotency key had booked something else, by partner."""
        return self._conflicts.copy()

    def _count(self, partner_id: str, result: Result) -> None:
        if isinstance(result, Answer):
            if result.is_replayed:
                self._replays[partner_id] = self._replays.get(partner_id, 0) + 1
                outcome = REPLAYED
            else:
                outcome = BOOKED if result.refusal is None else result.refusal.reason.name
        else:
            outcome = result.reason.name
            if result.reason is Reason.IDEMPOTENCY_KEY_REUSED:
                self._conflicts[partner_id] = self._conflicts.get(partner_id, 0) + 1
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
