"""A replay in several processes: households are spread over them, and each plays many at once over grpc.aio.

The parent says which week to play and is told of progress, totals and, at the end, of balances. Processes are spawned:
gRPC does not survive a fork. Playing again books nothing new, so after a failure the answer is to run it again.
"""

import asyncio
import gzip
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

from gateway.domain.errors import DomainError
from partners.pos.attempts import RetryPolicy
from partners.pos.errors import PosError, ProfileError, Refused
from partners.pos.profile import Profile
from partners.pos.replay_household import Household, Setting, Totals
from partners.pos.replay_plan import (
    Basket,
    Columns,
    Event,
    Naming,
    Rule,
    Stores,
    by_household,
    events_of,
    read_baskets,
    week_of,
)
from partners.pos.till import AsyncTill

WHOLE = ""  # the span that is everything
_REPORT_EVERY_S = 0.2
_POLICY = RetryPolicy(attempts_max=12, delay_ms_max=10_000, timeout_ms=15_000)  # outlives a restart of the gateway


@dataclass(frozen=True, slots=True)
class Job:
    """All that a process has to know. `by_week`: the parent asks for one ISO week after the other."""

    file: Path
    profiles: Mapping[str, Profile]
    stores: Stores
    rule: Rule
    unit: str
    columns: Columns
    naming: Naming
    first_day: date = date.min
    last_day: date = date.max
    by_week: bool = False
    concurrency: int = 32

    def baskets(self) -> list[Basket]:
        """The file's rows between the two days. Raises ProfileError."""
        try:
            opened = gzip.open if self.file.suffix == ".gz" else open
            with opened(self.file, "rt", encoding="utf-8", newline="") as lines:
                baskets = read_baskets(lines, self.columns, unit=self.unit, naming=self.naming)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise ProfileError(f"{self.file}: {error}") from None
        return [basket for basket in baskets if self.first_day <= basket.day <= self.last_day]

    def span_of(self, event: Event) -> str:
        """The span in which an event is played."""
        return week_of(event.day) if self.by_week else WHOLE

    def events_by_span(self) -> dict[str, int]:
        """Number of events of each span, in their order. Raises ProfileError for a store without partner."""
        counts: Counter[str] = Counter()
        for baskets in by_household(self.baskets()).values():
            for event in events_of(baskets, self.rule):
                self.stores.partner_of(event.basket.store_id)
                counts[self.span_of(event)] += 1
        return dict(sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class Closing:
    """A household at the end: what the ledger says, and what its receipts add up to."""

    household_id: str
    balance_points: int
    receipts_points: int


@dataclass(slots=True)
class Summary:
    """The whole replay."""

    totals: Totals = field(default_factory=Totals)
    retries: int = 0
    receipts_verified: int = 0
    closings: list[Closing] = field(default_factory=list)

    @property
    def untied(self) -> list[Closing]:
        """Households whose receipts do not add up to their balance."""
        return [closing for closing in self.closings if closing.balance_points != closing.receipts_points]


@dataclass(frozen=True, slots=True)
class _Played:
    events: int


@dataclass(frozen=True, slots=True)
class _SpanDone:
    pass


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str


class Replay:
    """The processes of a replay, started with `with`. Raises PosError when one of them fails."""

    def __init__(self, job: Job, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for part in range(processes):
            ours, theirs = context.Pipe()
            self._processes.append((context.Process(target=_work, args=(job, part, processes, theirs), daemon=True), theirs))
            self._connections.append(ours)

    def __enter__(self) -> Self:
        """Starts."""
        for process, theirs in self._processes:
            process.start()
            theirs.close()  # so that a process that dies ends its pipe
        return self

    def __exit__(self, *_: object) -> None:
        """Ends processes that still run: what they were about to book is booked when the replay is run again."""
        for process, _theirs in self._processes:
            process.terminate()
            process.join()

    def play(self, span: str) -> Iterator[int]:
        """Plays a span; yields how many events were played since last told."""
        for connection in self._connections:
            connection.send(span)
        for told in self._until_all(_SpanDone):
            if isinstance(told, _Played):
                yield told.events

    def finish(self) -> Summary:
        """Asks the ledger for all balances, and adds up."""
        for connection in self._connections:
            connection.send(None)
        summary = Summary()
        for told in self._until_all(Summary):
            if isinstance(told, Summary):
                summary.totals.add(told.totals)
                summary.retries += told.retries
                summary.receipts_verified += told.receipts_verified
                summary.closings += told.closings
        summary.closings.sort(key=lambda closing: closing.household_id)
        return summary

    def _until_all(self, last: type) -> Iterator[object]:
        waiting = set(self._connections)
        while waiting:
            for connection in wait(list(waiting)):
                assert isinstance(connection, Connection)
                try:
                    told = connection.recv()
                except EOFError:
                    raise PosError("a process of the replay died; run the same command again, nothing is booked twice") from None
                if isinstance(told, _Failed):
                    raise PosError(told.message)
                if isinstance(told, last):
                    waiting.discard(connection)
                yield told


def _work(job: Job, part: int, parts: int, parent: Connection) -> None:
    try:
        asyncio.run(_play_part(job, part, parts, parent))
    except (PosError, DomainError) as error:
        parent.send(_Failed(f"{error}\n{_advice(error)}"))
    except (EOFError, KeyboardInterrupt):
        pass  # the parent has gone


def _advice(error: Exception) -> str:
    if isinstance(error, Refused) and error.reason == "IDEMPOTENCY_KEY_REUSED":
        return "A replay is repeated with the same file, dates, shares and seed; anything else needs another --run."
    return "Once this is cured, run the same command again: nothing is booked twice."


async def _play_part(job: Job, part: int, parts: int, parent: Connection) -> None:
    tills = {partner_id: AsyncTill.open(profile, policy=_POLICY) for partner_id, profile in job.profiles.items()}
    for till in tills.values():
        await till.learn()  # once, rather than by each of the first calls
    setting = Setting(tills, job.stores, job.naming, job.unit)
    events: dict[str, dict[str, list[Event]]] = {}
    for household_id, baskets in by_household(job.baskets(), part=part, parts=parts).items():
        for event in events_of(baskets, job.rule):
            events.setdefault(job.span_of(event), {}).setdefault(household_id, []).append(event)
    households = {one: Household(one, setting) for span in events.values() for one in span}
    # Nothing else runs in this loop between two spans, so waiting for the parent may block it.
    while (span := parent.recv()) is not None:
        work = deque((households[one], played) for one, played in events.get(span, {}).items())
        await _play_span(work, job.concurrency, parent)
        parent.send(_SpanDone())
    parent.send(await _close(list(households.values()), tills, job.concurrency))
    for till in tills.values():
        await till.close()


async def _play_span(work: deque[tuple[Household, list[Event]]], concurrency: int, parent: Connection) -> None:
    played, told_at = 0, time.monotonic()

    async def runner() -> None:
        nonlocal played, told_at
        while work:
            household, events = work.popleft()
            for event in events:
                await household.play(event)
                played += 1
                if time.monotonic() - told_at > _REPORT_EVERY_S:
                    parent.send(_Played(played))
                    played, told_at = 0, time.monotonic()

    await _together(concurrency, runner)
    parent.send(_Played(played))


async def _close(households: list[Household], tills: Mapping[str, AsyncTill], concurrency: int) -> Summary:
    summary = Summary()
    work = deque(households)

    async def runner() -> None:
        while work:
            household = work.popleft()
            summary.closings.append(Closing(household.household_id, *await household.closing()))
            summary.totals.add(household.totals)

    await _together(concurrency, runner)
    summary.retries = sum(till.counts.retries for till in tills.values())
    summary.receipts_verified = sum(till.counts.receipts_verified for till in tills.values())
    return summary


async def _together(concurrency: int, runner: Callable[[], Coroutine[None, None, None]]) -> None:
    tasks = [asyncio.create_task(runner()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)  # the first failure ends the replay
    finally:
        for task in tasks:
            task.cancel()
