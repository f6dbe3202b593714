"""Settlement windows as values: a range of sequences in each lane, and where it stands."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.domain.errors import InvalidValue


class WindowState(enum.StrEnum):
    """As `WindowState` of the protos, name for name. Which may follow which says `TRANSITIONS`."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    NETTED = "NETTED"
    CONFIRMED = "CONFIRMED"
    SETTLED = "SETTLED"
    DISPUTED = "DISPUTED"


# The one table of transitions: the store's CHECKs are made of it, and the audit walks along it. A dispute that is resolved leads
# back to NETTED: what remains is confirmed anew.
TRANSITIONS: Mapping[WindowState, frozenset[WindowState]] = MappingProxyType(
    {
        WindowState.OPEN: frozenset({WindowState.CLOSED}),
        WindowState.CLOSED: frozenset({WindowState.NETTED}),
        WindowState.NETTED: frozenset({WindowState.CONFIRMED, WindowState.DISPUTED}),
        WindowState.CONFIRMED: frozenset({WindowState.SETTLED, WindowState.DISPUTED}),
        WindowState.DISPUTED: frozenset({WindowState.NETTED}),
        WindowState.SETTLED: frozenset(),
    }
)

PUBLISHED = frozenset({WindowState.NETTED, WindowState.CONFIRMED, WindowState.SETTLED, WindowState.DISPUTED})
"""States in which partners see their statements."""


def changes_state(*, present: WindowState, target: WindowState) -> bool:
    """Whether the step to `target` changes anything: the same state again does not. Raises InvalidValue if it is not allowed."""
    if present is target:
        return False
    if target not in TRANSITIONS[present]:
        allowed = ", ".join(sorted(TRANSITIONS[present])) or "nothing"
        raise InvalidValue(f"a window that is {present} cannot become {target}; only {allowed} may follow")
    return True


def steps_between() -> Iterator[tuple[str, str]]:
    """Each state with one that may follow it, by name, in order; "" goes before the first."""
    yield "", WindowState.OPEN.value
    for present, targets in TRANSITIONS.items():
        yield from ((present.value, target.value) for target in sorted(targets))


@dataclass(frozen=True, slots=True)
class Transition:
    """A window came to a state: when, and by whom: "founding", "night", "lanes", "payments", or operators' ids."""

    window_id: int
    number: int
    previous_state: str
    state: WindowState
    at_ms: int
    made_by: str
    decision_id: str


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

    `lanes`: how many were in force. A lane that no longer was has a range all the same, without entries. `rules_version`: by
    which settlement rules it is priced and netted, for ever; 0 for those that the network was founded with.
    """

    window_id: int
    state: WindowState
    cut_off_date: str
    closed_at_ms: int
    window_hash: bytes
    lanes: int
    ranges: tuple[LaneRange, ...]
    rules_version: int = 0

    @property
    def entries(self) -> int:
        """How many entries the closed window has, over all lanes."""
        return sum(lane.entries for lane in self.ranges)
