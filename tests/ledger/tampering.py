"""Books that somebody changes by hand, past all constraints; what was done to them is rolled back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, Table, text

from gateway.storage.engine import writing


class _RollBack(Exception):
    """Ends a transaction whose work nobody wants."""


@contextmanager
def tampered(engine: Engine, table: Table) -> Iterator[Connection]:
    """A transaction in which the table has no keys, no constraints and no indexes; rolled back at the end."""
    with suppress(_RollBack), writing(engine) as connection:
        for statement in ("CREATE TABLE lifted AS SELECT * FROM {0}", "DROP TABLE {0}", "ALTER TABLE lifted RENAME TO {0}"):
            connection.execute(text(statement.format(table.name)))
        yield connection
        raise _RollBack


def changes_of(table: Table, column_name: str) -> Sequence[str]:
    """A number one higher and one lower, a text with a letter more, bytes with one more: as SQL."""
    by_type = {
        int: (f"{column_name} + 1", f"{column_name} - 1"),
        str: (f"{column_name} || 'x'",),
        bytes: (f"CAST({column_name} || x'00' AS BLOB)",),
    }
    return by_type[table.c[column_name].type.python_type]


def some_rows(connection: Connection, table: Table, where: str = "TRUE") -> list[int]:
    """One near the beginning and one near the end."""
    found = connection.execute(text(f"SELECT rowid FROM {table.name} WHERE {where} ORDER BY rowid")).scalars().all()
    return sorted({found[len(found) // 4], found[-1]})
