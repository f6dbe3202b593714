"""`tallystick settlement liability` and `estimates`: what open points come to, and what is expected of them."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

import click

from gateway.breakage_estimates import load_estimates, propose_estimate
from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.errors import InvalidValue
from gateway.domain.estimate import BreakageEstimate
from gateway.domain.terms import parse_date
from gateway.domain.units import Rate, parse_micros
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.storage.directory import load_network
from gateway.storage.engine import reading, writing
from settlement.liability_of_day import Question, liability_on, write_liability
from settlement.liability_papers import estimates_sheet, liability_document, liability_sheets, title
from settlement.liability_report import Thresholds
from settlement.report import Sheet

_Value = TypeVar("_Value")


@click.command()
@click.option("--at", "at_text", metavar="DATE", help="Last date that counts, in the network's time zone [default: today].")
@click.option("--from", "from_text", metavar="DATE", help="First date of the period [default: the first of that month].")
@click.option("--entered-by", metavar="DATE", help="Only estimates that were entered by then: what was believed [default: all].")
@click.option(
    "--cover-below",
    default="1",
    show_default=True,
    help="Alarm where an issuer's cover is less than this for each 1 that is open.",
)
@click.option(
    "--redeemed-above",
    default="2",
    show_default=True,
    help="Alarm where more points than this are redeemed at an issuer's tills for each that it issued.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as canonical JSON.")
@click.option(
    "--out", "out_dir", type=click.Path(path_type=Path, file_okay=False), help="Also write the files, into a folder there."
)
@pass_context
def liability(
    context: Context,
    at_text: str | None,
    from_text: str | None,
    entered_by: str | None,
    cover_below: str,
    redeemed_above: str,
    out_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """What open points come to: rolled forward by issuer and expiry month, with breakage, cover and alarms.

    Counts what was booked by the end of the last date; a date that is over gives the same bytes whenever it is asked. The
    figures are proved against open lots less debt: if they differ, that is an error, and there is no report.
    """
    question = Question(
        now_ms=context.clock(),
        first_date=_date(from_text),
        last_date=_date(at_text),
        entered_by=_date(entered_by),
        thresholds=Thresholds(
            cover_min=_option("--cover-below", cover_below, Rate.parse),
            redeemed_per_issued_max=_option("--redeemed-above", redeemed_above, Rate.parse),
        ),
    )
    answer = liability_on(context.engine, question, progress=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(liability_document(answer.report), nl=False)
    else:
        click.echo(title(answer.report))
        for sheet in liability_sheets(answer.report):
            _print_sheet(sheet)
        for alarm in answer.report.alarms():
            click.echo(f"ALARM {alarm}")
    if out_dir is not None:
        try:
            folder = write_liability(context.engine, out_dir, answer)
        except OSError as error:
            raise Refused(f"cannot write the files: {error}; mend that and run again") from error
        click.echo(f"{len(list(folder.iterdir()))} files in {folder}", err=as_json)


@click.group()
def estimates() -> None:
    """Breakage estimates: how many points of an issuer will be redeemed in the end. Takes two operators."""


@estimates.command("propose")
@click.argument("partner_id", metavar="ISSUER")
@click.option("--expected", required=True, help="The part of all points that will be redeemed, such as 95/100 or 0.95.")
@click.option("--effective-from", required=True, metavar="DATE", help="First date on which it holds; may lie in the past.")
@click.option(
    "--point-value",
    help="Minor units that a redeemed point is worth to its member: sales are then divided between goods and points "
    "[default: points are taken at their issue price].",
)
@click.option("--operator", required=True, help="Who proposes.")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The proposer's private key.")
@pass_context
def propose(
    context: Context,
    partner_id: str,
    expected: str,
    effective_from: str,
    point_value: str | None,
    operator: str,
    key_file: Path,
) -> None:
    """Propose an issuer's next estimate; a second operator approves, and it counts as entered from then on."""
    estimate = BreakageEstimate(
        partner_id=partner_id,
        effective_from=parse_date(effective_from),
        expected_share=_option("--expected", expected, Rate.parse),
        point_value_micros=0 if point_value is None else _option("--point-value", point_value, parse_micros),
    )
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        decision = propose_estimate(connection, estimate, hand=hand, now_ms=context.clock())
    click.echo(
        f"Proposed {decision.decision_id}: {estimate.expected_share} of the points that {partner_id} issues are expected to be "
        f"redeemed, from {estimate.effective_from}."
    )
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")


@estimates.command("list")
@pass_context
def list_estimates(context: Context) -> None:
    """List all estimates by issuer, in the order of the dates from which they hold, with when and by whom they were entered."""
    with reading(context.engine) as connection:
        known, zone = load_estimates(connection), load_network(connection).time_zone
    sheet = estimates_sheet([one for of_issuer in known.values() for one in of_issuer], zone)
    _print_sheet(sheet)


def _print_sheet(sheet: Sheet) -> None:
    print_table(sheet.title, sheet.columns, sheet.rows, right=[sheet.columns[index] for index in sorted(sheet.right)])


def _date(text: str | None) -> date | None:
    return None if text is None else parse_date(text)


def _option(name: str, text: str, parse: Callable[[str], _Value]) -> _Value:
    try:
        return parse(text)
    except InvalidValue as error:
        raise InvalidValue(f"{name}: {error}") from None
