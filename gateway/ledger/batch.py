"""One batch in one transaction: lock, load, decide, save, COMMIT. Who runs it decides when, and in which lanes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.domain.command import Command
from gateway.domain.ids import bucket_of
from gateway.domain.lanes import Deferred, Misrouted, lane_of
from gateway.domain.receipt import Answer, EncodeReceipt, Result
from gateway.domain.terms import Terms
from gateway.ledger.figures import BatchTimes, WatchTimes
from gateway.ledger.pace import Pace
from gateway.storage.booking import save_book
from gateway.storage.books import load_book, load_book_for_expiry, lock_heads
from gateway.storage.engine import writing_on
from gateway.storage.errors import translate
from gateway.storage.log_copier import copied_beside


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


def expire_lots(
    connection: Connection,
    overdue: Sequence[tuple[str, str]],
    *,
    now_ms: int,
    load_terms: Callable[[Connection], Terms],
    pace: Pace | None = None,
) -> int:
    """Expires overdue lots, given as (member id, lot id), lane by lane, in writes of the pace's size; returns the points.

    Holds of their members whose time is over are ended first, so that no point outlives its lot in one.
    Safe to repeat. Raises StoreError; then what came before may have been written.
    """
    pace = pace or Pace()
    points, lanes = 0, 1
    waiting = _by_lane(overdue, lanes)
    with copied_beside(connection) as wrote:
        while waiting:
            lane, its_lots = next(iter(waiting.items()))
            here = its_lots[: pace.rows]
            began_ns = 0
            try:
                with writing_on(connection):
                    locked = lock_heads(connection, (lane,))
                    began_ns = time.perf_counter_ns()
                    if locked.lanes == lanes:
                        book = load_book_for_expiry(connection, here, locked=locked, now_ms=now_ms, terms=load_terms(connection))
                        points += book.expire_overdue(here)
                        save_book(connection, book)
            except DBAPIError as error:
                raise translate(error) from error
            if locked.lanes != lanes:
                lanes = locked.lanes
                waiting = _by_lane([lot for lots in waiting.values() for lot in lots], lanes)
                continue
            waiting[lane] = its_lots[len(here) :]
            if not waiting[lane]:
                del waiting[lane]
            pace.took(len(here), time.perf_counter_ns() - began_ns)
            wrote(len(here))
            pace.rest(connection)
    return points


def _by_lane(lots: Sequence[tuple[str, str]], lanes: int) -> dict[int, list[tuple[str, str]]]:
    """In their order within each lane."""
    parts: dict[int, list[tuple[str, str]]] = {}
    for lot in lots:
        parts.setdefault(lane_of(bucket_of(lot[0]), lanes), []).append(lot)
    return parts


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
        decided = sum(not isinstance(result, Misrouted | Deferred) for result in results)
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
