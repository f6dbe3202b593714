"""The books are lost, and come back from a backup: what is missing then, partners' receipts say, and their tills send again."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from gateway.serve_lock import only_gateway
from gateway.storage import migrate
from gateway.storage.engine import open_engine, writing
from gateway.storage.migrate import SCHEMA_VERSION
from gateway.terminal import system_clock
from tallystick.v1 import types_pb2
from tests.e2e.commands import done, run_command
from tests.e2e.processes import gateway_process, live_network, run_process
from tests.e2e.shops import COMMANDS, PARTNERS, SECOND_MS, Shops, keys_of, named_as, signed, write_lines
from tests.e2e.storm import CARDS
from tests.e2e.test_live_gateway import Traffic
from tests.e2e.tills import two_partners
from tests.given import GivenNetwork


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Of two partners, on a SQLite file."""
    network = two_partners(tmp_path / "net")
    yield network
    network.engine.dispose()


def kinds_in(receipts: Sequence[types_pb2.SignedReceipt]) -> set[int]:
    """Of what was booked."""
    contents = [types_pb2.Receipt.FromString(one.receipt) for one in receipts]
    return {one.kind for one in contents if not one.refused}


def test_a_backup_and_the_tills_together_bring_back_all_that_was_promised(tmp_path: Path, network: GivenNetwork) -> None:
    """A day, a backup in the middle of it, a lost disk; the receipts name what is missing, and sending again books it."""
    shops = Shops(network)
    half = COMMANDS // 2
    with shops.open() as opened:
        opened.enrol()
        before = signed(opened.send(shops.commands[:half]))
        done(run_command(network, "database", "backup", tmp_path / "noon.db"))
        after = signed(opened.send(shops.commands[half:]))
        balances = opened.balances()
    held = write_lines(tmp_path / "held.jsonl", before + after)
    assert "books proved" in done(run_command(network, "audit", "--receipts", held)).out

    done(run_command(network, "database", "restore", tmp_path / "noon.db", "--replace"))
    found_missing = run_command(network, "audit", "--receipts", held)
    with shops.open() as opened:
        opened.tills["acme"].enrol("4000-9999", key="first-of-all")  # so that all that follows has another sequence
        again = signed(opened.send(shops.commands))
        balances_again = opened.balances()
    compared = run_command(network, "audit", "--full", "--receipts", held)
    new = write_lines(tmp_path / "new.jsonl", again)

    assert {2, 3, 4, 5, 6} <= kinds_in(after), "else the day shows little"
    assert any(types_pb2.Receipt.FromString(one.receipt).refused for one in after)
    assert found_missing.code == 1
    assert named_as(found_missing, "newer than the books") == keys_of(after)
    assert len(keys_of(after)) > half // 2
    assert f"{len(after)} of {len(before + after)} receipts are not in the books as they were signed" in found_missing.err
    assert balances_again == balances
    assert [one.receipt for one in again[: len(before)]] == [one.receipt for one in before], (
        "what the backup had is answered alike"
    )
    assert "books proved" in compared.out
    assert named_as(compared, "booked anew") == keys_of(after)
    assert done(run_command(network, "audit", "--receipts", new)).err


def test_a_backup_holds_one_state_while_the_gateway_goes_on(tmp_path: Path, network: GivenNetwork) -> None:
    """It is proved when it is restored, wherever the bookings stood; the file is its owner's alone."""
    shops = Shops(network)
    with shops.open() as opened:
        opened.enrol()
        opened.send(shops.commands[:10])
        done(run_command(network, "database", "backup", tmp_path / "ten.db"))
        opened.send(shops.commands[10:20])
    ran = done(run_command(network, "database", "restore", tmp_path / "ten.db", "--replace"))

    assert (tmp_path / "ten.db").stat().st_mode & 0o777 == 0o600
    assert "books proved" in ran.out
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["ten.db"]


@pytest.mark.slow
def test_backups_under_load_are_proved_each_of_its_own_moment(tmp_path: Path) -> None:
    """A gateway of its own process, tills that never rest, and a backup now and then: no till is held up, no file is torn."""
    network = live_network(tmp_path / "net", *PARTNERS)
    files = [tmp_path / f"{number}.db" for number in range(3)]
    with gateway_process(network.folder) as gateway:
        traffic = Traffic(network, gateway)

        async def back_up() -> None:
            async with traffic.flowing(4):
                for file in files:
                    await traffic.more(100)
                    await asyncio.to_thread(run_process, network.folder, "database", "backup", file)
                await traffic.more(50)

        asyncio.run(back_up())
    network.engine.dispose()
    network.now_ms = system_clock()
    counts = []
    for file in files:
        network.now_ms += SECOND_MS
        ran = done(run_command(network, "database", "restore", file, "--replace"))
        counts.append(int(re.findall(r"books proved: ([\d,]+) entries", ran.out)[0].replace(",", "")))

    assert not traffic.ends
    assert counts == sorted(set(counts))
    assert counts[0] >= 100


def test_a_restore_keeps_what_it_replaces(tmp_path: Path, network: GivenNetwork) -> None:
    """Under a name with the date, a whole database with its log, which can be restored in its turn."""
    done(run_command(network, "database", "backup", tmp_path / "empty.db"))
    with Shops(network).open() as opened:
        opened.enrol()
    done(run_command(network, "database", "restore", tmp_path / "empty.db", "--replace"))
    aside = next(file for file in network.folder.glob("books.db.before-*") if not file.name.endswith("-wal"))
    network.now_ms += SECOND_MS
    ran = done(run_command(network, "database", "restore", aside, "--replace"))

    assert f"{len(CARDS)} entries" in ran.out


