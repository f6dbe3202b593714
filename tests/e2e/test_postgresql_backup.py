"""PostgreSQL is backed up and restored by its own tools: the very lines of the operators' page, on a real server."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from gateway.storage.engine import reading
from gateway.storage.tables import heads
from tests.e2e.commands import done, run_command
from tests.e2e.moves import moving_network, rows_of, shop, use
from tests.given import GivenNetwork
from tests.postgres import PostgresServer
from tests.shared import ROOT

pytestmark = pytest.mark.postgres

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8").replace("\\\n", " ")


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
        end_the_log(server)
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


def end_the_log(server: PostgresServer) -> None:
    """Ends the file that the log is written to, and waits until the server says that it has handed it over."""
    with server.connect() as connection:
        name = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        for _ in range(400):
            if connection.execute("SELECT last_archived_wal FROM pg_stat_archiver, pg_sleep(0.05)").fetchone() == name:
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
