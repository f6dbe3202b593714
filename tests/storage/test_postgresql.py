"""What holds on PostgreSQL alone: durability, timeouts, lost connections, and secrets that stay secret."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import on_driver, open_engine, reading, refresh_statistics, writing, writing_on
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreError, StoreUnavailable, translate
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres

STATES = {
    "23505": ConstraintBroken,  # unique violation
    "23514": ConstraintBroken,  # check violation
    "22001": ConstraintBroken,  # text too long
    "22003": ConstraintBroken,  # number out of range
    "40001": StoreContention,  # serialization failure
    "40P01": StoreContention,  # deadlock
    "55P03": StoreUnavailable,  # lock timeout
    "57014": StoreUnavailable,  # statement timeout
    "57P01": StoreUnavailable,  # the server is stopped
    "57P03": StoreUnavailable,  # the server starts
    "08006": StoreUnavailable,  # connection failure
    "53100": StoreUnavailable,  # disk full
    "53300": StoreUnavailable,  # too many connections
    "25006": StoreUnavailable,  # a standby, which takes no writes
    "42P01": StoreUnavailable,  # no such table
    "XX000": StoreUnavailable,  # a bug of the server
}


@pytest.fixture(name="engine")
def make_engine(postgres_url: str) -> Iterator[Engine]:
    """A gateway's engine: with a limit for statements."""
    engine = open_engine(postgres_url, lock_wait_ms_max=200, statement_ms_max=400)
    yield engine
    engine.dispose()


def setting(engine: Engine, name: str) -> object:
    """As the server has it for a session of the engine."""
    with reading(engine) as connection:
        return connection.exec_driver_sql(f"SHOW {name}").scalar()


def failure(engine: Engine, statement: str) -> StoreError:
    """Our word for what comes of a statement."""
    with pytest.raises(DBAPIError) as caught, writing(engine) as connection:
        connection.exec_driver_sql(statement)
    return translate(caught.value)


@pytest.mark.parametrize(("stored", "kept"), [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
def test_a_commit_waits_for_the_disk(postgres_server: PostgresServer, postgres_url: str, stored: str, kept: str) -> None:
    """Whatever the database was set to: a receipt is a promise. What is stronger stays."""
    engine = open_engine(postgres_url)
    name = sql.Identifier(str(engine.url.database))
    postgres_server.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, sql.Literal(stored)))

    assert setting(engine, "synchronous_commit") == kept
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transaction_isolation", "repeatable read"),
        ("transaction_read_only", "on"),
        ("lock_timeout", "200ms"),
        ("statement_timeout", "400ms"),
        ("idle_in_transaction_session_timeout", "400ms"),
        ("enable_seqscan", "off"),
        ("client_encoding", "UTF8"),
        ("application_name", "tallystick"),
    ],
)
def test_a_session_of_a_gateway_is_set_up(engine: Engine, name: str, value: str) -> None:
    """Readers see one state; nobody waits, or is waited for, without an end."""
    assert setting(engine, name) == value


def test_a_command_may_take_as_long_as_it_needs(postgres_url: str) -> None:
    """An audit sums up everything."""
    engine = open_engine(postgres_url)

    assert {setting(engine, name) for name in ("statement_timeout", "idle_in_transaction_session_timeout")} == {"0"}
    engine.dispose()


def test_a_writer_sees_what_was_committed_before_each_statement(engine: Engine) -> None:
    """First the lock, then the rest: what came before the lock is seen."""
    with writing(engine) as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


