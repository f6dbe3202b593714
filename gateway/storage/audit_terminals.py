"""What the audit reads of terminals: raw rows, by short ranges of counters. Trusts no constraint, and writes nothing."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.domain.events import Terminal
from gateway.storage.audit_reads import Rows
from gateway.storage.tables import entries, outcomes, refusals
from gateway.storage.tables_terminals import event_warnings, terminal_conflicts, terminal_events, terminals

TABLES = (terminals, terminal_events, terminal_conflicts, event_warnings)

_ROWS_AT_ONCE = 1_000
_TERMINALS = select(*(terminals.c[name] for name in Terminal.__slots__)).order_by(terminals.c.terminal_id)
_WARNINGS = (
    select(
        event_warnings,
        terminal_events.c.entry_id.label("event_entry_id"),
        entries.c.booked_at_ms.label("entry_booked_at_ms"),
    )
    .outerjoin(
        terminal_events,
        (terminal_events.c.terminal_id == event_warnings.c.terminal_id) & (terminal_events.c.counter == event_warnings.c.counter),
    )
    .outerjoin(entries, entries.c.entry_id == event_warnings.c.entry_id)
    .order_by(event_warnings.c.terminal_id, event_warnings.c.counter, event_warnings.c.ordinal)
)


def terminal_rows(connection: Connection) -> Rows:
    """All terminals by id, with the fields of `Terminal`."""
    return connection.execute(_TERMINALS).all()


def events_between(connection: Connection, terminal_id: str, first: int, last: int) -> Rows:
    """A terminal's events by counter, both ends included."""
    query = select(terminal_events).where(
        terminal_events.c.terminal_id == terminal_id, terminal_events.c.counter.between(first, last)
    )
    return connection.execute(query.order_by(terminal_events.c.counter)).all()


def event_count(connection: Connection) -> int:
    """Of all terminals."""
    return connection.execute(select(func.count()).select_from(terminal_events)).scalar_one()


def conflicts_of(connection: Connection, terminal_id: str) -> Rows:
    """The other contents of a terminal's counters."""
    query = select(terminal_conflicts).where(terminal_conflicts.c.terminal_id == terminal_id)
    return connection.execute(query.order_by(terminal_conflicts.c.counter, terminal_conflicts.c.event_hash)).all()


def strays(connection: Connection) -> Iterator[tuple[str, list[str]]]:
    """By table: terminals that its rows name and that are none."""
    for table in (terminal_events, terminal_conflicts, event_warnings):
        named = select(table.c.terminal_id).distinct().where(table.c.terminal_id.not_in(select(terminals.c.terminal_id)))
        yield table.name, list(connection.execute(named.order_by(table.c.terminal_id).limit(3)).scalars())


def answered(connection: Connection, entry_ids: Collection[str]) -> set[str]:
    """Those of the ids that have a booking or a remembered refusal."""
    wanted, found = sorted(entry_ids), set[str]()
    for start in range(0, len(wanted), _ROWS_AT_ONCE):
        part: Sequence[str] = wanted[start : start + _ROWS_AT_ONCE]
        for table in (outcomes, refusals):
            found.update(connection.execute(select(table.c.entry_id).where(table.c.entry_id.in_(part))).scalars())
    return found


def warning_rows(connection: Connection) -> Iterator[Any]:
    """Each warning with the entry that its event names, and when that entry was booked."""
    with connection.execute(_WARNINGS.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        yield from rows
