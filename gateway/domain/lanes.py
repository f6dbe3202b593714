"""Which lane a member's entries stand in, and what a batch says of a command that belongs to another one.

A lane is a sequence of entries with a head of its own; batches of different lanes commit side by side. Rows carry the
bucket, never the lane, in their keys, so that the map from buckets to lanes may change at a cut-off.
"""

from dataclasses import dataclass

from gateway.domain.errors import InvalidValue

LANES_MAX = 64  # each is a head to lock at a cut-off, and a queue in every gateway


def lane_of(bucket: int, lanes: int) -> int:
    """The lane of a bucket while `lanes` are in force: 0 to `lanes` - 1."""
    return bucket % lanes


def check_lanes(lanes: int) -> int:
    """Returns the number of lanes; raises InvalidValue if there cannot be so many."""
    if not 1 <= lanes <= LANES_MAX:
        raise InvalidValue(f"{lanes} lanes: must be 1 to {LANES_MAX}")
    return lanes


@dataclass(frozen=True, slots=True)
class Misrouted:
    """Nothing was done: the command belongs into a batch of `lanes` (ascending; two for a transfer between lanes).

    `lanes_in_force`: how many there are now, for whoever routes by a number that has changed since.
    """

    lanes: tuple[int, ...]
    lanes_in_force: int


@dataclass(frozen=True, slots=True)
class Deferred:
    """Nothing was done: the command would add to an issuer near its cap, which only a batch that does so alone may decide."""
