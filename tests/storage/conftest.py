"""A database on each engine, for the contract that both must keep."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.storage import tables_directory, tables_settlement, tables_terminals
from gateway.storage.engine import open_engine, writing
from gateway.storage.tables import metadata
from tests.postgres import ENGINES, PostgresServer

_ = tables_directory, tables_settlement, tables_terminals  # imported for the tables that they add to the metadata


@pytest.fixture(params=ENGINES)
def new_empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Runs the test on both engines. Each call gives the URL of another database without tables."""
    numbers = itertools.count(1)
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path / f'books-{next(numbers)}.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    made: list[str] = []

    def make() -> str:
        made.append(server.new_database(is_empty=True))
        return made[-1]

    yield make
    for url in made:
        server.drop_database(url)


@pytest.fixture
def empty_url(new_empty_url: Callable[[], str]) -> str:
    """The URL of a database without tables, on SQLite and on PostgreSQL."""
    return new_empty_url()


@pytest.fixture
def empty_engine(empty_url: str) -> Iterator[Engine]:
    """An engine of its own."""
    engine = open_engine(empty_url)
    yield engine
    engine.dispose()


@pytest.fixture
def declared_engine(new_empty_url: Callable[[], str]) -> Iterator[Engine]:
    """Of a database with the tables as the program declares them, without any migration."""
    engine = open_engine(new_empty_url())
    with writing(engine) as connection:
        metadata.create_all(connection)
    yield engine
    engine.dispose()
