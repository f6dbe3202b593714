"""`tallystick database`: the database that the configuration names, and its schema. Further commands have their own modules."""

import click

from gateway.cli_backup import backup, restore
from gateway.cli_copy import copy_database
from gateway.cli_distribute import distribute
from gateway.console import Context, pass_context, print_table
from gateway.storage.about import load_facts
from gateway.storage.engine import open_existing, reading
from gateway.storage.migrate import SCHEMA_VERSION, check_version, schema_version, upgrade


@click.group()
def database() -> None:
    """Look after the database: its schema, backups, a move to another one, and whether it keeps what it has committed.

    Which one it is, database.url of the configuration says, or $TALLYSTICK_DATABASE_URL: a SQLite file, or PostgreSQL for
    several gateways (postgresql://user@host/name; the password belongs into ~/.pgpass or $PGPASSWORD).
    """


for _command in (backup, restore, copy_database, distribute):
    database.add_command(_command)


@database.command("check")
@pass_context
def check_database(context: Context) -> None:
    """Show which database it is, its schema's version, and the settings that durability rests on.

    Exit code 1, with what to do, unless the schema is the one that this program needs.
    """
    engine = open_existing(context.config.database_url)
    with reading(engine) as connection:
        facts, version = load_facts(connection), schema_version(connection)
        rows = [("database", context.config.database_name), ("program", facts.program), *facts.settings]
        rows.append(("schema", f"{version or 'none'}, and this program needs {SCHEMA_VERSION}"))
        print_table("Database", ("what", "value"), rows)
        for danger in facts.dangers:
            click.echo(f"danger: {danger}", err=True)
        check_version(connection)
    engine.dispose()


@database.command("upgrade")
@pass_context
def upgrade_schema(context: Context) -> None:
    """Bring the database to the schema that this version needs: all of it in one transaction, or nothing.

    Stop all gateways and make a backup first.
    """
    engine = open_existing(context.config.database_url)
    before, after = upgrade(engine)
    engine.dispose()
    click.echo(f"The database has schema {after}." if before == after else f"The database went from schema {before} to {after}.")
