"""The group-commit writer of one lane: one thread. While one batch commits, the next collects.

Wakes the event loop once a batch. What has waited past its deadline never enters a batch. A constraint that refuses a batch
rolls it back, and its commands run again singly, so that one bad command harms no other.
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
from typing import Protocol

from sqlalchemy import Connection, Engine

from gateway.domain.command import Command
from gateway.domain.lanes import Misrouted
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.ledger.figures import QueueState
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreError, StoreUnavailable

ATTEMPTS_MAX = 5  # of a batch that the database asks to run again
_BACKOFF_S = 0.005

_log = logging.getLogger(__name__)

Routed = Result | Misrouted
"""What a lane answers: a result, or that the command belongs elsewhere."""

Chore = Callable[[Connection], None]
"""Work that is not a command, such as keeping the operator's log of bad signatures; opens its own transaction."""

TellStore = Callable[[StoreUnavailable | None], None]
"""Told after each batch whether the store was reached: by None, or by what went wrong. Called by lanes' threads."""


class Keeping(Protocol):
    """Carries out batches, each in one transaction. Belongs to one thread."""

    def start(self) -> None:
        """Gets ready. Raises what keeps it from that."""
        ...

    def __call__(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Routed]:
        """One answer a command, in order, after COMMIT. Raises StoreError if nothing was written."""
        ...

    def close(self) -> None:
        """Lets go of what it holds. The next batch gets ready anew."""
        ...


class Turns:
    """How many lanes of this process may have a batch under way at once; whoever waits collects meanwhile.

    Batches of one process share one interpreter and one machine: more of them at once than cores would only be smaller
    ones, whose fixed cost is most of what they cost. Belongs to one event loop.
    """

    def __init__(self, at_once: int) -> None:
        """All free."""
        self._free = at_once
        self._due: deque[Callable[[], None]] = deque()

    def ask(self, begin: Callable[[], None]) -> None:
        """Calls `begin` at the end of this turn of the loop, or when one is given back; in the order of asking."""
        if self._free:
            self._free -= 1
            asyncio.get_running_loop().call_soon(begin)
        else:
            self._due.append(begin)

    def give_back(self) -> None:
        """A batch is done, or there was none."""
        if self._due:
            asyncio.get_running_loop().call_soon(self._due.popleft())
        else:
            self._free += 1


@dataclass(slots=True, eq=False)
class _Pending:
    commands: Sequence[Command]
    lanes: tuple[int, ...]
    deadline: float | None
    future: asyncio.Future[Sequence[Routed]]
    since_s: float  # of time.monotonic


_Outcome = tuple[_Pending, Sequence[Routed] | Exception]


