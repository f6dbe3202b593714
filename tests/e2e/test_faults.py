"""Stores that fail under load and come back: what was acknowledged is there once, and nobody restarts anything."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lanes import lane_of
from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.till import AsyncTill
from tests.e2e.after_a_storm import check_all
from tests.e2e.commands import done, run_command
from tests.e2e.faults import failing, full_disk, locked, wait_for_waiters
from tests.e2e.processes import GatewayProcess, gateway_process, live_network
from tests.e2e.storm import Storm
from tests.e2e.test_postgresql_storm import wait_for_health
from tests.e2e.tills import open_live_till
from tests.given import GivenNetwork
from tests.patience import patience_s
from tests.postgres import PostgresServer

SEED = int(os.environ.get("TALLYSTICK_SEED", "1789"))
COMMANDS = 30  # of each till
TIMES = 2
IN_VAIN = 12  # calls that get no answer, each time
S_MAX = 30

NewFault = Callable[[PostgresServer, str], AbstractContextManager[None]]


@dataclass
class StormOfFaults(Storm):
    """The store fails again and again. `is_outage`: nobody is served meanwhile, and the health says so."""

    fault: Callable[[], AbstractContextManager[None]] = field(kw_only=True)
    is_outage: bool = field(kw_only=True)

    async def _kill(self) -> None:
        """The fault lasts until a number of calls were in vain."""
        until = self.figures["answers"] + self.rng.randint(10, 40)
        async with self._answered:
            await self._answered.wait_for(lambda: self.figures["answers"] >= until)
        fault = self.fault()
        await asyncio.to_thread(fault.__enter__)
        try:
            await self._wait_for(IN_VAIN)
            if self.is_outage:
                await asyncio.to_thread(wait_for_health, self.gateway, is_serving=False)
        finally:
            await asyncio.to_thread(fault.__exit__, None, None, None)
        await asyncio.to_thread(wait_for_health, self.gateway, is_serving=True)

    async def _wait_for(self, in_vain: int) -> None:
        before, give_up_at = self.figures["without answer"], time.monotonic() + patience_s(S_MAX)
        while self.figures["without answer"] < before + in_vain:
            assert time.monotonic() < give_up_at, "everybody is served"
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Case:
    """`settings`: of the gateway. `is_outage`: as StormOfFaults."""

    fault: NewFault
    settings: str = ""
    is_outage: bool = True


CASES = {
    "a table that is locked": Case(lambda server, name: locked(server, name, "entries"), "lock_wait_ms_max = 150"),
    "statements that take too long": Case(lambda server, name: locked(server, name, "heads"), "deadline_ms_max = 1500"),
    "a full disk": Case(lambda server, name: failing(server, name, "53100")),
    "a full disk at COMMIT": Case(lambda server, name: failing(server, name, "53100", at_commit=True)),
    "a server that shuts down": Case(lambda server, name: failing(server, name, "57P01", every=2)),
    "endless contention": Case(lambda server, name: failing(server, name, "40001"), is_outage=False),
    "endless contention at COMMIT": Case(lambda server, name: failing(server, name, "40001", at_commit=True), is_outage=False),
}


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_postgresql_fails_and_comes_back(tmp_path: Path, postgres_server: PostgresServer, case: Case) -> None:
    """Each key has one receipt afterwards, the books are proved, and the gateway recovered by itself. $TALLYSTICK_SEED."""
    url = postgres_server.new_database()
    network = live_network(tmp_path / "net", "acme", "globex", url=url)
    configure(network, "directory_refresh_ms = 50", case.settings)
    storm = rage(network, lambda _gateway: case.fault(postgres_server, database_of(url)), is_outage=case.is_outage)

    check_all(storm)
    assert storm.gateway.starts == 1
    network.engine.dispose()
    postgres_server.give_back(url)


@pytest.mark.slow
def test_a_disk_under_sqlite_is_full_and_has_room_again(tmp_path: Path) -> None:
    """The same where the file cannot grow."""
    network = live_network(tmp_path / "net", "acme", "globex")
    configure(network, "directory_refresh_ms = 50")
    storm = rage(network, lambda gateway: full_disk(gateway, network.folder / "books.db"), is_outage=True)

    check_all(storm)
    assert storm.gateway.starts == 1
    network.engine.dispose()


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway of acme's over one database, for a file's tests; each has cards and keys of its own."""

    network: GivenNetwork
    gateway: GatewayProcess
    database: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Running]:
    """On PostgreSQL, with four lanes; proved at the end."""
    url = postgres_server.new_database()
    network = live_network(tmp_path_factory.mktemp("faults") / "net", "acme", url=url)
    with gateway_process(network.folder) as gateway:
        yield Running(network, gateway, database_of(url))
    network.now_ms = system_clock()
    assert "books proved" in done(run_command(network, "audit", "--full")).out
    network.engine.dispose()
    postgres_server.give_back(url)


