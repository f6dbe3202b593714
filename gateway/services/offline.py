"""What tills did without a connection: proves the chain of a batch, keeps its events, has their commands carried out.

Three steps, each safe to repeat, so that whoever dies in between loses nothing: the events are kept, under the lock of their
terminal and before anything is booked, so that two contents of one counter never both are; then the books carry out the
commands, of which each has an idempotency key; then it is noted how far the terminal is. What was not noted is sent again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from gateway.domain.command import Command
from gateway.domain.errors import SignatureError
from gateway.domain.events import Conflict, Event, Terminal, join_chain, prove_events
from gateway.domain.outcome import CURABLE, Reason, Refusal
from gateway.domain.partner import KeyScope
from gateway.domain.receipt import Result
from gateway.services.directory import Directory
from gateway.services.points import CommandPath
from gateway.services.store_threads import StoreThreads
from gateway.storage.terminals import (
    KeptEvent,
    KeptWarning,
    NewEvent,
    add_conflict,
    add_events,
    known_events,
    load_terminal,
    load_warnings,
    lock_terminal,
    note_carried_out,
)

THREADS_MAX = 2  # each transaction is a few milliseconds, and on SQLite they share one lock
# Whoever stands at a till comes first: what happened hours ago goes to the writer a part at a time, of few calls at once.
CALLS_AT_ONCE = 2
CALLS_WAITING_MAX = 16
PART = 100  # commands

Reached = Callable[[str], None]
"""Told of each step that is done: KEPT, CARRIED_OUT, NOTED."""

KEPT, CARRIED_OUT, NOTED = "kept", "carried out", "noted"


@dataclass(frozen=True, slots=True)
class Presented:
    """An event, and the command in it; or the refusal that it gets for its shape, whatever the books say."""

    event: Event
    command: Command | None
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of an event, and why its command would be refused, had it not happened already."""

    result: Result
    warnings: Sequence[KeptWarning]


