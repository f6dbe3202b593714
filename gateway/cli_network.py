"""`tallystick network`: founds a network, shows it, and proposes its terms."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.cli_lanes import lanes
from gateway.cli_network_bank import bank
from gateway.cli_receipt_key import receipt_key, receipt_key_state
from gateway.cli_settlement_rules import settlement
from gateway.console import Context, pass_context, print_table
from gateway.dev_ca import make_certificates, write_certificates
from gateway.domain.errors import InvalidValue
from gateway.domain.limits import NO_LIMITS, Limits
from gateway.domain.network import SettlementModel, check_audience, check_time_zone
from gateway.domain.partner import PartnerStatus
from gateway.domain.terms import DebtPolicy, ExpiryRule, Terms, date_at, parse_date
from gateway.domain.units import Rate, format_micros, is_currency, parse_micros
from gateway.founding import NetworkPlan, found_network
from gateway.governance import Hand
from gateway.key_file import load_key
from gateway.limit_options import changed_limits, limit_options, limits_words
from gateway.network_terms import DEFAULT_TERMS, TermsChange, next_terms, propose_network_terms
from gateway.storage.directory import load_network, load_operators, load_receipt_keys, load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.rules import load_rules
from gateway.storage.windows import open_window

_TERMS_OPTIONS = (
    click.option("--expiry", help="When points expire: 'on 2027-06-30', 'after 90 days' or 'end of month after 24 months'."),
    click.option(
        "--debt-policy",
        type=click.Choice([policy.value for policy in DebtPolicy]),
        help="When goods come back and their points are spent: the member owes them, or the till withholds cash.",
    ),
    click.option("--late-days-max", type=int, help="How many days late a till may send what happened offline."),
    click.option("--claim-days-max", type=int, help="How many days back a purchase may lie whose paper receipt is claimed."),
    click.option("--usable-after-days", type=int, help="How many days points wait until they can be spent."),
    click.option("--redemption-element", help="Minor units per point that the breakage rebate is reckoned from (at_issuance)."),
    click.option("--breakage-rebate-share", help="Share of expired points' value that goes back to their issuer (at_issuance)."),
    click.option("--par-value", help="Minor units per point (at_par)."),
)


def _terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_TERMS_OPTIONS):
        command = option(command)
    return limit_options(command)


@click.group()
def network() -> None:
    """Found a network, show it, change its terms and its receipt key."""


network.add_command(receipt_key)
network.add_command(lanes)
network.add_command(settlement)
network.add_command(bank)


@network.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--audience", required=True, help="What every signature is bound to, such as coalition.example:prod; for ever.")
@click.option("--currency", required=True, help="ISO 4217 code of the network's own accounts.")
@click.option("--time-zone", required=True, help="IANA name; points expire, and nights begin, by its dates.")
@click.option(
    "--settlement-model",
    type=click.Choice([model.value for model in SettlementModel]),
    default="at_redemption",
    show_default=True,
    help="Who owes whom.",
)
@_terms_options
@click.option("--effective-from", help="First date of these terms [default: today, in the network's time zone].")
@click.option("--database-url", help="An empty PostgreSQL database [default: a SQLite file in DIR].")
@pass_context
def create(context: Context, /, folder: Path, **options: Any) -> None:
    """Make a new network in the folder DIR: books, keys and configuration.

    DIR appears whole or not at all, and must not exist yet. What costs partners money is then decided by two operators:
    name them next, with 'tallystick operators add'. Where nothing is said, points expire at the end of the month after 24
    months, debt is allowed, tills may be 3 days late, the redemption element and the par value are 1 minor unit a point,
    there is no breakage rebate, paper receipts can be claimed for 30 days, points are usable at once, and nothing is limited.
    """
    now_ms = context.clock()
    zone = ZoneInfo(check_time_zone(options["time_zone"]))
    if not is_currency(options["currency"]):
        raise InvalidValue(f"currency {options['currency']!r}: must be an ISO 4217 code such as EUR")
    effective_from = parse_date(options["effective_from"]) if options["effective_from"] else date_at(now_ms, zone)
    plan = NetworkPlan(
        audience=check_audience(options["audience"]),
        currency=options["currency"],
        time_zone=options["time_zone"],
        settlement_model=SettlementModel(options["settlement_model"]),
        terms=next_terms(DEFAULT_TERMS, effective_from, _change(options, NO_LIMITS)),
        database_url=options["database_url"],
    )
    found_network(folder, plan, now_ms=now_ms)
    click.echo(f"Network {plan.audience} founded in {folder}. Next, in that folder, name two operators, each with a key:")
    click.echo("  tallystick operators keygen --out ada.pem")
    click.echo("  tallystick operators add ada --name 'Ada Fisher' --key ada.pem")


@network.command()
@pass_context
def show(context: Context) -> None:
    """Show what the network is, its terms in force, its receipt keys and who takes part."""
    with reading(context.engine) as connection:
        facts, terms = load_network(connection), load_terms(connection)
        keys, operators = load_receipt_keys(connection), load_operators(connection)
        rules = load_rules(connection)[open_window(connection).rules_version]
    now_ms = context.clock()
    today = terms.network_date(now_ms)
    partners = [partner.status for partner in terms.partners.values()]
    rows = [
        ("audience", facts.audience),
        ("database", context.config.database_name),
        ("currency", facts.currency),
        ("time zone", facts.time_zone.key),
        ("settlement model", rules.settlement_model.value),
        ("lanes", str(facts.lanes)),
        ("directory version", str(terms.version)),
        ("receipt keys", ", ".join(f"{key.key_id} {receipt_key_state(key, now_ms)}" for key in keys)),
        ("operators", ", ".join(operators) or "none yet"),
        ("partners", ", ".join(f"{partners.count(one)} {one.value}" for one in PartnerStatus if one in partners) or "none yet"),
        ("network terms", f"version {terms.network_in_force(today).version} in force on {today}"),
    ]
    print_table(f"Network {facts.audience}", ("what", "value"), rows)


@network.command("dev-certificates")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Folder for the files [default: tls, beside the configuration]."
)
@pass_context
def dev_certificates(context: Context, folder: Path | None) -> None:
    """Make TLS certificates for tests on this machine: localhost, 127.0.0.1 and ::1.

    Clients trust ca.pem. The authority's own key is thrown away. A real network has certificates of a real authority.
    """
    target = folder or context.config.path("tls")
    write_certificates(target, make_certificates(context.clock()))
    click.echo(f"Wrote {target / 'ca.pem'}, server.pem and server.key: for development only.")


@network.group()
def terms() -> None:
    """Network terms: expiry, debt policy, lateness, limits, and the prices of two settlement models."""


@terms.command("show")
@pass_context
def show_terms(context: Context) -> None:
    """All versions, oldest first. A version holds from its date until the next one's."""
    with reading(context.engine) as connection:
        snapshot: Terms = load_terms(connection)
    columns = (
        "version",
        "from",
        "expiry",
        "usable after",
        "debt policy",
        "late days",
        "claim days",
        "redemption element",
        "breakage rebate",
        "par value",
        "limits",
    )
    rows = [
        (
            str(version.version),
            version.effective_from.isoformat(),
            str(version.expiry_rule),
            f"{version.usable_after_days} days" if version.usable_after_days else "at once",
            version.debt_policy.value,
            str(version.late_days_max),
            str(version.claim_days_max),
            format_micros(version.redemption_element_micros),
            str(version.breakage_rebate_share),
            format_micros(version.par_value_micros),
            limits_words(version.limits),
        )
        for version in snapshot.network
    ]
    print_table("Network terms", columns, rows, right=("version", "late days", "claim days"))


