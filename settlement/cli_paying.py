"""`tallystick settlement`: from netted to settled. Two operators confirm; the finance team records what the bank did."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

from gateway.adjusting import propose_adjustment, propose_write_off
from gateway.confirming import confirm
from gateway.console import Context, day, pass_context, print_table
from gateway.domain.decision import Decision, DecisionState
from gateway.domain.units import MICROS, div_ceil, format_amount, parse_amount
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.storage.engine import reading, writing
from gateway.storage.figures import load_exposures
from gateway.storage.payments import Payable, load_payable, load_payables
from gateway.storage.rules import load_rules
from gateway.storage.windows import load_transitions, open_window
from settlement import store
from settlement.faults import faults_named
from settlement.guard import only_run
from settlement.nightly import make_due_runs
from settlement.paying import Recorded, carry_on, record_failed, record_paid

_WINDOW = click.IntRange(1, 2**31 - 1)


def _acting(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--key", "key_file", required=True, type=click.Path(path_type=Path), envvar="TALLYSTICK_OPERATOR_KEY", show_envvar=True,
        help="The operator's private key.",
    )(command)  # fmt: skip
    return click.option(
        "--operator", required=True, envvar="TALLYSTICK_OPERATOR", show_envvar=True, help="Which operator acts and signs."
    )(command)


@click.command("confirm")
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@_acting
@pass_context
def confirm_window(context: Context, window_id: int, operator: str, key_file: Path) -> None:
    """Sign a netted window: its statements, nets and instructions. Two operators make it CONFIRMED.

    Read 'tallystick settlement show WINDOW' first. If anything is made anew between the two signatures, both sign again.
    """
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        decision = confirm(connection, window_id, hand=hand, now_ms=context.clock())
        window = store.existing_window(connection, window_id)
    if decision.state is DecisionState.APPLIED:
        click.echo(f"Window {window_id} is {window.state} ({decision.decision_id}).")
    elif decision.state is DecisionState.STALE:
        click.echo(f"Window {window_id} was made anew since the first signature: both operators sign again.")
    else:
        click.echo(f"Signed {decision.decision_id}: another operator confirms window {window_id} with the same command.")


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@pass_context
def history(context: Context, window_id: int) -> None:
    """Show how a window came to where it stands: who, and when (unix milliseconds)."""
    with reading(context.engine) as connection:
        store.existing_window(connection, window_id)
        way = load_transitions(connection, window_id)
    rows = [(str(step.number), step.state.value, str(step.at_ms), step.made_by, step.decision_id or "-") for step in way]
    print_table(f"Window {window_id}", ("step", "state", "at", "by", "decision"), rows, right=("step", "at"))


@click.command()
@click.argument("instruction_id", metavar="INSTRUCTION")
@click.option("--bank-ref", required=True, help="The bank's reference; the same one again changes nothing.")
@click.option("--amount", help="In major units [default: all that is left].")
@click.option(
    "--on", "value_date", callback=day, help="The bank's value date, YYYY-MM-DD: by it a payment is late [default: today]."
)
@pass_context
def paid(context: Context, instruction_id: str, bank_ref: str, amount: str | None, value_date: date | None) -> None:
    """Record that an instruction was paid, whole or in part. What is paid for in full settles its window, in order."""
    with writing(context.engine) as connection:
        payable = load_payable(connection, instruction_id)
        wanted = None if amount is None or payable is None else parse_amount(amount, payable.currency)
        now_ms = context.clock()
        _say(record_paid(connection, instruction_id, bank_ref=bank_ref, amount=wanted, value_date=value_date, now_ms=now_ms))


@click.command()
@click.argument("instruction_id", metavar="INSTRUCTION")
@click.option("--reason", required=True, help="What the bank said.")
@pass_context
def failed(context: Context, instruction_id: str, reason: str) -> None:
    """Record that a payment failed. Its debtor keeps its exposure and owes the late fee; nobody else is touched.

    A partner in default: suspend it ('tallystick partners suspend'), then carry what it owes to the next payment run
    ('tallystick settlement carry'), or write it off ('tallystick settlement write-off').
    """
    with writing(context.engine) as connection:
        _say(record_failed(connection, instruction_id, reason=reason, now_ms=context.clock()))


@click.command()
@click.argument("instruction_id", metavar="INSTRUCTION")
@click.option("--reason", required=True, help="Why it waits.")
@pass_context
def carry(context: Context, instruction_id: str, reason: str) -> None:
    """Leave what is left of an instruction to the next payment run. It stays in its debtor's exposure."""
    with writing(context.engine) as connection:
        _say(carry_on(connection, instruction_id, reason=reason, now_ms=context.clock()))


