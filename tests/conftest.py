"""What holds for every test: its database, how properties draw their examples, and a header that says how to draw them again."""

import os
import platform
import sqlite3
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.compiled import share_what_is_compiled
from tests.examples.toolchains import describe as describe_examples
from tests.given import GivenNetwork, month
from tests.postgres import ENGINES, MISSING, PostgresServer, describe, find_programs
from tests.settlement.browser import describe as describe_browser
from tests.settlement.checkers import describe as describe_checkers
from tests.shared import SHARED

# No deadline: a test that waits on a clock fails on a busy machine. The blob in a failure's message replays it.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=2_000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "suite")
settings.load_profile(PROFILE)

share_what_is_compiled()


def pytest_report_header() -> list[str]:
    """The facts that a failure's reader needs first."""
    shared = "found beside the checkout" if SHARED.is_dir() else "missing: the tests that need it are skipped, with the reason"
    return [
        f"python {platform.python_version()}, sqlite {sqlite3.sqlite_version}, {os.cpu_count()} cores",
        f"hypothesis profile: {PROFILE} (HYPOTHESIS_PROFILE=search draws new examples, and many)",
        f"../shared: {shared}",
        describe(),
        describe_examples(),
        describe_checkers(),
        describe_browser(),
    ]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server a test process, started when it is first asked for. Who stops or kills a server starts one of its own."""
    if find_programs() is None:
        pytest.skip(MISSING)
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the newest schema and nothing in it, for one test."""
    url = postgres_server.new_database()
    yield url
    postgres_server.give_back(url)


@pytest.fixture(params=ENGINES)
def new_network_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str | None]]:
    """Runs the test on both engines. Each call gives another network's URL, as `network_url`."""
    yield from _new_urls(request)


@pytest.fixture
def network_url(new_network_url: Callable[[], str | None]) -> str | None:
    """Runs the test on both engines: None for the SQLite file in a network's folder, or the URL of a PostgreSQL database.

    `create_network(folder, url=network_url)` puts a network there.
    """
    return new_network_url()


@pytest.fixture(scope="module", params=ENGINES)
def new_module_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str | None]]:
    """The same for networks that tests of a module share."""
    yield from _new_urls(request)


@pytest.fixture(scope="module")
def module_url(new_module_url: Callable[[], str | None]) -> str | None:
    """The URL of a network that all tests of a module share, as `network_url`."""
    return new_module_url()


@pytest.fixture(scope="session")
def month_template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month before its first step; copied, since founding it anew takes longer than most tests."""
    network = month(tmp_path_factory.mktemp("month") / "net")
    network.engine.dispose()
    return network


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no core waits for the last of them. Those that need a PostgreSQL need its programs."""
    if find_programs() is None:
        for item in items:
            if item.get_closest_marker("postgres") is not None:
                item.add_marker(pytest.mark.skip(reason=MISSING))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _new_urls(request: pytest.FixtureRequest) -> Iterator[Callable[[], str | None]]:
    if request.param == "sqlite":
        yield lambda: None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    made: list[str] = []

    def make() -> str:
        made.append(server.new_database())
        return made[-1]

    yield make
    for url in made:
        server.give_back(url)
