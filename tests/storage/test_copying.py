"""Rows that move from one engine to another, databases as files, and the calls that would spread tables."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, delete, insert, select, update

from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.storage.backup import back_up, check_free, set_aside, take_out, whole_file
from gateway.storage.copying import (
    RANGE_ROWS,
    TABLES,
    check_copied,
    check_empty,
    copy_rows,
    row_counts,
    state_of,
)
from gateway.storage.engine import open_engine, reading, refresh_statistics, writing
from gateway.storage.migrate import create_schema
from gateway.storage.tables import heads, member_identifiers, metadata
from gateway.storage.tables_directory import decisions, networks, partners, signature_failures
from gateway.storage.tables_settlement import statements
from tests.given import GivenNetwork, month

# What one engine or a format in between could take for something else.
ODD = 'O\'Brien "& Söhne" \\N \\. {NULL,1}\t\r\n\x01 % :name $1 é́ 店 𝄞 '


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """With odd texts, all bytes, and values that are missing."""
    network = month(tmp_path / "net")
    failure = {column.name: ODD[: getattr(column.type, "length", 0)] for column in signature_failures.columns} | {
        "at_ms": 2**63 - 1
    }
    with writing(network.engine) as connection:
        connection.execute(update(partners).where(partners.c.partner_id == "alpha").values(legal_name=ODD))
        connection.execute(insert(signature_failures), [failure | {"failure_id": name} for name in ("", "NULL", "é")])
        connection.execute(
            insert(statements).values(window_id=1, partner_id="", statement=bytes(range(256)), sha256=b"", lines=-(2**63))
        )
    yield network
    network.engine.dispose()


@pytest.fixture(name="target")
def make_target(empty_engine: Engine) -> Engine:
    """A database with the newest schema, on either engine."""
    create_schema(empty_engine)
    return empty_engine


def rows_of(engine: Engine) -> dict[str, set[tuple[Any, ...]]]:
    """By table."""
    with reading(engine) as connection:
        return {table.name: {tuple(row) for row in connection.execute(select(table))} for table in TABLES}


def copy(source: Engine, target: Engine) -> list[str]:
    """The whole of it; answers what was told."""
    told: list[str] = []
    with reading(source) as read, writing(target) as write:
        copied = copy_rows(read, write, progress=told.append)
        check_copied(write, copied, progress=told.append)
        refresh_statistics(write)
    return told


def test_every_table_is_copied_and_the_networks_row_first() -> None:
    """A second copy into the same database then waits for the first one's row."""
    assert sorted(table.name for table in TABLES) == sorted(metadata.tables)
    assert TABLES[0] is networks


def test_values_arrive_as_they_are_and_return_as_they_were(network: GivenNetwork, target: Engine, tmp_path: Path) -> None:
    """Text that looks like something else, all bytes, the largest numbers, nothing at all."""
    copy(network.engine, target)
    back = open_engine(f"sqlite:///{tmp_path / 'back.db'}")
    create_schema(back)
    copy(target, back)

    assert rows_of(target) == rows_of(back) == rows_of(network.engine)
    back.dispose()


def test_many_rows_go_in_short_ranges_and_are_counted(network: GivenNetwork, target: Engine) -> None:
    """One more and one less than a whole number of ranges; progress names both numbers."""
    for count in (3 * RANGE_ROWS - 1, 3 * RANGE_ROWS, 3 * RANGE_ROWS + 1):
        same = {"kind": "card", "member_id": "m", "tail": "", "valid_until_ms": 0, "entry_id": "e", "used_by": ""}
        rows = [{"identifier_hash": f"{number:064}", **same} for number in range(count)]
        with writing(network.engine) as connection:
            connection.execute(delete(member_identifiers))
            connection.execute(insert(member_identifiers), rows)
        told = copy(network.engine, target)
        with writing(target) as connection:
            assert row_counts(connection)["member_identifiers"] == count
            for table in TABLES:
                connection.execute(delete(table))

        assert f"member_identifiers: {count:,} of {count:,} rows" in told


def test_a_value_that_is_not_the_same_on_the_other_side_is_noticed(network: GivenNetwork, target: Engine) -> None:
    """Also where the number of rows is right, and in a table that no audit sums up."""
    changed = update(signature_failures).where(signature_failures.c.failure_id == "é").values(peer=ODD.strip())
    with reading(network.engine) as read, writing(target) as write:
        copied = copy_rows(read, write, progress=lambda _line: None)
        write.execute(changed)

        with pytest.raises(BooksBroken, match="signature_failures"):
            check_copied(write, copied, progress=lambda _line: None)


def test_one_row_anywhere_makes_a_database_not_empty(target: Engine) -> None:
    """Whatever the table is."""
    for table in TABLES:
        with target.connect() as connection:
            check_empty(connection)
            connection.execute(insert(table).values(_any_row(table)))
            with pytest.raises(InvalidValue, match=f"rows in {table.name};"):
                check_empty(connection)
            connection.rollback()


def test_whatever_a_network_does_next_tells_its_state_from_the_one_before(network: GivenNetwork) -> None:
    """A booking, a decision, a change of the directory."""
    states = []
    changes = (
        update(heads).values(last_sequence=heads.c.last_sequence + 1),
        update(decisions).values(state="STALE"),
        update(networks).values(directory_version=networks.c.directory_version + 1),
    )
    for change in changes:
        with reading(network.engine) as connection:
            states.append(repr(state_of(connection)))
        with writing(network.engine) as connection:
            connection.execute(change)

    assert len(set(states)) == len(changes)


