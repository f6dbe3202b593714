"""When a call is sent again. The only place where a till retries; bounded, jittered, always with the same idempotency key."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from partners.pos import service_config
from partners.pos.errors import NoAnswer
from partners.pos.failures import Failure

Spread = Callable[[int], int]
"""spread(n): a random integer from 0 to n - 1, such as `random.randrange`."""


_FOR_ALL = service_config.of_method(service_config.EVERY_METHOD)


def system_clock() -> int:
    """The machine's clock, in unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait: each wait `multiplier` times the one before, less up to half by chance.

    Where nothing else is said, it is what the published service config says of every method. `timeout_ms` is that of one
    attempt: a call that may book something must have a deadline.
    """

    attempts_max: int = _FOR_ALL.attempts_max
    first_delay_ms: int = _FOR_ALL.first_delay_ms
    delay_ms_max: int = _FOR_ALL.delay_ms_max
    multiplier: int = _FOR_ALL.multiplier
    timeout_ms: int = _FOR_ALL.timeout_ms

    @classmethod
    def published(cls, path: str) -> "RetryPolicy":
        """Of a method, by its full path."""
        of = service_config.of_method(path)
        return cls(of.attempts_max, of.first_delay_ms, of.delay_ms_max, of.multiplier, of.timeout_ms)

    def delay_ms(self, failed: int) -> int:
        """The longest wait after so many failed attempts."""
        growing_ms: int = self.first_delay_ms * self.multiplier ** (failed - 1)
        return min(growing_ms, self.delay_ms_max)


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
        delay_ms = self._policy.delay_ms(self._failed)
        # Never sooner than the gateway asks; by chance later, so that tills that failed together do not return together.
        return max(failure.retry_after_ms or 0, delay_ms // 2) + self._spread(delay_ms // 2 + 1)
