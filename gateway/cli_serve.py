"""`tallystick serve`: runs the gateway until it is told to stop."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import click

from gateway.console import Context, pass_context

GARBAGE_BEFORE_LOOKING = 20_000  # new objects


@click.command()
@click.option(
    "--listen", metavar="HOST:PORT", help="Where to listen [default: gateway.listen of the configuration; port 0: any]."
)
@click.option("--plaintext", is_flag=True, help="Without TLS. Only on loopback, for tests.")
@click.option("--reflection", is_flag=True, help="Tell callers which services there are, for tools such as grpcurl.")
@click.option(
    "--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the address there once the gateway listens."
)
@pass_context
def serve(context: Context, listen: str | None, ready_file: Path | None, *, plaintext: bool, reflection: bool) -> None:
    """Run the gateway that tills and back offices talk to.

    It prints one line when it listens, then one JSON line a request on standard error. On SIGTERM or SIGINT it drains:
    health turns NOT_SERVING, new bookings are refused, what has begun is finished and committed. Exit code 0.
    """
    import uvloop

    from gateway.app import App

    app = App(
        context.config,
        clock=context.clock,
        write_log=_write_log,
        listen=listen,
        is_plaintext=plaintext,
        reflects=reflection,
    )

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with app:
            if ready_file is not None:
                _write_whole(ready_file, app.address + "\n")
            _spare_the_collector()
            click.echo(f"serving {context.config.database_name} on {app.address}{' without TLS' if plaintext else ''}")
            await app.run_until(stop)
            click.echo("draining", err=True)

    uvloop.run(run())


def _spare_the_collector() -> None:
    # What stands by now stays to the end, and a call leaves almost nothing in circles: look seldom, and not at all of it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_BEFORE_LOOKING)


def _write_log(lines: str) -> None:
    sys.stderr.write(lines)
    sys.stderr.flush()


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, "utf-8")
    partial.replace(path)