class OfflineService:
    """Belongs to one event loop. `note` takes a line for the operator; `reached` is for tests that kill."""

    def __init__(
        self,
        engine: Engine,
        directory: Directory,
        points: CommandPath,
        *,
        note: Callable[[str], None],
        reached: Reached = lambda _step: None,
    ) -> None:
        """Takes turns with the writer on the engine."""
        self._directory = directory
        self._points = points
        self._note = note
        self._reached = reached
        self._store = StoreThreads(engine, THREADS_MAX, name="offline")
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._waiting = 0

    async def terminal(self, terminal_id: str) -> Terminal:
        """Where its chain stands, also of one that never sent an event. Raises StoreError."""

        def read(connection: Connection) -> Terminal | None:
            return load_terminal(connection, terminal_id)

        return await self._store.read(read) or Terminal(terminal_id=terminal_id)

    async def submit(
        self, terminal_id: str, presented: Sequence[Presented], *, deadline: float, now_ms: int
    ) -> Sequence[Carried] | Refusal:
        """One answer an event. Raises StoreError; then, as after a refusal that time can cure, all of them are to be sent again.

        Refuses all of them alike: EVENT_GAP, FRAME_SIGNATURE_INVALID, EVENT_TIME_NOT_MONOTONIC, EVENT_TIME_IN_FUTURE,
        TERMINAL_FROZEN, TERMINAL_EQUIVOCATION; QUEUE_FULL, and with what else an event may be refused that time can cure.
        """
        events = [one.event for one in presented]
        audience = self._directory.terms.audience
        hashes = prove_events(events, audience=audience, terminal_id=terminal_id, now_ms=now_ms, verify=self._verify)
        if isinstance(hashes, Refusal):
            return hashes
        if self._waiting >= CALLS_WAITING_MAX:
            return Refusal(Reason.QUEUE_FULL)
        self._waiting += 1
        try:
            async with self._turns:
                return await self._take(terminal_id, presented, hashes, deadline, now_ms)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Waits for what runs, and ends the threads."""
        self._store.close()

    async def _take(
        self, terminal_id: str, presented: Sequence[Presented], hashes: Sequence[bytes], deadline: float, now_ms: int
    ) -> Sequence[Carried] | Refusal:
        events = [one.event for one in presented]
        known = await self._store.write(lambda connection: self._keep(connection, terminal_id, presented, hashes, now_ms))
        if isinstance(known, Refusal):
            return known
        self._reached(KEPT)
        results = await self._carry_out(presented, known, deadline)
        if isinstance(results, Refusal):
            return results
        self._reached(CARRIED_OUT)
        warnings = await self._store.write(lambda connection: _note(connection, terminal_id, events))
        self._reached(NOTED)
        self._tell(terminal_id, results, warnings)
        by_counter: dict[int, list[KeptWarning]] = {}
        for warning in warnings:
            by_counter.setdefault(warning.counter, []).append(warning)
        return [Carried(result, by_counter.get(event.counter, ())) for event, result in zip(events, results, strict=True)]

    def _verify(self, event: Event, signed: bytes) -> None:
        known = self._directory.key(event.key_id)
        if known is None:
            raise SignatureError("unknown key")
        # A key that was retired since then signed while it was valid; one that was revoked may be in other hands.
        unusable = known.key.unusable_because(max(event.occurred_at_ms, known.key.valid_from_ms))
        if unusable is not None:
            raise SignatureError(unusable)
        if KeyScope.TILL not in known.key.scopes:
            raise SignatureError("not the key of a till")
        known.verify(event.signature, signed)

    def _keep(
        self, connection: Connection, terminal_id: str, presented: Sequence[Presented], hashes: Sequence[bytes], now_ms: int
    ) -> dict[int, KeptEvent] | Refusal:
        """Continues the chain by the events that it lacks. Answers those that it had, by counter."""
        events = [one.event for one in presented]
        terminal = lock_terminal(connection, terminal_id)
        last_known = min(events[-1].counter, terminal.last_counter)
        known = known_events(connection, terminal_id, first=events[0].counter, last=last_known)
        joined = join_chain(terminal, {counter: one.event_hash for counter, one in known.items()}, events, hashes)
        if isinstance(joined, Refusal):
            return joined
        if isinstance(joined, Conflict):
            return self._freeze(connection, terminal, events[joined.index], hashes[joined.index], now_ms)
        new = [
            NewEvent(
                one.event,
                event_hash,
                one.command.entry_id if one.command is not None else "",
                one.refused.reason.value if one.refused is not None else 0,
            )
            for one, event_hash in zip(presented[joined:], hashes[joined:], strict=True)
        ]
        if new:
            add_events(connection, terminal_id, new)
        return known

    def _freeze(self, connection: Connection, terminal: Terminal, event: Event, event_hash: bytes, now_ms: int) -> Refusal:
        """The event must stand for itself: what is kept of it is evidence without the rest of its batch."""
        counter = {"counter": str(event.counter)}
        try:
            self._verify(event, event.signed_string(self._directory.terms.audience))
        except SignatureError:
            return Refusal(Reason.FRAME_SIGNATURE_INVALID, counter)
        if add_conflict(connection, terminal, event, event_hash, received_at_ms=now_ms):
            self._note(
                f"terminal {terminal.terminal_id} is frozen: event {event.counter} was signed with two contents, so two copies "
                f"of it are at work; see 'tallystick partners terminal show {terminal.terminal_id.replace('/', ' ')}'"
            )
        return Refusal(Reason.TERMINAL_EQUIVOCATION, counter)

    async def _carry_out(
        self, presented: Sequence[Presented], known: dict[int, KeptEvent], deadline: float
    ) -> Sequence[Result] | Refusal:
        """The commands' results in order; a refusal if one of them has to wait for another answer."""
        results: list[Result | None] = [_refused(one, known.get(one.event.counter)) for one in presented]
        waiting = [index for index, result in enumerate(results) if result is None]
        commands = [command for index in waiting if (command := presented[index].command) is not None]
        for start in range(0, len(commands), PART):
            carried = await self._points.submit_batch(commands[start : start + PART], deadline=deadline)
            for index, result in zip(waiting[start : start + PART], carried, strict=True):
                if isinstance(result, Refusal) and result.reason in CURABLE:
                    return result
                results[index] = result
        return [result for result in results if result is not None]

    def _tell(self, terminal_id: str, results: Sequence[Result], warnings: Sequence[KeptWarning]) -> None:
        """The operator, once: a repeat finds the same warnings again."""
        is_new = any(not isinstance(result, Refusal) and not result.is_replayed for result in results)
        if warnings and is_new:
            why = sorted({f"{Reason(one.reason).name} of {one.partner_id}" for one in warnings})
            self._note(
                f"terminal {terminal_id}: {len(warnings)} events that had happened were booked in spite of {', '.join(why)}; "
                f"see 'tallystick partners terminal show {terminal_id.replace('/', ' ')}'"
            )


def _refused(one: Presented, known: KeptEvent | None) -> Refusal | None:
    """For its shape, or because of what it asks: as it was when the event first came."""
    if one.refused is not None:
        return one.refused
    return Refusal(Reason(known.refused)) if known is not None and known.refused else None


def _note(connection: Connection, terminal_id: str, events: Sequence[Event]) -> list[KeptWarning]:
    note_carried_out(connection, terminal_id, events[-1].counter)
    return load_warnings(connection, terminal_id, first=events[0].counter, last=events[-1].counter)
