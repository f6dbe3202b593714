"""The schema's history: what a migrated database looks like, and which databases a program refuses."""

import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

from gateway.storage import migrate, tables_directory, tables_settlement, tables_terminals, tables_till
from gateway.storage.engine import reading, writing
from gateway.storage.errors import SchemaOutdated
from gateway.storage.tables import metadata
from gateway.storage.tables_intake import partner_records
from gateway.storage.tables_settlement import payments

_ = tables_directory, tables_settlement, tables_terminals, tables_till  # imported for the tables that they add to the metadata
_POSTGRESQL_SCHEMA = text("""
SELECT 'column', c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(o.collname, '') || ' ' || a.atthasdef
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation o ON o.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL SELECT 'other', relkind::text || ' ' || relname, '' FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('r', 'i')
""")


@pytest.fixture(name="engine")
def name_engine(empty_engine: Engine) -> Engine:
    """Of an empty database."""
    return empty_engine


def schema(engine: Engine) -> dict[tuple[str, str], str]:
    """All there is in a database but alembic's own, in the words of the engine."""
    with reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master")).all()
        else:
            rows = connection.execute(_POSTGRESQL_SCHEMA).all()
    return {(kind, name): _statement(said or "") for kind, name, said in rows if "alembic_version" not in name}


def _statement(sql: str) -> str:
    # Columns stay in their order; constraints have names and no order.
    head, *constraints = re.split(r",\s*(?=CONSTRAINT)|\s*\)(?=[^)]*$)", sql.strip())
    return " ".join(" ".join([head, *sorted(constraints)]).split())


def test_a_migrated_database_has_exactly_the_tables_of_the_program(engine: Engine, declared_engine: Engine) -> None:
    """Tables, columns with their types and orders, keys, CHECKs and indexes, as the engine itself describes them."""
    migrate.create_schema(engine)

    assert schema(engine) == schema(declared_engine)


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
    before = schema(engine)
    migrate.create_schema(engine)

    assert schema(engine) == before


def test_creating_the_schema_fits_the_program(engine: Engine) -> None:
    """`check_version` answers None after it."""
    migrate.create_schema(engine)

    with reading(engine) as connection:
        migrate.check_version(connection)


def test_upgrading_the_newest_version_changes_nothing(engine: Engine) -> None:
    """`database upgrade` is safe to repeat."""
    migrate.create_schema(engine)

    assert migrate.upgrade(engine) == (migrate.SCHEMA_VERSION, migrate.SCHEMA_VERSION)


def test_a_database_with_other_tables_is_left_alone(engine: Engine) -> None:
    """A URL that names somebody else's database must not fill it."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE recipes (name TEXT)"))

    with pytest.raises(SchemaOutdated, match="not Tallystick's"):
        migrate.create_schema(engine)
    assert {name.partition(".")[0] for _, name in schema(engine)} == {"recipes"}


def test_an_empty_database_is_refused_with_the_command_that_fills_it(engine: Engine) -> None:
    """Nobody serves from a database that was named by mistake."""
    with reading(engine) as connection, pytest.raises(SchemaOutdated, match="run 'tallystick network create'"):
        migrate.check_version(connection)


@pytest.mark.parametrize(
    ("version", "advice"), [("0000", "run 'tallystick database upgrade'"), ("9999", "install the newer Tallystick")]
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


def test_an_upgrade_keeps_what_was_recorded_of_payments_and_records(engine: Engine) -> None:
    """Tables that are made anew for a further column lose no row, and their constraints hold as before."""
    with writing(engine) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        command.upgrade(config, "0010")
        connection.execute(text("INSERT INTO payments VALUES ('i1', 1, 'paid', 275, 'REF-1', '', 7, '')"))
        connection.execute(
            text("INSERT INTO partner_records VALUES ('acme', 'p1', 1, '', :sha256, 5, 1, 1, 5, 7, 8)"), {"sha256": bytes(32)}
        )

    assert migrate.upgrade(engine) == ("0010", migrate.SCHEMA_VERSION)
    with reading(engine) as connection:
        paid = connection.execute(select(payments.c.bank_ref, payments.c.amount, payments.c.value_date)).all()
        kept = connection.execute(select(partner_records.c.record_id, partner_records.c.bad_lines)).all()
    assert (paid, kept) == ([("REF-1", 275, "")], [("p1", 0)])
    with writing(engine) as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO payments VALUES ('i1', 2, 'paid', 275, 'REF-1', '', 7, '', '')"))
