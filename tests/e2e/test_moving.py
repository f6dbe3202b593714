"""A network moves from SQLite to PostgreSQL and back, as it is, whole or not at all."""

import contextlib
import io
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from gateway.cli import main
from gateway.config import FILE_NAME
from gateway.serve_lock import only_gateway
from gateway.storage.engine import reading, writing
from gateway.storage.tables import heads, lots
from tests.e2e.commands import Ran, done, run_command
from tests.e2e.moves import engine_of, moving_network, rows_of, shop, use
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork
from tests.postgres import PostgresServer
from tests.shared import ROOT

pytestmark = pytest.mark.postgres


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """On a SQLite file, with a past."""
    network = moving_network(tmp_path / "net")
    yield network
    network.engine.dispose()


@pytest.fixture(name="empty_url")
def make_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Of PostgreSQL, without tables."""
    url = postgres_server.new_database(is_empty=True)
    yield url
    postgres_server.drop_database(url)


def test_a_network_moves_to_postgresql_and_back_as_it_is(
    tmp_path: Path, network: GivenNetwork, empty_url: str, postgres_server: PostgresServer
) -> None:
    """Every row, with its hashes; proved there; and the gateway goes on, also with what was booked before."""
    at_first = rows_of(network.engine)
    there = done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    copied = rows_of(on_postgresql.engine)
    repeated = shop(on_postgresql, day="two")
    shop(on_postgresql, day="three")
    later = rows_of(on_postgresql.engine)
    postgres_server.cut_connections(empty_url)
    back = done(run_command(on_postgresql, "database", "copy", "--to", f"sqlite:///{tmp_path / 'back.db'}"))
    on_sqlite = use(network, f"sqlite:///{tmp_path / 'back.db'}")
    returned = rows_of(on_sqlite.engine)
    shop(on_sqlite, day="four")
    done(run_command(on_sqlite, "settlement", "run"))

    assert copied == at_first
    assert "Books proved there: 14 entries, 4 members" in there.out
    assert "'tallystick network lanes 4'" in there.out
    assert all(answer.is_replayed for answer in repeated)
    assert returned == later
    assert later != at_first
    assert "Books proved there" in back.out
    assert "lanes" not in back.out
    assert (tmp_path / "back.db").stat().st_mode & 0o777 == 0o600
    assert "books proved" in done(run_command(on_sqlite, "audit", "--full")).out
    assert not list(tmp_path.glob(".back*"))
    for one in (on_postgresql, on_sqlite):
        one.engine.dispose()


def test_a_dry_run_says_what_would_be_copied_and_copies_nothing(network: GivenNetwork, empty_url: str) -> None:
    """Not even tables."""
    ran = done(run_command(network, "database", "copy", "--to", empty_url, "--dry-run"))

    assert re.search(r"entries +14", ran.out)
    with engine_of(empty_url) as engine, reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar() == 0


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["", "dry-run"])
def test_a_database_with_a_network_in_it_is_refused(network: GivenNetwork, postgres_url: str, words: tuple[str, ...]) -> None:
    """Two networks in one are none."""
    done(run_command(network, "database", "copy", "--to", postgres_url))
    with engine_of(postgres_url) as engine:
        before = rows_of(engine)
        ran = run_command(network, "database", "copy", "--to", postgres_url, *words)
        after = rows_of(engine)

    assert (ran.code, "not empty: it has rows in networks" in ran.err) == (1, True)
    assert before == after


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["", "dry-run"])
def test_a_file_that_exists_is_refused(tmp_path: Path, network: GivenNetwork, words: tuple[str, ...]) -> None:
    """Also what is left of a database of that name."""
    (tmp_path / "there.db-wal").write_bytes(b"a log")
    ran = run_command(network, "database", "copy", "--to", f"sqlite:///{tmp_path / 'there.db'}", *words)

    assert (ran.code, "there.db-wal exists and is not overwritten" in ran.err) == (1, True)
    assert not (tmp_path / "there.db").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [("books.db", "--to: must be a URL"), ("sqlite://", "--to: name a file"), ("mysql://host/name", "--to: must be a URL")],
)
def test_what_is_no_database_is_refused(network: GivenNetwork, url: str, said: str) -> None:
    """In a sentence."""
    ran = run_command(network, "database", "copy", "--to", url)

    assert (ran.code, said in ran.err) == (1, True), ran.err


def test_a_network_of_several_lanes_returns_to_a_file_after_a_cut_off(
    tmp_path: Path, network: GivenNetwork, empty_url: str, postgres_server: PostgresServer
) -> None:
    """Refused while they are in force, with what to do; then what was booked in them stays provable, and the file goes on."""
    words = ("database", "copy", "--to", f"sqlite:///{tmp_path / 'back.db'}")
    done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    done(run_command(on_postgresql, "network", "lanes", "4"))
    shop(on_postgresql, day="three")
    refused = []
    for more in ((), ("--dry-run",)):
        postgres_server.cut_connections(empty_url)
        refused.append(run_command(on_postgresql, *words, *more))
    files = list(tmp_path.glob("*back.db*"))
    done(run_command(on_postgresql, "network", "lanes", "1"))
    postgres_server.cut_connections(empty_url)
    done(run_command(on_postgresql, *words))
    on_postgresql.engine.dispose()
    on_sqlite = use(network, f"sqlite:///{tmp_path / 'back.db'}")
    shop(on_sqlite, day="four")
    done(run_command(on_sqlite, "settlement", "run"))
    with reading(on_sqlite.engine) as connection:
        lanes = connection.execute(select(func.count()).select_from(heads).where(heads.c.last_sequence > 0)).scalar_one()

    assert [ran.code for ran in refused] == [1, 1]
    assert all("run 'tallystick network lanes 1' before the copy" in ran.err for ran in refused)
    assert not files
    assert lanes > 1
    assert "books proved" in done(run_command(on_sqlite, "audit", "--full")).out
    on_sqlite.engine.dispose()


def test_nothing_is_copied_while_a_gateway_serves(network: GivenNetwork, empty_url: str) -> None:
    """On SQLite its lock says so."""
    with only_gateway(f"sqlite:///{network.folder / 'books.db'}"):
        ran = run_command(network, "database", "copy", "--to", empty_url)

    assert (ran.code, "stop it first" in ran.err) == (1, True)


def test_nothing_is_copied_from_postgresql_while_anybody_is_connected(
    tmp_path: Path, network: GivenNetwork, empty_url: str, postgres_server: PostgresServer
) -> None:
    """A gateway that rests just now would go on with the old books."""
    done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    postgres_server.cut_connections(empty_url)
    with RunningGateway(on_postgresql):
        ran = run_command(on_postgresql, "database", "copy", "--to", f"sqlite:///{tmp_path / 'back.db'}")

    assert (ran.code, "stop all gateways and other commands first" in ran.err) == (1, True), ran.err
    on_postgresql.engine.dispose()


class Teller(io.StringIO):
    """A standard error that lets something happen when a line is said."""

    def __init__(self, line: str, then: Callable[[], None]) -> None:
        super().__init__()
        self._line = line
        self._then = then

    def write(self, said: str) -> int:
        """As of any stream."""
        if self._line in said:
            self._then()
        return super().write(said)


def run_and_meanwhile(network: GivenNetwork, words: Sequence[str], line: str, then: Callable[[], None]) -> Ran:
    """A command, and what happens when it says the line."""
    code, out, err = 0, io.StringIO(), Teller(line, then)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["--config", str(network.folder / FILE_NAME), *words], clock=network.clock)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def test_a_network_that_goes_on_while_it_is_copied_is_not_there_afterwards(network: GivenNetwork, empty_url: str) -> None:
    """Heads are compared at the end: a copy that lacks a booking is none."""

    def book() -> None:
        shop(network, day="three")

    ran = run_and_meanwhile(network, ("database", "copy", "--to", empty_url), "reading it back", book)

    assert (ran.code, "stop all gateways" in ran.err) == (1, True), ran.err
    with engine_of(empty_url) as engine:
        assert not any(rows_of(engine).values())
    done(run_command(network, "database", "copy", "--to", empty_url))


def test_books_that_are_not_proved_do_not_arrive(network: GivenNetwork, empty_url: str) -> None:
    """What was changed by hand is named, and stays where it is."""
    with writing(network.engine) as connection:
        connection.execute(update(lots).values(price_micros=lots.c.price_micros + 1))
    ran = run_command(network, "database", "copy", "--to", empty_url)

    assert (ran.code, "the books are not proved" in ran.err) == (1, True)
    with engine_of(empty_url) as engine:
        assert not any(rows_of(engine).values())


@pytest.mark.parametrize("target", ["postgresql", "sqlite"])
def test_a_copy_that_was_killed_is_not_there_and_can_be_made_again(
    tmp_path: Path, network: GivenNetwork, empty_url: str, target: str
) -> None:
    """SIGKILL when all rows are written, and none is committed."""
    url = empty_url if target == "postgresql" else f"sqlite:///{tmp_path / 'copy.db'}"
    words = ("--config", str(network.folder / FILE_NAME), "database", "copy", "--to", url)
    command = [sys.executable, "-m", "gateway", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("reading it back" in line for line in process.stderr)
        process.send_signal(signal.SIGKILL)
    if target == "postgresql":
        with engine_of(url) as engine:
            assert not any(rows_of(engine).values())
    else:
        assert not (tmp_path / "copy.db").exists()

    assert "Books proved there" in done(run_command(network, "database", "copy", "--to", url)).out


def test_a_password_of_the_other_database_shows_nowhere(network: GivenNetwork) -> None:
    """Although it does not answer."""
    ran = run_command(network, "database", "copy", "--to", "postgresql://ann:hunter2@127.0.0.1:1/books")

    assert (ran.code, "hunter2" in ran.out + ran.err) == (1, False)
