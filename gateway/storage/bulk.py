"""Statements for whole batches: each is built once, and takes all rows or keys of a batch at a time.

They are compiled at their first use and handed to the driver as they are, which costs a tenth of executing them through
SQLAlchemy. On PostgreSQL the rows of a batch go as one array a column: one statement, whatever their number, that the
server prepares once. They need a transaction that the caller has opened.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlalchemy.sql.visitors import cloned_traverse

from gateway.storage.engine import on_driver, pipelined

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
_Write = Insert | Update | Delete
_New = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]  # the row that would be inserted


class Lookup:
    """Selects the rows in which a column has one of the values given. Rows are tuples in the order of the select's columns."""

    def __init__(self, statement: Select[Any], column: ColumnElement[Any]) -> None:
        """`statement` selects columns, and may have conditions of its own."""
        self._statement = statement
        self._column = column
        self._compiled_sqlite: dict[bool, tuple[str, Callable[[object], Row]]] = {}  # by whether one value is given
        self._compiled_postgresql: str | None = None
        self._as_array = _array_writer(column)

    def __call__(self, connection: Connection, values: Collection[str] | Collection[int]) -> Sequence[Row]:
        """The rows; none, without asking, for no values."""
        if not values:
            return ()
        if connection.dialect.name == "sqlite":
            return self._on_sqlite(connection, values)
        return self.ask_postgresql(connection, values).fetchall()

    def _on_sqlite(self, connection: Connection, values: Collection[Any]) -> Sequence[Row]:
        is_one = len(values) == 1
        if is_one not in self._compiled_sqlite:
            self._compiled_sqlite[is_one] = self._compile_for_sqlite(connection, is_one=is_one)
        text, parameters = self._compiled_sqlite[is_one]
        given = next(iter(values)) if is_one else json.dumps(sorted(values))
        with on_driver(connection, text) as driver:
            rows: list[Row] = driver.execute(text, parameters(given)).fetchall()
        return rows

    def _compile_for_sqlite(self, connection: Connection, *, is_one: bool) -> tuple[str, Callable[[object], Row]]:
        """One text whatever the number of values, so that SQLite prepares it once; one alone is found in a fifth of the time."""
        given: BindParameter[Any] = bindparam("values")
        listed = select(func.json_each(given).table_valued("value").c.value)
        asked = self._column == given if is_one else self._column.in_(listed)
        compiled = _compiled(self._statement.where(asked), connection)
        constants = [compiled.params[name] for name in compiled.positiontup or ()]
        place = (compiled.positiontup or []).index("values")
        before, after = tuple(constants[:place]), tuple(constants[place + 1 :])
        return str(compiled), lambda value: (*before, value, *after)

    def ask_postgresql(self, connection: Connection, values: Collection[Any]) -> "psycopg.Cursor[Row]":
        """Sends the question; within `pipelined`, its answer is there at the end."""
        if self._compiled_postgresql is None:
            given = bindparam("values", None, type_=_array_type(self._column))
            statement = self._statement.where(self._column == func.any(given))
            self._compiled_postgresql = str(_compiled(_with_constants(statement), connection))
        text = self._compiled_postgresql
        with on_driver(connection, text) as driver:
            cursor: psycopg.Cursor[Row] = driver.cursor(binary=True)
            return cursor.execute(text, {"values": self._as_array(sorted(values))}, prepare=True)


def look_up(connection: Connection, *asked: tuple[Lookup, Collection[str] | Collection[int]]) -> list[Sequence[Row]]:
    """The rows of several look-ups, in their order; on PostgreSQL in one round trip. Each sees what was committed before it."""
    if connection.dialect.name == "sqlite":
        return [lookup(connection, values) for lookup, values in asked]
    if not any(values for _, values in asked):
        return [()] * len(asked)
    with pipelined(connection):
        cursors = [lookup.ask_postgresql(connection, values) if values else None for lookup, values in asked]
    return [cursor.fetchall() if cursor is not None else () for cursor in cursors]


