"""A database on each engine, for the contract that both must keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.storage.engine import open_engine
from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'books.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.new_database(is_empty=True)
    yield url
    server.drop_database(url)


@pytest.fixture
def empty_engine(empty_url: str) -> Iterator[Engine]:
    """An engine of its own."""
    engine = open_engine(empty_url)
    yield engine
    engine.dispose()