@dataclass(eq=False)
class Lane:
    """Takes commands from the event loop, hands them to its thread by batches, and brings back what became of them."""

    lane: int
    engine: Engine  # for chores
    keeping: Keeping
    batch_max: int
    turns: Turns
    tell_store: TellStore | None = None

    def __post_init__(self) -> None:
        """Makes the thread; `start` starts it."""
        # The queue belongs to the event loop; the thread sees nothing but the batches that it is handed.
        self._queue: deque[_Pending] = deque()
        self._chores: deque[Chore] = deque()
        self.waiting = 0  # commands in the queue
        self._is_draining = False
        self._is_at_work = False  # the thread has a batch, or is about to get one
        self._handed: queue.SimpleQueue[tuple[list[_Pending], list[Chore]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"tallystick-lane-{self.lane}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the thread; called from within the event loop that will wait for the answers."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Empties the queue, and ends the thread. Nothing may be submitted any more."""
        self._is_draining = True
        self._start_batch()
        await asyncio.to_thread(self._thread.join)

    def submit(
        self, commands: Sequence[Command], lanes: tuple[int, ...], *, deadline: float | None
    ) -> asyncio.Future[Sequence[Routed]]:
        """One answer a command. `lanes` is this one, or the two that a transfer needs. `deadline`: of `time.monotonic`.

        All of them are refused alike: DEADLINE_PASSED, STORE_UNAVAILABLE, REQUEST_IN_PROGRESS. Raises what a bug raised.
        """
        future: asyncio.Future[Sequence[Routed]] = self._running_loop().create_future()
        self._queue.append(_Pending(commands, lanes, deadline, future, time.monotonic()))
        self.waiting += len(commands)
        self._start_batch()
        return future

    def queue_state(self) -> QueueState:
        """What waits now. May be asked by any thread."""
        try:
            return QueueState(self.waiting, self._queue[0].since_s)
        except IndexError:
            return QueueState(0, None)

    def add_chore(self, chore: Chore) -> None:
        """Runs it between two batches, on a connection of the engine. A chore that fails is logged, not repeated."""
        self._chores.append(chore)
        self._start_batch()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "the lane was not started"
        return self._loop

    def _start_batch(self) -> None:
        """Has the queue handed over at its turn, so that what came in together goes together."""
        if not self._is_at_work:
            self._is_at_work = True
            self.turns.ask(self._hand_over)

    def _hand_over(self) -> None:
        chores = list(self._chores)
        self._chores.clear()
        batch: list[_Pending] = []
        size = 0
        while self._queue and self._fits(batch, size):
            batch.append(self._queue.popleft())
            size += len(batch[-1].commands)
        self.waiting -= size
        if batch or chores:
            self._handed.put((batch, chores))
        else:
            self.turns.give_back()
            if self._is_draining:
                self._handed.put(None)
            else:
                self._is_at_work = False

    def _fits(self, batch: Sequence[_Pending], size: int) -> bool:
        # What takes another lane as well goes by itself.
        following = self._queue[0]
        return not batch or (following.lanes == batch[0].lanes and size + len(following.commands) <= self.batch_max)

    def _finish(self, outcomes: list[_Outcome]) -> None:
        """Back in the loop: first whoever waited gets an answer, then the next batch is due."""
        self._is_at_work = False
        self.turns.give_back()
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
        self.keeping.close()

    def _carry_out(self, batch: list[_Pending]) -> list[_Outcome]:
        now = time.monotonic()
        done: list[_Outcome] = []
        live: list[_Pending] = []
        for pending in batch:
            if pending.future.cancelled():
                continue
            if pending.deadline is not None and pending.deadline <= now:
                done.append((pending, _all(pending.commands, Reason.DEADLINE_PASSED)))
            else:
                live.append(pending)
        if not live:
            return done
        lanes = live[0].lanes
        try:
            answers = self._attempt([command for pending in live for command in pending.commands], lanes)
        except Exception as error:  # noqa: BLE001 - the batch boundary
            # One bad command must not harm the others, so they run again singly.
            if len(live) > 1 and not _is_store_down(error):
                return done + [outcome for pending in live for outcome in self._carry_out([pending])]
            if len(live[0].commands) > 1 and not _is_store_down(error):
                return [*done, (live[0], self._singly(live[0].commands, lanes))]
            if not _is_store_down(error):  # else whoever is told of the store says so, once
                _log.exception("a batch was not written")
            return done + [(pending, _refused(pending, error)) for pending in live]
        start = 0
        for pending in live:
            done.append((pending, answers[start : start + len(pending.commands)]))
            start += len(pending.commands)
        return done

    def _singly(self, commands: Sequence[Command], lanes: Sequence[int]) -> list[Routed]:
        answers: list[Routed] = []
        for command in commands:
            try:
                answers += self._attempt([command], lanes)
            except Exception as error:  # noqa: BLE001 - the boundary of one command
                if not _is_store_down(error):
                    _log.exception("a command was not written")
                answers.append(Refusal(_reason(error)))
        return answers

    def _attempt(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Routed]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answers = self.keeping(commands, lanes)
            except StoreContention:
                if attempt == ATTEMPTS_MAX:
                    raise
                time.sleep(_BACKOFF_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            except ConstraintBroken:
                # Another lane may have booked the same key or card meanwhile: the second time it is seen.
                if len(commands) > 1 or attempt > 1:
                    raise
            except StoreUnavailable as error:
                if self.tell_store is not None:
                    self.tell_store(error)
                raise
            else:
                if self.tell_store is not None:
                    self.tell_store(None)
                return answers
        raise AssertionError("unreachable")

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


def _all(commands: Sequence[Command], reason: Reason) -> list[Refusal]:
    return [Refusal(reason)] * len(commands)


def _is_store_down(error: Exception) -> bool:
    return isinstance(error, StoreError) and not isinstance(error, ConstraintBroken)


def _reason(error: Exception) -> Reason:
    if isinstance(error, StoreContention):
        return Reason.REQUEST_IN_PROGRESS
    return Reason.STORE_UNAVAILABLE if _is_store_down(error) else Reason.INTERNAL


def _refused(pending: _Pending, error: Exception) -> list[Refusal] | Exception:
    """What the callers hear: a refusal that says to come again, or the bug itself, for the edge to hide and log."""
    return _all(pending.commands, _reason(error)) if _is_store_down(error) else error
