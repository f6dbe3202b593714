"""Settlement windows as values: a range of sequences in each lane, and where it stands."""

import enum
from dataclasses import dataclass


class WindowState(enum.StrEnum):
    """As `WindowState` of the protos, name for name. Which may follow which stands in settlement.window."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    NETTED = "NETTED"
    CONFIRMED = "CONFIRMED"
    SETTLED = "SETTLED"
    DISPUTED = "DISPUTED"


PUBLISHED = frozenset({WindowState.NETTED, WindowState.CONFIRMED, WindowState.SETTLED, WindowState.DISPUTED})
"""States in which partners see their statements."""


@dataclass(frozen=True, slots=True)
class LaneRange:
    """The entries of one lane in a closed window, both ends included; empty when `last` is `first` - 1.

    `refusals` and their hash are the lane's since its first day: how far their chain went when the window closed.
    """

    lane: int
    first: int
    last: int
    chain_hash: bytes
    refusals: int
    refusals_hash: bytes

    @property
    def entries(self) -> int:
        """How many: sequences have no gaps."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Window:
    """A settlement window. While it is open it has no ranges, no cut-off date and `closed_at_ms` 0.

    `lanes`: how many were in force. A lane that no longer was has a range all the same, without entries.
    """

    window_id: int
    state: WindowState
    cut_off_date: str
    closed_at_ms: int
    window_hash: bytes
    lanes: int
    ranges: tuple[LaneRange, ...]

    @property
    def entries(self) -> int:
        """How many entries the closed window has, over all lanes."""
        return sum(lane.entries for lane in self.ranges)
