"""What the load generator is told, and what it tells; pickled between the processes of one run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Metadata = tuple[tuple[str, str | bytes], ...]
Request = tuple[bytes, Metadata]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send and how. The first `warm_up` requests are not timed.

    Without `rate_per_s`, `concurrency` calls are always under way; with it, calls start by the clock, whoever has answered.
    """

    address: str
    method: str
    requests: Sequence[Request]
    warm_up: int
    concurrency: int
    channels: int = 4
    rate_per_s: int = 0
    certificate: bytes | None = None


@dataclass(slots=True)
class Answers:
    """In the order of the requests; None where a call failed, with the text of the first failure. Latencies: timed calls'.

    `late_ns`: how long after it was due each call was sent, for calls by the clock; a part of its latency.
    """

    elapsed_ns: int = 0
    bodies: list[bytes | None] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    late_ns: list[int] = field(default_factory=list)
    failure: str = ""
