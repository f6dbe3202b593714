"""`tallystick settlement bank`, `journal`, `explain`: what leaves for a bank or an auditor."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

import click

from gateway.console import Context, Refused, day, pass_context, print_table
from gateway.domain.units import format_amount, format_micros
from gateway.domain.window import WindowState
from gateway.storage.engine import reading
from settlement.bank_files import write_bank_files
from settlement.explaining import Event, SignedRequest, Summary, events_of, find_event, find_summary
from settlement.journal import FORMATS
from settlement.journal_reading import journal_of
from settlement.store import existing_window

_WINDOW = click.IntRange(1, 2**31 - 1)


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.option(
    "--to",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the folder of files [default: settlement.statements_dir].",
)
@click.option("--on", callback=day, help="Day on which money moves, YYYY-MM-DD [default: the due day by the window's rules].")
@pass_context
def bank(context: Context, window_id: int, out_dir: Path | None, on: date | None) -> None:
    """Write what a bank is asked for a confirmed payment run, named by its last WINDOW.

    \b
    operator.pain.001.EUR.xml     what the operator pays, a file for each currency
    operator.pain.008.EUR.xml     what it collects, from partners with a mandate
    PARTNER.payment-request.html  what a partner must transfer by itself

    The same window gives the same files with the same ids: a bank that gets one twice can tell.
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    with reading(context.engine) as connection:
        window = existing_window(connection, window_id)
        try:
            folder = write_bank_files(connection, out_dir or context.config.statements_dir, window, on=on)
        except OSError as error:
            raise Refused(f"cannot write the bank files: {error}; mend that and run again, nothing is lost") from error
    if folder is None:
        click.echo(f"Nobody has to pay anything for window {window_id}.")
        return
    names = sorted(path.name for path in folder.iterdir())
    click.echo(f"{len(names)} files in {folder}:")
    for name in names:
        click.echo(f"  {name}")


@click.command()
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="For which tool it is written.")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file; it appears whole.")
@click.option("--window", "window_id", type=_WINDOW, help="Of one closed window alone [default: of all].")
@pass_context
def journal(context: Context, form: str, file: Path, window_id: int | None) -> None:
    """Write the books as a plain-text journal that hledger or beancount checks: points and money, with balances from the books.

    'hledger check --strict -f FILE' and 'bean-check FILE' refuse it if any amount is false.
    """
    if window_id is not None:
        with reading(context.engine) as connection:
            if existing_window(connection, window_id).state is WindowState.OPEN:
                raise Refused(f"window {window_id} is open: a journal is of what is closed")
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("w", encoding="ascii", newline="\n") as out:
            out.writelines(journal_of(context.engine, FORMATS[form], window_id=window_id))
        partial.replace(file)
    except OSError as error:
        raise Refused(f"cannot write {file}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    click.echo(f"{file}: {file.stat().st_size} bytes for {form}.")


@click.command()
@click.argument("line", metavar="LINE")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many events behind a line are shown.")
@pass_context
def explain(context: Context, line: str, limit: int) -> None:
    """Go from a statement's LINE to the entries behind it, and to the signed requests behind those.

    \b
    1-abcdefghijklmnop   a line of who owes whom, as a statement names it
    1/bravo/17           an event: window, partner and the number of the line in PARTNER.lines.csv

    All that is behind a line is summed again, also what is not shown; if it does not come to what the line says, it is refused.
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    with reading(context.engine) as connection:
        if "/" in line:
            _print_event(find_event(connection, line))
            return
        summary = find_summary(connection, line)
        _print_summary(line, summary)
        _print_events(events_of(connection, summary), limit)


def _print_summary(name: str, summary: Summary) -> None:
    one = summary.line
    amount = f"{format_amount(one.amount, one.currency)} {one.currency}"
    click.echo(f"Line {name}: {one.payer_id} owes {one.payee_id} {amount} for {one.kind.replace('_', ' ')}.")
    if one.points:
        exact = f"{format_micros(one.amount_micros)} minor units"
        click.echo(
            f"{one.points} points by rate card {one.rate_card_version} of {summary.reader}: exactly {exact}, rounded once."
        )
    elif summary.adjustment:
        behind = summary.adjustment
        click.echo(
            f"{behind.adjustment_id}: {behind.reason}" + (f" (decision {behind.decision_id})" if behind.decision_id else "")
        )
    else:
        click.echo("By the settlement rules of its window: see 'tallystick network settlement show'.")


def _print_events(events: Iterator[Event], limit: int) -> None:
    shown = list(islice(events, limit))
    more = sum(1 for _ in events)
    if not shown:
        return
    rows = [_row(one) for one in shown]
    columns = ("event", "for", "points", "minor units", "business date", "entry", "signed by key", "fingerprint", "receipt")
    print_table("The events behind it, and the signed requests behind those", columns, rows, right=("points", "minor units"))
    click.echo(
        f"{len(shown) + more} events come to what the line says" + (f"; {more} are not shown, see --limit." if more else ".")
    )


def _row(event: Event) -> tuple[str, ...]:
    one, line = event.requests[-1], event.line
    return (
        event.name,
        line.kind.replace("_", " "),
        str(line.points),
        format_micros(line.amount_micros),
        line.business_date,
        one.entry_id,
        one.key_id,
        one.fingerprint.hex()[:_SHORT],
        one.receipt_sha256.hex()[:_SHORT],
    )


def _print_event(event: Event) -> None:
    line = event.line
    exact = f"{format_micros(line.amount_micros)} minor units of {line.currency}"
    click.echo(f"Event {event.name}: {line.payer_id} owes {line.payee_id} {exact} for {line.points} points ({line.kind}).")
    click.echo(f"Business date {line.business_date}, rate card {line.rate_card_version}.")
    for request in event.requests:
        print_table(f"Entry {request.entry_id}", ("what", "value"), _request_rows(request))


def _request_rows(one: SignedRequest) -> list[tuple[str, str]]:
    booked_at = datetime.fromtimestamp(one.booked_at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    rows = [
        ("what", f"{one.kind.name.lower().replace('_', ' ')} by {one.partner_id}"),
        ("where", f"lane {one.lane}, sequence {one.sequence}"),
        ("booked at", booked_at),
        ("business date", one.business_date),
    ]
    if not one.receipt_key_id:
        return [*rows, ("request", "none: nobody asks for this, the books do it by themselves")]
    return [
        *rows,
        ("signed by key", one.key_id),
        ("idempotency key", one.idempotency_key),
        ("fingerprint", one.fingerprint.hex()),
        ("receipt", f"SHA-256 {one.receipt_sha256.hex()}, signed by {one.receipt_key_id}"),
    ]


_SHORT = 16
COMMANDS = (bank, journal, explain)
