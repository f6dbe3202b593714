"""A network moves from SQLite to PostgreSQL and back, and PostgreSQL is backed up and restored by its own tools."""

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.engine import make_url

from gateway.cli import main
from gateway.config import FILE_NAME
from gateway.serve_lock import only_gateway
from gateway.storage.copying import TABLES
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.tables import heads, lots
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.requests import Booking
from tests.e2e.commands import Ran, done, run_command
from tests.e2e.tills import open_till, two_partners
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork
from tests.postgres import PostgresServer
from tests.shared import ROOT

pytestmark = pytest.mark.postgres

CARDS = tuple(f"4000-{number:04}" for number in range(4))
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8").replace("\\\n", " ")

Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(engine: Engine) -> Rows:
    """Everything, in an order that both engines give."""
    with reading(engine) as connection:
        return {table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr) for table in TABLES}


def use(network: GivenNetwork, url: str) -> GivenNetwork:
    """The same network, with this URL in its configuration."""
    file = network.folder / FILE_NAME
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(f'url = "{url}"\n' if line.startswith("url = ") else line for line in lines), "utf-8")
    return GivenNetwork(network.folder, network.now_ms, network.hands, network.keys, url)


def shop(network: GivenNetwork, *, day: str) -> list[Booked]:
    """A few sales, a redemption and a refusal; the same day's commands have the same keys."""
    with RunningGateway(network) as gateway, open_till(network, "acme", gateway.address) as till:
        if day == "one":
            till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in CARDS])
        commands: list[Booking] = [
            *(requests.issue(requests.card(card), requests.amount("12.50 EUR"), key=f"{day}-{card}") for card in CARDS),
            requests.redeem(requests.card(CARDS[0]), 7, key=f"{day}-gift"),
            requests.redeem(requests.card(CARDS[1]), 7_000, key=f"{day}-too-much"),
        ]
        return [answer for answer in till.submit_batch(commands) if isinstance(answer, Booked)]


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Two partners on a SQLite file, after a day and a night, and a morning."""
    network = two_partners(tmp_path / "net")
    shop(network, day="one")
    done(run_command(network, "settlement", "run"))
    shop(network, day="two")
    yield network
    network.engine.dispose()


@pytest.fixture(name="empty_url")
def make_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Of PostgreSQL, without tables."""
    url = postgres_server.new_database(is_empty=True)
    yield url
    postgres_server.drop_database(url)


