"""`tallystick partners bank`: where a partner's money goes, and by which mandate it is collected."""

from pathlib import Path
from typing import Any

import click

from gateway.bank_details import known_account, propose_account
from gateway.bank_options import account_rows, changed_account, partner_account_options
from gateway.console import Context, pass_context, print_table
from gateway.storage.engine import reading, writing
from partners.cli_operators import approve_decisions
from partners.options import acting, hand_of, say
from partners.rulings_partner import known_standing


@click.group()
def bank() -> None:
    """A partner's bank account and mandate. Its application names the first ones; a change takes two operators."""


@bank.command("propose")
@click.argument("partner_id", metavar="PARTNER")
@partner_account_options
@acting
@pass_context
def propose_bank(context: Context, /, partner_id: str, operator: str, key_file: Path, **options: Any) -> None:
    """Propose a change of a partner's account. What is left out stays as it is.

    Ask the partner on a number that you know already: a letter with another IBAN is how money is stolen.
    """
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        known_standing(connection, partner_id)
        account = changed_account(known_account(connection, partner_id).account, options)
        decision = propose_account(connection, partner_id, account, hand=hand, now_ms=context.clock())
    say(decision)


bank.add_command(approve_decisions, "approve")


@bank.command("show")
@click.argument("partner_id", metavar="PARTNER")
@click.option("--in-full", is_flag=True, help="The IBAN without its mask.")
@pass_context
def show_bank(context: Context, partner_id: str, *, in_full: bool) -> None:
    """Show a partner's account, its IBAN masked."""
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        known = known_account(connection, partner_id)
    source = f"decision {known.decision_id}" if known.decision_id else "its application"
    rows = [*account_rows(known.account, in_full=in_full), ("known by", source)]
    print_table(f"Account of {partner_id}", ("what", "value"), rows)
