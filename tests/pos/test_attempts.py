"""When a call is sent again: the table of retry classes, and the waits between."""

import grpc
import pytest

from partners.pos.attempts import Attempts, Clock, RetryPolicy
from partners.pos.errors import NoAnswer
from partners.pos.failures import Failure

CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("failure", "is_transient"),
    [
        (Failure(CODE.UNAVAILABLE, "", "DRAINING"), True),
        (Failure(CODE.UNAVAILABLE, "connection refused"), True),
        (Failure(CODE.ABORTED, "", "REQUEST_IN_PROGRESS"), True),
        (Failure(CODE.DEADLINE_EXCEEDED, ""), True),
        (Failure(CODE.RESOURCE_EXHAUSTED, "", "QUEUE_FULL", retry_after_ms=200), True),
        (Failure(CODE.RESOURCE_EXHAUSTED, "", "NET_DEBIT_CAP_EXCEEDED"), False),
        (Failure(CODE.FAILED_PRECONDITION, "", "INSUFFICIENT_POINTS"), False),
        (Failure(CODE.ALREADY_EXISTS, "", "IDEMPOTENCY_KEY_REUSED"), False),
        (Failure(CODE.UNAUTHENTICATED, "", "SIGNATURE_INVALID"), False),
        (Failure(CODE.INVALID_ARGUMENT, "", "INVALID_FIELDS"), False),
        (Failure(CODE.INTERNAL, "", "INTERNAL"), False),
    ],
    ids=str,
)
def test_only_what_time_can_cure_is_sent_again(failure: Failure, *, is_transient: bool) -> None:
    """Contention never looks like a refusal, nor a refusal like contention."""
    assert failure.is_transient == is_transient
    assert (attempts().delay_ms_after(failure) is not None) == is_transient


def test_waits_double_up_to_a_limit_and_then_end() -> None:
    """Half of each is left to chance: the shortest ones are shown, then the longest."""
    failure = Failure(CODE.UNAVAILABLE, "gone")
    shortest, longest = attempts(spread=0), attempts(spread=1)

    assert [shortest.delay_ms_after(failure) for _ in range(4)] == [50, 100, 200, 200]
    assert [longest.delay_ms_after(failure) for _ in range(4)] == [100, 200, 400, 400]
    with pytest.raises(NoAnswer, match="no answer after 5 attempts, the last one: UNAVAILABLE: gone"):
        shortest.delay_ms_after(failure)


def test_a_clock_is_corrected_once_a_call() -> None:
    """A gateway whose own time jumps cannot keep a till busy for ever."""
    clock = Clock(lambda: 1_000)
    tried = attempts(clock=clock)
    failure = Failure(CODE.UNAUTHENTICATED, "", "SIGNATURE_TIME_OUT_OF_WINDOW", {"server_time_ms": "601000"})

    assert (tried.delay_ms_after(failure), clock()) == (0, 601_000)
    assert tried.delay_ms_after(failure) is None


def attempts(*, clock: Clock | None = None, spread: int = 0) -> Attempts:
    """Five, from 100 ms to 400 ms; `spread` 1: the most that chance can add."""
    policy = RetryPolicy(attempts_max=5, first_delay_ms=100, delay_ms_max=400)
    return Attempts(policy, clock or Clock(lambda: 0), lambda n: spread * (n - 1))
