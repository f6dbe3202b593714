"""What the edge's tests stand on: a running gateway of two partners, and their tills.

`acme` and `globex` call one gateway that a file's tests share: they use keys and cards of their own. A test that changes
the network itself, or its clock, takes `network`, or `own_acme` for a gateway of its own.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.running import Caller, RunningGateway
from tests.edge.terminals import Terminal
from tests.given import GivenNetwork, create_network, kept_folder

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def two_partners(folder: Path, *, url: str | None = None) -> GivenNetwork:
    """Partners acme and globex; one point a euro, or a point for each of acme's stars; their rate cards are in force."""
    return _two_partners().copy(folder, url=url)


@functools.cache
def _two_partners() -> GivenNetwork:
    network = create_network(kept_folder())
    network.onboard("acme", {"EUR": "1", "acme:STAR": "1"})
    network.onboard("globex", {"EUR": "1"})
    network.now_ms += DAY_MS
    network.engine.dispose()
    return network


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """On loopback without TLS, shared by a file's tests."""
    with RunningGateway(two_partners(tmp_path_factory.mktemp("shared") / "net")) as running:
        yield running


@pytest.fixture
def acme(gateway: RunningGateway) -> Caller:
    """A till of acme's."""
    return Caller(gateway, "acme", gateway.network.keys["acme"])


@pytest.fixture
def globex(gateway: RunningGateway) -> Caller:
    """A till of globex's."""
    return Caller(gateway, "globex", gateway.network.keys["globex"])


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """A network of the test's own."""
    return two_partners(tmp_path / "net")


@pytest.fixture
def own_acme(network: GivenNetwork) -> Iterator[Caller]:
    """A till of acme's at a gateway of the test's own."""
    with RunningGateway(network) as running:
        yield Caller(running, "acme", network.keys["acme"])


@pytest.fixture
def terminal(own_acme: Caller, network: GivenNetwork) -> Terminal:
    """Acme's till without a connection, an hour ago."""
    return Terminal(own_acme, network.now_ms - HOUR_MS)
