"""When a call is sent again. The only place where a till retries; bounded, jittered, always with the same idempotency key."""

from collections.abc import Callable
from dataclasses import dataclass

from partners.pos.errors import NoAnswer
from partners.pos.failures import Failure

Spread = Callable[[int], int]
"""spread(n): a random integer from 0 to n - 1, such as `random.randrange`."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long to wait: doubling from `first_delay_ms` to `delay_ms_max`, less up to half by chance."""

    attempts_max: int = 6  # with the delays below some 3 s in all; a till has a queue of people
    first_delay_ms: int = 100
    delay_ms_max: int = 5_000
    timeout_ms: int = 5_000  # of one attempt; a call that may book something must have a deadline


class Clock:
    """The till's clock, set by the gateway's: signatures are judged by that one. Unix milliseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.offset_ms = 0

    def __call__(self) -> int:
        """The time to sign with."""
        return self._now() + self.offset_ms

    def correct(self, server_time_ms: int) -> None:
        """Takes the gateway's time for the present one."""
        self.offset_ms = server_time_ms - self._now()


class Attempts:
    """One call and its repeats."""

    def __init__(self, policy: RetryPolicy, clock: Clock, spread: Spread) -> None:
        self._policy = policy
        self._clock = clock
        self._spread = spread
        self._failed = 0
        self._is_clock_corrected = False

    def delay_ms_after(self, failure: Failure) -> int | None:
        """How long to wait before the next attempt; None if the failure is an answer. Raises NoAnswer after the last attempt."""
        self._failed += 1
        if failure.server_time_ms is not None and not self._is_clock_corrected:
            self._is_clock_corrected = True
            self._clock.correct(failure.server_time_ms)
            return 0
        if not failure.is_transient:
            return None
        if self._failed >= self._policy.attempts_max:
            raise NoAnswer(self._failed, str(failure))
        delay_ms = min(self._policy.first_delay_ms << (self._failed - 1), self._policy.delay_ms_max)
        # Never sooner than the gateway asks; by chance later, so that tills that failed together do not return together.
        return max(failure.retry_after_ms or 0, delay_ms // 2) + self._spread(delay_ms // 2 + 1)
