"""`tallystick partners`: the operators' side of a partner's life, from its application to its leaving."""

import json
from pathlib import Path

import click

from gateway.bank_details import known_account
from gateway.console import Context, pass_context, print_table
from gateway.domain.bank import masked
from gateway.domain.partner import PartnerStatus
from gateway.domain.units import format_amount
from gateway.storage.directory import load_keys, load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.failures import load_signature_failures
from partners.cli_bank import bank
from partners.cli_conformance import activate, conformance
from partners.cli_keys import keys, moment
from partners.cli_limits import limits
from partners.cli_onboard import onboard
from partners.cli_terminal import terminal
from partners.cli_terms import cap, offers, rates
from partners.liability import liability_words, load_liability
from partners.options import acting, hand_of, say
from partners.proposals import change_status
from partners.rulings_partner import known_standing
from partners.words import account_words


@click.group()
def partners() -> None:
    """Take partners in, agree on terms with them, and see them off.

    What costs a partner money is proposed by one operator and approved by another ('tallystick operators approve').
    """


for _group in (onboard, activate, conformance, keys, rates, cap, limits, offers, bank, terminal):
    partners.add_command(_group)


@partners.command("list")
@pass_context
def list_partners(context: Context) -> None:
    """Show all partners and where they stand."""
    with reading(context.engine) as connection:
        terms, known_keys = load_terms(connection), load_keys(connection)
    now_ms = context.clock()
    rows = []
    for partner in terms.partners.values():
        usable = [key for key in known_keys.values() if key.partner_id == partner.partner_id and not key.unusable_because(now_ms)]
        limit = partner.net_debit_cap
        rows.append(
            (
                partner.partner_id,
                partner.status.value,
                partner.legal_name,
                partner.settlement_currency,
                "none" if limit is None else format_amount(limit, partner.settlement_currency),
                str(len(terms.cards.get(partner.partner_id, ()))),
                str(len(usable)),
            )
        )
    columns = ("partner", "status", "legal name", "settles in", "net debit cap", "rate cards", "usable keys")
    print_table("Partners", columns, rows, right=("net debit cap", "rate cards", "usable keys"))


@partners.command()
@click.argument("partner_id", metavar="PARTNER")
@pass_context
def show(context: Context, partner_id: str) -> None:
    """Show a partner: what it applied with, where it stands, and what its open points are worth."""
    with reading(context.engine) as connection:
        standing = known_standing(connection, partner_id)
        partner = load_terms(connection).partners[partner_id]
        liability = load_liability(connection, partner_id)
        account = known_account(connection, partner_id).account
    application = json.loads(standing.application)
    limit = partner.net_debit_cap
    facts = [(name.replace("_", " "), _text(application[name])) for name in _SHOWN]
    facts.append(("account", account_words(masked(account))))
    facts += [
        ("status", f"{partner.status.value} (decision {standing.decision_id})"),
        ("net debit cap", "none" if limit is None else format_amount(limit, partner.settlement_currency)),
        ("open points", liability_words(liability)),
    ]
    print_table(f"Partner {partner_id}", ("what", "value"), facts)


@partners.command()
@click.argument("partner_id", metavar="PARTNER")
@acting
@pass_context
def suspend(context: Context, partner_id: str, operator: str, key_file: Path) -> None:
    """Stop a partner from issuing and redeeming, at once. One operator is enough, since it can be undone."""
    _change(context, partner_id, PartnerStatus.SUSPENDED, operator, key_file)


@partners.command()
@click.argument("partner_id", metavar="PARTNER")
@acting
@pass_context
def resume(context: Context, partner_id: str, operator: str, key_file: Path) -> None:
    """Let a suspended partner issue and redeem again."""
    _change(context, partner_id, PartnerStatus.ACTIVE, operator, key_file)


@partners.command()
@click.argument("partner_id", metavar="PARTNER")
@acting
@pass_context
def close(context: Context, partner_id: str, operator: str, key_file: Path) -> None:
    """Propose that a partner leaves for good; it takes a second operator, since it cannot be undone.

    Prints the open lots that the partner issued and what they are worth. The points stay valid at the other partners,
    and the partner stays liable for them.
    """
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        liability = load_liability(connection, partner_id)
    click.echo(f"{partner_id} leaves {liability_words(liability)}.")
    if liability:
        click.echo(f"They stay valid at the other partners until they expire; {partner_id} stays liable for them.")
    _change(context, partner_id, PartnerStatus.CLOSED, operator, key_file)


@partners.group()
def signatures() -> None:
    """Requests whose signature did not hold. Callers are told only SIGNATURE_INVALID."""


@signatures.command()
@click.argument("partner_id", metavar="PARTNER")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many, the newest.")
@pass_context
def tail(context: Context, partner_id: str, limit: int) -> None:
    """Show why a partner's last requests were refused, and the lines that the gateway would have signed in its place.

    Compare them with 'tallystick pos sign --explain' on the partner's machine.
    """
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        failures = load_signature_failures(connection, partner_id, limit=limit)
    for failure in failures:
        click.echo(f"{moment(failure.at_ms)}  {failure.method}  key {failure.key_id}  from {failure.peer}: {failure.cause}")
        for line in failure.signed_string.splitlines():
            click.echo(f"    {line}")
    if not failures:
        click.echo(f"No signature of {partner_id} has failed.")


_SHOWN = ("legal_name", "address", "vat_id", "contact", "currency", "time_zone", "roles", "units")


def _change(context: Context, partner_id: str, target: PartnerStatus, operator: str, key_file: Path) -> None:
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        decision = change_status(connection, partner_id, target, hand=hand, now_ms=context.clock())
    if decision is None:
        click.echo(f"{partner_id} is {target.value} already.")
    else:
        say(decision)


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
