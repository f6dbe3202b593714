"""Engines and transactions: what a commit promises, and who waits for whom. One contract for SQLite and PostgreSQL."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Executable, Integer, MetaData, String, Table, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from gateway.storage.engine import open_engine, reading, upsert, writing, writing_on

TALLIES = Table(
    "tallies",
    MetaData(),
    Column("name", String(8), primary_key=True),
    Column("notches", Integer, nullable=False),
    Column("wood", String(8), nullable=False),
)


@pytest.fixture(name="url")
def make_url(empty_url: str) -> str:
    """A database with an empty table."""
    engine = open_engine(empty_url)
    with writing(engine) as connection:
        TALLIES.create(connection)
    engine.dispose()
    return empty_url


@pytest.fixture(name="engine")
def make_engine(url: str) -> Iterator[Engine]:
    """An engine of its own."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(name="other")
def make_other(url: str) -> Iterator[Engine]:
    """Another engine on the same database, as another process has it."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


def tally(name: str, notches: int = 1, wood: str = "hazel") -> dict[str, str | int]:
    """One row."""
    return {"name": name, "notches": notches, "wood": wood}


def write_and_fail(engine: Engine, statement: Executable) -> None:
    """A transaction that does not reach its end."""
    with writing(engine) as connection:
        connection.execute(statement)
        raise ZeroDivisionError


def rows(engine: Engine) -> list[tuple[str, int, str]]:
    """All rows by name."""
    with reading(engine) as connection:
        statement = select(TALLIES.c.name, TALLIES.c.notches, TALLIES.c.wood).order_by(TALLIES.c.name)
        return [(row.name, row.notches, row.wood) for row in connection.execute(statement)]


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
def test_sqlite_keeps_what_it_has_committed(tmp_path: Path, pragma: str, value: str | int) -> None:
    """A write-ahead log, synchronised fully at each commit."""
    engine = open_engine(f"sqlite:///{tmp_path / 'tallies.db'}")
    with reading(engine) as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    engine.dispose()


def test_what_was_written_is_there_for_the_next_reader(engine: Engine, other: Engine) -> None:
    """The transaction commits at the end of its block."""
    with writing(engine) as connection:
        connection.execute(insert(TALLIES), tally("a"))

    assert rows(other) == [("a", 1, "hazel")]


def test_an_exception_leaves_nothing_behind(engine: Engine) -> None:
    """The transaction rolls back as a whole, and the exception goes on."""
    with pytest.raises(ZeroDivisionError):
        write_and_fail(engine, insert(TALLIES).values(tally("a")))

    assert rows(engine) == []


def test_tables_are_part_of_the_transaction(engine: Engine) -> None:
    """A migration that fails leaves no half of a schema."""
    with pytest.raises(ZeroDivisionError):
        write_and_fail(engine, text("CREATE TABLE half (name TEXT)"))

    with reading(engine) as connection:
        assert inspect(connection).get_table_names() == ["tallies"]


def test_the_second_writer_waits_and_sees_what_the_first_wrote(engine: Engine, other: Engine) -> None:
    """A row is locked before anything is read, so no decision stands on old rows."""
    with writing(engine) as connection:
        connection.execute(insert(TALLIES), tally("head", notches=0))
    lock = select(TALLIES.c.name).where(TALLIES.c.name == "head").with_for_update()
    has_asked = threading.Event()
    seen: list[int] = []

    def write() -> None:
        has_asked.set()
        with writing(other) as connection:
            connection.execute(lock)
            seen.extend(connection.execute(select(TALLIES.c.notches).order_by(TALLIES.c.notches)).scalars())

    waiting = threading.Thread(target=write)
    with writing(engine) as connection:
        connection.execute(lock)
        waiting.start()
        assert has_asked.wait(timeout=30)
        connection.execute(insert(TALLIES), tally("a", notches=7))
    waiting.join(timeout=30)

    assert seen == [0, 7]


def test_a_reader_sees_one_state_while_others_write(engine: Engine, other: Engine) -> None:
    """Reports add up although traffic flows."""
    with reading(engine) as connection:
        before = connection.execute(select(TALLIES.c.name)).all()
        with writing(other) as writer:
            writer.execute(insert(TALLIES), tally("a"))

        assert connection.execute(select(TALLIES.c.name)).all() == before == []


def test_a_connection_kept_open_writes_one_transaction_after_the_other(engine: Engine) -> None:
    """The writer's thread keeps its connection; a batch that failed does not spoil the next."""
    with engine.connect() as connection:
        with writing_on(connection):
            connection.execute(insert(TALLIES), tally("a"))
        with pytest.raises(IntegrityError), writing_on(connection):
            connection.execute(insert(TALLIES), tally("a"))
        with writing_on(connection):
            connection.execute(insert(TALLIES), tally("b"))

    assert [name for name, _, _ in rows(engine)] == ["a", "b"]


def test_an_upsert_adds_to_some_columns_and_replaces_others(engine: Engine) -> None:
    """Running sums grow, facts are replaced, and new rows come as they are."""
    with writing(engine) as connection:
        upsert(connection, TALLIES, [tally("a", 5, "hazel")], add=["notches"], replace=["wood"])
        upsert(connection, TALLIES, [tally("a", 2, "ash"), tally("b", 3, "ash")], add=["notches"], replace=["wood"])

    assert rows(engine) == [("a", 7, "ash"), ("b", 3, "ash")]


def test_an_upsert_of_no_rows_does_nothing(engine: Engine) -> None:
    """An empty batch needs no statement."""
    with writing(engine) as connection:
        upsert(connection, TALLIES, [], add=["notches"])

    assert rows(engine) == []
