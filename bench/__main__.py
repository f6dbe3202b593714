"""`python -m bench`: what the books cost beside a bare echo and beside pgbench, in the same run.

Servers and load generator are processes of their own and take turns. Requests are signed before a round; receipts are verified
and counted against the ledger after it: a round that does not tie out ends the run.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from bench import scenarios
from bench.expiry import expiry
from bench.machine import describe
from bench.offline import offline
from bench.parts import Parts
from bench.postgres import postgres_server
from bench.report import Measurement, OnDatabase, Report, markdown, write
from bench.rounds import Bench
from bench.scenarios import Effort, Setting
from tests.postgres import MISSING, PostgresServer, find_programs

RESULTS = Path(__file__).parent / "results"
DATABASES = SQLITE, POSTGRESQL = ("sqlite", "postgresql")
SCENARIOS: dict[str, Callable[[Setting, Bench], Iterator[Measurement]]] = {
    "batches": scenarios.batches,
    "checkouts": scenarios.checkouts,
    "skew": scenarios.skew,
    "workers": scenarios.workers,
    "offline": offline,
    "expiry": expiry,
    "disk": scenarios.disk,
    "memory": scenarios.memory,
}
UNARY, PARTS = "unary", "parts"
NAMES = (UNARY, *SCENARIOS, PARTS)
USUAL = tuple(name for name in NAMES if name != "memory")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, show_default=True, help="Rounds of each kind.")
@click.option("--calls", default=4_000, show_default=True, help="Calls of a round.")
@click.option("--concurrency", multiple=True, type=int, default=(64, 128), show_default=True, help="Calls under way at a time.")
@click.option(
    "--database", multiple=True, type=click.Choice([SQLITE, POSTGRESQL]), default=(SQLITE, POSTGRESQL), show_default=True
)
@click.option("--only", multiple=True, type=click.Choice(NAMES), default=USUAL, show_default=True, help="What to measure.")
@click.option("--tls", is_flag=True, help="TLS for all servers; without it, for none.")
@click.option("--name", default="bench", show_default=True, help="Of the files under bench/results.")
def bench(
    rounds: int,
    calls: int,
    concurrency: tuple[int, ...],
    database: tuple[str, ...],
    only: tuple[str, ...],
    name: str,
    *,
    tls: bool,
) -> None:
    """Print the figures that the design asks for, as this machine gives them; a quarter of an hour."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-bench-"))
    effort = Effort(rounds=rounds, calls=calls, concurrency=concurrency)
    try:
        report = Report(
            machine=describe(folder),
            has_tls=tls,
            databases=[_measure(folder / kind, kind, effort, only, has_tls=tls) for kind in database if _can_be_had(kind)],
        )
    finally:
        shutil.rmtree(folder)
    write(report, RESULTS / name)
    click.echo("\n" + markdown(report))
    click.echo(f"written to {RESULTS / name}.json and .md")


def _can_be_had(kind: str) -> bool:
    if kind == POSTGRESQL and find_programs() is None:
        click.echo(f"NOT MEASURED on PostgreSQL: {MISSING}", err=True)
        return False
    return True


def _measure(folder: Path, kind: str, effort: Effort, only: tuple[str, ...], *, has_tls: bool) -> OnDatabase:
    server_or_none: contextlib.AbstractContextManager[PostgresServer | None]
    server_or_none = postgres_server() if kind == POSTGRESQL else contextlib.nullcontext()
    folder.mkdir()
    with server_or_none as server:
        setting = Setting(folder=folder, has_tls=has_tls, effort=effort, server=server, say=_say)
        found = OnDatabase(setting.database)
        click.echo(f"{setting.database}: making a network of four partners and 2,000 members", err=True)
        with setting.bench("net") as ready:
            found.durability = ready.network.durability()
            if UNARY in only:
                found.measurements += scenarios.unary(setting, ready, found.pairs)
            for name, scenario in SCENARIOS.items():
                if name in only and not (name == "workers" and server is None):
                    for measurement in scenario(setting, ready):
                        found.measurements.append(measurement)
                        _say(measurement.name, f"{measurement.value:,.2f}   {measurement.note}")
        if PARTS in only and server is None:
            found.parts = Parts(ready.network).measure()
    return found


def _say(what: str, figures: str) -> None:
    click.echo(f"  {what:<20} {figures}", err=True)


if __name__ == "__main__":
    bench()
