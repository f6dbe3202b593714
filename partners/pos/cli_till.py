"""Commands of a checkout and of what comes back: each is one call of TillService."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from partners.pos import requests, requests_till
from partners.pos.cli_calls import asking, booking
from partners.pos.cli_options import (
    card_version_option,
    language_option,
    member_of,
    member_options,
    occurred_option,
    receipt_number_option,
)
from partners.pos.requests import Booking, amount
from tallystick.v1 import till_pb2, types_pb2

_T = TypeVar("_T")

_total = click.option("--total", required=True, metavar="AMOUNT", help="What the basket comes to, such as '42.50 EUR'.")
_eligible = click.option("--eligible", metavar="AMOUNT", help="The part of it that earns points [default: all of it].")
_offer = click.option("--offer", "offer_id", default="", help="An offer whose bonus the basket has won.")
_points = click.option("--points", type=int, help="Exactly this many.")
_up_to = click.option("--up-to", "value", metavar="AMOUNT", help="As many as this value takes, or all there are.")


@asking(requests.QUOTE)
@member_options()
@_total
@_eligible
@_offer
def quote(card: str | None, member: str | None, total: str, eligible: str | None, offer_id: str) -> till_pb2.QuoteRequest:
    """Show what a checkout would issue, and how much of it points could pay. Changes nothing."""
    return requests_till.quote(member_of(card, member), amount(total), eligible=_given(amount, eligible), offer_id=offer_id)


@booking(requests.PLACE_HOLD)
@member_options()
@_points
@_up_to
@click.option("--ttl-s", type=int, help="After how many seconds the hold lapses [default: 900].")
@receipt_number_option
@card_version_option
@language_option
def place_hold(card: str | None, member: str | None, points: int | None, value: str | None, **rest: Any) -> Booking:
    """Set points aside until the till is sure. The entry's id is that of the hold."""
    quantity = _quantity(points, value)
    if quantity is None:
        raise click.UsageError("say how much by one of --points and --up-to")
    return requests_till.place_hold(member_of(card, member), quantity, **rest)


@booking(requests.VOID_HOLD)
@click.option("--hold", "hold_id", default="", metavar="ID", help="The hold, by the entry id on its receipt.")
@click.option("--hold-key", default="", metavar="KEY", help="The hold, by the key it was placed with.")
@language_option
def void_hold(**rest: Any) -> Booking:
    """Let a hold go; without this it lapses by itself."""
    return requests_till.void_hold(**rest)


@booking(requests.CHECKOUT)
@member_options()
@_total
@_eligible
@_points
@_up_to
@click.option("--hold", "hold_id", default="", metavar="ID", help="Points pay from this hold, by the entry id on its receipt.")
@click.option("--hold-key", default="", metavar="KEY", help="Points pay from this hold, by the key it was placed with.")
@click.option("--captured-points", type=int, help="How many points of the hold are taken [default: all].")
@click.option("--line", "lines", multiple=True, metavar="ID=AMOUNT", help="A line of the basket; only to refund by line.")
@click.option("--line-without-points", "bare_lines", multiple=True, metavar="ID=AMOUNT", help="A line that earns nothing.")
@_offer
@receipt_number_option
@occurred_option
@card_version_option
@language_option
def checkout(
    card: str | None,
    member: str | None,
    total: str,
    eligible: str | None,
    points: int | None,
    value: str | None,
    lines: Sequence[str],
    bare_lines: Sequence[str],
    **rest: Any,
) -> Booking:
    """Book a basket: what points pay of it, and points for the rest, with one receipt."""
    basket = [requests_till.basket_line(*_line(line)) for line in lines]
    basket += [requests_till.basket_line(*_line(line), earns_nothing=True) for line in bare_lines]
    who = member_of(card, member)
    paid = _quantity(points, value)
    return requests_till.checkout(who, amount(total), points=paid, eligible=_given(amount, eligible), lines=basket, **rest)


@booking(requests.REFUND)
@click.option("--checkout", "checkout_id", default="", metavar="ID", help="The checkout, by the entry id on its receipt.")
@click.option("--original-key", "checkout_key", default="", metavar="KEY", help="The checkout, by the key it was booked with.")
@click.option("--amount", "part", help="How much came back [default: all that is left].")
@click.option("--line", "lines", multiple=True, metavar="ID[=AMOUNT]", help="Instead: a line that came back, or a part of it.")
@member_options()
@receipt_number_option
@occurred_option
@language_option
def refund(card: str | None, member: str | None, part: str | None, lines: Sequence[str], **rest: Any) -> Booking:
    """Take goods of a checkout back: points return to their lots, issued points are taken back, by what is left.

    With a member and an amount it may be sent before its sale: it is parked, and completed when the sale comes.
    """
    if part is not None and lines:
        raise click.UsageError("say what came back by one of --amount and --line, or leave both out")
    returned = [requests_till.returned_line(*(_line(line) if "=" in line else (line,))) for line in lines]
    who = member_of(card, member) if card is not None or member is not None else None
    return requests_till.refund(part=_given(amount, part) if part is not None else returned or None, who=who, **rest)


@booking(requests.CLAIM_RECEIPT)
@member_options()
@_total
@_eligible
@click.option("--receipt-number", required=True, help="The number on the paper receipt.")
@click.option("--occurred-at-ms", type=int, required=True, help="When it was bought, in unix milliseconds.")
@language_option
def claim_receipt(card: str | None, member: str | None, total: str, eligible: str | None, **rest: Any) -> Booking:
    """Claim the points of a purchase whose card had been forgotten."""
    return requests_till.claim_receipt(member_of(card, member), amount(total), eligible=_given(amount, eligible), **rest)


def _given(read: Callable[[str], _T], text: str | None) -> _T | None:
    return read(text) if text is not None else None


def _quantity(points: int | None, value: str | None) -> int | types_pb2.Amount | None:
    if points is not None and value is not None:
        raise click.UsageError("say how much by one of --points and --up-to")
    return points if points is not None else _given(amount, value)


def _line(text: str) -> tuple[str, types_pb2.Amount]:
    line_id, equals, price = text.partition("=")
    if not equals:
        raise click.UsageError(f"line {text!r}: write ID=AMOUNT, such as '1=12.50 EUR'")
    return line_id, amount(price)
