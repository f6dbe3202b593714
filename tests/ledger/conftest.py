"""Books for the tests of this floor."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books


@pytest.fixture(scope="session")
def month_template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month before its first step; copied, since founding it anew takes longer than most tests."""
    network = month(tmp_path_factory.mktemp("month") / "net")
    network.engine.dispose()
    return network


@pytest.fixture
def books(month_template: GivenNetwork, tmp_path: Path) -> Books:
    """Empty books of the month's partners, with the members ann and ben, enrolled on 1 June; it is 5 June 2026, noon."""
    shutil.copytree(month_template.folder, tmp_path / "net")
    opened = Books(replace(month_template, folder=tmp_path / "net"), now_ms=at("2026-06-01", "09:00"))
    opened.enrol("ann", "ben")
    opened.now_ms = NOON
    return opened
