"""`tallystick network lanes`: how many there are at first, what changes them, and what refuses to."""

from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.founding import found_network
from gateway.storage.directory import load_network
from gateway.storage.engine import open_engine, reading
from gateway.storage.tables import heads, windows
from tests.given import START_MS, create_network, network_plan
from tests.partners.shell import Shell
from tests.postgres import PostgresServer


@pytest.fixture
def postgres_shell(tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Command lines against a network of four lanes on PostgreSQL."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return Shell(create_network(tmp_path / "net", lanes=4, url=postgres_url), read)


def _windows(shell: Shell) -> list[tuple[str, int]]:
    with reading(shell.network.engine) as connection:
        query = select(windows.c.state, windows.c.lanes).order_by(windows.c.window_id)
        return [(state, lanes) for state, lanes in connection.execute(query)]


@pytest.mark.postgres
def test_a_network_that_is_founded_on_postgresql_has_four_lanes(tmp_path: Path, postgres_server: PostgresServer) -> None:
    """Each with a head; nobody has to ask for them."""
    url = postgres_server.new_database(is_empty=True)
    found_network(tmp_path / "net", network_plan("coalition.example:prod", database_url=url, lanes=None), now_ms=START_MS)
    engine = open_engine(url)
    with reading(engine) as connection:
        network = load_network(connection)
        found = connection.execute(select(heads.c.lane, heads.c.lanes).order_by(heads.c.lane)).all()
    engine.dispose()
    postgres_server.drop_database(url)

    assert network.lanes == 4
    assert [tuple(row) for row in found] == [(lane, 4) for lane in range(4)]


@pytest.mark.postgres
def test_the_number_changes_at_a_cut_off(postgres_shell: Shell) -> None:
    """Fewer or more; the window that was open closes."""
    ran = postgres_shell.run("network", "lanes", "2")
    more = postgres_shell.run("network", "lanes", "6")

    assert (ran.code, ran.out) == (0, "Window 1 is closed, with 0 entries. From now on 2 lanes book.\n")
    assert (more.code, _windows(postgres_shell)) == (0, [("CLOSED", 4), ("CLOSED", 2), ("OPEN", 6)])
    assert "6" in postgres_shell.run("network", "show").out.partition("lanes")[2].splitlines()[0]


@pytest.mark.postgres
def test_the_same_number_again_closes_nothing(postgres_shell: Shell) -> None:
    """It is refused with a sentence."""
    ran = postgres_shell.run("network", "lanes", "4")

    assert (ran.code, "the network has 4 lanes already" in ran.err) == (1, True)
    assert _windows(postgres_shell) == [("OPEN", 4)]


@pytest.mark.postgres
def test_a_clock_that_is_behind_the_books_changes_nothing(postgres_shell: Shell) -> None:
    """The cut-off would be dated by it."""
    postgres_shell.network.now_ms = START_MS - 3_600_000
    ran = postgres_shell.run("network", "lanes", "2")

    assert (ran.code, "mend the clock" in ran.err) == (1, True)
    assert _windows(postgres_shell) == [("OPEN", 4)]


def test_sqlite_refuses_a_second_lane_and_says_why(shell: Shell) -> None:
    """Its batches would only wait for each other."""
    ran = shell.run("network", "lanes", "2")

    assert ran.code == 1
    assert "SQLite lets one batch write at a time" in ran.err
    assert "'tallystick database copy'" in ran.err
    assert _windows(shell) == [("OPEN", 1)]


@pytest.mark.parametrize("number", ["0", "65", "many"])
def test_a_number_that_cannot_be_is_a_misuse(shell: Shell, number: str) -> None:
    """Below and above the limits, and no number at all."""
    assert shell.run("network", "lanes", number).code == 2
