"""The schema's history: what a migrated database looks like, and which databases a program refuses."""

import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_mock_engine, text
from sqlalchemy.dialects import postgresql

from gateway.storage import migrate, tables_directory, tables_settlement
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.errors import SchemaOutdated
from gateway.storage.tables import metadata

_ = tables_directory, tables_settlement  # imported for the tables that they add to the metadata
VERSIONS = sorted(path.stem for path in Path(migrate.__file__).parent.glob("migrations/versions/v*.py"))


@pytest.fixture(name="engine")
def make_engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    engine = open_engine(f"sqlite:///{tmp_path / 'books.db'}")
    yield engine
    engine.dispose()


def _sqlite_schema(engine: Engine) -> dict[tuple[str, str], str]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'")).all()
    return {(kind, name): _statement(sql or "") for kind, name, sql in rows}


def _statement(sql: str) -> str:
    # Columns stay in their order; constraints have names and no order.
    head, *constraints = re.split(r",\s*(?=CONSTRAINT)|\s*\)(?=[^)]*$)", sql.strip())
    return " ".join(" ".join([head, *sorted(constraints)]).split())


def test_a_migrated_database_has_exactly_the_tables_of_the_program(engine: Engine, tmp_path: Path) -> None:
    """Tables, columns, keys, CHECKs and indexes: SQLite keeps the text that made them."""
    migrate.create_schema(engine)
    expected = open_engine(f"sqlite:///{tmp_path / 'expected.db'}")
    with writing(expected) as connection:
        metadata.create_all(connection)

    assert _sqlite_schema(engine) == _sqlite_schema(expected)


def test_the_first_version_makes_the_same_tables_on_postgresql() -> None:
    """The statements are compared as text, so that no server is needed."""
    # When a second version exists, its statements change tables and only a real server can compare the outcome.
    assert VERSIONS == ["v0001"]
    migrated = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": migrated})
    with Operations.context(context):
        importlib.import_module("gateway.storage.migrations.versions.v0001").upgrade()
    expected: list[str] = []
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
    mock = create_mock_engine("postgresql+psycopg://", lambda sql, *_, **__: expected.append(str(sql.compile(dialect=dialect))))
    metadata.create_all(mock, checkfirst=False)

    assert _statements(migrated.getvalue()) == _statements(";".join(expected))


def _statements(sql: str) -> list[str]:
    return sorted(_statement(statement) for statement in sql.split(";") if statement.strip())


def test_each_constraint_and_index_has_a_name() -> None:
    """The store's errors are told apart by these names, and a migration needs them to change anything."""
    nameless = [
        f"{table.name}: {thing}"
        for table in metadata.tables.values()
        for thing in (*table.constraints, *table.indexes)
        if getattr(thing, "name", None) is None
    ]

    assert not nameless


def test_the_newest_version_is_the_one_the_program_asks_for() -> None:
    """`SCHEMA_VERSION` is written down beside the check, which must not load alembic."""
    script = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))

    assert script.get_heads() == [migrate.SCHEMA_VERSION]


def test_creating_the_schema_twice_changes_nothing(engine: Engine) -> None:
    """A `network create` that was interrupted is run again."""
    migrate.create_schema(engine)
    before = _sqlite_schema(engine)
    migrate.create_schema(engine)

    assert _sqlite_schema(engine) == before


def test_creating_the_schema_fits_the_program(engine: Engine) -> None:
    """`check_version` answers None after it."""
    migrate.create_schema(engine)

    with reading(engine) as connection:
        migrate.check_version(connection)


def test_upgrading_the_newest_version_changes_nothing(engine: Engine) -> None:
    """`network upgrade` is safe to repeat."""
    migrate.create_schema(engine)

    assert migrate.upgrade(engine) == (migrate.SCHEMA_VERSION, migrate.SCHEMA_VERSION)


def test_a_database_with_other_tables_is_left_alone(engine: Engine) -> None:
    """A URL that names somebody else's database must not fill it."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE recipes (name TEXT)"))

    with pytest.raises(SchemaOutdated, match="not Tallystick's"):
        migrate.create_schema(engine)
    assert set(_sqlite_schema(engine)) == {("table", "recipes")}


def test_an_empty_database_is_refused_with_the_command_that_fills_it(engine: Engine) -> None:
    """Nobody serves from a database that was named by mistake."""
    with reading(engine) as connection, pytest.raises(SchemaOutdated, match="run 'tallystick network create'"):
        migrate.check_version(connection)


@pytest.mark.parametrize(
    ("version", "advice"), [("0000", "run 'tallystick network upgrade'"), ("9999", "install the newer Tallystick")]
)
def test_a_database_of_another_version_is_refused_with_advice(engine: Engine, version: str, advice: str) -> None:
    """An older one is upgraded, a newer one needs a newer program."""
    migrate.create_schema(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})

    with reading(engine) as connection, pytest.raises(SchemaOutdated, match=advice):
        migrate.check_version(connection)


def test_upgrading_a_database_from_a_newer_program_is_refused(engine: Engine) -> None:
    """There is no way back from a version that is not known here."""
    migrate.create_schema(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaOutdated, match="install the newer Tallystick"):
        migrate.upgrade(engine)
