"""A gateway that runs while its operator works: a key is revoked, a window is closed, it is told to stop."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import select

from gateway.storage.engine import reading
from gateway.storage.tables import entries
from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.errors import NoAnswer, Refused
from partners.pos.till import AsyncTill
from tests.e2e.commands import done, run_command
from tests.e2e.processes import GatewayProcess, gateway_process, live_network, run_process
from tests.e2e.recompute import recompute_lines
from tests.e2e.tills import open_live_till
from tests.given import KEY_SUFFIX, GivenNetwork

PARTNERS = ("acme", "globex")
CARDS = tuple(f"4000-{number:04}" for number in range(8))
NIGHTS = 3
REVOKED_S_MAX = 5

pytestmark = pytest.mark.slow


@dataclass
class Traffic:
    """Shops that never close: each call has a key of its own, and what was acknowledged is kept."""

    network: GivenNetwork
    gateway: GatewayProcess
    booked: list[Booked] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        """Numbers make the keys."""
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def flowing(self, calls_at_once: int) -> AsyncIterator[None]:
        """Each partner has so many calls on the way all the while."""
        tills = [open_live_till(self.gateway, self.network, partner_id) for partner_id in PARTNERS]
        for answer in await tills[0].submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in CARDS]):
            assert isinstance(answer, Booked)
            self.booked.append(answer)
        workers = [asyncio.create_task(self._work(till)) for till in tills for _ in range(calls_at_once)]
        try:
            yield
        finally:
            self.is_over = True
            await asyncio.gather(*workers)
            for till in tills:
                await till.close()

    async def more(self, count: int) -> None:
        """Waits until so many more are booked."""
        until = len(self.booked) + count
        while len(self.booked) < until:
            assert not self.ends, self.ends
            await asyncio.sleep(0.001)

    async def _work(self, till: AsyncTill) -> None:
        while not self.is_over:
            number = next(self._numbers)
            card = requests.card(CARDS[number % len(CARDS)])
            try:
                if number % 3:
                    self.booked.append(await till.issue(card, requests.amount("9.00 EUR"), key=f"basket-{number}"))
                else:
                    self.booked.append(await till.redeem(card, 4, key=f"basket-{number}"))
            except (NoAnswer, Refused) as error:
                if not isinstance(error, Refused) or error.reason != "INSUFFICIENT_POINTS":
                    self.ends.append(str(error))
                    return


@pytest.fixture
def network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Of today."""
    made = live_network(tmp_path / "net", *PARTNERS)
    yield made
    made.engine.dispose()


@pytest.fixture
def gateway(network: GivenNetwork) -> Iterator[GatewayProcess]:
    """Its gateway, as a process."""
    with gateway_process(network.folder) as running:
        yield running


def entries_in(network: GivenNetwork) -> dict[str, int]:
    """Sequences by entry id, of what tills asked for."""
    with reading(network.engine) as connection:
        rows = connection.execute(select(entries.c.entry_id, entries.c.sequence).where(entries.c.idempotency_key != ""))
        return {row.entry_id: row.sequence for row in rows}


def test_a_revoked_key_is_refused_within_five_seconds(network: GivenNetwork, gateway: GatewayProcess) -> None:
    """By a running gateway, and told no more than any other bad signature; the other partner goes on."""

    async def revoke() -> tuple[int, str, int]:
        acme, globex = (open_live_till(gateway, network, partner_id) for partner_id in PARTNERS)
        await acme.enrol(CARDS[0], key="enrol")
        network.now_ms = system_clock()
        hand = ("--operator", "ada", "--key", network.folder / "ada.pem")
        done(run_command(network, "partners", "keys", "revoke", f"acme/{KEY_SUFFIX}", *hand))
        revoked_at, passed = time.monotonic_ns(), 0
        try:
            while True:
                await acme.balance(requests.card(CARDS[0]))
                passed = time.monotonic_ns() - revoked_at
        except Refused as refused:
            reason = refused.reason
        still = await globex.balance(requests.card(CARDS[0]))
        await asyncio.gather(acme.close(), globex.close())
        return passed, reason, still.balance_points

    passed, reason, balance = asyncio.run(revoke())

    assert passed < REVOKED_S_MAX * 1_000_000_000
    assert reason == "SIGNATURE_INVALID"
    assert balance == 0


