"""One batch of one lane in one transaction: load, decide, save, COMMIT. Who runs it decides when."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.domain.command import Command
from gateway.domain.receipt import Answer, EncodeReceipt, Result
from gateway.domain.terms import Terms
from gateway.ledger.figures import BatchTimes, WatchTimes
from gateway.storage.booking import save_book
from gateway.storage.books import load_book, load_book_for_expiry
from gateway.storage.engine import writing_on
from gateway.storage.errors import translate

LANE = 0  # SQLite has one; which lane a bucket belongs to is asked here, nowhere else


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


def run_batch(connection: Connection, commands: Sequence[Command], *, now_ms: int, settings: BatchSettings) -> list[Result]:
    """Carries out commands in their order and commits; one result each. Raises StoreError; then nothing was written."""
    asked_ns = time.perf_counter_ns()
    try:
        with writing_on(connection):
            locked_ns = time.perf_counter_ns()
            loaded = load_book(
                connection,
                commands,
                lane=LANE,
                now_ms=now_ms,
                terms=settings.load_terms(connection),
                encode=settings.encode,
                receipt_key_id=settings.receipt_key_id(now_ms),
            )
            results = [loaded.book.execute(command) for command in commands]
            save_book(connection, loaded)
            saved_ns = time.perf_counter_ns()
    except DBAPIError as error:
        raise translate(error) from error
    if settings.watch is not None:
        done_ns = time.perf_counter_ns()
        lock_wait_ns, commit_ns, whole_ns = locked_ns - asked_ns, done_ns - saved_ns, done_ns - asked_ns
        times = BatchTimes(lane=LANE, commands=len(commands), lock_wait_ns=lock_wait_ns, commit_ns=commit_ns, whole_ns=whole_ns)
        settings.watch(times)
    sign = settings.sign
    if sign is None:
        return results
    return [
        replace(result, signature=sign(result.receipt, result.receipt_key_id)) if isinstance(result, Answer) else result
        for result in results
    ]


def expire_lots(
    connection: Connection, overdue: Sequence[tuple[str, str]], *, now_ms: int, load_terms: Callable[[Connection], Terms]
) -> int:
    """Expires overdue lots, given as (member id, lot id), and commits; returns the points. Safe to repeat. Raises StoreError."""
    try:
        with writing_on(connection):
            loaded = load_book_for_expiry(connection, overdue, lane=LANE, now_ms=now_ms, terms=load_terms(connection))
            points = sum(loaded.book.expire(member_id=member_id, lot_id=lot_id) for member_id, lot_id in overdue)
            save_book(connection, loaded)
    except DBAPIError as error:
        raise translate(error) from error
    return points