@pytest.mark.parametrize("words", [(), ("--replace",)], ids=["", "replace"])
def test_nothing_is_restored_while_a_gateway_serves(tmp_path: Path, network: GivenNetwork, words: tuple[str, ...]) -> None:
    """It would go on with the file that is gone."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    with only_gateway(f"sqlite:///{network.folder / 'books.db'}"):
        ran = run_command(network, "database", "restore", tmp_path / "b.db", *words)

    assert (ran.code, "stop it first" in ran.err) == (1, True)


def test_a_network_that_is_there_is_not_overwritten_unless_told(tmp_path: Path, network: GivenNetwork) -> None:
    """The sentence says what to do."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    ran = run_command(network, "database", "restore", tmp_path / "b.db")

    assert (ran.code, "--replace" in ran.err) == (1, True)


def test_a_lost_file_is_restored_without_more_words(tmp_path: Path, network: GivenNetwork) -> None:
    """Also where its log is still there: that is set aside, or it would be played into another database."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    network.engine.dispose()
    (network.folder / "books.db").unlink()
    (network.folder / "books.db-wal").write_bytes(b"of the file that is gone")
    ran = done(run_command(network, "database", "restore", tmp_path / "b.db"))

    assert "books proved" in ran.out
    assert len(list(network.folder.glob("books.db.before-*-wal"))) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no backup of a network"), (b"not a database " * 100, "not a database"), (None, "no backup at")],
    ids=["empty", "text", "missing"],
)
def test_what_is_no_backup_changes_nothing(tmp_path: Path, network: GivenNetwork, content: bytes | None, said: str) -> None:
    """A sentence, and the books as they were."""
    file = tmp_path / "b.db"
    if content is not None:
        file.write_bytes(content)
    files = sorted(path.name for path in network.folder.iterdir())
    ran = run_command(network, "database", "restore", file, "--replace")

    assert (ran.code, said in ran.err) == (1, True), ran.err
    assert sorted(path.name for path in network.folder.iterdir() if "lock" not in path.name) == files
    assert "books proved" in done(run_command(network, "audit")).out


def test_a_damaged_backup_changes_nothing(tmp_path: Path, network: GivenNetwork) -> None:
    """Cut off in the middle, as by a full disk."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    whole = (tmp_path / "b.db").read_bytes()
    (tmp_path / "b.db").write_bytes(whole[: len(whole) // 2])
    ran = run_command(network, "database", "restore", tmp_path / "b.db", "--replace")

    assert ran.code == 1
    assert "books proved" in done(run_command(network, "audit")).out


def test_a_backup_is_never_written_over_another_file(tmp_path: Path, network: GivenNetwork) -> None:
    """Yesterday's stays."""
    (tmp_path / "b.db").write_text("yesterday's")
    ran = run_command(network, "database", "backup", tmp_path / "b.db")

    assert (ran.code, "is not overwritten" in ran.err) == (1, True)
    assert (tmp_path / "b.db").read_text() == "yesterday's"


def test_a_backup_of_an_older_schema_is_made_before_the_upgrade_and_brought_up_when_it_is_restored(
    tmp_path: Path, network: GivenNetwork
) -> None:
    """With this program: whoever installed it first can still go back, and forward again."""
    turn_back(network, "0001")
    refused = run_command(network, "database", "check")
    done(run_command(network, "database", "backup", tmp_path / "before.db"))
    done(run_command(network, "database", "upgrade"))
    ran = done(run_command(network, "database", "restore", tmp_path / "before.db", "--replace"))

    assert (refused.code, "database upgrade" in refused.err) == (1, True)
    assert f"brought from schema 0001 to {SCHEMA_VERSION}" in ran.err
    assert "books proved" in ran.out


def test_a_backup_of_a_newer_program_is_refused(tmp_path: Path, network: GivenNetwork) -> None:
    """With what to do, and nothing changed."""
    done(run_command(network, "database", "backup", tmp_path / "newer.db"))
    with closing(sqlite3.connect(tmp_path / "newer.db")) as backup, backup:
        backup.execute("UPDATE alembic_version SET version_num = '9999'")
    ran = run_command(network, "database", "restore", tmp_path / "newer.db", "--replace")

    assert (ran.code, "install the newer Tallystick" in ran.err) == (1, True)
    assert not list(network.folder.glob("books.db.before-*"))


def turn_back(network: GivenNetwork, version: str) -> None:
    """Puts the network's rows into the tables of an older version."""
    network.engine.dispose()
    books, newer = network.folder / "books.db", network.folder.with_name("newer.db")
    books.rename(newer)
    engine = open_engine(f"sqlite:///{books}")
    with writing(engine) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        command.upgrade(config, version)
    engine.dispose()
    with closing(sqlite3.connect(books)) as older, older:
        older.execute("ATTACH DATABASE ? AS newer", (str(newer),))
        tables = older.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'").fetchall()
        for (table,) in tables:
            columns = ", ".join(row[1] for row in older.execute(f"PRAGMA table_info({table})"))
            older.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}")
