"""Tills under conformance: whose, since when, and what the gateway answered to them. No part of the ledger.

A run is opened and ended by an operator; gateways read of it with the directory. Bounded: the first events of a run are
kept, so that evidence stays however much a till sends afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, select, update

from gateway.storage.directory import bump_directory_version
from gateway.storage.engine import upsert
from gateway.storage.failures import timed_id
from gateway.storage.tables_directory import conformance_events, conformance_runs

EVENTS_MAX = 10_000  # of each run
BOOKED, REPLAYED = "BOOKED", "REPLAYED"
CATCH_UP = "SubmitOffline"  # the call of whatever a till did without a connection

_OPEN = select(conformance_runs.c.partner_id, conformance_runs.c.started_at_ms).where(conformance_runs.c.ended_at_ms.is_(None))


@dataclass(frozen=True, slots=True)
class ConformanceRun:
    """Times in unix milliseconds; `ended_at_ms` is None while the run is open."""

    partner_id: str
    started_at_ms: int
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class ConformanceEvent:
    """A command of a partner under conformance, and what it was answered: BOOKED, REPLAYED, or the reason of a refusal.

    `method` is the name of the command's call, `entry_id` that of the entry which it booked or would have.
    """

    partner_id: str
    at_ms: int
    key_id: str
    method: str
    entry_id: str
    outcome: str


def start_run(connection: Connection, partner_id: str, *, at_ms: int) -> None:
    """Opens a run; what was seen in an earlier one is forgotten."""
    connection.execute(delete(conformance_events).where(conformance_events.c.partner_id == partner_id))
    row = {"partner_id": partner_id, "started_at_ms": at_ms, "ended_at_ms": None}
    upsert(connection, conformance_runs, [row], replace=["started_at_ms", "ended_at_ms"])
    bump_directory_version(connection)


def end_run(connection: Connection, partner_id: str, *, at_ms: int) -> None:
    """Ends the partner's run, if one is open. What was seen stays."""
    is_open = (conformance_runs.c.partner_id == partner_id) & conformance_runs.c.ended_at_ms.is_(None)
    connection.execute(update(conformance_runs).where(is_open).values(ended_at_ms=at_ms))
    bump_directory_version(connection)


def load_open_runs(connection: Connection) -> Mapping[str, int]:
    """Partners under conformance, and since when."""
    return {row.partner_id: row.started_at_ms for row in connection.execute(_OPEN)}


def load_run(connection: Connection, partner_id: str) -> ConformanceRun | None:
    """The partner's last run."""
    columns = [conformance_runs.c[name] for name in ConformanceRun.__slots__]
    row = connection.execute(select(*columns).where(conformance_runs.c.partner_id == partner_id)).one_or_none()
    return None if row is None else ConformanceRun(*row)


def save_events(connection: Connection, events: Sequence[ConformanceEvent], *, after: int = 0) -> None:
    """Adds what belongs to a run that is open, in the order in which it happened, as long as there is room.

    `after`: how many this gateway has saved before; it orders those of one millisecond.
    """
    runs = load_open_runs(connection)
    rows: dict[str, list[dict[str, str | int]]] = {}
    for place, event in enumerate(events, after):
        if event.partner_id in runs and event.at_ms >= runs[event.partner_id]:
            row = {"event_id": timed_id(event.at_ms, place, event), **asdict(event)}
            rows.setdefault(event.partner_id, []).append(row)
    count = select(func.count()).select_from(conformance_events)
    for partner_id, seen in rows.items():
        kept = connection.execute(count.where(conformance_events.c.partner_id == partner_id)).scalar_one()
        upsert(connection, conformance_events, seen[: max(EVENTS_MAX - kept, 0)], replace=["outcome"])


def load_events(connection: Connection, partner_id: str) -> list[ConformanceEvent]:
    """What was seen in the partner's last run, oldest first."""
    columns = [conformance_events.c[name] for name in ConformanceEvent.__slots__]
    query = select(*columns).where(conformance_events.c.partner_id == partner_id).order_by(conformance_events.c.event_id)
    return [ConformanceEvent(*row) for row in connection.execute(query)]