@terms.command("propose")
@click.option("--effective-from", required=True, help="First date on which the new terms hold.")
@_terms_options
@click.option("--operator", required=True, help="Who proposes.")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The proposer's private key.")
@pass_context
def propose_terms(context: Context, /, effective_from: str, operator: str, key_file: Path, **options: Any) -> None:
    """Propose the next version of the network terms. What is left out stays as it is; a second operator approves."""
    day: date = parse_date(effective_from)
    hand = Hand(operator, load_key(key_file))
    with writing(context.engine) as connection:
        change = _change(options, load_terms(connection).network[-1].limits)
        decision = propose_network_terms(connection, day, change, hand=hand, now_ms=context.clock())
    click.echo(f"Proposed {decision.decision_id}: network terms from {day}.")
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")


def _change(options: dict[str, Any], limits: Limits) -> TermsChange:
    def read(name: str, parse: Callable[[str], Any]) -> Any:
        return None if options[name] is None else parse(options[name])

    return TermsChange(
        expiry_rule=read("expiry", ExpiryRule.parse),
        debt_policy=read("debt_policy", DebtPolicy),
        late_days_max=options["late_days_max"],
        redemption_element_micros=read("redemption_element", parse_micros),
        breakage_rebate_share=read("breakage_rebate_share", Rate.parse),
        par_value_micros=read("par_value", parse_micros),
        usable_after_days=options["usable_after_days"],
        claim_days_max=options["claim_days_max"],
        limits=changed_limits(limits, options),
    )
