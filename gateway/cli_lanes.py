"""`tallystick network lanes`: how many sequences of entries run side by side."""

import click

from gateway.console import Context, pass_context
from gateway.domain.errors import InvalidValue
from gateway.domain.lanes import LANES_MAX
from gateway.ledger.clock_check import check_clock
from gateway.ledger.lane_map import change_lanes
from gateway.storage.engine import writing


@click.command()
@click.argument("number", metavar="N", type=click.IntRange(1, LANES_MAX))
@pass_context
def lanes(context: Context, number: int) -> None:
    """Have N lanes book side by side, from a cut-off on that happens now.

    Each member's entries stand in one lane, and the batches of different lanes commit at the same time. More of them serve a
    database that has cores and disks to spare; each costs every gateway a connection. Gateways notice by themselves, and go
    on. The open settlement window closes, as the night would close it: the next 'tallystick settlement run' completes it.
    """
    if number > 1 and context.engine.dialect.name == "sqlite":
        raise InvalidValue(
            "SQLite lets one batch write at a time, so its lanes would only wait for each other: "
            "'tallystick database copy' moves a network to PostgreSQL"
        )
    with writing(context.engine) as connection:
        check_clock(connection, context.clock())
        closed = change_lanes(connection, number, at_ms=context.clock())
    said = "1 lane books" if number == 1 else f"{number} lanes book"
    click.echo(f"Window {closed.window_id} is closed, with {closed.entries} entries. From now on {said}.")