@click.command("write-off")
@click.argument("instruction_id", metavar="INSTRUCTION")
@click.option("--reason", required=True, help="Why nobody will pay.")
@_acting
@pass_context
def write_off(context: Context, instruction_id: str, reason: str, operator: str, key_file: Path) -> None:
    """Propose that the operator bears what is left of an instruction; a second operator approves."""
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        decision = propose_write_off(connection, instruction_id, reason=reason, hand=hand, now_ms=context.clock())
    _proposed(decision, f"write off {instruction_id}")


@click.command()
@click.argument("payer_id", metavar="PAYER")
@click.argument("payee_id", metavar="PAYEE")
@click.argument("amount", metavar="AMOUNT")
@click.argument("currency", metavar="CURRENCY")
@click.option("--reason", required=True, help="What it is for; both parties read it.")
@_acting
@pass_context
def adjust(
    context: Context, payer_id: str, payee_id: str, amount: str, currency: str, reason: str, operator: str, key_file: Path
) -> None:
    """Propose that PAYER owes PAYEE an amount in major units such as 7.50 EUR; a second operator approves.

    One of the two may be "operator". It becomes a line of the next window that is cut off.
    """
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        decision = propose_adjustment(
            connection,
            payer_id=payer_id,
            payee_id=payee_id,
            amount=parse_amount(amount, currency),
            currency=currency,
            reason=reason,
            hand=hand,
            now_ms=context.clock(),
        )
    _proposed(decision, f"{payer_id} owes {payee_id} {amount} {currency}")


@click.command()
@pass_context
def pay(context: Context) -> None:
    """Make the payment runs that are due: of each week or month that is over and whose windows are all confirmed.

    Where windows are paid for one by one, the night makes their runs, and there is nothing to do here. Safe to repeat.
    """
    with only_run(context.engine), faults_named():
        folders = make_due_runs(context.engine, context.config.statements_dir, at_ms=context.clock())
    for folder in folders:
        click.echo(f"Payment run: {folder}")
    if not folders:
        click.echo("No payment run is due.")


@click.command()
@click.argument("window_id", metavar="WINDOW", type=_WINDOW)
@pass_context
def payables(context: Context, window_id: int) -> None:
    """Show the instructions of a payment run, named by its last window, and what is left of each."""
    with reading(context.engine) as connection:
        found = load_payables(connection, window_id)
    rows = [
        (one.instruction_id, one.debtor_id, one.creditor_id, _money(one.amount, one), _money(one.outstanding, one), one.status)
        for one in found
    ]
    columns = ("instruction", "pays", "receives", "amount", "left", "state")
    print_table(f"Payment run {window_id}", columns, rows, right=("amount", "left"))


@click.command()
@pass_context
def caps(context: Context) -> None:
    """Show each partner's exposure beside its cap; an alarm from the share on that the settlement rules name."""
    with reading(context.engine) as connection:
        exposures = load_exposures(connection)
        alarm_percent = load_rules(connection)[open_window(connection).rules_version].alarm_percent
    rows = []
    for one in exposures:
        exposure = f"{format_amount(div_ceil(one.exposure_micros, MICROS), one.currency)} {one.currency}"
        shown = "none" if one.cap is None else f"{format_amount(one.cap, one.currency)} {one.currency}"
        rows.append((one.partner_id, exposure, shown, "ALARM" if one.is_alarming(alarm_percent) else ""))
    print_table("Exposure and caps", ("partner", "exposure", "cap", "alarm"), rows, right=("exposure", "cap"))


COMMANDS = (confirm_window, history, paid, failed, carry, write_off, adjust, pay, payables, caps)


def _say(recorded: Recorded) -> None:
    one = recorded.payable
    click.echo(f"{one.instruction_id}: {one.status}, {_money(one.outstanding, one)} left of {_money(one.amount, one)}.")
    for window_id in recorded.settled:
        click.echo(f"Window {window_id} is SETTLED.")


def _proposed(decision: Decision, what: str) -> None:
    click.echo(f"Proposed {decision.decision_id}: {what}.")
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")


def _money(amount: int, payable: Payable) -> str:
    return f"{format_amount(amount, payable.currency)} {payable.currency}"
