"""Hands the tables over to Citus, by the map of `distribution`. Moves rows, changes none; safe to repeat."""

from collections.abc import Callable

from sqlalchemy import Engine, column, select, table
from sqlalchemy.dialects import postgresql

from gateway.domain.errors import InvalidValue
from gateway.storage.distribution import distributing
from gateway.storage.engine import reading, writing

EXTENSION = "citus"
_EXTENSIONS = table("pg_extension", column("extname"))
_HANDED_OVER = "SELECT logicalrelid::regclass::text FROM pg_dist_partition"


def distribute_calls() -> list[tuple[str, str]]:
    """By table, the SQL that hands it over, in the order in which it runs."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    compiled = (
        (name, str(call.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))) for name, call in distributing()
    )
    return [(name, text.partition(" AS ")[0]) for name, text in compiled]


def distribute(engine: Engine, *, progress: Callable[[str], None]) -> list[str]:
    """Hands over what is not yet; answers the names. Raises InvalidValue, saying what to do, without the extension.

    A transaction a table: what was interrupted goes on when it is run again.
    """
    done = _handed_over(engine)
    calls = [(name, call) for name, call in distribute_calls() if name not in done]
    for name, call in calls:
        progress(name)
        with writing(engine) as connection:
            connection.exec_driver_sql(call)
    return [name for name, _ in calls]


def _handed_over(engine: Engine) -> set[str]:
    if engine.dialect.name == "sqlite":
        raise InvalidValue("the books are a SQLite file: move the network to PostgreSQL first, with 'tallystick database copy'")
    with reading(engine) as connection:
        if connection.scalar(select(_EXTENSIONS.c.extname).where(_EXTENSIONS.c.extname == EXTENSION)) is None:
            raise InvalidValue(
                "this database has no Citus: install it on all machines, name it in shared_preload_libraries, run "
                "'CREATE EXTENSION citus' in the database and add the machines; nothing was changed"
            )
        return set(connection.exec_driver_sql(_HANDED_OVER).scalars())
