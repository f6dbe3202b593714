"""Books for the tests of this floor, on both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.given import GivenNetwork, at
from tests.ledger.books import NOON, Books


@pytest.fixture
def books(month_template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """Empty books of the month's partners, with the members ann and ben, enrolled on 1 June; it is 5 June 2026, noon."""
    opened = Books(month_template.copy(tmp_path / "net", url=network_url), now_ms=at("2026-06-01", "09:00"))
    opened.enrol("ann", "ben")
    opened.now_ms = NOON
    yield opened
    opened.connection.close()
    opened.network.engine.dispose()
