"""A net debit cap over several lanes, whatever the order in which their batches read, add and commit."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.caps import share_micros


@dataclass
class Batch:
    """An open batch of one lane: what it read, and what it has added since."""

    seen: int
    share: int | None  # None: it is alone
    added: int = 0


@dataclass
class Lanes:
    """A model of what the ledger does: locks that are held side by side or alone, and reads of what is committed."""

    lanes: int
    cap: int
    committed: int = 0
    open: dict[int, Batch] = field(default_factory=dict)

    def begin(self, lane: int, *, alone: bool) -> None:
        """Takes the lock, if it is to be had, and reads."""
        others = [batch for other, batch in self.open.items() if other != lane]
        if lane in self.open or (alone and others) or any(batch.share is None for batch in others):
            return
        share = share_micros(cap_micros=self.cap, exposure_micros=self.committed, lanes=self.lanes)
        self.open[lane] = Batch(self.committed, None if alone else share)

    def add(self, lane: int, micros: int) -> None:
        """What `rules_points` asks of one command."""
        batch = self.open.get(lane)
        if batch is None or batch.seen + batch.added + micros > self.cap:
            return
        if batch.share is None or batch.added + micros <= batch.share:
            batch.added += micros

    def commit(self, lane: int) -> None:
        """Others see it from now on."""
        batch = self.open.pop(lane, None)
        self.committed += batch.added if batch else 0


STEPS = st.lists(
    st.tuples(st.sampled_from(("begin", "begin alone", "add", "add", "add", "commit")), st.integers(0, 6), st.integers(1, 400))
)


@given(lanes=st.integers(2, 7), cap=st.integers(0, 2_000), steps=STEPS)
def test_lanes_never_exceed_a_cap_together(lanes: int, cap: int, steps: list[tuple[str, int, int]]) -> None:
    """Neither while batches are open nor when all of them are committed; the design would allow the largest command a lane."""
    model = Lanes(lanes, cap)
    for step, number, micros in steps:
        lane = number % lanes
        if step == "add":
            model.add(lane, micros)
        elif step == "commit":
            model.commit(lane)
        else:
            model.begin(lane, alone=step == "begin alone")
        assert model.committed + sum(batch.added for batch in model.open.values()) <= cap


@given(lanes=st.integers(1, 64), cap=st.integers(0, 10**15), part=st.integers(0, 100))
def test_a_share_is_worth_having_until_three_quarters_are_used(lanes: int, cap: int, part: int) -> None:
    """So that lanes wait for each other only near the cap."""
    share = share_micros(cap_micros=cap, exposure_micros=cap * part // 100, lanes=lanes)

    assert share == (cap // 4 // lanes if part <= 75 else 0)
