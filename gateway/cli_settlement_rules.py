"""`tallystick network settlement`: by what rules windows are settled, shown and proposed."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from gateway.console import Context, pass_context, print_table
from gateway.domain.network import SettlementModel
from gateway.domain.settlement import Form, Netting, Schedule, SettlementRules
from gateway.domain.units import format_amount, format_micros, parse_amount, parse_micros
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.settlement_rules import RulesChange, propose_rules
from gateway.storage.directory import load_network
from gateway.storage.engine import reading, writing
from gateway.storage.rules import load_rules


def _choice(values: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([value.value for value in values])


@click.group()
def settlement() -> None:
    """Settlement rules: model, netting, payment schedule, fees. A window keeps the version that it opened with."""


@settlement.command("show")
@pass_context
def show_rules(context: Context) -> None:
    """All versions, oldest first; 0 is what the network was founded with. A version holds from its window on."""
    with reading(context.engine) as connection:
        rules, currency = load_rules(connection), load_network(connection).currency
    columns = ("version", "from window", "model", "netting", "who pays whom", "paid by", "minimum", "fees", "due", "alarm")
    rows = [_row(one, currency) for one in rules]
    print_table("Settlement rules", columns, rows, right=("version", "from window"))


@settlement.command("propose")
@click.option("--model", type=_choice(SettlementModel), help="Who owes whom.")
@click.option("--netting", type=_choice(Netting), help="How far debts are set off before anybody pays.")
@click.option("--form", type=_choice(Form), help="Who pays whom once it is netted.")
@click.option("--schedule", type=_choice(Schedule), help="Which windows are paid for together.")
@click.option("--minimum-amount", help="Payments below it wait for a later run; in major units of each currency.")
@click.option("--fixed-fee", help="What each partner owes the operator for a window, in major units.")
@click.option("--entry-fee", help="What it owes for each entry that it books, in minor units such as 0.25.")
@click.option("--late-fee", help="What it owes for a payment that fails or comes late, in major units.")
@click.option("--due-days", type=int, help="Days after the cut-off until a payment is late.")
@click.option("--alarm-percent", type=int, help="Share of its cap from which a partner's exposure is an alarm.")
@click.option("--operator", required=True, help="Who proposes.")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The proposer's private key.")
@pass_context
def propose_settlement(context: Context, /, operator: str, key_file: Path, **options: Any) -> None:
    """Propose the next version. What is left out stays as it is; a second operator approves.

    It holds from the open window on if nothing is booked in that yet, else from the next cut-off. Refused with MODEL_IN_USE:
    a closed window under another model is not settled yet. Refused on approval with APPROVAL_STALE: a cut-off, or the first
    booking of the window, came in between.
    """
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        change = _change(options, load_network(connection).currency)
        decision = propose_rules(connection, change, hand=hand, now_ms=context.clock())
    click.echo(f"Proposed {decision.decision_id}: settlement rules.")
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")


def _change(options: dict[str, Any], currency: str) -> RulesChange:
    def read(name: str, parse: Callable[[str], Any]) -> Any:
        return None if options[name] is None else parse(options[name])

    def amount(text: str) -> int:
        return parse_amount(text, currency)

    return RulesChange(
        settlement_model=read("model", SettlementModel),
        netting=read("netting", Netting),
        form=read("form", Form),
        schedule=read("schedule", Schedule),
        minimum_amount=read("minimum_amount", amount),
        fixed_fee=read("fixed_fee", amount),
        entry_fee_micros=read("entry_fee", parse_micros),
        late_fee=read("late_fee", amount),
        due_days=options["due_days"],
        alarm_percent=options["alarm_percent"],
    )


def _row(rules: SettlementRules, currency: str) -> tuple[str, ...]:
    def money(amount: int) -> str:
        return f"{format_amount(amount, currency)} {currency}"

    fees = (
        f"{money(rules.fixed_fee)} a window, {format_micros(rules.entry_fee_micros)} minor units an entry, "
        f"{money(rules.late_fee)} late"
    )
    return (
        str(rules.version),
        str(rules.from_window),
        rules.settlement_model.value,
        rules.netting.value,
        rules.form.value,
        rules.schedule.value,
        money(rules.minimum_amount),
        fees,
        f"{rules.due_days} days",
        f"{rules.alarm_percent} %",
    )
