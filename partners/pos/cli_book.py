"""Commands that book: each prints what the verified receipt says, or why it was refused."""

import secrets
from collections.abc import Callable
from typing import Any

import click

from partners.pos import requests
from partners.pos.cli_options import json_option, member_of, member_options, profile_option
from partners.pos.cli_print import print_booked, print_json, refusal_plain
from partners.pos.errors import NoAnswer, Refused
from partners.pos.profile import Profile
from partners.pos.requests import Booking
from partners.pos.till import Till


def _booking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        json_option,
        click.option(
            "--key",
            metavar="KEY",
            help="Idempotency key: sent again with the same content, it books nothing new [default: a random one, printed].",
        ),
        profile_option,
    ):
        command = option(command)
    return command


_receipt_number = click.option("--receipt-number", default="", help="The till's own number, for people.")
_occurred = click.option("--occurred-at-ms", type=int, help="When it happened, in unix milliseconds [default: now].")
_card_version = click.option("--rate-card-version", type=int, help="Refuse unless this version prices the sale.")


@click.command()
@member_options()
@click.option("--amount", required=True, help="What is left of the basket after discounts and points, such as '42.50 EUR'.")
@click.option("--offer", "offer_id", default="", help="An offer whose bonus the basket has won.")
@_receipt_number
@_occurred
@_card_version
@_booking_options
def issue(profile: Profile, card: str | None, member: str | None, amount: str, **options: Any) -> None:
    """Issue points on a sale."""
    _send(profile, lambda key, rest: requests.issue(member_of(card, member), requests.amount(amount), key=key, **rest), options)


@click.command()
@member_options()
@click.option("--points", type=int, help="Exactly this many.")
@click.option("--up-to", "value", help="As many as this value takes, or all there are, such as '8.50 EUR'.")
@_receipt_number
@_occurred
@_card_version
@_booking_options
def redeem(profile: Profile, card: str | None, member: str | None, points: int | None, value: str | None, **options: Any) -> None:
    """Redeem points: a number of them, or up to a value."""
    if (points is None) == (value is None):
        raise click.UsageError("say how much by one of --points and --up-to")
    quantity = points if points is not None else requests.amount(value or "")
    _send(profile, lambda key, rest: requests.redeem(member_of(card, member), quantity, key=key, **rest), options)


@click.command()
@click.option("--entry", "entry_id", default="", metavar="ID", help="The entry, by the id on its receipt.")
@click.option("--original-key", default="", metavar="KEY", help="The entry, by the key it was booked with.")
@click.option("--amount", help="Of an issue: how much of the eligible amount came back [default: all that is left].")
@click.option("--points", type=int, help="Of a redemption: how many points are given back [default: all that are left].")
@_receipt_number
@_occurred
@_booking_options
def reverse(profile: Profile, entry_id: str, original_key: str, amount: str | None, points: int | None, **options: Any) -> None:
    """Reverse an issue or a redemption of your own, whole or in part."""
    if amount is not None and points is not None:
        raise click.UsageError("say how much by one of --amount and --points, or leave both out")
    part = requests.amount(amount) if amount is not None else points
    _send(
        profile,
        lambda key, rest: requests.reverse(key=key, entry_id=entry_id, original_key=original_key, part=part, **rest),
        options,
    )


@click.command()
@member_options("from-")
@member_options("to-")
@click.option("--points", type=int, required=True, help="How many.")
@_receipt_number
@_occurred
@_booking_options
def transfer(profile: Profile, points: int, **options: Any) -> None:
    """Move points from one member to another."""
    source = member_of(options.pop("from_card"), options.pop("from_member"), named="from-")
    target = member_of(options.pop("to_card"), options.pop("to_member"), named="to-")
    _send(profile, lambda key, rest: requests.transfer(source, target, points, key=key, **rest), options)


@click.command()
@click.option("--card", required=True, metavar="NUMBER", help="The number on the new member's card.")
@_booking_options
def enrol(profile: Profile, card: str, **options: Any) -> None:
    """Enrol a member under a card."""
    _send(profile, lambda key, rest: requests.enrol(card, key=key, **rest), options)


def _send(profile: Profile, make: Callable[[str, dict[str, Any]], Booking], options: dict[str, Any]) -> None:
    as_json = options.pop("as_json")
    given = options.pop("key")
    key = given or f"cli-{secrets.token_hex(12)}"
    try:
        command = make(key, options)
    except ValueError as error:  # more than a message can hold, or no text
        raise click.UsageError(str(error)) from None
    with Till.open(profile) as till:
        try:
            booked = till.book(command)
        except Refused as refused:
            if as_json:
                print_json(refusal_plain(refused))
            raise
        except NoAnswer:
            if not given:
                click.echo(f"key: {key}", err=True)
            raise
    print_booked(booked, as_json=as_json)
