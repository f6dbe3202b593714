"""`tallystick database` as the operator meets it, and what the other commands say of a database that is not ready."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.config import load_config
from gateway.storage.engine import writing
from gateway.storage.migrate import SCHEMA_VERSION
from tests.e2e.commands import done, run_command
from tests.given import GivenNetwork, create_network
from tests.postgres import PostgresServer


@pytest.fixture(name="network")
def make_network(tmp_path: Path, network_url: str | None) -> Iterator[GivenNetwork]:
    """A new network, on both engines."""
    network = create_network(tmp_path / "net", url=network_url)
    yield network
    network.engine.dispose()


def set_version(network: GivenNetwork, version: str) -> None:
    """As if another program had made the tables."""
    with writing(network.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_a_check_says_which_database_it_is_and_what_durability_rests_on(network: GivenNetwork) -> None:
    """The program and its version, the schema, and the settings."""
    said = done(run_command(network, "database", "check")).out
    durable = ("journal_mode", "wal", "synchronous", "FULL") if network.url is None else ("synchronous_commit", "on", "UTF8")

    assert all(word in said for word in durable)
    assert f"{SCHEMA_VERSION}, and this program needs {SCHEMA_VERSION}" in said


@pytest.mark.parametrize(
    ("version", "advice"), [("0000", "run 'tallystick database upgrade'"), ("9999", "install the newer Tallystick")]
)
@pytest.mark.parametrize("words", [("database", "check"), ("serve", "--plaintext"), ("audit",), ("settlement", "run")], ids=str)
def test_a_database_of_another_version_is_refused_by_every_command(
    network: GivenNetwork, version: str, advice: str, words: tuple[str, ...]
) -> None:
    """With what to do, and exit code 1."""
    set_version(network, version)
    ran = run_command(network, *words)

    assert (ran.code, advice in ran.err) == (1, True), ran.err


def test_an_upgrade_of_the_newest_version_says_so(network: GivenNetwork) -> None:
    """And changes nothing."""
    assert done(run_command(network, "database", "upgrade")).out == f"The database has schema {SCHEMA_VERSION}.\n"


@pytest.mark.postgres
def test_a_server_that_could_lose_what_it_has_committed_is_named_as_a_danger(tmp_path: Path, postgres_url: str) -> None:
    """The suite's own has no need to outlive a power cut."""
    network = create_network(tmp_path / "net", url=postgres_url)
    ran = done(run_command(network, "database", "check"))

    assert "danger: fsync is off" in ran.err
    network.engine.dispose()


@pytest.mark.postgres
def test_a_network_is_founded_on_an_empty_postgresql_database(tmp_path: Path, postgres_server: PostgresServer) -> None:
    """Nothing else is asked for, and every command works alike."""
    url = postgres_server.new_database(is_empty=True)
    network = GivenNetwork(tmp_path / "net", url=url)
    facts = ("--audience", "coalition.example:pg", "--currency", "EUR", "--time-zone", "Europe/Berlin")
    done(run_command(network, "network", "create", network.folder, *facts, "--database-url", url))

    assert "coalition.example:pg" in done(run_command(network, "network", "show")).out
    assert "books proved" in done(run_command(network, "audit")).out
    assert not (network.folder / "books.db").exists()
    postgres_server.drop_database(url)


@pytest.mark.postgres
def test_the_environment_names_the_database_in_place_of_the_file(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one folder may move from SQLite to PostgreSQL without an edit."""
    on_postgresql = create_network(tmp_path / "net", url=postgres_url)
    folder = create_network(tmp_path / "other")
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", postgres_url)

    assert "synchronous_commit" in done(run_command(folder, "database", "check")).out
    on_postgresql.engine.dispose()


@pytest.mark.parametrize("hidden", ["ann:hunter2@localhost:1/books", "ann@localhost:1/books?password=hunter2"])
def test_a_password_shows_in_no_message(tmp_path: Path, hidden: str) -> None:
    """Although the database does not answer, and is named."""
    network = create_network(tmp_path / "net")
    file = network.folder / "tallystick.toml"
    lines = file.read_text("utf-8").splitlines()
    url = f"url = {json.dumps(f'postgresql://{hidden}')}"
    file.write_text("\n".join(url if line.startswith("url = ") else line for line in lines), "utf-8")
    for words in (("database", "check"), ("network", "show"), ("serve", "--plaintext")):
        ran = run_command(network, *words)

        assert (ran.code, "hunter2" in ran.err + ran.out) == (1, False)


@pytest.mark.postgres
def test_a_database_that_keeps_text_otherwise_is_refused(tmp_path: Path, postgres_server: PostgresServer) -> None:
    """Names of partners would not fit in."""
    with postgres_server.connect() as connection:
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    facts = ("--audience", "coalition.example:pg", "--currency", "EUR", "--time-zone", "Europe/Berlin")
    network = GivenNetwork(tmp_path / "net")
    ran = run_command(network, "network", "create", network.folder, *facts, "--database-url", postgres_server.url("latin"))

    assert (ran.code, "ENCODING 'UTF8'" in ran.err) == (1, True)
    postgres_server.drop_database(postgres_server.url("latin"))


@pytest.mark.parametrize("hidden", ["ann:hunter2@db/books", "ann@db/books?password=hunter2&sslpassword=hunter2"])
def test_a_password_is_no_part_of_the_databases_name(tmp_path: Path, hidden: str) -> None:
    """Which commands print, and the gateway when it starts."""
    file = tmp_path / "tallystick.toml"
    file.write_text(f"[database]\nurl = 'postgresql://{hidden}'\n", "utf-8")
    config = load_config(file, {})

    assert "hunter2" not in f"{config.database_name} {config!r}"
    assert "ann" in config.database_name
