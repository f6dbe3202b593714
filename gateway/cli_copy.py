"""`tallystick database copy`: moves a network to another database, SQLite or PostgreSQL, as it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from gateway.cli_audit import check_proved, receipt_form
from gateway.config import name_of, parse_url
from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.errors import InvalidValue
from gateway.ledger.audit import AuditReport, prove
from gateway.serve_lock import only_gateway
from gateway.storage.backup import check_free, whole_file
from gateway.storage.copying import check_copied, check_empty, copy_rows, other_sessions, row_counts, state_of
from gateway.storage.directory import load_network
from gateway.storage.engine import open_engine, reading, refresh_statistics, writing
from gateway.storage.migrate import check_version, create_schema, schema_version
from gateway.storage.proofs import load_proofs


@click.command("copy")
@click.option(
    "--to",
    "target_text",
    required=True,
    metavar="URL",
    help="sqlite:///FILE for a new file, or postgresql://user@host/name of an empty database.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and whether it could be; copy nothing.")
@pass_context
def copy_database(context: Context, target_text: str, *, dry_run: bool) -> None:
    """Copy the network to another database: from SQLite to PostgreSQL, or back.

    Stop all gateways and nights first. Every row is copied as it is: ids, hashes, sequences, receipts. All of it is read
    back and compared, the full audit proves the books on the other side, and only then does the copy come to be there; whatever
    goes wrong before leaves nothing behind. The old database stays as it was.

    A password belongs into ~/.pgpass or $PGPASSWORD, not into the URL.
    """
    target = _target(target_text)
    with only_gateway(context.config.database_url):
        if dry_run:
            _print_plan(context, target)
            return
        with _target_engine(target) as engine:
            copied, report = _copy(context, engine, is_sqlite=_is_file(target))
    click.echo(
        f"Copied {copied:,} rows to {name_of(target)}. Books proved there: {report.entries:,} entries, "
        f"{report.members:,} members, {report.lots:,} lots, {report.refusals:,} refusals, {report.windows:,} windows, "
        f"{report.decisions:,} decisions."
    )
    click.echo("Next: write this URL into tallystick.toml (database.url) or $TALLYSTICK_DATABASE_URL, and start the gateway.")
    click.echo("Let nothing serve the old database again: the two would part.")
    if not _is_file(target):
        click.echo("PostgreSQL takes several batches at a time once the network has several lanes: 'tallystick network lanes 4'.")


def _target(text: str) -> URL:
    url = parse_url(text, named="--to")
    if not _is_file(url):
        return url
    if not url.database or url.database == ":memory:":
        raise InvalidValue("--to: name a file, such as sqlite:///books.db")
    return url.set(database=str(Path(url.database).absolute()))


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


@contextmanager
def _target_engine(url: URL) -> Iterator[Engine]:
    """Of a database with all tables. A file gets its name at the end, when all went well."""
    if not _is_file(url):
        with _prepared(url) as engine:
            yield engine
        return
    with whole_file(Path(str(url.database))) as partial, _prepared(url.set(database=str(partial))) as engine:
        yield engine


@contextmanager
def _prepared(url: URL) -> Iterator[Engine]:
    engine = open_engine(url.render_as_string(hide_password=False))
    try:
        create_schema(engine)
        yield engine
    finally:
        engine.dispose()


def _copy(context: Context, target: Engine, *, is_sqlite: bool) -> tuple[int, AuditReport]:
    """All in one transaction of the target's, the proof included."""
    with writing(target) as write:
        check_empty(write)
        with reading(context.engine) as read:
            _check_source(read, is_sqlite=is_sqlite)
            before = state_of(read)
            copied = copy_rows(read, write, progress=_say)
        check_copied(write, copied, progress=_say)
        refresh_statistics(write)
        report = _proved(write)
        with reading(context.engine) as read:
            if state_of(read) != before:
                raise Refused(
                    "the network went on while it was copied, so nothing was: stop all gateways, nights and other commands first"
                )
    return sum(content.rows for content in copied.values()), report


def _proved(connection: Connection) -> AuditReport:
    _say("proving the books on the other side")
    report, _ = prove(connection, proofs={}, marks=load_proofs(connection), receipts=receipt_form(), progress=_say)
    check_proved(report)
    return report


def _check_source(connection: Connection, *, is_sqlite: bool) -> None:
    if sessions := other_sessions(connection):
        raise Refused(f"{sessions} other sessions of Tallystick are in this database: stop all gateways and other commands first")
    lanes = load_network(connection).lanes
    if is_sqlite and lanes > 1:
        raise Refused(f"{lanes} lanes are in force, and SQLite has one writer: run 'tallystick network lanes 1' before the copy")


def _print_plan(context: Context, target: URL) -> None:
    with reading(context.engine) as read:
        _check_source(read, is_sqlite=_is_file(target))
        counts = row_counts(read)
    if _is_file(target):
        check_free(Path(str(target.database)))
    else:
        _check_server(target)
    rows = [(name, f"{count:,}") for name, count in sorted(counts.items())] + [("all", f"{sum(counts.values()):,}")]
    print_table("To be copied", ("table", "rows"), rows, right=("rows",))
    click.echo(f"{name_of(target)} can take them.")


def _check_server(target: URL) -> None:
    engine = open_engine(target.render_as_string(hide_password=False))
    try:
        with reading(engine) as connection:
            if schema_version(connection) is not None:
                check_version(connection)
                check_empty(connection)
    finally:
        engine.dispose()


def _say(line: str) -> None:
    click.echo(line, err=True)
