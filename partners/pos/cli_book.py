"""Commands that book: each prints what the verified receipt says, or why it was refused."""

from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import Parse, ParseError

from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.cli_calls import answer_plain, booking, by_hand
from partners.pos.cli_options import (
    card_version_option,
    identifier_of,
    member_of,
    member_options,
    occurred_option,
    receipt_number_option,
)
from partners.pos.cli_print import kind_words, print_json
from partners.pos.errors import PosError, Refused
from partners.pos.files import read_text
from partners.pos.profile import Profile
from partners.pos.requests import Booking
from partners.pos.till import Till
from tallystick.v1 import points_pb2

_BATCH_MAX = 500


@booking(requests.ISSUE)
@member_options()
@click.option("--amount", required=True, help="What is left of the basket after discounts and points, such as '42.50 EUR'.")
@click.option("--offer", "offer_id", default="", help="An offer whose bonus the basket has won.")
@receipt_number_option
@occurred_option
@card_version_option
def issue(card: str | None, member: str | None, amount: str, **rest: Any) -> Booking:
    """Issue points on a sale."""
    return requests.issue(member_of(card, member), requests.amount(amount), **rest)


@booking(requests.REDEEM)
@member_options()
@click.option("--points", type=int, help="Exactly this many.")
@click.option("--up-to", "value", help="As many as this value takes, or all there are, such as '8.50 EUR'.")
@receipt_number_option
@occurred_option
@card_version_option
def redeem(card: str | None, member: str | None, points: int | None, value: str | None, **rest: Any) -> Booking:
    """Redeem points: a number of them, or up to a value."""
    if (points is None) == (value is None):
        raise click.UsageError("say how much by one of --points and --up-to")
    quantity = points if points is not None else requests.amount(value or "")
    return requests.redeem(member_of(card, member), quantity, **rest)


@booking(requests.REVERSE)
@click.option("--entry", "entry_id", default="", metavar="ID", help="The entry, by the id on its receipt.")
@click.option("--original-key", default="", metavar="KEY", help="The entry, by the key it was booked with.")
@click.option("--amount", help="Of an issue: how much of the eligible amount came back [default: all that is left].")
@click.option("--points", type=int, help="Of a redemption: how many points are given back [default: all that are left].")
@receipt_number_option
@occurred_option
def reverse(amount: str | None, points: int | None, **rest: Any) -> Booking:
    """Reverse an issue or a redemption of your own, whole or in part."""
    if amount is not None and points is not None:
        raise click.UsageError("say how much by one of --amount and --points, or leave both out")
    return requests.reverse(part=requests.amount(amount) if amount is not None else points, **rest)


@booking(requests.TRANSFER)
@member_options("from-")
@member_options("to-")
@click.option("--points", type=int, required=True, help="How many.")
@receipt_number_option
@occurred_option
def transfer(
    from_card: str | None, from_member: str | None, to_card: str | None, to_member: str | None, points: int, **rest: Any
) -> Booking:
    """Move points from one member to another."""
    source = member_of(from_card, from_member, named="from-")
    target = member_of(to_card, to_member, named="to-")
    return requests.transfer(source, target, points, **rest)


@booking(requests.ENROL)
@click.option("--card", metavar="NUMBER", help="The number on the new member's card.")
@click.option("--identifier", metavar="KIND:VALUE", help="Or another identifier, such as 'phone:+4915112345678'.")
@click.option("--provisional", is_flag=True, help="No points are taken until the member is confirmed.")
@click.option("--language", default="", metavar="CODE", help="Of the member's receipts: en, de, fr.")
def enrol(card: str | None, identifier: str | None, **rest: Any) -> Booking:
    """Enrol a member under a card or another identifier."""
    if (card is None) == (identifier is None):
        raise click.UsageError("name the new member by one of --card and --identifier")
    return requests.enrol(identifier_of(identifier) if identifier is not None else card or "", **rest)


@by_hand(requests.SUBMIT_BATCH)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def batch(profile: Profile, file: Path, *, as_json: bool) -> None:
    """Book the commands of FILE, 500 under one signature, one after the other, each by itself.

    A line is one Command of the protos as JSON, with its own idempotency key. The file may be sent again: nothing is
    booked twice. Exits with 1 if any of them was refused.

    \b
      {"redeem": {"idempotency_key": "r-1", "member": {"card_number": "1234-5678"}, "points": "5"}}
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    commands = _commands(file)
    answers: list[Booked | Refused] = []
    with Till.open(profile) as till:
        for start in range(0, len(commands), _BATCH_MAX):
            answers += till.submit_batch(commands[start : start + _BATCH_MAX])
    if as_json:
        print_json({"answers": [answer_plain(answer) for answer in answers]})
    else:
        click.echo("\n".join(_told(command, answer) for command, answer in zip(commands, answers, strict=True)))
    refused = sum(isinstance(answer, Refused) for answer in answers)
    if refused:
        raise PosError(f"{refused} of {len(answers)} commands were refused")


def _commands(file: Path) -> list[Booking]:
    """Raises PosError, naming every line that is no command."""
    commands: list[Booking] = []
    problems = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        command = points_pb2.Command()
        try:
            Parse(line, command)
        except ParseError as error:
            problems.append(f"line {number}: {str(error).splitlines()[0]}")
            continue
        which = command.WhichOneof("command")
        if which is None:
            problems.append(f"line {number}: no command")
        else:
            commands.append(getattr(command, which))
    if problems or not commands:
        raise PosError(f"{file}: " + ("\n  ".join(["nothing was sent", *problems]) if problems else "no commands"))
    return commands


def _told(command: Booking, answer: Booked | Refused) -> str:
    if isinstance(answer, Refused):
        return f"{command.idempotency_key}: refused: {answer}"
    again = " (booked before)" if answer.is_replayed else ""
    return f"{command.idempotency_key}: {kind_words(answer.receipt)}: {answer.points:+d} points, entry {answer.entry_id}{again}"
