"""Engines and transactions: what a commit promises, who waits for whom, and the statements for many rows."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Executable, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from gateway.storage.bulk import BulkWrite
from gateway.storage.engine import open_engine, reading, upsert, writing, writing_on
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreError, StoreUnavailable, translate

TALLIES = Table(
    "tallies",
    MetaData(),
    Column("name", String(8), primary_key=True),
    Column("notches", Integer, nullable=False),
    Column("wood", String(8), nullable=False),
)


@pytest.fixture(name="url")
def make_url(tmp_path: Path) -> str:
    """A database with an empty table."""
    url = f"sqlite:///{tmp_path / 'tallies.db'}"
    engine = open_engine(url)
    with writing(engine) as connection:
        TALLIES.create(connection)
    engine.dispose()
    return url


@pytest.fixture(name="engine")
def make_engine(url: str) -> Iterator[Engine]:
    """An engine of its own."""
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
def test_sqlite_keeps_what_it_has_committed(engine: Engine, pragma: str, value: str | int) -> None:
    """A write-ahead log, synchronised fully at each commit."""
    with reading(engine) as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_what_was_written_is_there_for_the_next_reader(engine: Engine, url: str) -> None:
    """The transaction commits at the end of its block."""
    with writing(engine) as connection:
        connection.execute(insert(TALLIES), tally("a"))

    assert rows(open_engine(url)) == [("a", 1, "hazel")]


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
        assert connection.execute(text("SELECT name FROM sqlite_master WHERE name = 'half'")).all() == []


def test_the_second_writer_waits_and_sees_what_the_first_wrote(engine: Engine, url: str) -> None:
    """The write lock is taken before anything is read, so no decision stands on old rows."""
    second = open_engine(url)
    has_asked = threading.Event()
    seen: list[int] = []

    def write() -> None:
        has_asked.set()
        with writing(second) as connection:
            seen.extend(connection.execute(select(TALLIES.c.notches)).scalars())

    waiting = threading.Thread(target=write)
    with writing(engine) as connection:
        waiting.start()
        assert has_asked.wait(timeout=30)
        connection.execute(insert(TALLIES), tally("a", notches=7))
    waiting.join(timeout=30)

    assert seen == [7]


def test_a_reader_sees_one_state_while_others_write(engine: Engine, url: str) -> None:
    """Reports add up although traffic flows."""
    with reading(engine) as connection:
        before = connection.execute(select(TALLIES.c.name)).all()
        with writing(open_engine(url)) as other:
            other.execute(insert(TALLIES), tally("a"))

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


def test_many_rows_go_in_by_one_statement(engine: Engine) -> None:
    """Rows are tuples in the order of the table's columns."""
    write = BulkWrite.insert(TALLIES)
    with writing(engine) as connection:
        write(connection, [("a", 1, "hazel"), ("b", 2, "ash")])
        write(connection, [])

    assert rows(engine) == [("a", 1, "hazel"), ("b", 2, "ash")]


def test_many_rows_are_changed_by_their_keys(engine: Engine) -> None:
    """The new values come first, in the order that was asked for, then the key."""
    with writing(engine) as connection:
        BulkWrite.insert(TALLIES)(connection, [("a", 1, "hazel"), ("b", 2, "hazel"), ("c", 3, "hazel")])
        BulkWrite.update(TALLIES, ["wood", "notches"])(connection, [("ash", 10, "a"), ("oak", 20, "b")])

    assert rows(engine) == [("a", 10, "ash"), ("b", 20, "oak"), ("c", 3, "hazel")]


def test_a_row_that_breaks_a_constraint_takes_its_batch_along(engine: Engine) -> None:
    """The caller runs the batch again, one command at a time."""
    with pytest.raises(IntegrityError), writing(engine) as connection:
        BulkWrite.insert(TALLIES)(connection, [("a", 1, "hazel"), ("a", 2, "ash")])

    assert rows(engine) == []


class Serialization(Exception):
    """What PostgreSQL's driver raises: it names the state."""

    sqlstate = "40001"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (IntegrityError("", {}, Exception("UNIQUE constraint failed")), ConstraintBroken),
        (OperationalError("", {}, Serialization()), StoreContention),
        (OperationalError("", {}, Exception("disk I/O error")), StoreUnavailable),
    ],
)
def test_a_drivers_error_becomes_a_word_of_ours(error: DBAPIError, expected: type[StoreError]) -> None:
    """What is not known counts as unavailable: the caller may send the same key again."""
    assert type(translate(error)) is expected


@pytest.mark.parametrize("url", ["postgresql://db/books", "postgresql+psycopg://db/books"])
def test_postgresql_is_reached_by_the_one_driver_we_have(url: str) -> None:
    """No connection is made before it is needed."""
    pytest.importorskip("psycopg")

    assert open_engine(url).url.drivername == "postgresql+psycopg"
