"""`tallystick settlement`: the night, and what came out of it."""

from pathlib import Path

import click
from sqlalchemy import Connection

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.window import PUBLISHED, Window, WindowState
from gateway.ledger.clock_check import check_clock
from gateway.storage.directory import load_network
from gateway.storage.engine import reading
from gateway.storage.statements import load_statement, load_statement_partners
from gateway.storage.windows import load_windows
from settlement import store
from settlement.cli_bank import COMMANDS as BANK
from settlement.cli_disputes import disputes
from settlement.cli_liability import estimates, liability
from settlement.cli_nightly import instant, nightly, pausing_after
from settlement.cli_papers import report, statements
from settlement.cli_paying import COMMANDS as PAYING
from settlement.cli_reconcile import reconcile, reconcile_records, reconciliations
from settlement.faults import faults_named
from settlement.files import window_folder, write_window
from settlement.guard import only_run
from settlement.netting import net_positions
from settlement.nightly import STEPS, Night, expire_overdue, run_night, window_obligations
from settlement.report import Sheet, sheets, window_title, windows_sheet
from settlement.sealing import open_sealer
from settlement.statement import statement_text

_WINDOW = click.IntRange(1, 2**31 - 1)


@click.group()
def settlement() -> None:
    """Close the books of a night: who owes whom, net, with a statement for each partner.

    \b
    A window is a range of entries. It goes OPEN -> CLOSED -> NETTED -> CONFIRMED -> SETTLED:
      OPEN       takes entries; there always is exactly one
      CLOSED     cut off, while the gateway goes on booking into the next one
      NETTED     obligations, statements and payment instructions are published
      CONFIRMED  two operators have signed them; money may move
      SETTLED    all money has moved, of this window and of those before it
    """  # noqa: D301 - click takes a backspace for "keep these lines"


@settlement.command()
@click.option(
    "--at",
    "at_text",
    metavar="INSTANT",
    help="Instant of the cut-off, such as 2026-06-30T23:59:59+02:00; not in the future [default: now].",
)
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files [default: settlement.statements_dir].",
)
@click.option(
    "--pause-after",
    type=click.Choice([step.name for step in STEPS]),
    help="Wait for a line on standard input when this step is done: for rehearsals.",
)
@pass_context
def run(context: Context, at_text: str | None, out_dir: Path | None, pause_after: str | None) -> None:
    """The night: close the open window, net it, publish statements and instructions.

    Safe to repeat: a run that was interrupted is completed by the next one, with the same result. Such a run closes
    another window only if it is a later date. Entries that come meanwhile belong to the next window.
    """
    at_ms = instant(context, at_text)
    out_dir = out_dir or context.config.statements_dir

    night = Night(
        engine=context.engine,
        out_dir=out_dir,
        sealer=open_sealer(context.engine, context.config.keys_dir),
        at_ms=at_ms,
        clock=context.clock,
        progress=lambda text: click.echo(text, err=True),
        after_step=pausing_after(pause_after),
    )
    with only_run(context.engine), faults_named():
        with reading(context.engine) as connection:
            check_clock(connection, context.clock())
        window = run_night(night)
    if window is None:
        click.echo("Nothing came since the latest cut-off, which was not before that instant: nothing to do.")
        return
    _print_window(context, window)
    folder = window_folder(out_dir, window.window_id)
    if folder.exists():
        _print_files(folder)
    else:
        click.echo(f"Its files were written elsewhere: 'tallystick settlement publish {window.window_id}' writes them again.")


@settlement.command()
@click.option("--at", "at_text", metavar="INSTANT", help="What is overdue then expires; not in the future [default: now].")
@pass_context
def expire(context: Context, at_text: str | None) -> None:
    """Let overdue lots expire without closing a window: when the network's day has changed.

    The night does the same by itself. Runs beside gateways and beside a night; safe to kill and to repeat, and nobody can
    redeem an overdue lot before it has run either.
    """
    at_ms = instant(context, at_text)
    with faults_named():
        points = expire_overdue(context.engine, at_ms=at_ms, progress=lambda line: click.echo(line, err=True))
    click.echo(f"{points} points expired.")


@settlement.command()
def steps() -> None:
    """List the steps of the night, in order. Each is recorded when it is done, and safe to repeat."""
    print_table("Steps of the night", ("step", "what it does"), [(step.name, step.about) for step in STEPS])


@settlement.command("list")
@pass_context
def list_windows(context: Context) -> None:
    """List all windows, newest first."""
    with reading(context.engine) as connection:
        _print_sheet(windows_sheet(load_windows(connection)))


@settlement.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@pass_context
def show(context: Context, window_id: int) -> None:
    """Show who owes whom in a window, before and after netting; of an open one, what it comes to so far."""
    with reading(context.engine) as connection:
        window = store.existing_window(connection, window_id)
    _print_window(context, window)


@settlement.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.argument("partner_id", metavar="PARTNER")
@click.option("--json", "as_json", is_flag=True, help="The canonical JSON, byte for byte as it was published.")
@pass_context
def statement(context: Context, window_id: int, partner_id: str, *, as_json: bool) -> None:
    """Print a partner's statement of a window."""
    with reading(context.engine) as connection:
        store.existing_window(connection, window_id)
        found = load_statement(connection, window_id, partner_id)
        partners = ", ".join(load_statement_partners(connection, window_id))
    if found is None:
        raise Refused(
            f"{partner_id} has no published statement of window {window_id}; these have part in it: {partners or 'none'}"
        )
    text = found.statement.decode() if as_json else statement_text(found.statement, found.sha256)
    click.echo(text, nl=False)


@settlement.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files [default: settlement.statements_dir].",
)
@pass_context
def publish(context: Context, window_id: int, out_dir: Path | None) -> None:
    """Write the files of a netted window again, the same bytes."""
    with reading(context.engine) as connection:
        window = store.existing_window(connection, window_id)
        audience = load_network(connection).audience
    if window.state not in PUBLISHED:
        raise Refused(f"window {window_id} is {window.state}: 'tallystick settlement run' publishes it")
    sealer = open_sealer(context.engine, context.config.keys_dir)
    with only_run(context.engine), faults_named():
        folder = write_window(
            context.engine, out_dir or context.config.statements_dir, audience=audience, window=window, sealer=sealer
        )
    _print_files(folder)


def _print_window(context: Context, window: Window) -> None:
    with reading(context.engine) as connection:
        content = _sheets(connection, window)
    click.echo(window_title(window))
    for sheet in content:
        _print_sheet(sheet)


def _sheets(connection: Connection, window: Window) -> list[Sheet]:
    if window.state in (WindowState.OPEN, WindowState.CLOSED):
        obligations = window_obligations(connection, window.window_id)
        return sheets(obligations=obligations, positions=net_positions(obligations), instructions=[])
    return sheets(
        obligations=store.load_obligations(connection, window.window_id),
        positions=store.load_positions(connection, window.window_id),
        instructions=store.load_instructions(connection, window.window_id),
    )


def _print_sheet(sheet: Sheet) -> None:
    print_table(sheet.title, sheet.columns, sheet.rows, right=[sheet.columns[index] for index in sorted(sheet.right)])


def _print_files(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    click.echo(f"{len(names)} files in {folder}:")
    for name in names:
        click.echo(f"  {name}")


_SINGLE = (nightly, liability, estimates, report, statements, reconcile, reconcile_records, reconciliations, disputes)
for command in (*_SINGLE, *PAYING, *BANK):
    settlement.add_command(command)
