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
from partners.pos.cli_book import enrol, issue, reverse
from partners.pos.cli_calls import CallCommand, by_hand, command_of, key_option, made
from partners.pos.cli_options import json_option, profile_option
from partners.pos.cli_print import plain, print_json
from partners.pos.cli_till import checkout, refund
from partners.pos.errors import Refused
from partners.pos.offline_queue import OfflineQueue
from partners.pos.profile import Profile
from partners.pos.queue_file import QueuedEvent
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
    first; it may be interrupted anywhere, and run again. Baskets paid in money, returns and new members can be queued; whatever
    takes points needs the gateway's word.
    """


@queue.group()
def add() -> None:
    """Queue what has just happened."""


def _adding(calling: CallCommand) -> CallCommand:
    """The command that queues what the other one would book, with the same options."""

    def run(*, profile: Profile, file: Path, key: str | None, as_json: bool, **options: Any) -> None:
        command = made(calling.declared, key=key or f"cli-{secrets.token_hex(12)}", **options)
        queued = _open(profile, file).append(command)
        if as_json:
            content = {
                "event": queued.counter,
                "key": queued.idempotency_key,
                "occurred_at_ms": str(queued.occurred_at_ms),
                "new": queued.is_new,
            }
            print_json(content)
        else:
            again = "" if queued.is_new else " already"
            click.echo(f"event {queued.counter} is queued under key {queued.idempotency_key}{again}")

    return command_of(calling.declared, run, (), key_option, _file_option)


for _calling in (checkout, refund, issue, reverse, enrol):
    add.add_command(_adding(_calling))


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
