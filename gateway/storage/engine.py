"""Engines and transactions: the one module that knows how SQLite and PostgreSQL differ.

Opens no transaction by itself. Lowers no durability: SQLite runs with a write-ahead log and full synchronisation,
PostgreSQL with synchronous_commit at least `on`, whatever its role or database were set to.
"""

import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, ExceptionContext, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from gateway.storage.errors import StoreUnavailable, forget_values

if TYPE_CHECKING:
    import psycopg

LOCK_WAIT_MS_MAX = 10_000
CONNECT_S_MAX = 5
SILENCE_S_MAX = 60  # after it the other machine counts as gone
SESSION_S_MAX = 1_800  # a session is not used again when it is older, so that a moved database is found
CACHE_KIB = 24 * 1024  # of one connection, taken as it is needed; the system holds the other pages
CHECKPOINT_PAGES = 4_000  # 16 MB of log
_WRITES = "tallystick_writes"


def open_engine(url: str, *, lock_wait_ms_max: int = LOCK_WAIT_MS_MAX, statement_ms_max: int | None = None) -> Engine:
    """An engine for the URL, connecting lazily. `sqlite:///FILE` or `postgresql://…`.

    `lock_wait_ms_max`: how long a transaction waits for rows, or for SQLite's one lock, that another process holds.
    `statement_ms_max`: for a gateway, whose statements are all short; PostgreSQL ends a longer one, and a transaction that
    waits longer for its client. None: a command, which may sum up everything. Raises StoreUnavailable without a driver.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"check_same_thread": False}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", partial(_begin_sqlite, lock_wait_ms_max))
        return engine
    return _open_postgresql(parsed, _postgresql_settings(lock_wait_ms_max, statement_ms_max))


def open_existing(url: str, *, lock_wait_ms_max: int = LOCK_WAIT_MS_MAX, statement_ms_max: int | None = None) -> Engine:
    """The same for a database that is there already. Raises StoreUnavailable where SQLite would begin an empty file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).is_file():
        raise StoreUnavailable(f"no database at {parsed.database}: run 'tallystick network create', or mend database.url")
    return open_engine(url, lock_wait_ms_max=lock_wait_ms_max, statement_ms_max=statement_ms_max)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database, however long it takes, and writes nothing. Blocks no writer."""
    # SQLite's readers have a snapshot anyway; PostgreSQL's only from this level on.
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; commits at the end, rolls back on an exception.

    SQLite takes the write lock at once. On PostgreSQL each statement sees what was committed before it began: lock first,
    in a statement of its own, then read.
    """
    with engine.connect() as connection, writing_on(connection):
        yield connection


@contextmanager
def writing_on(connection: Connection) -> Iterator[None]:
    """The same on a connection that is kept open."""
    with connection.execution_options(**{_WRITES: True}).begin():
        yield


class on_driver:  # noqa: N801 - reads like the functions beside it; as one of them it would cost twice as much
    """The driver's own connection, for statements that run too often to go through SQLAlchemy, whose errors it raises."""

    __slots__ = ("_connection", "_text")

    def __init__(self, connection: Connection, text: str) -> None:
        """`text` is what an error will name."""
        self._connection = connection
        self._text = text

    def __enter__(self) -> Any:
        """The driver's connection."""
        return self._connection.connection.driver_connection

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raises what SQLAlchemy would have raised."""
        if error is None:
            return
        connection, dialect = self._connection, self._connection.dialect
        errors = dialect.loaded_dbapi.Error
        if not isinstance(error, errors):
            return
        forget_values(error)
        is_cut = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if is_cut:
            connection.invalidate(error)
        # Without the values: they are members' affairs.
        raise DBAPIError.instance(
            self._text, None, error, errors, hide_parameters=True, connection_invalidated=is_cut, dialect=dialect
        ) from error


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """What is written within goes to PostgreSQL in one round trip; its errors come at the end. Nothing may be read within."""
    if connection.dialect.name == "sqlite":
        yield  # no way to go
        return
    with on_driver(connection, "pipeline") as driver, driver.pipeline():
        yield


@contextmanager
def pipelined_to_commit(connection: Connection) -> Iterator[bool]:
    """The same, with the COMMIT of the caller's transaction in that round trip; for its last writes.

    If one of them fails, nothing behind it is carried out, the COMMIT neither. Gives whether COMMIT is among it: the caller's
    own commit then finds nothing to do. On SQLite it is the one that counts.
    """
    if connection.dialect.name == "sqlite":
        yield False
        return
    with on_driver(connection, "pipeline") as driver, driver.pipeline():
        yield True
        driver.commit()


def refresh_statistics(connection: Connection) -> None:
    """Tells PostgreSQL how large the tables are by now, so that it plans large questions well; a second, beside all traffic.

    It does so by itself within a minute of a change. Of tables that grew, were copied or restored since then, it knows nothing,
    and may compare every row with every other. SQLite needs none.
    """
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("ANALYZE")


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


def _open_postgresql(url: URL, settings: Mapping[str, str]) -> Engine:
    # Secrets of the query would show wherever the URL does.
    secrets = {name: value for name, value in url.query.items() if name in {"password", "sslpassword"}}
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg").difference_update_query(secrets),
            connect_args={name: value for name, value in _CONNECTING.items() if name not in url.query} | secrets,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_recycle=SESSION_S_MAX,
            use_native_hstore=False,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise StoreUnavailable("PostgreSQL needs its driver: pip install 'tallystick[postgres]'") from None
    event.listen(engine, "connect", partial(_prepare_postgresql, settings))
    event.listen(engine, "handle_error", _forget_values)
    return engine


_CONNECTING = {
    "application_name": "tallystick",
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_S_MAX,
    # Without these a machine that lost its power would be waited for, for hours.
    "keepalives_idle": SILENCE_S_MAX // 2,
    "keepalives_interval": SILENCE_S_MAX // 6,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENCE_S_MAX * 1_000,
}


def _postgresql_settings(lock_wait_ms_max: int, statement_ms_max: int | None) -> dict[str, str]:
    settings = {
        "lock_timeout": str(lock_wait_ms_max),
        # The same from the other side: a gateway that lost its power must not hold a head for hours.
        "tcp_keepalives_idle": str(SILENCE_S_MAX // 2),
        "tcp_keepalives_interval": str(SILENCE_S_MAX // 6),
        "tcp_keepalives_count": "3",
    }
    if statement_ms_max is not None:
        settings["statement_timeout"] = settings["idle_in_transaction_session_timeout"] = str(statement_ms_max)
        # A gateway asks by keys alone. A plan that was made when the books were short must not scan them when they are long.
        settings["enable_seqscan"] = "off"
    return settings


def _prepare_postgresql(settings: Mapping[str, str], session: "psycopg.Connection[Any]", _record: object) -> None:
    session.autocommit = True
    session.execute(_SETTINGS, (list(settings), list(settings.values())))
    session.autocommit = False


# Stronger than `on` may stay; weaker is not ours to promise receipts by.
_SETTINGS = """\
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS settings(name, value)
UNION ALL
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply'"""


def _forget_values(context: ExceptionContext) -> None:
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    forget_values(error)
    if wrapped is not None:
        wrapped.args = (f"({type(error).__name__}) {error}",)


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
