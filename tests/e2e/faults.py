"""Faults of a store that begin and end when a test says so: as a database, its disk or another of its users would make them."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.e2e.processes import GatewayProcess
from tests.patience import patience_s
from tests.postgres import PostgresServer

WAIT_S_MAX = 30
_MAKE = """\
CREATE SEQUENCE IF NOT EXISTS faults;
CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('faults') % {every} = 0 THEN RAISE EXCEPTION 'made by a test' USING ERRCODE = {sqlstate}; END IF;
  RETURN NULL;
END $$;
{trigger}"""
_AT_ONCE = "CREATE TRIGGER fail AFTER INSERT ON outcomes EXECUTE FUNCTION fail()"
_AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON outcomes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
)


@contextmanager
def failing(server: PostgresServer, database: str, sqlstate: str, *, every: int = 1, at_commit: bool = False) -> Iterator[None]:
    """Each booking, or one of so many, is refused by PostgreSQL with a SQLSTATE: as it is written, or at COMMIT alone."""
    made = sql.SQL(_MAKE).format(
        every=sql.Literal(every), sqlstate=sql.Literal(sqlstate), trigger=sql.SQL(_AT_COMMIT if at_commit else _AT_ONCE)
    )
    with server.connect(database) as session:
        session.execute(made)
        try:
            yield
        finally:
            session.execute("DROP TRIGGER fail ON outcomes")


@contextmanager
def locked(server: PostgresServer, database: str, table: str) -> Iterator[None]:
    """Somebody has a table to himself, such as a migration that was begun by daylight."""
    with server.connect(database) as session, session.transaction():
        session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        yield


@contextmanager
def full_disk(gateway: GatewayProcess, books: Path) -> Iterator[None]:
    """No file of the gateway's may grow beyond what the log of its SQLite file has by now."""
    size = books.with_name(f"{books.name}-wal").stat().st_size
    pids = gateway.pids()
    try:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def wait_for_waiters(session: "psycopg.Connection[tuple[object, ...]]", count: int = 1) -> None:
    """Until so many sessions of the database wait for somebody's lock."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    give_up_at = time.monotonic() + patience_s(WAIT_S_MAX)
    while len(session.execute(query).fetchall()) < count:
        assert time.monotonic() < give_up_at, f"there are no {count} that wait"
        time.sleep(0.002)
