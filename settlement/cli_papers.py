"""`tallystick settlement report` and `statements`: the papers of a window, written again wherever they are wanted."""

from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context
from gateway.domain.window import PUBLISHED, Window
from gateway.storage.directory import load_network
from gateway.storage.engine import reading
from settlement import store

_WINDOW = click.IntRange(1, 2**31 - 1)


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.option(
    "--out",
    "out_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write [default: report-WINDOW.html in settlement.statements_dir].",
)
@pass_context
def report(context: Context, window_id: int, out_file: Path | None) -> None:
    """Write the operator's report of a netted window as one HTML file with pictures.

    Who owes whom and why, before and after netting; points issued and redeemed; what is open by expiry month; the last
    windows. It needs nothing else: mail it, print it, open it on a phone. The same again gives the same bytes.
    """
    from settlement.papers.reading import report_facts
    from settlement.papers.report_page import report_html
    from settlement.whole import write_file

    window = _published(context, window_id)
    target = out_file or context.config.statements_dir / f"report-{window_id:04}.html"
    content = report_html(report_facts(context.engine, window))
    try:
        write_file(target, content)
    except OSError as error:
        raise Refused(f"cannot write the report: {error}") from error
    click.echo(f"{target}: {len(content)} bytes")


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which statements-WINDOW is written [default: settlement.statements_dir].",
)
@pass_context
def statements(context: Context, window_id: int, out_dir: Path | None) -> None:
    """Write what partners are sent of a netted window: for each its statement, signed, as JSON, CSV, text and HTML.

    The folder is complete when it appears; the same again gives the same bytes.
    """
    from settlement.files import write_statements
    from settlement.sealing import open_sealer

    window = _published(context, window_id)
    with reading(context.engine) as connection:
        audience = load_network(connection).audience
    sealer = open_sealer(context.engine, context.config.keys_dir)
    try:
        folder = write_statements(
            context.engine, out_dir or context.config.statements_dir, audience=audience, window=window, sealer=sealer
        )
    except OSError as error:
        raise Refused(f"cannot write the statements: {error}") from error
    partners = sum(1 for _ in folder.glob("*.signature.json"))
    click.echo(f"{folder}: the statements of {partners} partners")


def _published(context: Context, window_id: int) -> Window:
    with reading(context.engine) as connection:
        window = store.existing_window(connection, window_id)
    if window.state not in PUBLISHED:
        raise Refused(f"window {window_id} is {window.state}: 'tallystick settlement run' publishes it")
    return window