@pytest.mark.parametrize("state", STATES)
def test_each_state_of_the_server_has_a_word_of_ours(engine: Engine, state: str) -> None:
    """By the class of the driver's error, and by its state."""
    raised = failure(engine, f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{state}'; END $$")

    assert (type(raised), str(raised)) == (STATES[state], "so it is")


def test_a_statement_that_takes_too_long_is_ended(engine: Engine) -> None:
    """Its batch was not written, and may come again."""
    assert isinstance(failure(engine, "SELECT pg_sleep(30)"), StoreUnavailable)


def test_a_lock_that_is_held_too_long_is_not_waited_for(engine: Engine) -> None:
    """Whoever holds it may have lost its power."""
    with writing(engine) as holder:
        holder.exec_driver_sql("LOCK TABLE heads")

        assert isinstance(failure(engine, "LOCK TABLE heads"), StoreUnavailable)


def test_statistics_are_renewed_when_somebody_asks_large_questions(engine: Engine) -> None:
    """Of a table that was just filled the server knows nothing, and would guess."""
    known = "SELECT reltuples::int FROM pg_class WHERE relname = 'member_identifiers'"
    with writing(engine) as connection:
        columns = "n::text, 'card', 'm', '', 0, 'e', ''"
        connection.exec_driver_sql(f"INSERT INTO member_identifiers SELECT {columns} FROM generate_series(1, 300) AS n")
        before = connection.exec_driver_sql(known).scalar()
        refresh_statistics(connection)

        assert (before, connection.exec_driver_sql(known).scalar()) == (-1, 300)


def test_a_deadlock_asks_to_come_again(postgres_url: str) -> None:
    """The server chooses one of the two, and the other goes on."""
    engine = open_engine(postgres_url, lock_wait_ms_max=30_000)
    both_hold = threading.Barrier(2, timeout=30)
    ends: list[StoreError | None] = []

    def take(first: str, second: str) -> None:
        try:
            with writing(engine) as connection:
                connection.exec_driver_sql(f"LOCK TABLE {first}")
                both_hold.wait()
                connection.exec_driver_sql(f"LOCK TABLE {second}")
        except DBAPIError as error:
            ends.append(translate(error))
        else:
            ends.append(None)

    threads = [threading.Thread(target=take, args=tables) for tables in (("heads", "lots"), ("lots", "heads"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "StoreContention"]
    engine.dispose()


def cut_in_the_middle(connection: Connection, cut: Callable[[], None]) -> None:
    """A transaction that loses its connection between two statements of its driver."""
    with writing_on(connection), on_driver(connection, "SELECT 1") as driver:
        driver.execute("SELECT 1")
        cut()
        driver.execute("SELECT 1")


def test_a_cut_connection_is_noticed_and_replaced(engine: Engine, postgres_server: PostgresServer, postgres_url: str) -> None:
    """Also by statements that go to the driver as they are."""
    with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            cut_in_the_middle(connection, lambda: postgres_server.cut_connections(postgres_url))

        assert (connection.invalidated, type(translate(caught.value))) == (True, StoreUnavailable)
        with writing_on(connection):
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_pooled_connection_that_was_cut_is_not_handed_out(
    engine: Engine, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """A restart of the server costs nobody an error who comes afterwards."""
    setting(engine, "lock_timeout")
    postgres_server.cut_connections(postgres_url)

    assert setting(engine, "lock_timeout") == "200ms"


def test_what_the_server_repeats_of_a_row_is_forgotten(engine: Engine) -> None:
    """Errors are logged, and rows are members' affairs."""
    statement = text("INSERT INTO member_identifiers (identifier_hash, kind, member_id) VALUES (:card, NULL, 'm1')")
    with pytest.raises(DBAPIError) as caught, writing(engine) as connection:
        connection.execute(statement, {"card": "5ec4e7"})

    assert "5ec4e7" not in f"{caught.value} {caught.value.orig!r} {translate(caught.value)}"
    assert "member_identifiers" in str(translate(caught.value))


@pytest.mark.parametrize("url", ["postgresql://db/books", "postgresql+psycopg://db/books"])
def test_postgresql_is_reached_by_the_one_driver_we_have(url: str) -> None:
    """No connection is made before it is needed."""
    assert open_engine(url).url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("given", ["ann:hunter2@", "ann@?password=hunter2&", "ann@?sslpassword=hunter2&"])
def test_a_password_shows_in_no_repr_and_no_error(given: str) -> None:
    """Wherever in the URL it stands, and although the server cannot be reached."""
    user, _, query = given.partition("?")
    engine = open_engine(f"postgresql://{user}/books?{query}host=/nowhere&connect_timeout=1")
    with pytest.raises(DBAPIError) as caught, reading(engine):
        pass

    assert "hunter2" not in f"{engine!r} {engine.url!r} {caught.value} {caught.value.orig!r} {translate(caught.value)}"


def test_what_the_url_says_of_a_connection_goes_before_our_own(postgres_url: str) -> None:
    """An operator may name sessions as it likes."""
    engine = open_engine(f"{postgres_url}&application_name=till-night")

    assert setting(engine, "application_name") == "till-night"
    engine.dispose()


def test_a_killed_server_keeps_what_was_committed() -> None:
    """All its processes end at once; the next start recovers."""
    with PostgresServer() as server:
        url = server.new_database(is_empty=True)
        engine = open_engine(url)
        with writing(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE tallies (name text)")
        server.stop(kill=True)
        with pytest.raises(DBAPIError), reading(engine):
            pass
        server.start()

        with closing(psycopg.connect(url)) as session:
            assert session.execute("SELECT count(*) FROM tallies").fetchone() == (0,)
        engine.dispose()
