"""The examples, built; and a shop with one of them as its till, at a gateway of its own."""

from collections.abc import Iterator

import pytest

from tests.e2e.processes import GatewayProcess, gateway_process, live_network
from tests.examples.tills import Shop
from tests.examples.toolchains import CSHARP, JAVA, NODE, Built, Example


@pytest.fixture(scope="module", params=[JAVA, NODE, CSHARP], ids=lambda example: example.name)
def built(request: pytest.FixtureRequest) -> Built:
    """An example that can be run; skipped, loudly, where its tools are missing."""
    example: Example = request.param
    return example.built()


@pytest.fixture(scope="module", params=[JAVA, NODE], ids=lambda example: example.name)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A partner of a new network, taken in by its own application. C# has the vectors alone as its test."""
    example: Example = request.param
    folder = tmp_path_factory.mktemp(example.name)
    made = Shop(example.built(), live_network(folder / "net"), folder)
    made.join()
    yield made
    made.network.engine.dispose()


@pytest.fixture(scope="module")
def gateway(shop: Shop) -> Iterator[GatewayProcess]:
    """The network's gateway: a process, with TLS."""
    with gateway_process(shop.network.folder) as running:
        yield running
