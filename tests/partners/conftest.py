"""A network with two operators, and a shell to run commands against it."""

from pathlib import Path

import pytest

from tests.given import GivenNetwork, create_network
from tests.partners.shell import Shell


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """A network that two operators have founded; no partners yet."""
    return create_network(tmp_path / "net")


@pytest.fixture
def shell(network: GivenNetwork, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Command lines against that network."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return Shell(network, read)
