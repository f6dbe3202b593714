"""Whoever changes what is kept of a terminal by hand is found: its events, the end of its chain, its conflicts, its warnings."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, Table, select, text

from gateway.domain.events import GENESIS_HASH, Event
from gateway.domain.partner import PartnerStatus
from gateway.edge.events import entry_of_event
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import AuditReport, prove
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage.engine import writing
from gateway.storage.tables import metadata
from gateway.storage.tables_terminals import event_warnings, terminal_conflicts, terminal_events, terminals
from partners.pos import requests
from partners.proposals import change_status, release_terminal
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, RunningGateway, issue_request, refusal
from tests.edge.terminals import Terminal
from tests.given import GivenNetwork, create_network

RECEIPTS = ReceiptForm(encode_receipt, decode_receipt, entry_of_event)
TABLES = (terminals, terminal_events, terminal_conflicts, event_warnings)
# When the gateway got a conflict is its own word, and nobody else's; how far it has carried out may lag behind.
UNPROVEN = {("terminal_conflicts", "received_at_ms")}
COLUMNS = [(table.name, column.name) for table in TABLES for column in table.columns]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Two terminals: one that was cloned, frozen and released, one with refusals; sales beyond a cap and in a suspension."""
    network = create_network(tmp_path_factory.mktemp("terminals") / "net")
    network.onboard("acme", {"EUR": "1"})
    network.onboard("globex", {"EUR": "1"})
    network.now_ms += DAY_MS
    with RunningGateway(network) as gateway:
        _live(gateway, network)
    yield network.engine
    network.engine.dispose()


def _live(gateway: RunningGateway, network: GivenNetwork) -> None:
    acme = Terminal(Caller(gateway, "acme", network.keys["acme"]), network.now_ms - 1_000)
    globex = Terminal(Caller(gateway, "globex", network.keys["globex"]), network.now_ms - 1_000)
    member_id = acme.caller.enrol("CARD-1")
    network.cap("acme", 1_000)
    acme.send(acme.sales(member_id, 100_000, 200, 300, key="sale"))
    twin = acme.twin()
    acme.at_ms += 1
    acme.send(acme.sales(member_id, 100, key="mine"))
    for key in ("other", "another"):
        other = twin.twin()
        cloned = other.sales(member_id, 9, key=key)
        assert refusal(partial(other.send, cloned)).reason == "TERMINAL_EQUIVOCATION"
        with writing(network.engine) as connection:
            release_terminal(connection, "acme/till-1", hand=network.hands[0], now_ms=network.now_ms)
    events = [
        globex.event(issue_request(member_id, 100, "one")),
        globex.event(requests.redeem(requests.member(member_id), 1, key="two")),
        globex.event(issue_request("nobody", 100, "three")),
        globex.event(issue_request(member_id, 100, "four")),
    ]
    with writing(network.engine) as connection:
        change_status(connection, "globex", PartnerStatus.SUSPENDED, hand=network.hands[0], now_ms=network.now_ms)
    globex.send(events)


@contextmanager
def _tampered(engine: Engine, table: Table) -> Iterator[Connection]:
    """A transaction in which the table has no keys and no constraints; rolled back at the end."""
    with suppress(_RollBack), writing(engine) as connection:
        for statement in ("CREATE TABLE lifted AS SELECT * FROM {0}", "DROP TABLE {0}", "ALTER TABLE lifted RENAME TO {0}"):
            connection.execute(text(statement.format(table.name)))
        yield connection
        raise _RollBack


class _RollBack(Exception):
    """Ends a transaction whose work nobody wants."""


def _audit(connection: Connection) -> AuditReport:
    report, _ = prove(connection, proofs={}, marks={}, receipts=RECEIPTS, progress=lambda _line: None, failures_max=1)
    return report


def _rows(connection: Connection, table: Table) -> list[int]:
    return list(connection.execute(text(f"SELECT rowid FROM {table.name} ORDER BY rowid")).scalars())


