"""`tallystick partners rates | cap | offers`: what operators and partners agree on about money."""

from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.errors import InvalidValue
from gateway.domain.terms import RateCard, parse_date
from gateway.domain.units import format_micros, parse_amount
from gateway.storage.directory import load_network, load_terms
from gateway.storage.engine import reading, writing
from partners.cli_operators import approve_decisions
from partners.fields import Fields, read_toml
from partners.offer_file import OfferFile, parse_offer
from partners.options import acting, hand_of, say
from partners.proposals import propose_cap, propose_offer, propose_rate_card
from partners.rate_card_file import rate_card_table, read_rate_card
from partners.rulings_partner import known_standing, load_currency
from partners.words import offer_words

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def rates() -> None:
    """Rate cards. Never edited: a new version replaces the last one from a business date on. Takes two operators."""


@rates.command("propose")
@click.argument("partner_id", metavar="PARTNER")
@click.argument("file", type=_file, required=False)
@click.option("--effective-from", help="First business date, YYYY-MM-DD.")
@click.option(
    "--issue-rate", "issue_rates", multiple=True, metavar="UNIT=RATE", help="Such as EUR=1/2; EUR=none takes the unit off."
)
@click.option("--issue-price", help="Minor units that the partner owes per point it issues.")
@click.option("--face-value", help="Minor units that a member gets per point here.")
@click.option("--reimbursement-rate", help="Minor units that the partner gets per point redeemed here.")
@acting
@pass_context
def propose_rates(
    context: Context,
    /,
    partner_id: str,
    file: Path | None,
    issue_rates: tuple[str, ...],
    operator: str,
    key_file: Path,
    **prices: str | None,
) -> None:
    """Propose a partner's next rate card, from FILE (a table as [rate_card] of an application) or from options.

    What FILE or the options leave out stays as in the last card. The card cannot begin before the last one, nor in the
    past once the network has booked anything.
    """
    hand = hand_of(operator, key_file)
    content = read_toml(_text(file)) if file else {}
    if isinstance(content, str):
        raise Refused(f"{file}: {content}")
    with writing(context.engine) as connection:
        known_standing(connection, partner_id)
        cards = load_terms(connection).cards.get(partner_id)
        if not cards:
            raise Refused(f"{partner_id} has no rate card yet: its onboarding brings the first")
        table = {name: value for name, value in rate_card_table(cards[-1]).items() if name != "effective_from"}
        table |= content | {name: value for name, value in prices.items() if value is not None}
        table["issue_rates"] = _changed_rates(table["issue_rates"], issue_rates)
        errors: list[str] = []
        last = cards[-1]
        card = read_rate_card(Fields(table, errors), partner_id=partner_id, currency=last.currency, version=last.version + 1)
        if errors:
            raise Refused("\n".join(errors))
        decision = propose_rate_card(connection, card, hand=hand, now_ms=context.clock())
    say(decision)


rates.add_command(approve_decisions, "approve")


@rates.command("show")
@click.argument("partner_id", metavar="PARTNER")
@click.option("--at", "day", metavar="DATE", help="Only the card in force on this business date.")
@pass_context
def show_rates(context: Context, partner_id: str, day: str | None) -> None:
    """Show a partner's rate cards, oldest first. Prices in minor units per point."""
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        terms = load_terms(connection)
    cards = terms.cards.get(partner_id, ())
    if day is not None:
        card = terms.card_in_force(partner_id, parse_date(day))
        cards = () if card is None else (card,)
    if not cards:
        raise Refused(f"{partner_id} has no rate card" + (f" in force on {day}" if day else " yet"))
    columns = ("version", "from", "issue rates", "issue price", "face value", "reimbursement", "currency")
    print_table(f"Rate cards of {partner_id}", columns, [_card_row(card) for card in cards], right=columns[3:6])


@click.group()
def cap() -> None:
    """The net debit cap: the most that a partner may owe before it can issue no more. Takes two operators."""


@cap.command("set")
@click.argument("partner_id", metavar="PARTNER")
@click.argument("amount", metavar="AMOUNT|none")
@acting
@pass_context
def set_cap(context: Context, partner_id: str, amount: str, operator: str, key_file: Path) -> None:
    """Propose a cap, in major units of the partner's settlement currency such as 10000.00, or to lift it."""
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        known_standing(connection, partner_id)
        currency = load_currency(connection, partner_id)
        minor_units = None if amount == "none" else parse_amount(amount, currency)
        decision = propose_cap(connection, partner_id, minor_units, hand=hand, now_ms=context.clock())
    say(decision)


@click.group()
def offers() -> None:
    """Offers: a bonus at one partner's tills, paid for by partners that have each signed it. Takes two operators."""


@offers.command("propose")
@click.argument("file", type=_file)
@click.option("--consent", "consents", multiple=True, type=_file, help="A funder's consent, from 'tallystick pos consent'.")
@acting
@pass_context
def propose_offers(context: Context, file: Path, consents: tuple[Path, ...], operator: str, key_file: Path) -> None:
    """Propose the offer of FILE. Each partner that pays must have signed this very text, with a key of its office.

    \b
    offer_id = "double-june"
    partner_id = "acme"            # at whose tills
    first_date = "2026-06-01"
    last_date = "2026-06-30"
    bonus_points = 500
    unit = "EUR"
    minimum_amount = "20.00"
    [shares]                       # who pays; they sum to 1
    acme = "1/2"
    books = "1/2"
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    hand = hand_of(operator, key_file)
    parsed = parse_offer(_text(file), [_text(one) for one in consents])
    if not isinstance(parsed, OfferFile):
        raise Refused("\n".join(f"{file}: {error}" for error in parsed))
    with writing(context.engine) as connection:
        decision = propose_offer(connection, parsed.offer, parsed.consents, hand=hand, now_ms=context.clock())
    say(decision)


@offers.command("list")
@pass_context
def list_offers(context: Context) -> None:
    """Show all offers that were ever approved."""
    with reading(context.engine) as connection:
        audience, terms = load_network(connection).audience, load_terms(connection)
    rows = [(offer.offer_id, offer_words(offer)) for offer in terms.offers.values()]
    print_table(f"Offers of {audience}", ("offer", "what"), rows)


def _text(file: Path) -> str:
    # What is not UTF-8 fails as TOML, with the line.
    return file.read_text("utf-8", errors="replace")


def _changed_rates(rates_so_far: object, changes: tuple[str, ...]) -> object:
    if not changes:
        return rates_so_far
    changed: dict[str, object] = dict(rates_so_far) if isinstance(rates_so_far, dict) else {}
    for change in changes:
        unit, equals, rate = change.partition("=")
        if not equals:
            raise InvalidValue(f"--issue-rate {change}: must be UNIT=RATE, such as EUR=1/2")
        changed.pop(unit, None)
        if rate != "none":
            changed[unit] = rate
    return changed


def _card_row(card: RateCard) -> tuple[str, ...]:
    return (
        str(card.version),
        card.effective_from.isoformat(),
        ", ".join(f"{rate} per {unit}" for unit, rate in card.issue_rates.items()) or "none",
        format_micros(card.issue_price_micros),
        format_micros(card.face_value_micros),
        format_micros(card.reimbursement_rate_micros),
        card.currency,
    )
