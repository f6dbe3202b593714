"""What is measured on one database, each beside the number that the design asks for."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.network import BATCH, EXPIRY, MEMBERS, PARTNERS, BenchNetwork, Pick, Traffic, any_member, card, in_turn
from bench.postgres import pgbench_tps
from bench.processes import Running
from bench.proof import Proof
from bench.report import Measurement, Pair
from bench.rounds import WARM_UP, Bench, Rate, Sizes
from bench.sizes import bytes_an_entry
from tests.postgres import PostgresServer

BATCHES = 24
LATENCY_S = 5
PGBENCH_S = 10
_AT_ONCE = 20 * BATCH  # issues that are signed, driven and proven together
SPENDERS = {1: 6 * BATCH, 10: 6 * BATCH, 50: 3 * BATCH}  # open lots of a member: members that redeem
REDEEM_GOALS = {10: "1 or more"}  # by open lots
POINTS_A_LOT = 10  # at least
POINTS_PAID = 5
CHECKOUT_GOAL = "1.3 or less"
TURNS, CALLS_A_TURN = 25, 100  # of calls one after the other: short, so that what a disk does at times hits all kinds alike
SKEW_PERCENT = 70
HOT_PER_S = 20
MEMORY_ENTRIES = (10_000, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much of each."""

    rounds: int
    calls: int
    concurrency: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a run takes place. `server` is there when the books are on PostgreSQL."""

    folder: Path
    has_tls: bool
    effort: Effort
    server: PostgresServer | None
    say: Callable[[str, str], None]

    @property
    def database(self) -> str:
        """By name."""
        return "SQLite" if self.server is None else "PostgreSQL"

    @contextmanager
    def bench(
        self, name: str, *, workers: int = 1, expiry: str = EXPIRY, before: Callable[[BenchNetwork], None] | None = None
    ) -> Iterator[Bench]:
        """A gateway on a new network, with members. `before`: what is done to the network before the gateway starts."""
        url = self.server.new_database() if self.server is not None else None
        network = BenchNetwork.create(self.folder / name, expiry=expiry, url=url)
        if before is not None:
            before(network)
        tls = self.folder / name / "tls" if self.has_tls else None
        certificate = (tls / "ca.pem").read_bytes() if tls else None
        with processes.gateway(network.given.folder, is_plaintext=not self.has_tls, workers=workers) as gateway:
            proof = Proof(gateway.address, network.given.engine, certificate)
            bench = Bench(network, gateway, proof, self.folder / name, certificate)
            bench.book(network.enrolments([card(number) for number in range(MEMBERS)]))
            yield bench
        network.given.engine.dispose()

    @contextmanager
    def echo(self, bench: Bench, sizes: Sizes, *, is_tuned: bool = False) -> Iterator[Running]:
        """A bare server that answers as many bytes."""
        tls = bench.folder / "tls" if self.has_tls else None
        with processes.echo(sizes.answer_bytes, tls=tls, is_tuned=is_tuned) as echo:
            yield echo


def unary(setting: Setting, bench: Bench, pairs: list[Pair]) -> Iterator[Measurement]:
    """Single calls beside the echo; then latencies at half of the rate that was reached. Adds to `pairs`."""
    effort, sizes = setting.effort, bench.sizes()
    with setting.echo(bench, sizes) as echo, setting.echo(bench, sizes, is_tuned=True) as tuned:
        for at_once in effort.concurrency:
            for number in range(effort.rounds):
                echoes = [bench.echo_rate(server, effort.calls, at_once) for server in (echo, tuned)]
                gateway = bench.unary_rate(bench.network.issues(WARM_UP + effort.calls), at_once)
                pairs.append(Pair(at_once, echoes[0], echoes[1], gateway))
                setting.say(f"{at_once} at once, {number + 1}/{effort.rounds}", pairs[-1].line())
        ratios = [pair.ratio for pair in pairs if pair.concurrency == effort.concurrency[-1]]
        yield Measurement("IssuePoints ÷ echo", statistics.median(ratios), "0.50 or more")
        half_per_s = int(statistics.median(pair.gateway.per_s for pair in pairs) / 2)
        of_echo = bench.latency(echo, half_per_s, LATENCY_S)
    of_gateway = bench.latency(bench.gateway, half_per_s, LATENCY_S)
    note = (
        f"at {half_per_s:,} calls/s, half of the maximum: p50 {of_gateway.p50_us:,} µs, p99 {of_gateway.p99_us:,} µs; "
        f"echo p50 {of_echo.p50_us:,} µs, p99 {of_echo.p99_us:,} µs; "
        f"the generator itself was late by {of_gateway.late_p99_us:,} and {of_echo.late_p99_us:,} µs (p99)"
    )
    yield Measurement("p99 ÷ p50 of the echo", of_gateway.p99_us / of_echo.p50_us, "10 or less", note)


def batches(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """SubmitBatch, beside pgbench where there is one: issues, and redemptions over members with several lots."""
    tps = pgbench_tps(setting.server, PGBENCH_S) if setting.server is not None else 0.0
    rate = bench.batch_rate(bench.network.issue_batches(BATCHES + 1))
    yield _beside(tps, "SubmitBatch of 500 issues", rate, "2 or more")
    for lots, members in SPENDERS.items():
        cards = [card(lots * 1_000_000 + number) for number in range(members)]
        bench.book(bench.network.enrolments(cards))
        for start in range(0, lots * members, _AT_ONCE):
            bench.book(
                bench.network.issue_batches(min(_AT_ONCE, lots * members - start) // BATCH, card_of=_in_a_row(cards, start))
            )
        setting.say(f"{lots} open lots", f"{members:,} members have them")
        rate = bench.batch_rate(bench.network.redeem_batches(cards, max(POINTS_A_LOT * lots // 2, 1)))
        yield _beside(tps, f"SubmitBatch of 500 redemptions of half of {lots} open lots", rate, REDEEM_GOALS.get(lots, ""))


def skew(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """Most of the traffic by one partner; and one member to whom much happens; each beside traffic that is spread."""
    count, at_once = WARM_UP + setting.effort.calls, setting.effort.concurrency[-1]

    def by_one(number: int) -> str:
        return PARTNERS[0] if number % 100 < SKEW_PERCENT else in_turn(number)

    even = bench.unary_rate(bench.network.issues(count), at_once)
    one_partner = bench.unary_rate(bench.network.issues(count, partner_of=by_one), at_once)
    again = bench.unary_rate(bench.network.issues(count), at_once)
    every = max(int(even.per_s / HOT_PER_S), 2)

    def mostly_any(number: int) -> str:
        return card(0) if number % every == 0 else any_member(number)

    one_member = bench.unary_rate(bench.network.issues(count, card_of=mostly_any), at_once)
    base = statistics.mean((even.per_s, again.per_s))
    for name, rate in ((f"{SKEW_PERCENT} % by one partner", one_partner), (f"{HOT_PER_S} writes/s on one member", one_member)):
        yield Measurement(f"{name} ÷ even", rate.per_s / base, "0.80 or more", f"{rate.per_s:,.0f}/s beside {base:,.0f}/s")


def checkouts(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """A Checkout that issues alone, and one that points pay a part of, beside IssuePoints: by turns, on the same members."""
    effort, network = setting.effort, bench.network
    count, at_once = WARM_UP + effort.calls, effort.concurrency[-1]
    kinds: dict[str, Callable[[int], Traffic]] = {
        "IssuePoints": network.issues,
        "Checkout": network.checkouts,
        "Checkout with points": lambda calls: network.checkouts(calls, points=POINTS_PAID),
    }
    busy: dict[str, list[Rate]] = {kind: [] for kind in kinds}
    single: dict[str, list[Rate]] = {kind: [] for kind in kinds}
    for number in range(effort.rounds):
        for kind, traffic in kinds.items():
            busy[kind].append(bench.unary_rate(traffic(count), at_once))
            figures = f"{busy[kind][-1].per_s:,.0f}/s, {busy[kind][-1].cpu_us:,.0f} µs of the gateway each"
            setting.say(f"{kind}, {number + 1}/{effort.rounds}", figures)
    for _ in range(TURNS):
        for kind, traffic in kinds.items():
            single[kind].append(bench.unary_rate(traffic(CALLS_A_TURN), 1, warm_up=CALLS_A_TURN // 10))
    for kind in list(kinds)[1:]:
        cpu = statistics.median(one.cpu_us / issue.cpu_us for one, issue in zip(busy[kind], busy["IssuePoints"], strict=True))
        took_us = {name: 1_000_000 / statistics.median(turn.per_s for turn in single[name]) for name in ("IssuePoints", kind)}
        note = f"{took_us[kind]:,.0f} beside {took_us['IssuePoints']:,.0f} µs"
        yield Measurement(f"{kind} ÷ IssuePoints, latency", took_us[kind] / took_us["IssuePoints"], CHECKOUT_GOAL, note)
        yield Measurement(f"{kind} ÷ IssuePoints, processor time", cpu, "")


def workers(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """Two gateway processes beside one, by turns."""
    count, at_once = WARM_UP + setting.effort.calls, setting.effort.concurrency[-1]
    one, two = [], []
    with setting.bench("two-workers", workers=2) as doubled:
        for _ in range(setting.effort.rounds):
            one.append(bench.unary_rate(bench.network.issues(count), at_once).per_s)
            two.append(doubled.unary_rate(doubled.network.issues(count), at_once).per_s)
    ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
    note = f"{statistics.median(two):,.0f}/s beside {statistics.median(one):,.0f}/s"
    yield Measurement("2 workers ÷ 1", ratio, "1.6 or more, with a core to spare for the database", note)


def disk(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """What an entry takes on disk, tables and indexes, largest first."""
    total, parts = bytes_an_entry(bench.network.given.engine)
    note = ", ".join(f"{name} {size:,.0f}" for name, size in parts)
    setting.say("on disk", f"{total:,.0f} bytes an entry")
    yield Measurement("bytes an entry", total, "", note)


def memory(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """Of the gateway's processes, after few and after many entries. Takes minutes."""
    few, many = MEMORY_ENTRIES
    booked, seen = 0, []
    for goal in (few, many):
        while booked < goal:
            step = min(goal - booked, 20_000)
            bench.book(bench.network.issue_batches(step // BATCH))
            booked += step
            setting.say("memory", f"{booked:,} entries, {bench.gateway.resident_bytes() / 2**20:,.0f} MiB")
        seen.append(bench.gateway.resident_bytes())
    note = f"{seen[1] / 2**20:,.0f} MiB beside {seen[0] / 2**20:,.0f} MiB"
    yield Measurement(f"memory after {many:,} entries ÷ after {few:,}", seen[1] / seen[0], "1.2 or less", note)


def _in_a_row(cards: Sequence[str], start: int) -> Pick:
    return lambda number: cards[(start + number) % len(cards)]


def _beside(tps: float, name: str, rate: Rate, goal: str) -> Measurement:
    note = f"{rate.per_s:,.0f} commands/s, {rate.commands_per_commit:,.0f} a commit, {rate.cpu_us:,.0f} µs of the gateway each"
    if not tps:
        return Measurement(f"{name}, commands/s", rate.per_s, "", note)
    return Measurement(f"{name} ÷ pgbench TPC-B", rate.per_s / tps, goal, f"{note}; pgbench {tps:,.0f}/s")
