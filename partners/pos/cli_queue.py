"""`tallystick pos queue`: what a till sells while the gateway is out of reach, and catches up later."""

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.terminal import print_table
from partners.pos import requests
from partners.pos.answers import Happened
from partners.pos.cli_calls import by_hand, key_option
from partners.pos.cli_options import (
    card_version_option,
    json_option,
    member_of,
    member_options,
    occurred_option,
    profile_option,
    receipt_number_option,
)
from partners.pos.cli_print import plain, print_json
from partners.pos.errors import Refused
from partners.pos.offline_queue import OfflineQueue
from partners.pos.profile import Profile
from partners.pos.queue_file import QueuedEvent
from partners.pos.requests import Booking
from partners.pos.till import Till
from tallystick.v1 import points_pb2

QUEUE_VARIABLE = "TALLYSTICK_POS_QUEUE"
FILE_NAME = "pos-queue.db"
_PAGE = 1_000

_F = TypeVar("_F", bound=Callable[..., Any])


def _file_option(command: _F) -> _F:
    return click.option(
        "--file",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=QUEUE_VARIABLE,
        default=FILE_NAME,
        show_default=True,
        show_envvar=True,
        help="The queue of this terminal, of which there must be no copy.",
    )(command)


@click.group()
def queue() -> None:
    """Sell while the gateway is out of reach, and catch up later.

    'add' needs no connection: it signs the event and returns when it is on the disk. 'drain' sends what has no answer yet, oldest
    first; it may be interrupted anywhere, and run again. Points can be issued and taken back, and members enrolled; redeeming and
    transferring need the gateway's word.
    """


@queue.group()
def add() -> None:
    """Queue what has just happened."""


@add.command()
@member_options()
@click.option("--amount", required=True, help="What is left of the basket after discounts and points, such as '42.50 EUR'.")
@click.option("--offer", "offer_id", default="", help="An offer whose bonus the basket has won.")
@receipt_number_option
@occurred_option
@card_version_option
@key_option
@json_option
@profile_option
@_file_option
def issue(card: str | None, member: str | None, amount: str, **options: Any) -> None:
    """Queue an issue of points on a sale."""
    _queue(lambda key, rest: requests.issue(member_of(card, member), requests.amount(amount), key=key, **rest), options)


@add.command()
@click.option("--entry", "entry_id", default="", metavar="ID", help="The entry, by the id on its receipt.")
@click.option("--original-key", default="", metavar="KEY", help="The entry, by the key it was booked or queued with.")
@click.option("--amount", help="Of an issue: how much of the eligible amount came back [default: all that is left].")
@click.option("--points", type=int, help="Of a redemption: how many points are given back [default: all that are left].")
@receipt_number_option
@occurred_option
@key_option
@json_option
@profile_option
@_file_option
def reverse(entry_id: str, original_key: str, amount: str | None, points: int | None, **options: Any) -> None:
    """Queue the reversal of an issue or a redemption of your own."""
    if amount is not None and points is not None:
        raise click.UsageError("say how much by one of --amount and --points, or leave both out")
    part = requests.amount(amount) if amount is not None else points
    _queue(lambda key, rest: requests.reverse(key=key, entry_id=entry_id, original_key=original_key, part=part, **rest), options)


@add.command()
@click.option("--card", required=True, metavar="NUMBER", help="The number on the new member's card.")
@key_option
@json_option
@profile_option
@_file_option
def enrol(card: str, **options: Any) -> None:
    """Queue the enrolment of a member under a card."""
    _queue(lambda key, rest: requests.enrol(card, key=key, **rest), options)


@queue.command()
@_file_option
@json_option
@profile_option
def show(profile: Profile, file: Path, *, as_json: bool) -> None:
    """Show what waits, and what became of the newest events that were sent."""
    found = _open(profile, file)
    events: list[QueuedEvent] = []
    while page := found.events(after=events[-1].event.counter if events else 0, limit=_PAGE):
        events += page
    if as_json:
        print_json({"terminal": found.terminal_id, "waiting": found.waiting(), "events": [_plain(one) for one in events]})
        return
    rows = [
        (
            str(one.event.counter),
            datetime.fromtimestamp(one.event.occurred_at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            points_pb2.Command.FromString(one.event.command).WhichOneof("command") or "",
            one.idempotency_key,
            one.answer.outcome if one.answer is not None else "waits",
            ", ".join(reason for reason, _ in one.answer.warnings) if one.answer is not None else "",
        )
        for one in events
    ]
    columns = ("event", "happened (UTC)", "what", "key", "answer", "in spite of")
    print_table(f"Queue of {found.terminal_id}: {found.waiting()} wait", columns, rows, right=("event",))


@by_hand(requests.SUBMIT_OFFLINE, requests.GET_TERMINAL)
@_file_option
def drain(profile: Profile, file: Path, *, as_json: bool) -> None:
    """Send what waits, oldest first, and keep the answers."""
    refused: list[Happened] = []
    found = _open(profile, file)

    def note(happened: Happened) -> None:
        if isinstance(happened.outcome, Refused):
            refused.append(happened)

    with Till.open(profile) as till:
        drained = found.drain(till, each=note)
    if as_json:
        print_json(
            {
                "booked": drained.booked,
                "refused": drained.refused,
                "warned": drained.warned,
                "waiting": drained.waiting,
                "refusals": [{"event": one.counter, "refused": str(one.outcome)} for one in refused],
            }
        )
        return
    click.echo(f"{drained.booked} booked, {drained.refused} refused, {drained.waiting} wait")
    if drained.warned:
        click.echo(f"{drained.warned} of them in spite of a cap or a suspension: they had happened")
    for one in refused:
        click.echo(f"event {one.counter}: {one.outcome}")


queue.add_command(drain)


def _open(profile: Profile, file: Path) -> OfflineQueue:
    context = click.get_current_context()
    found = OfflineQueue.open(file, profile, now=context.obj.clock)
    context.call_on_close(found.close)
    return found


def _queue(make: Callable[[str, dict[str, Any]], Booking], options: dict[str, Any]) -> None:
    profile, file, as_json = options.pop("profile"), options.pop("file"), options.pop("as_json")
    key = options.pop("key") or f"cli-{secrets.token_hex(12)}"
    try:
        command = make(key, options)
    except ValueError as error:  # more than a message can hold, or no text
        raise click.UsageError(str(error)) from None
    queued = _open(profile, file).append(command)
    if as_json:
        print_json(
            {
                "event": queued.counter,
                "key": queued.idempotency_key,
                "occurred_at_ms": str(queued.occurred_at_ms),
                "new": queued.is_new,
            }
        )
        return
    click.echo(f"event {queued.counter} is queued under key {queued.idempotency_key}" + ("" if queued.is_new else " already"))


def _plain(one: QueuedEvent) -> dict[str, Any]:
    answer = one.answer
    return {
        "event": one.event.counter,
        "key": one.idempotency_key,
        "key_id": one.event.key_id,
        "occurred_at_ms": str(one.event.occurred_at_ms),
        "command": plain(points_pb2.Command.FromString(one.event.command)),
        "hash": one.event_hash.hex(),
        "answer": None
        if answer is None
        else {
            "outcome": answer.outcome,
            "details": dict(answer.details),
            "warnings": [{"reason": reason, "partner": partner_id} for reason, partner_id in answer.warnings],
            "signed_receipt": base64.b64encode(answer.signed_receipt).decode(),
        },
    }
