"""`tallystick settlement reconcile`: a partner's own record against the books."""

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.canonical import canonical
from gateway.domain.errors import InvalidValue
from gateway.domain.terms import parse_date
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.intake import change_record
from gateway.storage.reconciliations import Reconciliation, load_reconciliations
from settlement.faults import faults_named
from settlement.papers.words import CLASSES
from settlement.plain import plain
from settlement.reconciliation import MatchClass
from settlement.reconciling import BadRecord, Reconciled, Scope, scope_of, stored_parts, waiting_records
from settlement.reconciling import reconcile as compare

_PIECE_BYTES = 1 << 16


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--partner", "partner_id", required=True, metavar="PARTNER", help="Whose record it is.")
@click.option("--window", "window_id", type=click.IntRange(1, 2**31 - 1), help="Against this window [default: closed last].")
@click.option("--date", "business_date", metavar="DATE", help="Against the entries of this business date instead.")
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the items [default: settlement.statements_dir].",
)
@click.option("--json", "as_json", is_flag=True, help="The run as canonical JSON.")
@pass_context
def reconcile(
    context: Context,
    file: Path,
    partner_id: str,
    window_id: int | None,
    business_date: str | None,
    out_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Compare a partner's own record of a window or a day with the books, line by line.

    FILE is CSV or JSON lines. A file with a line that is wrong changes nothing: all such lines are listed by number. The same
    file again is the same run. The items are written as CSV, and what does not match as a page to read.
    """
    if window_id is not None and business_date is not None:
        raise click.UsageError("--window and --date exclude each other")
    with faults_named():
        with reading(context.engine) as connection:
            if partner_id not in load_terms(connection).partners:
                raise InvalidValue(f"there is no partner {partner_id}: 'tallystick partners list' names them all")
            on = parse_date(business_date).isoformat() if business_date is not None else ""
            scope = scope_of(connection, window_id=window_id, business_date=on)
        found = compare(
            context.engine,
            partner_id=partner_id,
            scope=scope,
            parts=_pieces(file),
            out_dir=out_dir or context.config.statements_dir,
            at_ms=context.clock(),
        )
    if isinstance(found, BadRecord):
        raise Refused(bad_words(file.name, found))
    print_run(found, scope, as_json=as_json)


@click.command("reconcile-records")
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the items [default: settlement.statements_dir].",
)
@pass_context
def reconcile_records(context: Context, out_dir: Path | None) -> None:
    """Compare the records that partners have sent through the gateway, each that is whole and was not compared yet.

    A record of a window waits until the window is closed. A record with wrong lines is named, once, and the others go on; its
    partner sees by 'tallystick pos records' how many there are, and sends another one.
    """
    with reading(context.engine) as connection:
        waiting = waiting_records(connection)
    bad: list[str] = []
    for record in waiting:
        with faults_named():
            with reading(context.engine) as connection:
                scope = scope_of(connection, window_id=record.window_id or None, business_date=record.business_date)
            found = compare(
                context.engine,
                partner_id=record.partner_id,
                scope=scope,
                parts=stored_parts(context.engine, record),
                out_dir=out_dir or context.config.statements_dir,
                at_ms=context.clock(),
                record_id=record.record_id,
            )
        if isinstance(found, BadRecord):
            with writing(context.engine) as connection:
                change_record(connection, record, bad_lines=found.count)
            bad.append(bad_words(f"record {record.record_id} of {record.partner_id}", found))
        else:
            print_run(found, scope, as_json=False)
    if bad:
        raise Refused("\n".join(bad))
    if not waiting:
        click.echo("No record waits.")


@click.command()
@click.option("--partner", "partner_id", default="", metavar="PARTNER", help="Of this partner alone.")
@pass_context
def reconciliations(context: Context, partner_id: str) -> None:
    """List the reconciliations that were made, newest first."""
    with reading(context.engine) as connection:
        runs = load_reconciliations(connection, partner_id=partner_id)
    columns = ("run", "partner", "against", "lines", "entries", *(words.title for words in CLASSES.values()))
    rows = [
        (
            run.run_id,
            run.partner_id,
            f"window {run.window_id}" if run.window_id else run.business_date,
            str(run.file_lines),
            str(run.entries),
            *(str(getattr(run, one.value)) for one in MatchClass),
        )
        for run in runs
    ]
    print_table("Reconciliations", columns, rows, right=columns[3:])


def print_run(found: Reconciled, scope: Scope, *, as_json: bool) -> None:
    """A run for people, or for programs."""
    run = found.run
    if as_json:
        click.echo(canonical(_plain(run, found)))
        return
    against = f"window {scope.window_id}" if scope.window else f"the entries of {scope.business_date}"
    again = ", as it was before" if found.is_repeated else ""
    click.echo(f"{run.partner_id}: {run.file_lines} lines against {run.entries} entries, {against}{again}")
    rows = [(words.title, str(getattr(run, one.value)), words.meaning) for one, words in CLASSES.items()]
    print_table(f"Run {run.run_id}", ("class", "items", "which means"), rows, right=["items"])
    click.echo(f"To read: {found.page_path}")
    click.echo(f"All items: {found.path}")


def bad_words(name: str, bad: BadRecord) -> str:
    """What is wrong with a record: the first lines, and where all of them stand."""
    lines = "".join(f"\n  line {one.number}: {one.what}" for one in bad.first)
    more = f"\n  and {bad.count - len(bad.first)} more" if bad.count > len(bad.first) else ""
    return f"{name}: {bad.count} lines are wrong, so nothing was compared; all are listed in {bad.path}{lines}{more}"


def _plain(run: Reconciliation, found: Reconciled) -> dict[str, str | int | bool]:
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in plain(run).items()}
    return values | {"items_file": str(found.path), "page_file": str(found.page_path), "is_repeated": found.is_repeated}


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece
