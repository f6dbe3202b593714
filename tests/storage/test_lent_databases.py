"""PostgreSQL databases go from test to test: only what is as it was made."""

import pytest
from psycopg import sql
from sqlalchemy import select

from gateway.storage.engine import open_engine, reading
from gateway.storage.tables import metadata
from tests.given import create_network
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres


def test_a_database_that_comes_back_has_no_rows(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> None:
    """Of the network that was in it; those of its schema stay."""
    url = postgres_server.new_database()
    network = create_network(tmp_path_factory.mktemp("lent") / "net", url=url)
    network.engine.dispose()
    postgres_server.give_back(url)
    again = postgres_server.new_database()
    engine = open_engine(again)

    with reading(engine) as connection:
        assert [table.name for table in metadata.sorted_tables if connection.execute(select(table)).all()] == []
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1
    engine.dispose()
    postgres_server.give_back(again)
    assert again == url


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE entries ADD COLUMN more bigint",
        "ALTER TABLE entries DROP CONSTRAINT ck_entries_sequence",
        "DROP TABLE entries",
        "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "ALTER DATABASE {} SET synchronous_commit = off",
    ],
)
def test_a_database_that_was_changed_goes_to_nobody_else(postgres_server: PostgresServer, change: str) -> None:
    """Whatever is not a row."""
    url = postgres_server.new_database()
    name = url.partition("?")[0].rpartition("/")[2]
    with postgres_server.connect(name) as connection:
        connection.execute(sql.SQL(change).format(sql.Identifier(name)))
    postgres_server.give_back(url)
    again = postgres_server.new_database()

    assert again != url
    postgres_server.give_back(again)
