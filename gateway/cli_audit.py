"""`tallystick audit`: proves the books, or names what is wrong with them; and what partners hold in their hands."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.console import Context, Refused, pass_context, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from gateway.ledger.audit import AuditReport
    from gateway.ledger.audit_held import Judged
    from gateway.ledger.audit_receipts import ReceiptForm

_FIGURES = ("issued", "reversed", "redeemed", "restored", "expired", "substituted", "open", "debt", "withheld")
_FAILURES_MAX = 20


@click.command()
@click.option("--full", is_flag=True, help="Everything since the first day, with what each receipt says.")
@click.option(
    "--failures-max", type=click.IntRange(min=1), default=_FAILURES_MAX, show_default=True, help="Stop after so many failures."
)
@click.option(
    "--receipts",
    "held",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    help="Then compare receipts that partners hold: a file of JSON lines, or a folder of such. May be repeated.",
)
@pass_context
def audit(context: Context, failures_max: int, held: tuple[Path, ...], *, full: bool) -> None:
    """Prove the books by sums of the audit's own.

    Sequences without gaps, hash chains, points and prices of every entry, lots, balances, positions, totals, what the
    nights made of them, and the signatures of all decisions. Without --full it goes on where the last audit, or the last
    night, ended, and leaves out the chains of terminals. Reads only, and blocks no till.

    Prints "books proved" with the figures; else names each row that cannot be right, and exits with 1.

    --receipts, after a backup was restored or whenever a partner doubts: each receipt's signature is verified, and its bytes are
    looked up in the books. Exits with 1 unless all are there as they were signed, and lists the others. A line of the file is
    {"receipt": BASE64, "signature": BASE64, "key_id": "r1"}; what 'tallystick pos ... --json' prints will do as well.
    """
    _check_form(held)
    report = prove_or_refuse(
        context.engine,
        full=full,
        now_ms=context.clock(),
        progress=lambda line: click.echo(line, err=True),
        failures_max=failures_max,
    )
    click.echo(
        f"books proved: {report.entries:,} entries ({report.proven_entries:,} of them now), {report.members:,} members, "
        f"{report.lots:,} lots, {report.refusals:,} refusals, {report.windows:,} windows, {report.decisions:,} decisions"
    )
    rows = [(issuer_id, row) for issuer_id, row in report.issuers.items()] + [("all", report.whole)]
    print_table(
        "Points since the first day, by issuer",
        ("issuer", *_FIGURES),
        [(issuer_id, *(f"{getattr(row, name):,}" for name in _FIGURES)) for issuer_id, row in rows],
        right=_FIGURES,
    )
    if held:
        _compare_held(context.engine, held)


def prove_or_refuse(
    engine: "Engine", *, full: bool, now_ms: int, progress: "Callable[[str], None]", failures_max: int = _FAILURES_MAX
) -> "AuditReport":
    """The audit's report; prints what fails. Raises Refused unless the books are proved."""
    from gateway.ledger.audit import audit as prove_books

    report = prove_books(engine, full=full, now_ms=now_ms, receipts=receipt_form(), progress=progress, failures_max=failures_max)
    check_proved(report)
    return report


def check_proved(report: "AuditReport") -> None:
    """Prints what fails. Raises Refused unless the books are proved."""
    if not report.is_proved:
        for failure in report.failures:
            click.echo(str(failure))
        raise Refused(f"the books are not proved: {len(report.failures)} failures")


def receipt_form() -> "ReceiptForm":
    """How receipts become bytes on the wire, and what events say, for the audit."""
    from gateway.edge.events import entry_of_event
    from gateway.edge.intake import read_sent
    from gateway.edge.receipts import decode_receipt, encode_receipt
    from gateway.ledger.audit_receipts import ReceiptForm

    return ReceiptForm(encode_receipt, decode_receipt, entry_of_event, read_sent)


def _check_form(paths: "Sequence[Path]") -> None:
    """Before anybody waits for the audit."""
    from gateway.held_receipts import read_held

    for _ in read_held(paths):
        pass


def _compare_held(engine: "Engine", paths: "Sequence[Path]") -> None:
    from gateway.edge.receipts import decode_receipt
    from gateway.held_receipts import read_held
    from gateway.ledger.audit_held import Standing, judge
    from gateway.storage.engine import reading

    counts = dict.fromkeys(Standing, 0)
    with reading(engine) as connection:
        for judged in judge(connection, read_held(paths), decode_receipt):
            counts[judged.standing] += 1
            if judged.standing is not Standing.PROVEN:
                click.echo(_line(judged))
    rows = [(standing.value, f"{count:,}", standing.advice if count else "") for standing, count in counts.items()]
    print_table("Receipts that partners hold", ("standing", "receipts", "what to do"), rows, right=("receipts",))
    astray = sum(counts.values()) - counts[Standing.PROVEN]
    if astray:
        raise Refused(f"{astray:,} of {sum(counts.values()):,} receipts are not in the books as they were signed")


def _line(judged: "Judged") -> str:
    receipt, what = judged.receipt, ""
    if receipt is not None:
        kind = receipt.kind.name.lower().replace("_", " ")
        came_to = (
            f"{kind} of {receipt.points:+,} points" if receipt.refused is None else f"{kind} refused: {receipt.refused.name}"
        )
        place = f", sequence {receipt.sequence} in lane {receipt.lane}" if receipt.sequence else ""
        what = f" {receipt.partner_id}, key {receipt.idempotency_key!r}, {came_to}{place}:"
    return f"{judged.held.where}: {judged.standing.value}:{what} {judged.why}"
