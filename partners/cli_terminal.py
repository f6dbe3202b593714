"""`tallystick partners terminal`: tills without a connection, what they were booked in spite of, and the end of a freeze."""

from pathlib import Path

import click

from gateway.console import Context, pass_context, print_table
from gateway.domain.events import Terminal
from gateway.domain.outcome import Reason
from gateway.storage.engine import reading, writing
from gateway.storage.terminals import KeptConflict, KeptWarning, load_conflicts, load_terminals, newest_warnings
from partners.cli_keys import moment
from partners.options import acting, hand_of, say
from partners.proposals import release_terminal
from partners.rulings_partner import known_standing
from partners.rulings_terminals import known_terminal


@click.group()
def terminal() -> None:
    """Tills that sell while the gateway is out of reach, and catch up later."""


@terminal.command()
@click.argument("partner_id", metavar="PARTNER")
@click.argument("name", metavar="[TERMINAL]", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many warnings, the newest.")
@pass_context
def show(context: Context, partner_id: str, name: str | None, limit: int) -> None:
    """Show a partner's terminals; or one of them, with its warnings and what froze it.

    A warning is an event that was booked since it had happened, although a cap or a suspension would have refused it.
    """
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        if name is None:
            _print_terminals(partner_id, load_terminals(connection, partner_id))
            return
        found = known_terminal(connection, f"{partner_id}/{name}")
        warnings = newest_warnings(connection, found.terminal_id, limit=limit)
        conflicts = load_conflicts(connection, found.terminal_id)
    _print_terminals(partner_id, [found])
    _print_warnings(warnings)
    _print_conflicts(conflicts)


@terminal.command()
@click.argument("partner_id", metavar="PARTNER")
@click.argument("name", metavar="TERMINAL")
@acting
@pass_context
def release(context: Context, partner_id: str, name: str, operator: str, key_file: Path) -> None:
    """Let a frozen terminal go on, from where its chain stands. One operator is enough.

    First find out which of the two copies is the shop's: the other one's key must be revoked, or it freezes the terminal again
    with its next event. What the copy sold can be queued anew under the name of another terminal.
    """
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        decision = release_terminal(connection, f"{partner_id}/{name}", hand=hand, now_ms=context.clock())
    say(decision)


def _print_terminals(partner_id: str, found: list[Terminal]) -> None:
    rows = [
        (
            one.terminal_id.partition("/")[2],
            str(one.last_counter),
            str(one.carried_out),
            moment(one.last_occurred_at_ms),
            "FROZEN" if one.is_frozen else "open",
            str(one.conflicts),
            one.last_hash.hex()[:16],
        )
        for one in found
    ]
    columns = ("terminal", "events", "carried out", "last one happened (UTC)", "state", "conflicts", "last hash begins")
    print_table(f"Terminals of {partner_id}", columns, rows, right=("events", "carried out", "conflicts"))


def _print_warnings(warnings: list[KeptWarning]) -> None:
    rows = [
        (str(one.counter), Reason(one.reason).name, one.partner_id, moment(one.booked_at_ms), one.entry_id) for one in warnings
    ]
    columns = ("event", "booked in spite of", "of partner", "booked (UTC)", "entry")
    print_table("Warnings", columns, rows, right=("event",))


def _print_conflicts(conflicts: list[KeptConflict]) -> None:
    if not conflicts:
        click.echo("No counter was used twice.")
        return
    click.echo("Events that were signed with another content than the one that counts:")
    for one in conflicts:
        click.echo(
            f"event {one.counter} of {moment(one.occurred_at_ms)}, signed by {one.key_id}, hash {one.event_hash.hex()[:16]}…, "
            f"came {moment(one.received_at_ms)}"
        )
        click.echo(f"    tallystick.v1.Command in hex: {one.command.hex()}")
