"""Brings a database to the schema that this version of the program needs, and refuses one that is not there yet.

Nothing is migrated in passing: `network create` and `database upgrade` are the only ones that change a schema.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, column, func, inspect, select, table

from gateway.storage.engine import writing
from gateway.storage.errors import SchemaOutdated

SCHEMA_VERSION = "0011"
"""The newest of `migrations/versions`; a test compares."""

_LOCK_NUMBER = 0x7461_6C6C_7974_0002  # "tallyt", 2: PostgreSQL's advisory locks are known by a number
_FOLDER = Path(__file__).parent / "migrations"
_VERSION_TABLE = table("alembic_version", column("version_num"))


def create_schema(engine: Engine) -> None:
    """All tables in an empty database; safe to repeat. Raises SchemaOutdated where another version's tables stand already."""
    with writing(engine) as connection:
        _be_alone(connection)
        if schema_version(connection) is not None:
            check_version(connection)
            return
        if inspect(connection).get_table_names():
            raise SchemaOutdated("the database holds tables that are not Tallystick's: name an empty database in database.url")
        _run(connection)


def upgrade(engine: Engine) -> tuple[str, str]:
    """Brings an older schema to the newest version in one transaction; safe to repeat.

    Answers the version before and after. Raises SchemaOutdated on an empty database and on one from a newer program.
    """
    with writing(engine) as connection:
        _be_alone(connection)
        before = schema_version(connection)
        if before is None or before > SCHEMA_VERSION:
            check_version(connection)
        _run(connection)
        return before or "", SCHEMA_VERSION


def check_version(connection: Connection) -> None:
    """Whether the program fits the database. Raises SchemaOutdated, with a sentence that says what to do."""
    version = schema_version(connection)
    if version is None:
        raise SchemaOutdated("the database has no Tallystick tables yet: run 'tallystick network create'")
    facts = f"the database has schema {version}, this program has {SCHEMA_VERSION}"
    if version < SCHEMA_VERSION:
        raise SchemaOutdated(f"{facts}: stop the gateway and run 'tallystick database upgrade'")
    if version > SCHEMA_VERSION:
        raise SchemaOutdated(f"{facts}: install the newer Tallystick")


def schema_version(connection: Connection) -> str | None:
    """The version of the schema, or None where there is none."""
    if not inspect(connection).has_table(_VERSION_TABLE.name):
        return None
    version = connection.scalar(select(_VERSION_TABLE.c.version_num))
    return None if version is None else str(version)


def _be_alone(connection: Connection) -> None:
    """No other migration at the same time. SQLite has one writer anyway. Raises SchemaOutdated where text could not be kept."""
    if connection.dialect.name == "sqlite":
        return
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK_NUMBER)))
    if (encoding := connection.exec_driver_sql("SHOW server_encoding").scalar_one()) != "UTF8":
        raise SchemaOutdated(f"the database keeps text as {encoding}: make one with ENCODING 'UTF8' and name it in database.url")


def _run(connection: Connection) -> None:
    # Alembic takes 0.2 s to import: too long for each start of a command that only checks.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    command.upgrade(config, "head")
