"""Terminals and their events: locked, read and added to. Each function takes a Connection; who opens the transaction decides."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gateway.domain.book import EventWarning
from gateway.domain.events import Event, Terminal
from gateway.storage.bulk import BulkWrite
from gateway.storage.engine import upsert
from gateway.storage.tables_terminals import event_warnings, terminal_conflicts, terminal_events, terminals

_COLUMNS = tuple(terminals.c[name] for name in Terminal.__slots__)
_INSERT_EVENTS = BulkWrite.insert(terminal_events)
_INSERT_WARNINGS = BulkWrite.insert(event_warnings)


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """What is known of an event by its counter. `refused`: the reason for which it never went to the books, or 0."""

    event_hash: bytes
    refused: int


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be kept, with its hash, and the entry that it may book."""

    event: Event
    event_hash: bytes
    entry_id: str
    refused: int


@dataclass(frozen=True, slots=True)
class KeptWarning:
    """An event that was booked although a cap or a suspension would have refused a command of then."""

    terminal_id: str
    counter: int
    reason: int
    partner_id: str
    entry_id: str
    booked_at_ms: int


@dataclass(frozen=True, slots=True)
class KeptConflict:
    """The other content of a counter."""

    counter: int
    key_id: str
    occurred_at_ms: int
    previous_hash: bytes
    command: bytes
    signature: bytes
    event_hash: bytes
    received_at_ms: int


def load_terminal(connection: Connection, terminal_id: str, *, for_update: bool = False) -> Terminal | None:
    """Where its chain stands; None if nothing ever came from it. `for_update`: it is the caller's until the transaction ends."""
    query = select(*_COLUMNS).where(terminals.c.terminal_id == terminal_id)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else Terminal(**row._asdict())


def load_terminals(connection: Connection, partner_id: str) -> list[Terminal]:
    """All of a partner's, by their ids."""
    query = select(*_COLUMNS).where(terminals.c.terminal_id.startswith(f"{partner_id}/", autoescape=True))
    return [Terminal(**row._asdict()) for row in connection.execute(query.order_by(terminals.c.terminal_id))]


def lock_terminal(connection: Connection, terminal_id: str) -> Terminal:
    """The same, with a row made for one that is new. Later statements see what was committed before."""
    found = load_terminal(connection, terminal_id, for_update=True)
    if found is None:
        # Whoever makes the row at the same time waits here, and then changes nothing: the key replaces itself.
        new = Terminal(terminal_id=terminal_id)
        row = {name: getattr(new, name) for name in Terminal.__slots__}
        upsert(connection, terminals, [row], replace=["terminal_id"])
        found = load_terminal(connection, terminal_id, for_update=True)
    assert found is not None
    return found


def known_events(connection: Connection, terminal_id: str, *, first: int, last: int) -> dict[int, KeptEvent]:
    """By counter, both ends included."""
    columns = (terminal_events.c.counter, terminal_events.c.event_hash, terminal_events.c.refused)
    query = select(*columns).where(terminal_events.c.terminal_id == terminal_id, terminal_events.c.counter.between(first, last))
    return {counter: KeptEvent(event_hash, refused) for counter, event_hash, refused in connection.execute(query)}


def add_events(connection: Connection, terminal_id: str, new: Sequence[NewEvent]) -> None:
    """Continues the chain of a locked terminal."""
    rows = [
        (
            terminal_id,
            one.event.counter,
            one.event.key_id,
            one.event.occurred_at_ms,
            one.event.command,
            one.event.signature,
            one.event_hash,
            one.entry_id,
            one.refused,
        )
        for one in new
    ]
    _INSERT_EVENTS(connection, rows)
    last = new[-1]
    _change(
        connection,
        terminal_id,
        last_counter=last.event.counter,
        last_hash=last.event_hash,
        last_occurred_at_ms=last.event.occurred_at_ms,
    )


def note_carried_out(connection: Connection, terminal_id: str, counter: int) -> None:
    """Every event up to the counter has its last answer. Never runs back."""
    behind = update(terminals).where(terminals.c.terminal_id == terminal_id, terminals.c.carried_out < counter)
    connection.execute(behind.values(carried_out=counter))


def add_conflict(connection: Connection, terminal: Terminal, event: Event, event_hash: bytes, *, received_at_ms: int) -> bool:
    """Keeps the other content of a counter, and freezes the locked terminal. False: this very content was known already."""
    of_event = (
        terminal_conflicts.c.terminal_id == terminal.terminal_id,
        terminal_conflicts.c.counter == event.counter,
        terminal_conflicts.c.event_hash == event_hash,
    )
    if connection.execute(select(terminal_conflicts.c.counter).where(*of_event)).first() is not None:
        return False
    connection.execute(
        insert(terminal_conflicts).values(
            terminal_id=terminal.terminal_id,
            counter=event.counter,
            event_hash=event_hash,
            key_id=event.key_id,
            occurred_at_ms=event.occurred_at_ms,
            previous_hash=event.previous_hash,
            command=event.command,
            signature=event.signature,
            received_at_ms=received_at_ms,
        )
    )
    _change(connection, terminal.terminal_id, conflicts=terminal.conflicts + 1)
    return True


def release(connection: Connection, terminal_id: str, *, conflicts: int) -> None:
    """The terminal goes on, in spite of so many conflicts."""
    _change(connection, terminal_id, released=conflicts)


def load_conflicts(connection: Connection, terminal_id: str) -> list[KeptConflict]:
    """Of a terminal, in the order in which they came."""
    columns = [terminal_conflicts.c[name] for name in KeptConflict.__slots__]
    query = select(*columns).where(terminal_conflicts.c.terminal_id == terminal_id)
    order = (terminal_conflicts.c.received_at_ms, terminal_conflicts.c.counter, terminal_conflicts.c.event_hash)
    return [KeptConflict(*row) for row in connection.execute(query.order_by(*order))]


def save_warnings(connection: Connection, warnings: Collection[EventWarning]) -> None:
    """Together with the entries that they are about."""
    _INSERT_WARNINGS(
        connection,
        [
            (
                one.event.terminal_id,
                one.event.counter,
                one.ordinal,
                one.despite.reason.value,
                one.partner_id,
                one.entry.entry_id,
                one.entry.booked_at_ms,
            )
            for one in warnings
        ],
    )


def load_warnings(connection: Connection, terminal_id: str, *, first: int, last: int) -> list[KeptWarning]:
    """Of the terminal's events from one counter to another, in their order."""
    columns = [event_warnings.c[name] for name in KeptWarning.__slots__]
    of_events = (event_warnings.c.terminal_id == terminal_id, event_warnings.c.counter.between(first, last))
    query = select(*columns).where(*of_events).order_by(event_warnings.c.counter, event_warnings.c.ordinal)
    return [KeptWarning(*row) for row in connection.execute(query)]


def newest_warnings(connection: Connection, terminal_id: str, *, limit: int) -> list[KeptWarning]:
    """The last ones of a terminal, oldest of them first."""
    columns = [event_warnings.c[name] for name in KeptWarning.__slots__]
    query = select(*columns).where(event_warnings.c.terminal_id == terminal_id)
    order = (event_warnings.c.counter.desc(), event_warnings.c.ordinal.desc())
    return [KeptWarning(*row) for row in reversed(connection.execute(query.order_by(*order).limit(limit)).all())]


def _change(connection: Connection, terminal_id: str, **values: int | bytes) -> None:
    connection.execute(update(terminals).where(terminals.c.terminal_id == terminal_id).values(**values))
