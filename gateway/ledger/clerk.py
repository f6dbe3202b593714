"""Carries out batches in a thread of its own, one after the other, and brings back what became of each command.

What has waited past its deadline never enters a batch. A constraint that refuses a batch rolls it back, and its commands run
again singly, so that one bad command harms no other.
"""

import asyncio
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Engine

from gateway.domain.command import Command
from gateway.domain.lanes import Misrouted
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreError, StoreUnavailable

ATTEMPTS_MAX = 5  # of a batch that the database asks to run again
_BACKOFF_S = 0.005

_log = logging.getLogger(__name__)

Routed = Result | Misrouted
"""What a batch answers: a result, or that the command belongs elsewhere."""

Chore = Callable[[Connection], None]
"""Work that is not a command, such as keeping the operator's log of bad signatures; opens its own transaction."""

TellStore = Callable[[StoreUnavailable | None], None]
"""Told after each batch whether the store was reached: by None, or by what went wrong. Called by clerks' threads."""


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


@dataclass(slots=True, eq=False)
class Pending:
    """Commands of one caller for one lane, or a transfer for two; `deadline` and `since_s` are of `time.monotonic`."""

    commands: Sequence[Command]
    lanes: tuple[int, ...]
    deadline: float | None
    future: asyncio.Future[Sequence[Routed]]
    since_s: float


Outcome = tuple[Pending, Sequence[Routed] | Exception]


@dataclass(slots=True, eq=False)
class Work:
    """What a clerk is handed: what was waiting, for the lanes that it takes, ascending; and chores, which come first."""

    batch: list[Pending]
    lanes: tuple[int, ...]
    chores: list[Chore]


@dataclass(eq=False)
class Clerk:
    """One thread. `done` is called in the event loop after each piece of work, with what became of it."""

    name: str
    engine: Engine  # for chores
    keeping: Keeping
    done: Callable[["Clerk", Work, list[Outcome]], None]
    tell_store: TellStore | None = None

    def __post_init__(self) -> None:
        """Starts the thread; made from within the event loop that will wait for the answers."""
        self._loop = asyncio.get_running_loop()
        self._handed: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        self._thread.start()

    def hand(self, work: Work) -> None:
        """Gives it work; one piece at a time."""
        self._handed.put(work)

    async def end(self) -> None:
        """Ends the thread, once it is idle."""
        self._handed.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        connection: Connection | None = None
        while (work := self._handed.get()) is not None:
            for chore in work.chores:
                connection = self._run_chore(connection, chore)
            self._loop.call_soon_threadsafe(self.done, self, work, self._carry_out(work.batch, work.lanes))
        if connection is not None:
            connection.close()
        self.keeping.close()

    def _carry_out(self, batch: Sequence[Pending], lanes: tuple[int, ...]) -> list[Outcome]:
        now = time.monotonic()
        done: list[Outcome] = []
        live: list[Pending] = []
        for pending in batch:
            if pending.future.cancelled():
                continue
            if pending.deadline is not None and pending.deadline <= now:
                done.append((pending, _all(pending.commands, Reason.DEADLINE_PASSED)))
            else:
                live.append(pending)
        if not live:
            return done
        try:
            answers = self._attempt([command for pending in live for command in pending.commands], lanes)
        except Exception as error:  # noqa: BLE001 - the batch boundary
            # One bad command must not harm the others, so they run again singly.
            if len(live) > 1 and not _is_store_down(error):
                return done + [outcome for pending in live for outcome in self._carry_out([pending], pending.lanes)]
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


def _all(commands: Sequence[Command], reason: Reason) -> list[Refusal]:
    return [Refusal(reason)] * len(commands)


def _is_store_down(error: Exception) -> bool:
    return isinstance(error, StoreError) and not isinstance(error, ConstraintBroken)


def _reason(error: Exception) -> Reason:
    if isinstance(error, StoreContention):
        return Reason.REQUEST_IN_PROGRESS
    return Reason.STORE_UNAVAILABLE if _is_store_down(error) else Reason.INTERNAL


def _refused(pending: Pending, error: Exception) -> list[Refusal] | Exception:
    """What the callers hear: a refusal that says to come again, or the bug itself, for the edge to hide and log."""
    return _all(pending.commands, _reason(error)) if _is_store_down(error) else error
