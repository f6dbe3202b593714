"""`tallystick settlement bank`, `journal`, `explain`: papers beside the statements."""

from datetime import date
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context
from gateway.domain.terms import parse_date
from gateway.domain.window import WindowState
from gateway.storage.engine import reading
from settlement.bank_files import write_bank_files
from settlement.journal import FORMATS
from settlement.journal_reading import journal_of
from settlement.store import existing_window

_WINDOW = click.IntRange(1, 2**31 - 1)


def _day(_context: click.Context, _option: click.Parameter, text: str | None) -> date | None:
    return parse_date(text) if text else None


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.option(
    "--to",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the folder of files [default: settlement.statements_dir].",
)
@click.option("--on", callback=_day, help="Day on which money moves, YYYY-MM-DD [default: the due day by the window's rules].")
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
