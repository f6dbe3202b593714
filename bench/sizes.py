"""What the books take on disk."""

from sqlalchemy import Connection, Engine, func, select, text

from gateway.storage.engine import reading
from gateway.storage.tables import entries

PARTS_MAX = 8

_SQLITE = "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"
_POSTGRESQL = (
    "SELECT c.relname, pg_relation_size(c.oid) + COALESCE(pg_total_relation_size(NULLIF(c.reltoastrelid, 0)), 0) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i')"
)


def bytes_an_entry(engine: Engine) -> tuple[float, list[tuple[str, float]]]:
    """All tables and indexes by the number of entries, and the largest of them; in bytes."""
    with reading(engine) as connection:
        count = connection.execute(select(func.count()).select_from(entries)).scalar_one()
        sizes = sorted(_sizes(connection), key=lambda found: -found[1])
    return sum(size for _, size in sizes) / count, [(name, size / count) for name, size in sizes[:PARTS_MAX]]


def _sizes(connection: Connection) -> list[tuple[str, int]]:
    statement = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    return [(name, int(size)) for name, size in connection.execute(text(statement))]
