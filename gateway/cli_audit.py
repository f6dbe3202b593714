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
    night, ended. Reads only, and blocks no till.

    Prints "books proved" with the figures; else names each row that cannot be right, and exits with 1.

    --receipts, after a backup was restored or whenever a partner doubts: each receipt's signature is verified, and its bytes are
    looked up in the books. Exits with 1 unless all are there as they were signed, and lists the others. A line of the file is
    {"receipt": BASE64, "signature": BASE64, "key_id": "r1"}; what 'tallystick pos ... --json' prints will do as well.
    """
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
    """How receipts become bytes on the wire, for the audit."""
    from gateway.edge.receipts import decode_receipt, encode_receipt
    from gateway.ledger.audit_receipts import ReceiptForm

    return ReceiptForm(encode_receipt, decode_receipt)


def _compare_held(engine: "Engine", paths: "Sequence[Path]") -> None:
    from gateway.edge.receipts import decode_receipt
    from gateway.held_receipts import read_held
    from gateway.ledger.audit_held import Standing, judge
    from gateway.storage.engine import reading

    counts = dict.fromkeys(Standing, 0)
    astray: list[Judged] = []
    with reading(engine) as connection:
        for judged in judge(connection, read_held(paths), decode_receipt):
            counts[judged.standing] += 1
            if judged.standing is not Standing.PROVEN:
                astray.append(judged)
    if astray:
        columns = ("where", "partner", "what", "key", "lane", "sequence", "points", "standing", "why")
        print_table("Receipts that the books do not have", columns, map(_row, astray), right=("lane", "sequence", "points"))
    rows = [(standing.value, f"{count:,}", standing.advice) for standing, count in counts.items()]
    print_table("Receipts that partners hold", ("standing", "receipts", "what to do"), rows, right=("receipts",))
    if astray:
        raise Refused(f"{len(astray):,} of {sum(counts.values()):,} receipts are not in the books as they were signed")


def _row(judged: "Judged") -> "Sequence[str]":
    receipt = judged.receipt
    if receipt is None:
        return (judged.held.where, "", "", "", "", "", "", judged.standing.value, judged.why)
    what = "refusal" if receipt.refused is not None else receipt.kind.name.lower().replace("_", " ")
    place = ("", "") if receipt.refused is not None else (str(receipt.lane), str(receipt.sequence))
    return (
        judged.held.where,
        receipt.partner_id,
        what,
        receipt.idempotency_key,
        *place,
        f"{receipt.points:+,}",
        judged.standing.value,
        judged.why,
    )
