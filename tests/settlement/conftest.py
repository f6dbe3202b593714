"""The oracle's month, booked once a test run into a SQLite file, and copies of it on both engines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.given import GivenNetwork, month
from tests.settlement.given import book_month
from tests.settlement.night import run, two_nights
from tests.settlement.office import FIRST_OF_JULY_MS


@pytest.fixture(scope="session")
def booked_month(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """A network with the month booked, its window still open. Only to be copied."""
    network = month(tmp_path_factory.mktemp("month") / "net")
    book_month(network.engine)
    network.engine.dispose()  # the last connection moves the write-ahead log into the file
    return network


@pytest.fixture(scope="session")
def month_over(booked_month: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The same with its window netted, on 1 July; the night's files lie in its folder. Only to be copied."""
    network = booked_month.copy(tmp_path_factory.mktemp("over") / "net")
    run(network.engine, network.folder / "statements")
    network.now_ms = FIRST_OF_JULY_MS
    network.engine.dispose()
    return network


@pytest.fixture
def copy_month(booked_month: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Callable[[str], Path]:
    """Makes a copy of the network in a folder of this name."""
    return lambda name: booked_month.copy(tmp_path / name, url=new_network_url()).folder


@pytest.fixture(scope="session")
def closed_nights(booked_month: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """Two nights on SQLite, as `two_nights` says. Only to be copied."""
    folder = tmp_path_factory.mktemp("nights")
    network = booked_month.copy(folder / "net")
    two_nights(network.engine, folder / "out")
    network.engine.dispose()
    return network
