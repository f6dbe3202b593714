"""`tallystick network bank`: the operator's own account, from which it pays and to which it collects."""

from pathlib import Path
from typing import Any

import click

from gateway.bank_details import known_account, propose_account
from gateway.bank_options import account_rows, changed_account, operator_account_options
from gateway.console import Context, pass_context, print_table
from gateway.domain.ids import OPERATOR
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.storage.engine import reading, writing


@click.group()
def bank() -> None:
    """The operator's bank account and creditor identifier. A change takes two operators."""


@bank.command("propose")
@operator_account_options
@click.option("--operator", required=True, help="Who proposes.")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The proposer's private key.")
@pass_context
def propose_bank(context: Context, /, operator: str, key_file: Path, **options: Any) -> None:
    """Propose a change of the operator's account. What is left out stays as it is; a second operator approves."""
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        account = changed_account(known_account(connection, OPERATOR).account, options)
        decision = propose_account(connection, OPERATOR, account, hand=hand, now_ms=context.clock())
    click.echo(f"Proposed {decision.decision_id}: another account of the operator.")
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")


@bank.command("show")
@click.option("--in-full", is_flag=True, help="The IBAN without its mask.")
@pass_context
def show_bank(context: Context, *, in_full: bool) -> None:
    """Show the operator's account, its IBAN masked."""
    with reading(context.engine) as connection:
        known = known_account(connection, OPERATOR)
    source = f"decision {known.decision_id}" if known.decision_id else "nobody has said"
    rows = [*account_rows(known.account, in_full=in_full), ("known by", source)]
    print_table("Account of the operator", ("what", "value"), rows)
