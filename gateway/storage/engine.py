"""Engines and transactions: the one module that knows how SQLite and PostgreSQL differ.

Opens no transaction by itself; refuses to run on SQLite without write-ahead log and full synchronisation.
"""

import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway.storage.errors import StoreUnavailable

LOCK_WAIT_MS_MAX = 10_000
CACHE_KIB = 64 * 1024  # of one connection, taken as it is needed
CHECKPOINT_PAGES = 4_000  # 16 MB of log
_WRITES = "tallystick_writes"


def open_engine(url: str, *, lock_wait_ms_max: int = LOCK_WAIT_MS_MAX) -> Engine:
    """An engine for the URL, connecting lazily. `sqlite:///FILE` or `postgresql+psycopg://…`.

    `lock_wait_ms_max`: how long a transaction that writes waits for SQLite's one lock, while another process holds it.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", partial(_begin_sqlite, lock_wait_ms_max))
        return engine
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, isolation_level="READ COMMITTED", pool_pre_ping=True)


def open_existing(url: str, *, lock_wait_ms_max: int = LOCK_WAIT_MS_MAX) -> Engine:
    """The same for a database that is there already. Raises StoreUnavailable where SQLite would begin an empty file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).is_file():
        raise StoreUnavailable(f"no database at {parsed.database}: run 'tallystick network create', or mend database.url")
    return open_engine(url, lock_wait_ms_max=lock_wait_ms_max)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database and writes nothing."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """The same for many statements that must agree with each other, however long they take. Blocks no writer."""
    # SQLite's readers have a snapshot anyway; PostgreSQL's only from this level on.
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**level) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; commits at the end, rolls back on an exception. SQLite: takes the write lock at once."""
    with engine.connect() as connection, writing_on(connection):
        yield connection


@contextmanager
def writing_on(connection: Connection) -> Iterator[None]:
    """The same on a connection that is kept open."""
    with connection.execution_options(**{_WRITES: True}).begin():
        yield


@contextmanager
def on_driver(connection: Connection, text: str) -> Iterator[sqlite3.Connection]:
    """SQLite's own connection, for statements that run too often to go through SQLAlchemy. Its errors come as SQLAlchemy's."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        yield driver
    except sqlite3.Error as error:
        # Without the values: they are members' affairs.
        raise DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True) from error


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    add: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> None:
    """Inserts rows; where the primary key exists, adds to the columns of `add` and replaces those of `replace`."""
    if not rows:
        return
    inserted = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    changes = {name: table.c[name] + inserted.excluded[name] for name in add}
    changes |= {name: inserted.excluded[name] for name in replace}
    connection.execute(inserted.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes), list(rows))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    # The log mode stands in the file; setting it again needs a lock that a busy gateway may hold.
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    # Keys are hashes, so each batch touches pages all over the file: hold many of them, and copy them back from the log
    # rarely. What is lost with neither: a crash replays the log.
    cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()


def _begin_sqlite(lock_wait_ms_max: int, connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    with on_driver(connection, "BEGIN") as driver:
        if writes:
            _begin_immediate(driver, lock_wait_ms_max)
        else:
            driver.execute("BEGIN")


def _begin_immediate(driver: sqlite3.Connection, lock_wait_ms_max: int) -> None:
    # SQLite's own busy handler sleeps up to 100 ms and would starve beside a busy gateway; short sleeps are fair.
    driver.execute("PRAGMA busy_timeout=0")
    give_up_at = time.monotonic() + lock_wait_ms_max / 1_000
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"}:
                raise
            if time.monotonic() > give_up_at:
                raise StoreUnavailable(f"the database was locked for {lock_wait_ms_max} ms by another process") from error
            time.sleep(random.uniform(0.0005, 0.002))  # noqa: S311 - jitter, not a secret
        else:
            return