def test_a_backup_is_of_the_moment_when_it_began(network: GivenNetwork, tmp_path: Path) -> None:
    """Although somebody writes between its pages; it does not begin anew each time."""
    with writing(network.engine) as connection:
        connection.execute(update(statements).values(statement=bytes(40_000_000)))
    told: list[int] = []

    def write_meanwhile(done: int, _total: int) -> None:
        told.append(done)
        with writing(network.engine) as connection:
            connection.execute(update(heads).values(last_sequence=heads.c.last_sequence + 1))

    with reading(network.engine) as connection:
        back_up(connection, tmp_path / "b.db", progress=write_meanwhile)
    with closing(sqlite3.connect(tmp_path / "b.db")) as backup:
        last = backup.execute("SELECT last_sequence FROM heads").fetchone()[0]
        mode = backup.execute("PRAGMA journal_mode").fetchone()[0]
    with reading(network.engine) as connection:
        now = connection.execute(select(heads.c.last_sequence)).scalar_one()

    assert told == sorted(told)
    assert len(told) > 2
    assert (last, now) == (0, len(told))
    assert mode == "delete", "one file, without a log beside it"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """What fails leaves nothing, what succeeds is its owner's alone."""
    path = tmp_path / "whole"
    with pytest.raises(RuntimeError):
        _write_half(path)
    assert list(tmp_path.iterdir()) == []

    with whole_file(path) as partial:
        partial.write_text("all of it")
        assert not path.exists()

    assert (path.read_text(), path.stat().st_mode & 0o777) == ("all of it", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Looked at before, and again at the end."""
    path = tmp_path / "whole"
    with pytest.raises(InvalidValue, match="is not overwritten"), whole_file(path):
        path.write_text("another's")

    assert path.read_text() == "another's"


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_name_with_anything_of_a_database_left_is_not_free(tmp_path: Path, ending: str) -> None:
    """SQLite would play an old log into a new file."""
    check_free(tmp_path / "books.db")
    (tmp_path / f"books.db{ending}").touch()

    with pytest.raises(InvalidValue, match="is not overwritten"):
        check_free(tmp_path / "books.db")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Rather than a missing file."""
    with pytest.raises(InvalidValue, match="is no folder"):
        check_free(tmp_path / "nowhere" / "books.db")


def test_a_database_is_set_aside_with_its_log(tmp_path: Path) -> None:
    """What the log alone has is still there under the new name."""
    path = tmp_path / "books.db"
    writer = sqlite3.connect(path)
    writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7);")
    aside = set_aside(path, "aside")
    writer.close()

    assert aside == tmp_path / "books.db.aside"
    check_free(path)
    with closing(sqlite3.connect(aside)) as found:
        assert found.execute("SELECT x FROM t").fetchall() == [(7,)]


def test_there_may_be_nothing_to_set_aside(tmp_path: Path) -> None:
    """Or only what is left of a database."""
    (tmp_path / "books.db-wal").touch()

    assert set_aside(tmp_path / "books.db", "aside") is None
    check_free(tmp_path / "books.db")


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-4_096], lambda content: content[:8_192] + bytes(4_096) + content[12_288:]]
)
def test_a_backup_that_is_not_whole_is_refused(network: GivenNetwork, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Cut off at its end, or with a page that reads as zeros."""
    file = tmp_path / "b.db"
    with reading(network.engine) as connection:
        back_up(connection, file, progress=lambda _done, _total: None)
    file.write_bytes(spoil(file.read_bytes()))

    with pytest.raises(InvalidValue, match=r"b\.db"):
        take_out(file, tmp_path / "taken.db", progress=lambda _done, _total: None)


def _write_half(path: Path) -> None:
    with whole_file(path) as partial:
        partial.write_text("half")
        Path(f"{partial}-wal").write_text("a log")
        raise RuntimeError


def _any_row(table: Table) -> dict[str, object]:
    """A row that its constraints let in."""
    plain: dict[type, object] = {int: 1, bytes: b"", str: ""}
    fitting: dict[str, object] = {
        "state": "OPEN" if table.name in {"windows", "holds"} else "APPLIED",
        "status": "ACTIVE",
        "creditor_id": "other",
        "payee_id": "other",
        "settlement_model": "at_par",
        "netting": "gross",
        "form": "through-operator",
        "schedule": "weekly",
    }
    own: dict[str, dict[str, object]] = {
        "carries": {"reason": "minimum", "brought_window_id": 0},
        "payments": {"event": "paid"},
        "adjustments": {"kind": "adjustment"},
        "window_transitions": {"state": "OPEN"},
        "disputes": {"state": "OPEN", "reason": "OTHER", "respondent_id": "other"},
        "dispute_steps": {"state": "OPEN"},
    }
    fitting |= own.get(table.name, {})
    if table.name == "members":
        fitting = {"status": 1}
    elif table.name == "member_identifiers":
        fitting = {"kind": "card", "valid_until_ms": 0}
    row = {column.name: plain[column.type.python_type] for column in table.columns}
    return row | {name: value for name, value in (fitting | {"expired_points": 0}).items() if name in row}
