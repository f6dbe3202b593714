"""The oracle's month, booked once a test run into a SQLite file, and copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.given import month
from tests.settlement.given import book_month


@pytest.fixture(scope="session")
def month_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with the month booked, its window still open. Only to be copied."""
    folder = tmp_path_factory.mktemp("month") / "net"
    network = month(folder)
    book_month(network.engine)
    network.engine.dispose()  # the last connection moves the write-ahead log into the file
    return folder


@pytest.fixture
def copy_month(month_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes a copy of the network under a name."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(month_folder, tmp_path / name))

    return copy
