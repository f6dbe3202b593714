"""Statements for many rows: one contract for SQLite and PostgreSQL, whatever the values look like."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    func,
    select,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from gateway.domain.units import INT64_MAX
from gateway.storage.bulk import BulkWrite, Lookup, Row
from gateway.storage.columns import chars
from gateway.storage.engine import open_engine, pipelined, reading, writing, writing_on
from gateway.storage.errors import ConstraintBroken, translate

STICKS = Table(
    "sticks",
    MetaData(),
    Column("name", chars(12), primary_key=True),
    Column("side", Integer, primary_key=True),
    Column("notches", BigInteger, nullable=False),
    Column("wood", chars(12), nullable=False),
    Column("seal", LargeBinary, nullable=False),
    CheckConstraint("notches >= -1", name="notches"),
)
INSERT = BulkWrite.insert(STICKS)
UPDATE = BulkWrite.update(STICKS, ["wood", "notches"])
ADD = BulkWrite.add(STICKS, ["notches"])
PUT = BulkWrite.put(STICKS)
BY_NAME = Lookup(select(STICKS).order_by(STICKS.c.name, STICKS.c.side), STICKS.c.name)
BY_SIDE = Lookup(select(STICKS.c.side, func.sum(STICKS.c.notches)).group_by(STICKS.c.side), STICKS.c.side)
MARKED = Lookup(select(STICKS.c.name).where(STICKS.c.notches > 0, STICKS.c.wood != "").order_by(STICKS.c.name), STICKS.c.name)
BY_SEAL = Lookup(select(STICKS.c.name), STICKS.c.seal)

A: Row = ("a", 1, 1, "hazel", b"")
B: Row = ("b", 2, 2, "ash", b"\x00\xff")


@pytest.fixture(name="engine")
def make_engine(empty_engine: Engine) -> Engine:
    """With an empty table."""
    with writing(empty_engine) as connection:
        STICKS.create(connection)
    return empty_engine


def rows(engine: Engine) -> list[Row]:
    """All of them, by key."""
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(select(STICKS).order_by(STICKS.c.name, STICKS.c.side))]


def write(engine: Engine, *given: Row, by: BulkWrite = INSERT) -> None:
    """One call in a transaction of its own."""
    with writing(engine) as connection:
        by(connection, given)


def test_what_is_put_stands_in_place_of_what_was_there(engine: Engine) -> None:
    """All of a row but its key; others stay."""
    with writing(engine) as connection:
        INSERT(connection, [A, B])
        PUT(connection, [(*A[:2], 7, "oak", b"x"), ("c", 3, 3, "elm", b"")])

    assert rows(engine) == [(*A[:2], 7, "oak", b"x"), B, ("c", 3, 3, "elm", b"")]


def test_many_rows_go_in_by_one_statement(engine: Engine) -> None:
    """Rows are tuples in the order of the table's columns; no rows are no statement."""
    write(engine, A, B)
    write(engine)

    assert rows(engine) == [A, B]


def test_many_rows_are_changed_by_their_keys(engine: Engine) -> None:
    """The new values come first, in the order that was asked for, then the key."""
    write(engine, A, B, ("b", 3, 3, "hazel", b""))
    write(engine, ("ash", 10, "a", 1), ("oak", INT64_MAX, "b", 3), by=UPDATE)

    assert rows(engine) == [("a", 1, 10, "ash", b""), B, ("b", 3, INT64_MAX, "oak", b"")]


def test_sums_grow_and_other_columns_stay(engine: Engine) -> None:
    """A row that is new comes as it is."""
    write(engine, A)
    write(engine, ("a", 1, 5, "oak", b"x"), B, by=ADD)

    assert rows(engine) == [("a", 1, 6, "hazel", b""), B]


@pytest.mark.parametrize("name", ['"', "\\", "'", "{}", "a,b", "NULL", "", " ", "ü€😀", "%s", "\\x00", "a\tb\nc"])
def test_whatever_a_text_holds_comes_back(engine: Engine, name: str) -> None:
    """Arrays and placeholders have signs of their own, which mean nothing here."""
    row = (name, 1, -1, name, name.encode())
    write(engine, row, A)

    with reading(engine) as connection:
        assert list(BY_NAME(connection, {name})) == [row]


def test_rows_are_found_by_any_of_many_keys(engine: Engine) -> None:
    """By texts, by numbers and by bytes; no keys are no question."""
    write(engine, A, B, ("b", 1, 40, "hazel", b"\x00"))

    with reading(engine) as connection:
        assert list(BY_NAME(connection, ["b", "z", "a"])) == [A, ("b", 1, 40, "hazel", b"\x00"), B]
        assert sorted((side, int(notches)) for side, notches in BY_SIDE(connection, {1, 2, 3})) == [(1, 41), (2, 2)]
        assert list(BY_NAME(connection, [])) == []


def test_a_condition_of_the_lookups_own_holds(engine: Engine) -> None:
    """Its values are part of the statement."""
    write(engine, A, ("b", 1, 0, "hazel", b""), ("c", 1, 9, "", b""), ("d", 1, 9, "oak", b""))

    with reading(engine) as connection:
        assert [name for (name,) in MARKED(connection, list("abcd"))] == ["a", "d"]


@pytest.mark.parametrize("bad", [A, ("c", 1, -2, "hazel", b"")])
def test_a_row_that_breaks_a_constraint_takes_its_batch_along(engine: Engine, bad: Row) -> None:
    """The caller runs the batch again, one command at a time."""
    with pytest.raises(IntegrityError), writing(engine) as connection:
        INSERT(connection, [A, B, bad])

    assert rows(engine) == []


def write_in_pipeline(connection: Connection, *given: Row) -> None:
    """Row by row, and then one of them anew."""
    with writing_on(connection), pipelined(connection):
        for row in given:
            INSERT(connection, [row])
        UPDATE(connection, [("oak", 1, "a", 1)])


def test_a_pipeline_writes_all_or_nothing(engine: Engine) -> None:
    """Its errors come at its end at the latest, and the connection serves the next batch."""
    with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            write_in_pipeline(connection, A, A)
        write_in_pipeline(connection, A, B)

    assert rows(engine) == [("a", 1, 1, "oak", b""), B]


def test_a_refused_row_is_not_repeated_in_the_error(engine: Engine) -> None:
    """Errors are logged, and rows are members' affairs."""
    with pytest.raises(DBAPIError) as caught, writing(engine) as connection:
        INSERT(connection, [("secret", 1, -2, "hazel", b"")])

    assert "secret" not in f"{caught.value} {caught.value.orig!r} {translate(caught.value)}"


@pytest.mark.parametrize("row", [("a" * 13, 1, 1, "", b""), ("a", 2**31, 1, "", b""), ("a", 1, 1, "b" * 13, b"")])
@pytest.mark.postgres
def test_postgresql_cuts_off_nothing_that_is_too_long(postgres_sticks: Engine, row: Row) -> None:
    """SQLite keeps what it is given, and the audit finds it; PostgreSQL refuses."""
    with pytest.raises(DataError) as caught, writing(postgres_sticks) as connection:
        INSERT(connection, [row])

    assert isinstance(translate(caught.value), ConstraintBroken)


@pytest.fixture(name="postgres_sticks")
def make_postgres_sticks(postgres_url: str) -> Iterator[Engine]:
    """The empty table, on PostgreSQL."""
    engine = open_engine(postgres_url)
    with writing(engine) as connection:
        STICKS.create(connection)
    yield engine
    engine.dispose()
