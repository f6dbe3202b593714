"""`tallystick serve`: runs the gateway until it is told to stop."""

import asyncio
import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context

WORKERS_MAX = 64
WORKER_END_S = 5  # beyond what a worker may drain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of the command."""

    listen: str | None
    ready_file: Path | None
    plaintext: bool
    reflection: bool
    workers: int
    worker: int


@click.command()
@click.option(
    "--listen", metavar="HOST:PORT", help="Where to listen [default: gateway.listen of the configuration; port 0: any]."
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    default=1,
    show_default=True,
    help="Processes that share the port. More than one needs PostgreSQL.",
)
@click.option("--plaintext", is_flag=True, help="Without TLS. Only on loopback, for tests.")
@click.option("--reflection", is_flag=True, help="Tell callers which services there are, for tools such as grpcurl.")
@click.option(
    "--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the address there once the gateway listens."
)
@click.option("--worker", type=int, default=0, hidden=True, help="Set for a process that shares its port: its number.")
@pass_context
def serve(context: Context, /, **options: object) -> None:
    """Run the gateway that tills and back offices talk to.

    It prints one line when it listens, then one JSON line a request on standard error. On SIGTERM or SIGINT it drains:
    health turns NOT_SERVING, new bookings are refused, what has begun is finished and committed. Exit code 0.

    TLS certificates are read anew when their files change, and a new receipt key is taken up, without a restart. A worker
    that dies is started anew; all of them drain together.
    """
    from gateway.serve_lock import only_gateway

    asked = _Asked(**options)  # type: ignore[arg-type] # click has checked them
    if asked.worker:
        _serve_alone(context, asked)
        return
    if not asked.plaintext:
        _warn_of_open_key(context.config.path(context.config.gateway.tls_private_key))
    with only_gateway(context.config.database_url):
        if asked.workers == 1:
            _serve_alone(context, asked)
        else:
            _serve_with_workers(context, asked)


def _serve_alone(context: Context, asked: _Asked) -> None:
    from gateway.process_tuning import let_grpc_poll_itself, spare_the_collector

    let_grpc_poll_itself()
    import uvloop

    from gateway.app import App

    app = App(
        context.config,
        clock=context.clock,
        write_log=write_log,
        listen=asked.listen,
        is_plaintext=asked.plaintext,
        reflects=asked.reflection,
        worker=asked.worker,
        keeps_books_apart=True,
    )

    async def run() -> None:
        stop = stop_event()
        if asked.worker:
            _stop_with_supervisor(stop)
        async with app:
            if asked.ready_file is not None:
                write_whole(asked.ready_file, app.address + "\n")
            spare_the_collector()
            click.echo(_serving(context, asked, app.address))
            await app.run_until(stop)
            click.echo("draining", err=True)

    uvloop.run(run())


def _serve_with_workers(context: Context, asked: _Asked) -> None:
    from gateway.listen import shared_port
    from gateway.workers import Supervisor

    config = context.config
    if _is_sqlite(context):
        raise Refused(
            f"--workers {asked.workers}: the books are a SQLite file, which takes one writer at a time; more processes would "
            "only wait for each other. Move the network to PostgreSQL first, or serve it with one"
        )
    with shared_port(asked.listen or config.gateway.listen) as address:
        supervisor = Supervisor(
            _worker_command(context, asked, address),
            count=asked.workers,
            end_s_max=config.gateway.drain_ms_max / 1_000 + WORKER_END_S,
            clock=context.clock,
            write_log=write_log,
        )

        def say() -> None:
            if asked.ready_file is not None:
                write_whole(asked.ready_file, address + "\n")
            click.echo(f"{_serving(context, asked, address)}, {asked.workers} workers")

        async def run() -> bool:
            return await supervisor.run(stop_event(), say=say)

        if not asyncio.run(run()):
            raise Refused("not every worker came to a clean end: see the log")


def _is_sqlite(context: Context) -> bool:
    from gateway.config import parse_url

    return parse_url(context.config.database_url).get_backend_name() == "sqlite"


def _worker_command(context: Context, asked: _Asked, address: str) -> list[str]:
    config = () if context.config_file is None else ("--config", str(context.config_file))
    flags = [name for name, is_set in (("--plaintext", asked.plaintext), ("--reflection", asked.reflection)) if is_set]
    return [sys.executable, "-P", "-m", "gateway", *config, "serve", "--listen", address, *flags]


def stop_event() -> asyncio.Event:
    """Set when the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _stop_with_supervisor(stop: asyncio.Event) -> None:
    """A worker's standard input is its supervisor's: nothing comes of it but its end."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        stop.set()

    loop.add_reader(sys.stdin, end)


def _serving(context: Context, asked: _Asked, address: str) -> str:
    return f"serving {context.config.database_name} on {address}{' without TLS' if asked.plaintext else ''}"


def _warn_of_open_key(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # what reads it will say so
    if mode & stat.S_IROTH:
        click.echo(f"warning: everybody on this machine can read {path}: chmod 600", err=True)


def write_log(lines: str) -> None:
    """To standard error, at once."""
    sys.stderr.write(lines)
    sys.stderr.flush()


def write_whole(path: Path, text: str) -> None:
    """A file that whoever reads it finds whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, "utf-8")
    partial.replace(path)
