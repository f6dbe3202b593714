"""`tallystick settlement disputes`: what partners hold against lines of their statements, and how it ends."""

from pathlib import Path

import click

from gateway.console import Context, pass_context, print_table
from gateway.domain.dispute import DisputeState
from gateway.domain.ids import OPERATOR
from gateway.domain.terms import date_at
from gateway.domain.units import format_amount, parse_amount
from gateway.ending_disputes import ENDS, propose_end
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.storage.directory import load_network
from gateway.storage.disputed_events import gone_back_twice
from gateway.storage.disputes import load_dispute, load_disputes, load_steps
from gateway.storage.engine import reading, writing
from settlement.disputing import overdue_events, take_disputes
from settlement.faults import faults_named
from settlement.files import stale_windows, write_window
from settlement.guard import only_run
from settlement.sealing import open_sealer
from settlement.store import existing_window


@click.group()
def disputes() -> None:
    """Disputes of partners about single lines: list them, hold their amounts out of what is paid, end them.

    \b
    OPEN       the other party of the line may answer until the deadline; silence accepts
    CONTESTED  it has; two operators end the dispute: uphold, correct or write-off
    ACCEPTED, WITHDRAWN, UPHELD, CORRECTED, WRITTEN_OFF  ended
    """  # noqa: D301 - click takes a backspace for "keep these lines"


@disputes.command("list")
@click.option("--live", "is_live", is_flag=True, help="Only those that have not ended.")
@pass_context
def list_disputes(context: Context, *, is_live: bool) -> None:
    """List disputes, oldest first."""
    with reading(context.engine) as connection:
        found = load_disputes(connection, is_live=is_live)
    columns = ("dispute", "state", "window", "opened by", "pays", "receives", "amount", "", "deadline", "reason", "evidence")
    rows = [
        (
            one.dispute_id,
            one.state.value,
            str(one.window_id),
            one.opener_id,
            one.payer_id,
            one.payee_id,
            format_amount(one.amount, one.currency),
            one.currency,
            one.deadline,
            one.reason.value,
            one.evidence,
        )
        for one in found
    ]
    print_table("Disputes", columns, rows, right=("window", "amount"))


@disputes.command()
@click.argument("dispute_id", metavar="DISPUTE")
@pass_context
def show(context: Context, dispute_id: str) -> None:
    """Show how a dispute came to where it stands: who, when (unix milliseconds) and why.

    If points that it gave back were restored after its end, it says who owes whom what went back twice.
    """
    with reading(context.engine) as connection:
        dispute = load_dispute(connection, dispute_id)
        steps = load_steps(connection, [dispute_id])
        twice = gone_back_twice(connection, dispute, steps[-1].amount) if dispute is not None else 0
    columns = ("step", "state", "at", "by", "goes back (minor units)", "decision", "note")
    rows = [
        (str(one.number), one.state.value, str(one.at_ms), one.made_by, str(one.amount), one.decision_id or "-", one.note)
        for one in steps
    ]
    print_table(f"Dispute {dispute_id}", columns, rows, right=("step", "at", "goes back (minor units)"))
    if dispute is not None and twice:
        # A loss that the network bore is the network's again.
        creditor_id = OPERATOR if dispute.state is DisputeState.WRITTEN_OFF else dispute.payee_id
        amount = f"{format_amount(twice, dispute.currency)} {dispute.currency}"
        click.echo(
            f"Points were restored after its end: {amount} went back twice, and {dispute.payer_id} owes that to {creditor_id}: "
            "two operators decide it by 'tallystick settlement adjust'."
        )


@disputes.command()
@pass_context
def take(context: Context) -> None:
    """Accept what nobody answered in time, and hold disputed amounts out of payments that are not confirmed yet.

    The night does the same by itself, before its cut-off. Safe to repeat. A window whose payments were made anew is
    confirmed anew.
    """
    with only_run(context.engine), faults_named():
        with reading(context.engine) as connection:
            network = load_network(connection)
            today = date_at(context.clock(), network.time_zone).isoformat()
            events = overdue_events(connection, today)
        with writing(context.engine) as connection:
            now_ms = context.clock()
            taken = take_disputes(connection, audience=network.audience, network_date=today, now_ms=now_ms, events=events)
    for dispute_id in taken.accepted:
        click.echo(f"{dispute_id}: accepted, since nobody answered by the deadline")
    for adjustment_id in taken.adjustments:
        click.echo(f"{adjustment_id}: a line of the next window")
    out_dir, audience = context.config.statements_dir, network.audience
    with reading(context.engine) as connection:
        made_anew = {window_id: existing_window(connection, window_id) for window_id in taken.windows}
        # As well what was made anew by one that was ended before it wrote.
        made_anew |= {window.window_id: window for window in stale_windows(connection, out_dir, audience=audience)}
    sealer = open_sealer(context.engine, context.config.keys_dir) if made_anew else None
    for window_id, window in sorted(made_anew.items()):
        click.echo(f"window {window_id}: payments made anew; operators sign it again")
        assert sealer is not None, "there are windows"
        with only_run(context.engine), faults_named():
            write_window(context.engine, out_dir, audience=audience, window=window, sealer=sealer)
    if not (taken.accepted or taken.adjustments or made_anew):
        click.echo("Nothing to do.")


@disputes.command()
@click.argument("dispute_id", metavar="DISPUTE")
@click.option(
    "--as", "end_as", required=True, type=click.Choice(list(ENDS)),
    help="uphold: the line is paid; correct: --amount of it goes back; write-off: all of it does, and the network bears it.",
)  # fmt: skip
@click.option("--amount", help="What goes back, in major units; of a correction.")
@click.option("--reason", required=True, help="Why; both parties read it.")
@click.option("--operator", required=True, envvar="TALLYSTICK_OPERATOR", show_envvar=True, help="Which operator acts and signs.")
@click.option(
    "--key", "key_file", required=True, type=click.Path(path_type=Path), envvar="TALLYSTICK_OPERATOR_KEY", show_envvar=True,
    help="The operator's private key.",
)  # fmt: skip
@pass_context
def end(context: Context, dispute_id: str, end_as: str, amount: str | None, reason: str, operator: str, key_file: Path) -> None:
    """Propose how a dispute ends; a second operator approves. What goes back becomes a line of the next window."""
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        dispute = load_dispute(connection, dispute_id)
        wanted = parse_amount(amount, dispute.currency) if amount is not None and dispute is not None else 0
        decision = propose_end(
            connection, dispute_id, end=end_as, amount=wanted, reason=reason, hand=hand, now_ms=context.clock()
        )
    click.echo(
        f"Proposed {decision.decision_id}: another operator approves it with "
        f"'tallystick operators approve {decision.decision_id}'."
    )
