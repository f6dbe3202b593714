"""Moves all rows of a network from one database to another, as they are, and proves that they came.

Reads one state of the source, in short ranges; writes within one transaction of the caller's, so that a copy is there
whole or not at all. Changes no value: ids, hashes, buckets, lanes and heads stay what they were.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select

from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.storage import tables_directory, tables_intake, tables_settlement, tables_terminals, tables_till
from gateway.storage.bulk import BulkWrite
from gateway.storage.engine import on_driver
from gateway.storage.tables import heads, metadata, windows

_ = tables_till  # imported for the tables that it adds to the metadata

Progress = Callable[[str], None]
Row = tuple[Any, ...]

RANGE_ROWS = 5_000
_ROWS_PER_LINE = 100_000
_DIGESTS = 1 << 256

# The network's one row goes first: a second copy into the same database waits for it, and is then refused.
TABLES: Sequence[Table] = sorted(metadata.sorted_tables, key=lambda table: (table.name != "networks", table.name))

_SESSIONS = """\
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"""

# Whatever changes a network changes a row of these.
_TELLING = (
    heads,
    windows,
    tables_directory.networks,
    tables_directory.decisions,
    tables_settlement.settlement_steps,
    tables_settlement.window_transitions,
    tables_settlement.payments,
    tables_intake.acknowledgements,
    tables_intake.dispute_steps,
    tables_intake.partner_records,
    tables_intake.reconciliations,
    tables_terminals.terminals,
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds, whatever the order of its rows: how many, and the sum of their hashes."""

    rows: int = 0
    digest: int = 0


def other_sessions(connection: Connection) -> int:
    """How many more sessions of ours PostgreSQL has in this database: gateways, or commands. 0 on SQLite, which has a lock."""
    return 0 if connection.dialect.name == "sqlite" else int(connection.exec_driver_sql(_SESSIONS).scalar_one())


def row_counts(connection: Connection) -> dict[str, int]:
    """Rows by table."""
    return {table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one()) for table in TABLES}


def check_empty(connection: Connection) -> None:
    """Raises InvalidValue, naming a table, unless all of them are empty."""
    for table in TABLES:
        if connection.execute(select(table.columns[0]).limit(1)).first() is not None:
            raise InvalidValue(f"the other database is not empty: it has rows in {table.name}; name an empty one")


def state_of(connection: Connection) -> Sequence[Sequence[Row]]:
    """What tells one state of a network from any later one: heads, windows, directory, decisions, steps of the nights."""
    return [[tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))] for table in _TELLING]


def copy_rows(source: Connection, target: Connection, *, progress: Progress) -> dict[str, Content]:
    """Copies all tables; answers what each of them held. `target` must be empty, with the newest schema."""
    copied: dict[str, Content] = {}
    for table, count in zip(TABLES, row_counts(source).values(), strict=True):
        write = _writer(target, table)
        content = Content()
        for rows in _ranges(source, table):
            write(rows)
            content = _with(content, rows)
            if content.rows == count or content.rows % _ROWS_PER_LINE == 0:
                progress(f"{table.name}: {content.rows:,} of {count:,} rows")
        copied[table.name] = content
    return copied


def check_copied(connection: Connection, copied: Mapping[str, Content], *, progress: Progress) -> None:
    """Reads everything again on the other side. Raises BooksBroken, naming the table that is not the same, value by value."""
    progress("reading it back")
    for table in TABLES:
        found = Content()
        for rows in _ranges(connection, table):
            found = _with(found, rows)
        if found != copied[table.name]:
            raise BooksBroken(f"{table.name}: {copied[table.name].rows} rows were copied, and what arrived is not the same")


def _ranges(connection: Connection, table: Table) -> Iterator[Sequence[Row]]:
    """In the order in which they lie: entries by the time of their commit, as the audit walks along them."""
    with connection.execute(select(table).execution_options(yield_per=RANGE_ROWS)) as rows:
        for part in rows.partitions():
            yield [tuple(row) for row in part]


def _with(content: Content, rows: Sequence[Row]) -> Content:
    digests = (int.from_bytes(hashlib.sha256(repr(row).encode()).digest()) for row in rows)
    return Content(content.rows + len(rows), (content.digest + sum(digests)) % _DIGESTS)


def _writer(connection: Connection, table: Table) -> Callable[[Sequence[Row]], None]:
    if connection.dialect.name == "sqlite":
        insert = BulkWrite.insert(table)
        return lambda rows: insert(connection, rows)
    return lambda rows: _copy_in(connection, table, rows)


def _copy_in(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    from psycopg import sql

    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns.keys()))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    with on_driver(connection, f"COPY {table.name}") as driver, driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
