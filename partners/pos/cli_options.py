"""Options that several commands share, and how they open a till."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from partners.pos import requests, requests_members
from partners.pos.profile import FILE_NAME, Profile
from tallystick.v1 import types_pb2

PROFILE_VARIABLE = "TALLYSTICK_POS_PROFILE"

_F = TypeVar("_F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a sentence.")
receipt_number_option = click.option("--receipt-number", default="", help="The till's own number, for people.")
occurred_option = click.option("--occurred-at-ms", type=int, help="When it happened, in unix milliseconds [default: now].")
language_option = click.option(
    "--language",
    default="",
    metavar="TAG",
    help="Of the lines for the paper receipt, such as de or fr-CH [default: the member's, else English].",
)
card_version_option = click.option("--rate-card-version", type=int, help="Refuse unless this version prices the sale.")


def profile_option(command: _F) -> _F:
    """--profile, handed on as `profile`, loaded."""
    return click.option(
        "--profile",
        callback=lambda _ctx, _option, value: load_profile(value),
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"How to reach the gateway, and as whom [default: ${PROFILE_VARIABLE} or ./{FILE_NAME}].",
    )(command)


def load_profile(path: Path | None) -> Profile:
    """The named profile, else the environment's, else the one in the working directory. Raises ProfileError."""
    return Profile.load(path or Path(os.environ.get(PROFILE_VARIABLE, FILE_NAME)))


_BY_ANYTHING = "the id that enrolling gave, or an identifier such as phone:+4915112345678"


def member_options(prefix: str = "") -> Callable[[_F], _F]:
    """--card and --member, of which one is needed; read them with `member_of`."""

    def options(command: _F) -> _F:
        named = {"from-": "Who gives", "to-": "Who gets"}.get(prefix, "The member")
        command = click.option(f"--{prefix}member", metavar="ID|KIND:VALUE", help=f"{named}, by {_BY_ANYTHING}.")(command)
        return click.option(f"--{prefix}card", metavar="NUMBER", help=f"{named}, by the number on the card.")(command)

    return options


def member_of(card: str | None, member: str | None, *, named: str = "") -> types_pb2.MemberRef:
    """The member that the two options name. Raises UsageError unless it is exactly one of them, PosError if malformed."""
    if (card is None) == (member is None):
        raise click.UsageError(f"name the member by one of --{named}card and --{named}member")
    if card is not None:
        return requests.card(card)
    is_id = member is None or ":" not in member
    return requests.member(member or "") if is_id else types_pb2.MemberRef(identifier=identifier_of(member or ""))


def identifier_of(text: str) -> types_pb2.Identifier:
    """Reads "phone:+4915112345678". Raises UsageError without a kind, PosError if it is not of its form."""
    kind, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"identifier {text!r}: write its kind and itself, such as 'phone:+4915112345678'")
    return requests_members.identifier(kind, value)
