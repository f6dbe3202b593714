"""`tallystick audit`: proves the books, or names what is wrong with them."""

import click

from gateway.console import Context, Refused, pass_context, print_table

_FIGURES = ("issued", "reversed", "redeemed", "restored", "expired", "substituted", "open", "debt", "withheld")


@click.command()
@click.option("--full", is_flag=True, help="Everything since the first day, with what each receipt says.")
@click.option("--failures-max", type=click.IntRange(min=1), default=20, show_default=True, help="Stop after so many failures.")
@pass_context
def audit(context: Context, failures_max: int, *, full: bool) -> None:
    """Prove the books by sums of the audit's own.

    Sequences without gaps, hash chains, points and prices of every entry, lots, balances, positions, totals, what the
    nights made of them, and the signatures of all decisions. Without --full it goes on where the last audit, or the last
    night, ended. Reads only, and blocks no till.

    Prints "books proved" with the figures; else names each row that cannot be right, and exits with 1.
    """
    from gateway.edge.receipts import decode_receipt, encode_receipt
    from gateway.ledger.audit import audit as prove_books
    from gateway.ledger.audit_receipts import ReceiptForm

    report = prove_books(
        context.engine,
        full=full,
        now_ms=context.clock(),
        receipts=ReceiptForm(encode_receipt, decode_receipt),
        progress=lambda line: click.echo(line, err=True),
        failures_max=failures_max,
    )
    if not report.is_proved:
        for failure in report.failures:
            click.echo(str(failure))
        raise Refused(f"the books are not proved: {len(report.failures)} failures")
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
