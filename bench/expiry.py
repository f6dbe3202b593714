"""Expiry at the day's change: a job of its own lets lots expire, alone and beside a gateway that goes on answering."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Select, func, select

from bench.network import BATCH, BenchNetwork, in_turn, now_ms
from bench.proof import Void
from bench.report import Measurement
from bench.rounds import Bench
from bench.scenarios import Setting
from gateway.domain.command import Command, Enrol
from gateway.domain.entry import PostingKind
from gateway.ledger.pace import Pace
from gateway.storage.engine import reading
from gateway.storage.tables import entries, postings
from settlement.nightly import expire_overdue
from tests.settlement.given import Shop, card_hash, issue

LOTS, OWNERS = 60_000, 12_000  # expired alone, and as many again beside traffic
RULE = "after 30 days"
# How old the lots are that expire alone and those that do beside traffic; and when the former run takes place, days ago.
OLD_DAYS, LESS_OLD_DAYS, EARLIER_DAYS = 45, 35, 8
LIVE_PER_S = 100
LOTS_PER_MIN = 250_000
WRITE_MS_MAX = 50  # for which a gateway on the same file waits
_LOOK_EVERY_S = 0.05
_MS_PER_DAY = 86_400_000


def expiry(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """Lots a minute beside IssuePoints at a steady rate, and the longest write. On a network of its own: points last a month."""
    del bench  # the network of the other measurements, where nothing is overdue
    with setting.bench("expiry", expiry=RULE, before=_booker(setting.say)) as apart:
        alone = _expired(apart.network, EARLIER_DAYS, Pace())
        setting.say("expiry alone", f"{alone:,.0f} lots/min")
        live_s = math.ceil(2 * LOTS * 60 / min(alone, LOTS_PER_MIN)) + 5
        pace = Pace()
        with ThreadPoolExecutor(1) as pool:
            before = _entries(apart.network)
            live = pool.submit(apart.latency, apart.gateway, LIVE_PER_S, live_s)
            while not live.done() and _entries(apart.network) == before:
                time.sleep(_LOOK_EVERY_S)
            beside = _expired(apart.network, 0, pace)
            was_live = not live.done()
            latency = live.result()
        note = (
            f"{alone:,.0f} alone; beside {LIVE_PER_S} IssuePoints/s of p50 {latency.p50_us / 1_000:,.0f} ms and p99 "
            f"{latency.p99_us / 1_000:,.0f} ms{'' if was_live else ', which had ended'}; {LOTS / pace.writes:,.0f} lots a write"
        )
        yield Measurement("lots expired a minute, beside live traffic", beside, f"{LOTS_PER_MIN:,} or more", note)
        yield Measurement("longest write of the expiry, ms", pace.longest_ns / 1_000_000, f"{WRITE_MS_MAX} or less")


def _booker(say: Callable[[str, str], None]) -> Callable[[BenchNetwork], None]:
    """Books what will be overdue, as of the days on which it was issued."""

    def book(network: BenchNetwork) -> None:
        shop, today = Shop(network.given.engine), now_ms()
        names = [f"owner-{number}" for number in range(OWNERS)]
        for age_days in (OLD_DAYS, LESS_OLD_DAYS):
            at_ms = today - age_days * _MS_PER_DAY
            if age_days == OLD_DAYS:
                _in_batches(shop, [_enrol(name) for name in names], at_ms)
            sales = [issue(f"{age_days}-{n}", in_turn(n), names[n % OWNERS], 2_000 + n % 5_000) for n in range(LOTS)]
            _in_batches(shop, sales, at_ms)
            say("expiry", f"{LOTS:,} lots are {age_days} days old")

    return book


def _enrol(name: str) -> Enrol:
    return Enrol(partner_id=in_turn(0), key_id=f"{in_turn(0)}/till-1/1", idempotency_key=name, card_hash=card_hash(name))


def _in_batches(shop: Shop, commands: Sequence[Command], at_ms: int) -> None:
    for start in range(0, len(commands), BATCH):
        shop.book_all(commands[start : start + BATCH], now_ms=at_ms)


def _expired(network: BenchNetwork, days_ago: int, pace: Pace) -> float:
    """Lots a minute. Raises Void unless all of them have expired afterwards, and nothing else."""
    before = _lots_expired(network)
    began_ns = time.perf_counter_ns()
    expire_overdue(network.given.engine, at_ms=now_ms() - days_ago * _MS_PER_DAY, pace=pace)
    took_ns = time.perf_counter_ns() - began_ns
    expired = _lots_expired(network) - before
    if expired != LOTS:
        raise Void(f"{expired} lots expired, not {LOTS}")
    return LOTS * 60 * 1_000_000_000 / took_ns


def _lots_expired(network: BenchNetwork) -> int:
    return _count(network, select(func.count()).where(postings.c.kind == PostingKind.EXPIRE.value))


def _entries(network: BenchNetwork) -> int:
    return _count(network, select(func.count()).select_from(entries))


def _count(network: BenchNetwork, query: Select[int]) -> int:
    with reading(network.given.engine) as connection:
        return connection.execute(query).scalar_one()
