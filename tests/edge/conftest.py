"""What the edge's tests stand on: a running gateway of two partners, and their tills."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.running import Caller, RunningGateway
from tests.given import GivenNetwork, create_network


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """Two partners, acme and globex; one point a euro."""
    network = create_network(tmp_path / "net")
    network.onboard("acme", {"EUR": "1"})
    network.onboard("globex", {"EUR": "1"})
    network.now_ms += 86_400_000  # their rate cards are in force
    return network


@pytest.fixture
def gateway(network: GivenNetwork) -> Iterator[RunningGateway]:
    """A gateway of that network, on loopback without TLS."""
    with RunningGateway(network) as running:
        yield running


@pytest.fixture
def acme(gateway: RunningGateway) -> Caller:
    """A till of acme's."""
    return Caller(gateway, "acme", gateway.network.keys["acme"])


@pytest.fixture
def globex(gateway: RunningGateway) -> Caller:
    """A till of globex's."""
    return Caller(gateway, "globex", gateway.network.keys["globex"])
