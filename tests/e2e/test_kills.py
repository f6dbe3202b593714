"""kill -9 of the gateway under load, twenty times, while a third of the answers are lost: nothing is lost, doubled or torn."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.e2e.after_a_storm import check_all
from tests.e2e.processes import gateway_process, live_network
from tests.e2e.storm import Storm

KILLS = 20
SEED = int(os.environ.get("TALLYSTICK_SEED", "1731"))


@pytest.mark.slow
def test_after_a_storm_each_key_has_one_receipt_and_their_sum_is_the_ledger(tmp_path: Path) -> None:
    """After one storm, since it takes long: receipts, refusals, sequences, points, audit. $TALLYSTICK_SEED draws another."""
    network = live_network(tmp_path / "net", "acme", "globex")
    with gateway_process(network.folder) as gateway:
        storm = Storm(network, gateway, SEED)
        asyncio.run(storm.rage(KILLS))
    print(f"seed {SEED}: {dict(storm.figures)}, {len(storm.acknowledged)} keys acknowledged")  # noqa: T201 - a failure shows it

    check_a_storm_did_rage(storm)
    check_all(storm)
    network.engine.dispose()


def check_a_storm_did_rage(storm: Storm) -> None:
    """Else the others prove nothing: kills, lost and broken-off answers, and calls that got none."""
    assert storm.gateway.starts == KILLS + 1
    assert min(storm.figures[word] for word in ("arrives", "lost", "cut", "without answer")) >= KILLS
    assert len(storm.acknowledged) > len(storm.keys()) // 4
