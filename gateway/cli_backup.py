"""`tallystick database backup` and `restore`: of a SQLite file. For PostgreSQL they name its own tools."""

from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine, select

from gateway.cli_audit import prove_or_refuse
from gateway.config import parse_url
from gateway.console import Context, Refused, pass_context
from gateway.domain.errors import InvalidValue
from gateway.ledger.audit import AuditReport
from gateway.serve_lock import only_gateway
from gateway.storage.backup import Progress, back_up, check_free, set_aside, take_out, whole_file
from gateway.storage.directory import load_network
from gateway.storage.engine import open_engine, open_existing, reading
from gateway.storage.migrate import check_version, schema_version, upgrade
from gateway.storage.tables import heads

_FILE = click.Path(path_type=Path, dir_okay=False)
_ENDS = select(heads.c.lane, heads.c.last_sequence).order_by(heads.c.lane)
_SECTION = "docs/operations.md, section 12"


@click.command()
@click.argument("file", metavar="FILE", type=_FILE)
@pass_context
def backup(context: Context, file: Path) -> None:
    """Copy the books into FILE, while the gateway runs.

    One state of them, whole or not at all, mode 0600; a file that exists is not overwritten. The folder keys/ is not in it:
    keep a copy of that, too. Bring it back with 'tallystick database restore FILE'.

    PostgreSQL has tools of its own for this: pg_dump, or pg_basebackup with an archive of its log.
    """
    if _path(context) is None:
        raise Refused(
            "the books are on PostgreSQL, which has its own tools: 'pg_dump --format=custom --file=FILE NAME' for a backup of "
            f"now, pg_basebackup and an archive of the log for one of any moment; {_SECTION}, shows both"
        )
    check_free(file)
    engine = open_existing(context.config.database_url)
    with reading(engine) as connection:
        # Of any schema: a backup is what one makes before an upgrade.
        if schema_version(connection) is None:
            check_version(connection)
        audience = load_network(connection).audience
        ends = [f"{sequence:,} in lane {lane}" for lane, sequence in connection.execute(_ENDS)]
        with whole_file(file) as partial:
            back_up(connection, partial, progress=_telling("copied"))
    engine.dispose()
    click.echo(f"Backup of {audience} in {file}: up to sequence {', '.join(ends)}.")
    click.echo(f"Keep a copy of {context.config.keys_dir}, too: without it no card is found again, and no receipt signed.")


@click.command()
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--replace", is_flag=True, help="Put it in the place of a network that is there; that one is set aside.")
@pass_context
def restore(context: Context, file: Path, *, replace: bool) -> None:
    """Put the books of a backup in place, once the full audit has proved them.

    Stop the gateway and everything else that works on the database. A backup of an older schema is brought to this
    program's. FILE stays as it is; what it replaces is kept beside it, under a name with the date.

    What was booked after the backup is then missing. Before you start the gateway, let 'tallystick audit --receipts' compare
    what partners hold; their tills send those commands again, with the same keys.
    """
    path = _path(context)
    if path is None:
        raise Refused(
            "the books are on PostgreSQL, which has its own tools: 'pg_restore --exit-on-error --single-transaction "
            f"--dbname=NAME FILE' into a new, empty database; {_SECTION}, shows it; then run 'tallystick audit --full'"
        )
    now_ms = context.clock()
    with only_gateway(context.config.database_url):
        if not replace and path.exists():
            raise Refused(f"{path} holds a network already: --replace sets it aside, and puts the backup in its place")
        aside, report = _put_in_place(file, path, now_ms=now_ms)
    if aside is not None:
        click.echo(f"What was there is now {aside}.")
    click.echo(
        f"Restored {path}; books proved: {report.entries:,} entries, {report.members:,} members, {report.lots:,} lots, "
        f"{report.windows:,} windows, {report.decisions:,} decisions."
    )
    click.echo("Before you start the gateway: 'tallystick audit --receipts FILE' says which receipts of partners are newer.")


def _put_in_place(file: Path, path: Path, *, now_ms: int) -> tuple[Path | None, AuditReport]:
    """Answers what was there before, under its new name. It is touched only when the backup is proved."""
    aside: list[Path | None] = []
    at = datetime.fromtimestamp(now_ms // 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    with whole_file(path, make_room=lambda: aside.append(set_aside(path, f"before-{at}"))) as partial:
        take_out(file, partial, progress=_telling("read"))
        engine = open_engine(f"sqlite:///{partial}")
        try:
            report = _proved(engine, file, now_ms=now_ms)
        finally:
            engine.dispose()
    return aside[0], report


def _proved(engine: Engine, file: Path, *, now_ms: int) -> AuditReport:
    with reading(engine) as connection:
        if schema_version(connection) is None:
            raise InvalidValue(f"{file}: a database, and no backup of a network")
    before, after = upgrade(engine)
    if before != after:
        _say(f"brought from schema {before} to {after}")
    return prove_or_refuse(engine, full=True, now_ms=now_ms, progress=_say)


def _telling(done: str) -> Progress:
    """A line each tenth of the way."""
    tenths = [0]

    def tell(pages: int, total: int) -> None:
        if total and pages * 10 // total > tenths[0]:
            tenths[0] = pages * 10 // total
            _say(f"{done}: {pages:,} of {total:,} pages")

    return tell


def _say(line: str) -> None:
    click.echo(line, err=True)


def _path(context: Context) -> Path | None:
    url = parse_url(context.config.database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
