"""The group-commit writer: one thread. While one batch commits, the next collects.

Answers after COMMIT, and wakes the event loop once a batch. Its queue is bounded; what does not fit is refused at once,
what has waited past its deadline never enters a batch. A constraint that refuses a batch rolls it back, and its
commands run again singly, so that one bad command harms no other.
"""

import asyncio
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from gateway.domain.command import Command
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.ledger.figures import BatchFigures, QueueState
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreError

ATTEMPTS_MAX = 5  # of a batch that the database asks to run again
_BACKOFF_S = 0.005

_log = logging.getLogger(__name__)


Run = Callable[[Sequence[Command]], list[Result]]
"""Carries out commands in one transaction, and commits: one result each, in order. Raises StoreError if nothing was written.

Called by the writer's thread alone.
"""


@dataclass(slots=True, eq=False)
class _Pending:
    commands: Sequence[Command]
    deadline: float | None
    future: asyncio.Future[list[Result]]
    since_s: float  # of time.monotonic


_Outcome = tuple[_Pending, list[Result] | Exception]

Chore = Callable[[Connection], None]
"""Work that is not a command, such as keeping the operator's log of bad signatures; opens its own transaction.

On a connection of the writer's engine.
"""


@dataclass(eq=False)
class Writer:
    """Takes commands from the event loop, hands them to its thread by batches, and brings back the results."""

    engine: Engine
    run: Run
    queue_max: int
    batch_max: int
    figures: BatchFigures | None = None

    def __post_init__(self) -> None:
        """Makes the thread; `start` starts it."""
        # The queue belongs to the event loop; the thread sees nothing but the batches that it is handed.
        self._queue: deque[_Pending] = deque()
        self._chores: deque[Chore] = deque()
        self._waiting = 0  # commands in the queue
        self._is_draining = False
        self._is_at_work = False  # the thread has a batch, or is about to get one
        self._handed: queue.SimpleQueue[tuple[list[_Pending], list[Chore]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tallystick-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the thread; called from within the event loop that will wait for the results."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Takes nothing more, empties the queue, and ends the thread."""
        self._is_draining = True
        self._start_batch()
        await asyncio.to_thread(self._thread.join)

    async def submit(self, commands: Sequence[Command], *, deadline: float | None) -> list[Result]:
        """One result a command, after COMMIT. `deadline` is an instant of `time.monotonic`.

        Refuses all of them alike: DRAINING, QUEUE_FULL, DEADLINE_PASSED, STORE_UNAVAILABLE. Raises what a bug raised.
        """
        if self._is_draining:
            return self._turned_away(commands, Reason.DRAINING)
        if self._waiting + len(commands) > self.queue_max:
            return self._turned_away(commands, Reason.QUEUE_FULL)
        pending = _Pending(commands, deadline, self._running_loop().create_future(), time.monotonic())
        self._queue.append(pending)
        self._waiting += len(commands)
        self._start_batch()
        return await pending.future

    def queue_state(self) -> QueueState:
        """What waits now. May be asked by any thread."""
        try:
            return QueueState(self._waiting, self._queue[0].since_s)
        except IndexError:
            return QueueState(0, None)

    def add_chore(self, chore: Chore) -> None:
        """Runs it between two batches, on the writer's connection. A chore that fails is logged, not repeated."""
        self._chores.append(chore)
        self._start_batch()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "the writer was not started"
        return self._loop

    def _start_batch(self) -> None:
        """Has the queue handed over at the end of this turn of the loop, so that what came in together goes together."""
        if not self._is_at_work:
            self._is_at_work = True
            self._running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        chores = list(self._chores)
        self._chores.clear()
        batch: list[_Pending] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].commands) <= self.batch_max):
            batch.append(self._queue.popleft())
            size += len(batch[-1].commands)
        self._waiting -= size
        if batch or chores:
            self._handed.put((batch, chores))
        elif self._is_draining:
            self._handed.put(None)
        else:
            self._is_at_work = False

    def _finish(self, outcomes: list[_Outcome]) -> None:
        """Back in the loop: first whoever waited gets an answer, then the next batch is due."""
        self._is_at_work = False
        _resolve(outcomes)
        self._start_batch()

    def _work(self) -> None:
        connection: Connection | None = None
        while (handed := self._handed.get()) is not None:
            batch, chores = handed
            for chore in chores:
                connection = self._run_chore(connection, chore)
            self._running_loop().call_soon_threadsafe(self._finish, self._carry_out(batch))
        if connection is not None:
            connection.close()

    def _carry_out(self, batch: list[_Pending]) -> list[_Outcome]:
        now = time.monotonic()
        done: list[_Outcome] = []
        live: list[_Pending] = []
        for pending in batch:
            if pending.future.cancelled():
                continue
            if pending.deadline is not None and pending.deadline <= now:
                done.append((pending, self._turned_away(pending.commands, Reason.DEADLINE_PASSED)))
            else:
                live.append(pending)
        if not live:
            return done
        try:
            results = self._attempt([command for pending in live for command in pending.commands])
        except Exception as error:  # noqa: BLE001 - the batch boundary
            # One bad command must not harm the others, so they run again singly.
            if len(live) > 1 and not _is_store_down(error):
                return done + [outcome for pending in live for outcome in self._carry_out([pending])]
            if len(live[0].commands) > 1 and not _is_store_down(error):
                return [*done, (live[0], self._singly(live[0].commands))]
            _log.exception("a batch was not written")
            if not _is_store_down(error):
                return [*done, (live[0], error)]
            return done + [(pending, self._turned_away(pending.commands, _reason(error))) for pending in live]
        start = 0
        for pending in live:
            done.append((pending, results[start : start + len(pending.commands)]))
            start += len(pending.commands)
        return done

    def _singly(self, commands: Sequence[Command]) -> list[Result]:
        results: list[Result] = []
        for command in commands:
            try:
                results += self._attempt([command])
            except Exception as error:  # noqa: BLE001 - the boundary of one command
                _log.exception("a command was not written")
                results.append(Refusal(_reason(error)))
        return results

    def _attempt(self, commands: Sequence[Command]) -> list[Result]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                results = self.run(commands)
            except StoreContention:
                if attempt == ATTEMPTS_MAX:
                    raise
                time.sleep(_BACKOFF_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            else:
                if self.figures is not None:
                    self.figures.answered(commands, results)
                return results
        raise AssertionError("unreachable")

    def _turned_away(self, commands: Sequence[Command], reason: Reason) -> list[Result]:
        if self.figures is not None:
            self.figures.turned_away(reason, len(commands))
        return [Refusal(reason)] * len(commands)

    def _run_chore(self, connection: Connection | None, chore: Chore) -> Connection | None:
        """Returns the connection to go on with."""
        try:
            connection = connection or self.engine.connect()
            chore(connection)
        except Exception:  # noqa: BLE001 - a chore must not end the writer
            _log.exception("a chore failed")
        if connection is not None and connection.invalidated:
            connection.close()
            return None
        return connection


def _resolve(outcomes: list[_Outcome]) -> None:
    for pending, outcome in outcomes:
        if pending.future.done():
            continue  # the caller went away; a retry with its key finds the answer
        if isinstance(outcome, Exception):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)


def _is_store_down(error: Exception) -> bool:
    return isinstance(error, StoreError) and not isinstance(error, ConstraintBroken)


def _reason(error: Exception) -> Reason:
    if isinstance(error, StoreContention):
        return Reason.REQUEST_IN_PROGRESS
    return Reason.STORE_UNAVAILABLE if _is_store_down(error) else Reason.INTERNAL
