"""Statements for whole batches: each is built once, and takes all rows or keys of a batch at a time.

On SQLite they are compiled at their first use and handed to the driver as they are, which costs a tenth of executing them
through SQLAlchemy; on PostgreSQL they are executed as any other. They need a transaction that the caller has opened.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, Update, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.storage.engine import on_driver

Row = tuple[Any, ...]


class Lookup:
    """Selects the rows in which a column has one of the values given. Rows are tuples in the order of the select's columns."""

    def __init__(self, statement: Select[Any], column: ColumnElement[Any]) -> None:
        """`statement` selects columns, and may have conditions of its own."""
        self._statement = statement.where(column.in_(bindparam("values", expanding=True)))
        # One text whatever the number of values, so that SQLite prepares it once.
        values = func.json_each(bindparam("values")).table_valued("value")
        self._on_sqlite = statement.where(column.in_(select(values.c.value)))
        self._compiled: tuple[str, Callable[[str], Row]] | None = None

    def __call__(self, connection: Connection, values: Collection[str] | Collection[int]) -> Sequence[Row]:
        """The rows; none, without asking, for no values."""
        if not values:
            return ()
        if connection.dialect.name != "sqlite":
            return [tuple(row) for row in connection.execute(self._statement, {"values": sorted(values)})]
        if self._compiled is None:
            compiled = _compiled(self._on_sqlite, connection)
            constants = [compiled.params[name] for name in compiled.positiontup or ()]
            place = (compiled.positiontup or []).index("values")
            before, after = tuple(constants[:place]), tuple(constants[place + 1 :])
            self._compiled = str(compiled), lambda given: (*before, given, *after)
        text, parameters = self._compiled
        with on_driver(connection, text) as driver:
            rows: list[Row] = driver.execute(text, parameters(json.dumps(sorted(values)))).fetchall()
        return rows


class BulkWrite:
    """Writes many rows by one statement. Rows are tuples in the order of `columns`."""

    def __init__(self, statements: Mapping[str, Insert | Update], columns: Sequence[str]) -> None:
        """`statements` by dialect; `columns` name the bound parameters in the order in which rows give them."""
        self._statements = statements
        self._columns = tuple(columns)
        self._compiled: tuple[str, Callable[[Row], Row] | None] | None = None

    @classmethod
    def insert(cls, table: Table) -> "BulkWrite":
        """Inserts whole rows, in the order of the table's columns."""
        names = [column.name for column in table.columns]
        statement = insert(table).values({name: bindparam(name) for name in names})
        return cls({"sqlite": statement, "postgresql": statement}, names)

    @classmethod
    def update(cls, table: Table, columns: Sequence[str]) -> "BulkWrite":
        """Replaces columns; rows give the new values first, then the primary key."""
        keys = [column.name for column in table.primary_key.columns]
        statement = update(table).values({name: bindparam(name) for name in columns})
        for key in keys:
            statement = statement.where(table.c[key] == bindparam(f"key_{key}"))
        return cls({"sqlite": statement, "postgresql": statement}, [*columns, *(f"key_{key}" for key in keys)])

    @classmethod
    def add(cls, table: Table, columns: Sequence[str]) -> "BulkWrite":
        """Inserts whole rows; where the primary key exists, adds to `columns`."""
        names = [column.name for column in table.columns]
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        statements: dict[str, Insert | Update] = {}
        for dialect in (sqlite, postgresql):
            inserted = dialect.insert(table).values(values)
            sums = {name: table.c[name] + inserted.excluded[name] for name in columns}
            keys = list(table.primary_key.columns)
            statements[dialect.__name__.rpartition(".")[2]] = inserted.on_conflict_do_update(index_elements=keys, set_=sums)
        return cls(statements, names)

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Writes the rows, if there are any. A constraint that disagrees raises IntegrityError."""
        if not rows:
            return
        dialect = connection.dialect.name
        if dialect != "sqlite":
            named = [dict(zip(self._columns, row, strict=True)) for row in rows]
            connection.execute(self._statements[dialect], named)
            return
        if self._compiled is None:
            compiled = _compiled(self._statements[dialect], connection)
            order = [self._columns.index(name) for name in compiled.positiontup or ()]
            self._compiled = str(compiled), None if order == sorted(order) else itemgetter(*order)
        text, reorder = self._compiled
        ordered = [reorder(row) for row in rows] if reorder else rows
        with on_driver(connection, text) as driver:
            driver.executemany(text, ordered)


def _compiled(statement: Select[Any] | Insert | Update, connection: Connection) -> SQLCompiler:
    compiled = statement.compile(dialect=connection.dialect)
    assert isinstance(compiled, SQLCompiler)
    return compiled
