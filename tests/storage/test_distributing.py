"""The calls that hand the tables over to Citus: their text, and what is said where it is not there.

Citus itself is not at hand: a stand-in of the same names notes what it is asked.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from gateway.domain.errors import InvalidValue
from gateway.storage.distributing import distribute, distribute_calls
from gateway.storage.distribution import DISTRIBUTED, REFERENCE
from gateway.storage.engine import open_engine, reading
from tests.e2e.commands import done, run_command
from tests.given import create_network
from tests.postgres import PostgresServer

_STAND_IN = (
    "CREATE TABLE calls (number serial, called text)",
    "CREATE TABLE pg_dist_partition (logicalrelid regclass)",
    """
    CREATE FUNCTION create_reference_table(given regclass) RETURNS void LANGUAGE sql BEGIN ATOMIC
        INSERT INTO pg_dist_partition VALUES (given);
        INSERT INTO calls (called) VALUES (given::text);
    END
    """,
    """
    CREATE FUNCTION create_distributed_table(given regclass, by text, how text, colocate_with text) RETURNS void
    LANGUAGE sql BEGIN ATOMIC
        INSERT INTO pg_dist_partition VALUES (given);
        INSERT INTO calls (called) VALUES (concat_ws(' ', given::text, by, how, colocate_with));
    END
    """,
    "SET allow_system_table_mods = on",
    "INSERT INTO pg_extension SELECT 99999, 'citus', extowner, extnamespace, false, '0', NULL, NULL FROM pg_extension LIMIT 1",
)


@pytest.fixture(name="engine")
def make_engine(postgres_url: str) -> Iterator[Engine]:
    """Of a plain PostgreSQL with all tables."""
    engine = open_engine(postgres_url)
    yield engine
    engine.dispose()


def stand_in(server: PostgresServer, url: str) -> None:
    """As if the extension were there."""
    with server.connect(str(make_url(url).database)) as connection:
        for statement in _STAND_IN:
            connection.execute(statement.encode())


def test_each_table_is_handed_over_by_a_call_that_can_be_read() -> None:
    """Literals as they are, no names of the program's making."""
    calls = dict(distribute_calls())

    assert calls.keys() == DISTRIBUTED.keys() | REFERENCE
    assert calls["heads"] == "SELECT create_reference_table('heads')"
    assert calls["entries"] == "SELECT create_distributed_table('entries', 'bucket', 'hash', 'checkouts')"
    assert calls["checkouts"] == "SELECT create_distributed_table('checkouts', 'bucket', 'hash', 'none')"


@pytest.mark.postgres
def test_a_plain_server_says_that_the_extension_is_missing(tmp_path: Path, postgres_url: str) -> None:
    """In a sentence that says what to do, with exit code 1."""
    network = create_network(tmp_path / "net", url=postgres_url)
    ran = run_command(network, "database", "distribute")

    assert (ran.code, "this database has no Citus" in ran.err, "CREATE EXTENSION citus" in ran.err) == (1, True, True)
    network.engine.dispose()


def test_a_file_cannot_be_spread(tmp_path: Path) -> None:
    """It is to move first."""
    network = create_network(tmp_path / "net")
    ran = run_command(network, "database", "distribute")

    assert (ran.code, "tallystick database copy" in ran.err) == (1, True)


def test_a_dry_run_prints_the_sql_and_asks_no_database(tmp_path: Path) -> None:
    """So that it can be read, or run by hand."""
    network = create_network(tmp_path / "net")
    ran = done(run_command(network, "database", "distribute", "--dry-run"))

    assert ran.out.splitlines() == [f"{call};" for _, call in distribute_calls()]


@pytest.mark.postgres
def test_what_is_asked_of_the_extension_comes_in_order_and_once(
    postgres_server: PostgresServer, postgres_url: str, engine: Engine
) -> None:
    """The second time nothing is left to do."""
    stand_in(postgres_server, postgres_url)
    first = distribute(engine, progress=lambda _line: None)
    second = distribute(engine, progress=lambda _line: None)
    with reading(engine) as connection:
        calls = list(connection.execute(text("SELECT called FROM calls ORDER BY number")).scalars())

    assert first == [name for name, _ in distribute_calls()]
    assert second == []
    assert "entries bucket hash checkouts" in calls
    assert len(calls) == len(first)


@pytest.mark.postgres
def test_what_was_handed_over_before_is_left_alone(postgres_server: PostgresServer, postgres_url: str, engine: Engine) -> None:
    """As after an interruption."""
    stand_in(postgres_server, postgres_url)
    with postgres_server.connect(str(engine.url.database)) as connection:
        connection.execute("INSERT INTO pg_dist_partition VALUES ('heads')")
    done_now = distribute(engine, progress=lambda _line: None)

    assert set(done_now) == (DISTRIBUTED.keys() | REFERENCE) - {"heads"}


def test_sqlite_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """By the engine alone."""
    with pytest.raises(InvalidValue, match="move the network to PostgreSQL first"):
        distribute(open_engine(f"sqlite:///{tmp_path / 'books.db'}"), progress=lambda _line: None)