def test_sigterm_drains_and_loses_no_answer(network: GivenNetwork, gateway: GatewayProcess) -> None:
    """Exit code 0; what was acknowledged is in the books, and nothing else; health says NOT_SERVING meanwhile."""
    traffic = Traffic(network, gateway)

    async def drain() -> list[Any]:
        credentials = grpc.ssl_channel_credentials(gateway.ca_file.read_bytes())
        async with grpc.aio.secure_channel(gateway.address, credentials) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            seen = [(await watch.read()).status]
            async with traffic.flowing(8):
                await traffic.more(200)
                gateway.terminate()
                seen.append((await watch.read()).status)
                code = await asyncio.to_thread(gateway.wait)
        return [*seen, code]

    serving, draining, code = asyncio.run(drain())
    acknowledged = {booked.entry_id: booked.receipt.sequence for booked in traffic.booked}

    assert serving == health_pb2.HealthCheckResponse.SERVING
    assert draining == health_pb2.HealthCheckResponse.NOT_SERVING
    assert code == 0
    assert acknowledged == entries_in(network)
    assert len(traffic.ends) == 8 * len(PARTNERS), "each shop was told, or cut off before it was booked"
    network.now_ms = system_clock()
    assert "books proved" in done(run_command(network, "audit", "--full")).out


def test_nights_beside_traffic_put_each_receipt_into_exactly_one_window(network: GivenNetwork, gateway: GatewayProcess) -> None:
    """By its sequence; each window nets to zero, and to what the redeemers reckon from their own receipts."""
    traffic = Traffic(network, gateway)

    async def nights() -> None:
        async with traffic.flowing(4):
            for _ in range(NIGHTS):
                await traffic.more(150)
                await asyncio.to_thread(run_process, network.folder, "settlement", "run")
            await traffic.more(50)

    asyncio.run(nights())
    network.now_ms = system_clock()
    done(run_command(network, "settlement", "run"))
    windows = [_statements(network, number) for number in range(1, NIGHTS + 2)]
    ranges = [(one["ranges"][0]["first"], one["ranges"][0]["last"]) for window in windows for one in window.values()]
    edges = sorted(set(ranges))

    assert not traffic.ends
    assert len(edges) == NIGHTS + 1, "partners are told the same ranges"
    assert [first for first, _ in edges] == [1, *(last + 1 for _, last in edges[:-1])]
    assert edges[-1][1] == max(booked.receipt.sequence for booked in traffic.booked)
    for window, (first, last) in zip(windows, edges, strict=True):
        assert first < last, "traffic flowed in each"
        assert sum(net["amount"] for statement in window.values() for net in statement["net"]) == 0
        for partner_id, statement in window.items():
            receipts = _within(traffic.booked, partner_id, first, last)
            recomputed = recompute_lines(partner_id, receipts, statement)
            assert recomputed.amounts == _owed_for_redemptions(partner_id, statement)
    assert "books proved" in done(run_command(network, "audit", "--full")).out


def _statements(network: GivenNetwork, window_id: int) -> dict[str, Any]:
    folder = network.folder / "statements" / f"window-{window_id:04}"
    return {partner_id: json.loads((folder / f"{partner_id}.json").read_text("utf-8")) for partner_id in PARTNERS}


def _within(booked: Sequence[Booked], partner_id: str, first: int, last: int) -> list[bytes]:
    return [
        one.signed_receipt.receipt
        for one in booked
        if one.receipt.partner_id == partner_id and first <= one.receipt.sequence <= last
    ]


def _owed_for_redemptions(partner_id: str, statement: Any) -> dict[tuple[str, str, str, int], int]:
    return {
        (line["payer_id"], line["payee_id"], line["kind"], line["rate_card_version"]): line["amount"]
        for line in statement["obligations"]
        if line["payee_id"] == partner_id
    }
