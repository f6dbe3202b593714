"""kill -9 of the gateway, again and again, while a till catches up: one receipt an event, and their sum is the ledger."""

import asyncio
import random
from pathlib import Path

import pytest

from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.answers import Booked, Happened
from partners.pos.errors import NoAnswer
from partners.pos.offline_queue import OfflineQueue
from tests.e2e.commands import done, run_command
from tests.e2e.processes import GatewayProcess, gateway_process, live_network
from tests.e2e.test_kills import SEED
from tests.e2e.tills import open_live_till, signer_of
from tests.given import AUDIENCE, GivenNetwork

EVENTS = 1_500
KILLS = 8
CARD = requests.card("4000-0001")


@pytest.mark.slow
def test_after_a_storm_each_event_has_one_receipt_and_their_sum_is_the_ledger(tmp_path: Path) -> None:
    """Killed at a moment that chance draws; what was answered by then is kept. $TALLYSTICK_SEED draws another."""
    network = live_network(tmp_path / "net", "acme")
    queue = OfflineQueue(tmp_path / "queue", signer_of(network, "acme"), audience=AUDIENCE)
    queue.append(requests.enrol(CARD.card_number, key="enrol"))
    for number in range(EVENTS):
        queue.append(requests.issue(CARD, requests.amount("3.00 EUR"), key=f"sale-{number}"))
    happened: dict[int, Happened] = {}
    with gateway_process(network.folder) as gateway:
        broken_off, balance = asyncio.run(_catch_up(gateway, network, queue, happened))
    receipts = [one.answer.signed_receipt for one in queue.events(limit=EVENTS + 1) if one.answer is not None]
    print(f"seed {SEED}: {broken_off} of {KILLS} kills broke a drain off")  # noqa: T201 - a failure shows it

    assert broken_off
    assert gateway.starts == KILLS + 1
    assert len(happened) == EVENTS + 1
    assert all(isinstance(one.outcome, Booked) for one in happened.values())
    assert len(set(receipts)) == EVENTS + 1
    assert balance == 3 * EVENTS
    network.now_ms = system_clock()
    assert "books proved" in done(run_command(network, "audit", "--full")).out
    network.engine.dispose()


async def _catch_up(
    gateway: GatewayProcess, network: GivenNetwork, queue: OfflineQueue, happened: dict[int, Happened]
) -> tuple[int, int]:
    """Drains under kills, then undisturbed; answers how many drains were broken off, and the member's balance."""
    rng, broken_off = random.Random(SEED), 0

    def note(one: Happened) -> None:
        happened[one.counter] = one

    for _ in range(KILLS):
        await asyncio.to_thread(gateway.prepare)
        async with open_live_till(gateway, network, "acme") as till:
            drain = asyncio.create_task(queue.drain_async(till, each=note))
            await asyncio.wait({drain}, timeout=rng.uniform(0.02, 0.5))
            await asyncio.to_thread(gateway.kill)
            try:
                await drain
            except NoAnswer:
                broken_off += 1
        await asyncio.to_thread(gateway.start)
    async with open_live_till(gateway, network, "acme") as till:
        await queue.drain_async(till, each=note)
        return broken_off, (await till.balance(CARD)).balance_points
