"""Engines and transactions: the one module that knows how SQLite and PostgreSQL differ.

Opens no transaction by itself; refuses to run on SQLite without write-ahead log and full synchronisation.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, Update, bindparam, create_engine, event, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from gateway.storage.errors import StoreUnavailable

LOCK_WAIT_MS_MAX = 10_000
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


class BulkWrite:
    """An insert, or an update by primary key, of many rows by one statement that is built once.

    Rows are tuples in the order of `columns`. SQLite takes them as they are, three times as fast as named ones.
    """

    def __init__(self, statement: Insert | Update, columns: Sequence[str]) -> None:
        """`columns` name the bound parameters in the order in which rows give them."""
        self._statement = statement
        self._columns = tuple(columns)
        self._sqlite: tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]] | None] | None = None

    @classmethod
    def insert(cls, table: Table) -> "BulkWrite":
        """Inserts whole rows, in the order of the table's columns."""
        names = [column.name for column in table.columns]
        return cls(insert(table).values({name: bindparam(name) for name in names}), names)

    @classmethod
    def update(cls, table: Table, columns: Sequence[str]) -> "BulkWrite":
        """Replaces columns; rows give the new values first, then the primary key."""
        keys = [column.name for column in table.primary_key.columns]
        statement = update(table).values({name: bindparam(name) for name in columns})
        for key in keys:
            statement = statement.where(table.c[key] == bindparam(f"key_{key}"))
        return cls(statement, [*columns, *(f"key_{key}" for key in keys)])

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Writes the rows, if there are any. A constraint that disagrees raises the driver's IntegrityError."""
        if not rows:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, [dict(zip(self._columns, row, strict=True)) for row in rows])
            return
        if self._sqlite is None:
            compiled = self._statement.compile(dialect=connection.dialect)
            assert compiled.positiontup is not None, "SQLite's parameters are positional"
            order = [self._columns.index(name) for name in compiled.positiontup]
            self._sqlite = (str(compiled), None if order == sorted(order) else itemgetter(*order))
        text, reorder = self._sqlite
        connection.exec_driver_sql(text, [reorder(row) for row in rows] if reorder else list(rows))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    # The log mode stands in the file; setting it again needs a lock that a busy gateway may hold.
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()


def _begin_sqlite(lock_wait_ms_max: int, connection: Connection) -> None:
    if not connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own busy handler sleeps up to 100 ms and would starve beside a busy gateway; short sleeps are fair.
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    give_up_at = time.monotonic() + lock_wait_ms_max / 1_000
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorname", "") not in {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"}:
                raise
            if time.monotonic() > give_up_at:
                raise StoreUnavailable(f"the database was locked for {lock_wait_ms_max} ms by another process") from error
            time.sleep(random.uniform(0.0005, 0.002))  # noqa: S311 - jitter, not a secret
        else:
            return
