"""Expiry of overdue lots beside traffic: through the same book as all else, in short writes, lane by lane."""

import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.domain.ids import bucket_of
from gateway.domain.lanes import lane_of
from gateway.domain.lot import OverdueLots
from gateway.domain.terms import Terms
from gateway.ledger.pace import Pace
from gateway.storage.booking import save_book
from gateway.storage.books import load_book_for_expiry, lock_heads
from gateway.storage.engine import writing_on
from gateway.storage.errors import translate
from gateway.storage.log_copier import copied_beside


def expire_lots(
    connection: Connection,
    overdue: Sequence[OverdueLots],
    *,
    now_ms: int,
    load_terms: Callable[[Connection], Terms],
    pace: Pace | None = None,
) -> int:
    """Expires overdue lots lane by lane, in writes of the pace's size; returns the points.

    Holds of their members whose time is over are ended first, so that no point outlives its lot in one.
    Safe to repeat. Raises StoreError; then what came before may have been written.
    """
    pace = pace or Pace()
    points, lanes = 0, 1
    waiting = _by_lane(overdue, lanes)
    with copied_beside(connection) as wrote:
        while waiting:
            lane, its_own = next(iter(waiting.items()))
            here, lots = _first(its_own, pace.rows)
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
                waiting = _by_lane((group for groups in waiting.values() for group in groups), lanes)
                continue
            waiting[lane] = its_own[len(here) :]
            if not waiting[lane]:
                del waiting[lane]
            pace.took(lots, time.perf_counter_ns() - began_ns)
            wrote(lots)
            pace.rest(connection)
    return points


def _first(overdue: Sequence[OverdueLots], rows: int) -> tuple[Sequence[OverdueLots], int]:
    """The first that together have so many lots, or all; and how many lots they have."""
    lots = 0
    for number, group in enumerate(overdue, start=1):
        lots += len(group.lot_ids)
        if lots >= rows:
            return overdue[:number], lots
    return overdue, lots


def _by_lane(overdue: Iterable[OverdueLots], lanes: int) -> dict[int, list[OverdueLots]]:
    """In their order within each lane."""
    parts: dict[int, list[OverdueLots]] = {}
    for group in overdue:
        parts.setdefault(lane_of(bucket_of(group.member_id), lanes), []).append(group)
    return parts