@pytest.mark.postgres
@pytest.mark.parametrize("at_commit", [False, True], ids=["as it is written", "at COMMIT"])
@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_contention_that_passes_is_no_affair_of_the_callers(
    running: Running, postgres_server: PostgresServer, sqlstate: str, *, at_commit: bool
) -> None:
    """Serialization failures and deadlocks: the batch runs again, and the till that asks once is answered."""
    cards = [f"{sqlstate}-{at_commit:d}-{number:03}" for number in range(20)]

    async def sell() -> list[int]:
        async with open_live_till(running.gateway, running.network, "acme") as till:
            await till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in cards])
            with failing(postgres_server, running.database, sqlstate, every=2, at_commit=at_commit):
                booked = [
                    await till.issue(requests.card(card), requests.amount("5.00 EUR"), key=f"sale-{card}") for card in cards
                ]
            return [one.balance_points for one in booked]

    assert asyncio.run(sell()) == [5] * len(cards)


@pytest.mark.postgres
def test_a_deadlock_that_postgresql_ends_is_no_affair_of_the_callers(running: Running, postgres_server: PostgresServer) -> None:
    """Somebody locks two heads the other way round: the gateway's batch is the victim, runs again, and is booked."""
    pool = cards_by_lane("DEAD")
    giver, taker = pool[0], pool[1]
    with postgres_server.connect(running.database) as session:
        session.execute("SET deadlock_timeout = '60s'")  # so that the other side looks first

        async def give() -> int:
            async with open_live_till(running.gateway, running.network, "acme") as till:
                await till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in (giver, taker)])
                await till.issue(requests.card(giver), requests.amount("9.00 EUR"), key="dead-sale")
                return await held(till)

        async def held(till: AsyncTill) -> int:
            with session.transaction():
                session.execute("SELECT lane FROM heads WHERE lane = 1 FOR UPDATE")
                gift = requests.transfer(requests.card(giver), requests.card(taker), 4, key="dead-gift")
                transfer = asyncio.create_task(till.book(gift))
                await asyncio.to_thread(wait_for_waiters, session)
                # From here on each waits for the other, until the server looks, a second after the gateway began to wait.
                await asyncio.to_thread(session.execute, "SELECT lane FROM heads WHERE lane = 0 FOR UPDATE")
            booked = await transfer
            return booked.balance_points

        before = deadlocks(session)
        left = asyncio.run(give())
        session.execute("SELECT pg_stat_clear_snapshot()")

        assert left == 5
        assert deadlocks(session) == before + 1


def deadlocks(session: "psycopg.Connection[tuple[object, ...]]") -> int:
    """How many the server ended in the database so far; its sessions tell of theirs when they rest."""
    ((count,),) = session.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchall()
    assert isinstance(count, int)
    return count


def rage(network: GivenNetwork, new_fault: Callable[[GatewayProcess], AbstractContextManager[None]], *, is_outage: bool) -> Storm:
    """A storm over one gateway that nobody touches."""
    with gateway_process(network.folder) as gateway:
        storm = StormOfFaults(network, gateway, SEED, COMMANDS, fault=lambda: new_fault(gateway), is_outage=is_outage)
        asyncio.run(storm.rage(TIMES))
    print(f"seed {SEED}: {dict(storm.figures)}, {len(storm.acknowledged)} keys acknowledged")  # noqa: T201 - a failure shows it
    return storm


def configure(network: GivenNetwork, *settings: str) -> None:
    """Adds settings of the gateway; its section is the last one."""
    with (network.folder / "tallystick.toml").open("a", encoding="utf-8") as file:
        file.writelines(f"{setting}\n" for setting in settings)


def database_of(url: str) -> str:
    """Its name."""
    return str(make_url(url).database)


def cards_by_lane(prefix: str, lanes: int = 4) -> dict[int, str]:
    """A card for each lane, if acme enrols it under the key `enrol-<card>`."""
    found: dict[int, str] = {}
    for number in range(100):
        card = f"{prefix}-{number:03}"
        found.setdefault(lane_of(bucket_of(member_id("acme", f"enrol-{card}")), lanes), card)
    return found