@contextlib.contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """To look into a database."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


def test_a_network_moves_to_postgresql_and_back_as_it_is(tmp_path: Path, network: GivenNetwork, empty_url: str) -> None:
    """Every row, with its hashes; proved there; and the gateway goes on, also with what was booked before."""
    at_first = rows_of(network.engine)
    there = done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    copied = rows_of(on_postgresql.engine)
    repeated = shop(on_postgresql, day="two")
    shop(on_postgresql, day="three")
    later = rows_of(on_postgresql.engine)
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
    tmp_path: Path, network: GivenNetwork, empty_url: str
) -> None:
    """Refused while they are in force, with what to do; then what was booked in them stays provable, and the file goes on."""
    words = ("database", "copy", "--to", f"sqlite:///{tmp_path / 'back.db'}")
    done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    done(run_command(on_postgresql, "network", "lanes", "4"))
    shop(on_postgresql, day="three")
    refused = [run_command(on_postgresql, *words, *more) for more in ((), ("--dry-run",))]
    files = list(tmp_path.glob("*back.db*"))
    done(run_command(on_postgresql, "network", "lanes", "1"))
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


def test_on_postgresql_the_commands_name_its_own_tools(tmp_path: Path, network: GivenNetwork, empty_url: str) -> None:
    """Rather than do it worse."""
    done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)

    assert "pg_dump --format=custom" in run_command(on_postgresql, "database", "backup", tmp_path / "b.db").err
    assert "pg_restore --exit-on-error" in run_command(on_postgresql, "database", "restore", tmp_path / "b.db").err
    on_postgresql.engine.dispose()


def documented(program: str, naming: str) -> list[str]:
    """The words after a program's name in the operators' page: the one line of it with this name in it."""
    lines = (line.partition("  #")[0] for line in PAGE.splitlines() if line.startswith(f"{program} "))
    found = [line for line in lines if re.search(rf"[ =]{re.escape(naming)}$|[ =]{re.escape(naming)} ", line)]
    assert len(found) == 1, found
    return shlex.split(found[0])[1:]


def run_documented(server: PostgresServer, folder: Path, program: str, renamed: dict[str, str]) -> None:
    """Runs a line of the page, with names of the test's own in place of the page's."""
    words = documented(program, next(iter(renamed)))
    for here, there in renamed.items():
        words = [re.sub(rf"(?<![\w-]){re.escape(here)}(?![\w-])", there, word) for word in words]
    where = {"PGHOST": str(server.folder), "PGPORT": str(server.port), "PGUSER": "tallystick"}
    ended = subprocess.run(
        [server.programs / program, *words], cwd=folder, env=os.environ | where, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_the_documented_dump_is_restored_and_proved(
    tmp_path: Path, network: GivenNetwork, postgres_server: PostgresServer, empty_url: str
) -> None:
    """pg_dump beside a gateway, createdb, pg_restore: as the page says."""
    done(run_command(network, "database", "copy", "--to", empty_url))
    on_postgresql = use(network, empty_url)
    name = str(make_url(empty_url).database)
    before = rows_of(on_postgresql.engine)
    run_documented(postgres_server, tmp_path, "pg_dump", {"coalition": name})
    shop(on_postgresql, day="three")
    on_postgresql.engine.dispose()
    for program in ("createdb", "pg_restore"):
        run_documented(postgres_server, tmp_path, program, {"coalition_restored": f"{name}_restored"})
    url = postgres_server.url(f"{name}_restored")
    restored = use(network, url)
    ran = done(run_command(restored, "audit", "--full"))

    assert "books proved: 14 entries" in ran.out
    assert {table: rows for table, rows in rows_of(restored.engine).items() if table != "proofs"} == {
        table: rows for table, rows in before.items() if table != "proofs"
    }
    restored.engine.dispose()
    postgres_server.drop_database(url)


@pytest.mark.slow
def test_a_base_backup_and_the_archived_log_bring_back_every_entry(tmp_path: Path, network: GivenNetwork) -> None:
    """The page's settings and command; the server's data is lost; what was booked after the backup comes out of the log."""
    settings = dict(line.split(" = ") for line in conf_of("archive_mode"))
    with PostgresServer({name: relocated(value) for name, value in settings.items()}) as server:
        archive = server.folder / "archive"
        archive.mkdir()
        shutil.chown(archive, server.folder.owner(), server.folder.group())
        url = server.new_database(is_empty=True)
        done(run_command(network, "database", "copy", "--to", url))
        on_postgresql = use(network, url)
        run_documented(server, tmp_path, "pg_basebackup", {"/backup/base": str(tmp_path / "base")})
        shop(on_postgresql, day="three")
        on_postgresql.engine.dispose()
        with server.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")
            wait_for_archive(connection)
        lose_and_recover(server, tmp_path / "base")
        ran = done(run_command(on_postgresql, "audit", "--full"))
        with reading(on_postgresql.engine) as connection_:
            last = connection_.execute(select(heads.c.last_sequence)).scalar_one()
        on_postgresql.engine.dispose()

    assert "books proved: 19 entries" in ran.out
    assert last == 19


def conf_of(first: str) -> list[str]:
    """The block of settings in the page that begins with this one."""
    found = re.search(rf"```ini\n({first} .*?)```", PAGE, re.DOTALL)
    assert found is not None
    return [line.partition("  #")[0].rstrip() for line in found[1].splitlines()]


def relocated(value: str) -> str:
    """A setting without its quotes, for an archive beside the server's data folder, in which it runs its commands."""
    return value.strip("'").replace("/backup/wal", "../archive")


def wait_for_archive(connection: Any) -> None:
    """Until the server says that it has handed over the log that was just ended."""
    query = (
        "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) OR last_archived_wal IS NULL "
        "FROM pg_stat_archiver, pg_sleep(0.05)"
    )
    for _ in range(400):
        row = connection.execute(query).fetchone()
        if row[0]:
            return
    raise AssertionError(connection.execute("SELECT * FROM pg_stat_archiver").fetchall())


def lose_and_recover(server: PostgresServer, base: Path) -> None:
    """The data folder is gone; the backup takes its place, and the log is played into it."""
    server.stop(kill=True)
    data = server.folder / "data"
    shutil.rmtree(data)
    shutil.copytree(base, data)
    with (data / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.writelines(line.replace("/backup/wal", "../archive") + "\n" for line in conf_of("restore_command"))
    (data / "recovery.signal").touch()
    data.chmod(0o700)
    for path in (data, *data.rglob("*")):
        shutil.chown(path, server.folder.owner(), server.folder.group())
    server.start()
    with server.connect() as connection:
        for _ in range(400):
            if connection.execute("SELECT pg_is_in_recovery(), pg_sleep(0.05)").fetchone() == (False, ""):
                return
    raise AssertionError(server.log())