@pytest.mark.parametrize(("table_name", "column_name"), sorted(set(COLUMNS) - UNPROVEN))
def test_a_changed_value_is_found(engine: Engine, table_name: str, column_name: str) -> None:
    """Of every row: a number one higher or lower, a text with a letter more, bytes with one more."""
    table = metadata.tables[table_name]
    kind = table.c[column_name].type.python_type
    changes = {
        int: (f"{column_name} + 1", f"{column_name} - 1"),
        str: (f"{column_name} || 'x'",),
        bytes: (f"CAST({column_name} || x'00' AS BLOB)",),
    }[kind]
    if column_name == "carried_out":
        changes = changes[:1]  # behind it the till sends its events again, and nothing happens twice
    with _tampered(engine, table) as connection:
        for row in _rows(connection, table):
            for change in changes:
                with connection.begin_nested() as savepoint:
                    connection.execute(text(f"UPDATE {table_name} SET {column_name} = {change} WHERE rowid = {row}"))
                    report = _audit(connection)
                    savepoint.rollback()

                assert not report.is_proved, f"row {row}: {change}"


@pytest.mark.parametrize("table", [terminals, terminal_events, terminal_conflicts], ids=str)
def test_a_deleted_row_is_found(engine: Engine, table: Table) -> None:
    """One at a time. A warning is the operator's note, and proves nothing by being there."""
    with _tampered(engine, table) as connection:
        for row in _rows(connection, table):
            with connection.begin_nested() as savepoint:
                connection.execute(text(f"DELETE FROM {table.name} WHERE rowid = {row}"))
                report = _audit(connection)
                savepoint.rollback()

            assert not report.is_proved, f"row {row}"


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_row_that_stands_twice_is_found(engine: Engine, table: Table) -> None:
    """One at a time."""
    with _tampered(engine, table) as connection:
        for row in _rows(connection, table):
            with connection.begin_nested() as savepoint:
                connection.execute(text(f"INSERT INTO {table.name} SELECT * FROM {table.name} WHERE rowid = {row}"))
                report = _audit(connection)
                savepoint.rollback()

            assert not report.is_proved, f"row {row}"


@pytest.mark.parametrize("table", ["outcomes", "refusals"])
def test_a_lost_answer_to_an_event_is_found(engine: Engine, table: str) -> None:
    """Whatever else the audit says of it: the terminal's part alone finds it, too."""
    with _tampered(engine, metadata.tables[table]) as connection:
        connection.execute(text(f"DELETE FROM {table} WHERE entry_id IN (SELECT entry_id FROM terminal_events)"))
        report, _ = prove(connection, proofs={}, marks={}, receipts=RECEIPTS, progress=lambda _line: None)

    assert any(failure.what == "answer" and "of globex/till-1" in failure.where for failure in report.failures)


def test_a_chain_of_other_events_is_found_by_its_signature(engine: Engine) -> None:
    """All hashes computed anew over a changed command: only the till could have signed that."""
    with _tampered(engine, terminal_events) as connection:
        rows = connection.execute(
            select(terminal_events).where(terminal_events.c.terminal_id == "acme/till-1").order_by(terminal_events.c.counter)
        ).all()
        previous = GENESIS_HASH
        for row in rows:
            command = row.command.replace(b"CARD", b"DRAC") + (b"" if row.counter > 1 else b"\x0a\x00")
            event = Event(
                key_id=row.key_id,
                counter=row.counter,
                occurred_at_ms=row.occurred_at_ms,
                previous_hash=previous,
                command=command,
                signature=row.signature,
            )
            previous = event.hash("coalition.example:test")
            connection.execute(
                text("UPDATE terminal_events SET command = :c, event_hash = :h WHERE terminal_id = :t AND counter = :n"),
                {"c": command, "h": previous, "t": row.terminal_id, "n": row.counter},
            )
        connection.execute(text("UPDATE terminals SET last_hash = :h WHERE terminal_id = 'acme/till-1'"), {"h": previous})
        report, _ = prove(connection, proofs={}, marks={}, receipts=None, progress=lambda _line: None)

    assert [(failure.where, failure.what) for failure in report.failures][:1] == [("the last event of acme/till-1", "signature")]


def test_the_terminals_are_proved(engine: Engine) -> None:
    """Else all the others would prove nothing; and each table has rows."""
    with _tampered(engine, event_warnings) as connection:
        report = _audit(connection)
        rows = {table.name: len(_rows(connection, table)) for table in TABLES if table is not terminal_events}

    assert report.failures == ()
    assert report.events == 8
    assert rows == {"terminals": 2, "terminal_conflicts": 2, "event_warnings": 5}
