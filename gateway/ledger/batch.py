"""One batch in one transaction: lock, load, decide, save, COMMIT. Who runs it decides when, and in which lanes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.domain.command import Command
from gateway.domain.lanes import Deferred, Misrouted
from gateway.domain.receipt import Answer, EncodeReceipt, Result
from gateway.domain.terms import Terms
from gateway.ledger.figures import BatchTimes, WatchTimes
from gateway.storage.booking import save_book
from gateway.storage.books import load_book, lock_heads
from gateway.storage.engine import writing_on
from gateway.storage.errors import translate

_NOT_DECIDED = Misrouted | Deferred


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What a batch needs from outside: terms as of its own transaction, the form of receipts, the key that will sign them.

    `receipt_key_id` names the key for receipts of a time (unix milliseconds), as of the terms just loaded. `sign` makes
    the signature of a receipt under a key id: after COMMIT, in the writer's thread, beside the event loop. `watch` is told
    of each batch that was committed.
    """

    load_terms: Callable[[Connection], Terms]
    encode: EncodeReceipt
    receipt_key_id: Callable[[int], str]
    sign: Callable[[bytes, str], bytes] | None = None
    watch: WatchTimes | None = None


def run_batch(
    connection: Connection, commands: Sequence[Command], *, lanes: Sequence[int], now_ms: int, settings: BatchSettings
) -> list[Result | Misrouted]:
    """Carries out commands in their order and commits; one result each.

    `lanes`: one for most batches, two for transfers between them. What belongs into others is given back, without any
    effect; so is what comes behind it, by member or by entry. What adds to an issuer near its cap is carried out in a
    further transaction. Raises StoreError; then nothing was written, or the first of these two alone.
    """
    results = _run(connection, commands, lanes=lanes, now_ms=now_ms, settings=settings, alone=False)
    deferred = [number for number, result in enumerate(results) if isinstance(result, Deferred)]
    if deferred:
        again = [commands[number] for number in deferred]
        decided = _run(connection, again, lanes=lanes, now_ms=now_ms, settings=settings, alone=True)
        for number, result in zip(deferred, decided, strict=True):
            results[number] = result
    return [_signed(result, settings.sign) for result in results]


def _run(
    connection: Connection,
    commands: Sequence[Command],
    *,
    lanes: Sequence[int],
    now_ms: int,
    settings: BatchSettings,
    alone: bool,
) -> list[Result | Misrouted | Deferred]:
    """One transaction. Nothing is deferred if it is `alone`."""
    asked_ns = time.perf_counter_ns()
    try:
        with writing_on(connection):
            locked = lock_heads(connection, lanes)
            locked_ns = time.perf_counter_ns()
            book = load_book(
                connection,
                commands,
                locked=locked,
                now_ms=now_ms,
                terms=settings.load_terms(connection),
                encode=settings.encode,
                receipt_key_id=settings.receipt_key_id(now_ms),
                alone=alone,
            )
            results = [book.execute(command) for command in commands]
            decided_ns = time.perf_counter_ns()
            committing_since_ns = decided_ns if save_book(connection, book) else time.perf_counter_ns()
    except DBAPIError as error:
        raise translate(error) from error
    if settings.watch is not None:
        done_ns = time.perf_counter_ns()
        decided = sum(not isinstance(result, _NOT_DECIDED) for result in results)
        lock_wait_ns, commit_ns, whole_ns = locked_ns - asked_ns, done_ns - committing_since_ns, done_ns - asked_ns
        settings.watch(
            BatchTimes(lane=min(lanes), commands=decided, lock_wait_ns=lock_wait_ns, commit_ns=commit_ns, whole_ns=whole_ns)
        )
    return results


def _signed(result: Result | Misrouted | Deferred, sign: Callable[[bytes, str], bytes] | None) -> Result | Misrouted:
    assert not isinstance(result, Deferred), "a batch that is alone decides everything"
    if sign is None or not isinstance(result, Answer):
        return result
    signature = sign(result.receipt, result.receipt_key_id)
    return Answer(result.receipt, result.receipt_key_id, result.refusal, result.is_replayed, signature, result.lanes)
