"""`python -m bench`: what a signed, durable IssuePoints costs beside a bare echo of the same size, in the same run.

The servers run all the time, each in its own process, and take turns: the bare echo, the same echo with the gateway's loop
and options, the gateway. Of the ratios of all rounds the median is taken. Requests are signed before a round, receipts are
verified and counted against the ledger after it: a round that does not tie out ends the run.
"""

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench import processes
from bench.machine import describe
from bench.network import BenchNetwork
from bench.parts import Parts
from bench.processes import Running
from bench.proof import Proof
from bench.report import Pair, Report, markdown, write
from bench.rounds import Bench, Sizes

RESULTS = Path(__file__).parent / "results"
BATCHES = 24
LATENCY_S = 5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, show_default=True, help="Pairs of rounds at each concurrency.")
@click.option("--calls", default=4_000, show_default=True, help="Calls of a round.")
@click.option("--concurrency", multiple=True, type=int, default=(64, 128), show_default=True, help="Calls under way at a time.")
@click.option("--tls", is_flag=True, help="TLS for both servers; without it, for neither.")
@click.option("--name", default="issue-points", show_default=True, help="Of the files under bench/results.")
def bench(rounds: int, calls: int, concurrency: tuple[int, ...], name: str, *, tls: bool) -> None:
    """Print the ratios that the design promises, as this machine gives them; a few minutes."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-bench-"))
    try:
        report = _measure(folder, rounds, calls, concurrency, has_tls=tls)
    finally:
        shutil.rmtree(folder)
    write(report, RESULTS / name)
    click.echo("\n" + markdown(report))
    click.echo(f"written to {RESULTS / name}.json and .md")


def _measure(folder: Path, rounds: int, calls: int, concurrency: tuple[int, ...], *, has_tls: bool) -> Report:
    machine = describe(folder)
    with _set_up(folder, has_tls=has_tls) as (ready, sizes, echo, tuned_echo):
        durability = ready.network.durability()
        pairs = []
        for at_once in concurrency:
            for number in range(rounds):
                bare, tuned = (ready.echo_rate(server, calls, at_once) for server in (echo, tuned_echo))
                pairs.append(Pair(at_once, bare, tuned, ready.gateway_rate(calls, at_once)))
                _say(f"{at_once} at once, {number + 1}/{rounds}", pairs[-1].line())
        batch = ready.batch_rate(BATCHES)
        _say("SubmitBatch", f"{batch.per_s:,.0f} commands/s")
        half_per_s = int(statistics.median(pair.gateway.per_s for pair in pairs) / 2)
        echo_latency = ready.latency(echo, half_per_s, LATENCY_S)
        gateway_latency = ready.latency(ready.gateway, half_per_s, LATENCY_S)
        _say(f"at {half_per_s:,} calls/s", f"p50 {gateway_latency.p50_us:,} us, p99 {gateway_latency.p99_us:,} us")
    parts = Parts(ready.network).measure()
    return Report(
        machine=machine,
        has_tls=has_tls,
        durability=durability,
        sizes=sizes,
        pairs=pairs,
        batch=batch,
        half_rate_per_s=half_per_s,
        echo_latency=echo_latency,
        gateway_latency=gateway_latency,
        parts=parts,
    )


@contextmanager
def _set_up(folder: Path, *, has_tls: bool) -> Iterator[tuple[Bench, Sizes, Running, Running]]:
    click.echo("making a network of four partners and 2,000 members", err=True)
    network = BenchNetwork.create(folder / "net")
    tls = folder / "net" / "tls" if has_tls else None
    certificate = (tls / "ca.pem").read_bytes() if tls else None
    with processes.gateway(network.given.folder, is_plaintext=not has_tls) as gateway:
        bench = Bench(network, gateway, Proof(gateway.address, network.given.engine, certificate), folder, certificate)
        bench.enrol()
        sizes = bench.sizes()
        with (
            processes.echo(sizes.answer_bytes, tls=tls) as echo,
            processes.echo(sizes.answer_bytes, tls=tls, is_tuned=True) as tuned_echo,
        ):
            yield bench, sizes, echo, tuned_echo


def _say(what: str, figures: str) -> None:
    click.echo(f"  {what:<20} {figures}", err=True)


if __name__ == "__main__":
    bench()