class BulkWrite:
    """Writes many rows by one statement. Rows are tuples in the order of the columns that it was made with."""

    def __init__(self, on_sqlite: _Write, on_postgresql: _Write, columns: Sequence[tuple[str, Column[Any]]]) -> None:
        """Both statements bind the names of `columns`; that of PostgreSQL, each to an array."""
        self._on_sqlite = on_sqlite
        self._on_postgresql = on_postgresql
        self._names = [name for name, _ in columns]
        self._as_arrays = [_array_writer(column) for _, column in columns]
        self._compiled_sqlite: tuple[str, Callable[[Row], Row] | None] | None = None
        self._compiled_postgresql: str | None = None

    @classmethod
    def insert(cls, table: Table, *, or_leave: bool = False) -> "BulkWrite":
        """Inserts whole rows, in the order of the table's columns; `or_leave`: but leaves alone what is there already."""
        columns = [(column.name, column) for column in table.columns]
        on_sqlite = sqlite.insert(table).values({name: bindparam(name) for name, _ in columns})
        on_postgresql = postgresql.insert(table).from_select(list(table.columns), select(_given(columns)))
        if or_leave:
            return cls(on_sqlite.on_conflict_do_nothing(), on_postgresql.on_conflict_do_nothing(), columns)
        return cls(on_sqlite, on_postgresql, columns)

    @classmethod
    def update(cls, table: Table, columns: Sequence[str]) -> "BulkWrite":
        """Replaces columns; rows give the new values first, then the primary key."""
        keys = list(table.primary_key.columns)
        columns_and_keys = [*((name, table.c[name]) for name in columns), *((f"key_{key.name}", key) for key in keys)]
        given = _given(columns_and_keys)
        on_sqlite = update(table).values({name: bindparam(name) for name in columns})
        on_postgresql = update(table).values({name: given.c[name] for name in columns})
        for key in keys:
            on_sqlite = on_sqlite.where(key == bindparam(f"key_{key.name}"))
            on_postgresql = on_postgresql.where(key == given.c[f"key_{key.name}"])
        return cls(on_sqlite, on_postgresql, columns_and_keys)

    @classmethod
    def delete(cls, table: Table) -> "BulkWrite":
        """Deletes the rows whose primary keys are given."""
        keys = [(f"key_{key.name}", key) for key in table.primary_key.columns]
        given = _given(keys)
        on_sqlite, on_postgresql = delete(table), delete(table)
        for name, key in keys:
            on_sqlite = on_sqlite.where(key == bindparam(name))
            on_postgresql = on_postgresql.where(key == given.c[name])
        return cls(on_sqlite, on_postgresql, keys)

    @classmethod
    def add(cls, table: Table, columns: Sequence[str]) -> "BulkWrite":
        """Inserts whole rows; where the primary key exists, adds to `columns`. No two rows of a call may have the same key."""
        return cls._insert_or_change(table, lambda new: {name: table.c[name] + new[name] for name in columns})

    @classmethod
    def put(cls, table: Table) -> "BulkWrite":
        """Inserts whole rows, in place of those that have their primary keys. No two rows of a call may have the same one."""
        names = [column.name for column in table.columns if not column.primary_key]
        return cls._insert_or_change(table, lambda new: {name: new[name] for name in names})

    @classmethod
    def _insert_or_change(cls, table: Table, change: Callable[[_New], Mapping[str, Any]]) -> "BulkWrite":
        given = [(column.name, column) for column in table.columns]
        keys = list(table.primary_key.columns)
        row = sqlite.insert(table).values({name: bindparam(name) for name, _ in given})
        rows = postgresql.insert(table).from_select(list(table.columns), select(_given(given)))
        return cls(
            row.on_conflict_do_update(index_elements=keys, set_=change(row.excluded)),
            rows.on_conflict_do_update(index_elements=keys, set_=change(rows.excluded)),
            given,
        )

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Writes the rows, if there are any. A constraint that disagrees raises IntegrityError; if `pipelined`, at the end."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._write_on_sqlite(connection, rows)
        else:
            self._write_on_postgresql(connection, rows)

    def _write_on_sqlite(self, connection: Connection, rows: Sequence[Row]) -> None:
        if self._compiled_sqlite is None:
            compiled = _compiled(self._on_sqlite, connection)
            order = [self._names.index(name) for name in compiled.positiontup or ()]
            self._compiled_sqlite = str(compiled), None if order == sorted(order) else itemgetter(*order)
        text, reorder = self._compiled_sqlite
        ordered = [reorder(row) for row in rows] if reorder else rows
        with on_driver(connection, text) as driver:
            driver.executemany(text, ordered)

    def _write_on_postgresql(self, connection: Connection, rows: Sequence[Row]) -> None:
        if self._compiled_postgresql is None:
            self._compiled_postgresql = str(_compiled(self._on_postgresql, connection))
        text = self._compiled_postgresql
        columns = zip(self._names, self._as_arrays, zip(*rows, strict=True), strict=True)
        arrays = {name: as_array(values) for name, as_array, values in columns}
        with on_driver(connection, text) as driver:
            driver.execute(text, arrays, prepare=True)


def _given(columns: Sequence[tuple[str, Column[Any]]]) -> TableValuedAlias:
    """The rows of a batch as a table: PostgreSQL makes it of one array a column."""
    arrays = [bindparam(name, None, type_=_array_type(column)) for name, column in columns]
    return func.unnest(*arrays).table_valued(*(name for name, _ in columns)).render_derived(name="given")


def _with_constants(statement: Select[Any]) -> Select[Any]:
    """With its conditions' values as they are: for unknown ones PostgreSQL would not think of an index with a condition."""

    def write_out(parameter: BindParameter[Any]) -> None:
        parameter.literal_execute = parameter.key != "values"

    return cloned_traverse(statement, {}, {"bindparam": write_out})


def _compiled(statement: Select[Any] | _Write, connection: Connection) -> SQLCompiler:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _array_type(column: ColumnElement[Any]) -> postgresql.ARRAY[Any]:
    # Not the column's own text: a cast to it would cut off in silence what is too long, where its constraint refuses.
    return postgresql.ARRAY(column.type if isinstance(column.type, Integer | LargeBinary) else Text())


def _array_writer(column: ColumnElement[Any]) -> Callable[[Collection[Any]], str]:
    """Writes values as PostgreSQL reads an array: quicker than the driver's own, and always of one type."""
    if isinstance(column.type, LargeBinary):
        return _array_of_bytes
    return _array_of_numbers if isinstance(column.type, Integer) else _array_of_texts


def _array_of_numbers(values: Collection[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _array_of_bytes(values: Collection[bytes]) -> str:
    return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in values]) + '"}'


def _array_of_texts(values: Collection[str]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(map(_escaped, values))
    return f'{{"{joined}"}}'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
