"""Whoever changes by hand what the night, operators, banks and partners left is found: column by column of their tables.

What may change without notice is named, with the reason, and tried as well: a reason that holds no more must go.
"""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Connection, Engine, select, text

from gateway.ledger.audit import prove
from gateway.ledger.audit_directory import prove_directory
from gateway.ledger.audit_facts import load_facts
from gateway.ledger.audit_failures import Enough, Failures
from gateway.ledger.audit_intake import prove_intake
from gateway.ledger.audit_roll import prove_positions
from gateway.ledger.audit_settlement import prove_settlement
from gateway.ledger.audit_windows import prove_windows
from gateway.storage import tables_intake, tables_settlement
from gateway.storage.tables import metadata
from tests.given import GivenNetwork
from tests.ledger.tampering import changes_of, some_rows, tampered
from tests.settlement.eventful import book_eventful_nights
from tests.settlement.office import FORM

TABLES = [
    tables_intake.acknowledgements,
    tables_settlement.adjustments,
    tables_settlement.carries,
    tables_intake.dispute_steps,
    tables_intake.disputes,
    tables_intake.intake,
    tables_intake.partner_records,
    tables_settlement.payment_runs,
    tables_settlement.payments,
    tables_intake.reconciliations,
    tables_settlement.releases,
    tables_settlement.settlement_rules,
    tables_settlement.settlement_steps,
    tables_settlement.window_transitions,
]
NAMES = [table.name for table in TABLES]
COLUMNS = [(table.name, column.name) for table in TABLES for column in table.columns]

BANK = "what a bank did is written down by people, and stands nowhere else"
LOG = "the night's own log: a step that it lacks is done again and gives the same"
CLOCK = "when it was done is the clock of whoever did it, and stands nowhere else"
AGAIN = "the same record compared again makes the same run; what was signed is in the intake, and proved"
# By column: in which rows a change may go unnoticed, and why. In all other rows it may not.
MAY_CHANGE = {
    ("dispute_steps", "at_ms"): ("made_by = 'deadline'", f"{CLOCK}; that it was after the deadline is proved"),
    ("partner_records", "completed_at_ms"): ("completed_at_ms > 0", f"{CLOCK}; that it was after the last chunk is proved"),
    ("partner_records", "bad_lines"): ("completed_at_ms > 0", f"settlement reads the record and counts; {AGAIN}"),
    ("payments", "amount"): ("bank_ref LIKE 'B-%'", f"{BANK}; of an instruction that is paid in full the parts are proved"),
    ("payments", "at_ms"): ("event <> 'written_off'", f"{BANK}; on which side of the due day is proved by the late fee"),
    ("payments", "bank_ref"): ("event = 'paid'", BANK),
    ("payments", "reason"): ("event IN ('failed', 'carried')", BANK),
    ("reconciliations", "made_at_ms"): ("TRUE", CLOCK),
    ("settlement_steps", "window_id"): ("step <> 'prove-after'", LOG),
    ("settlement_steps", "step"): ("step <> 'prove-after'", LOG),
    ("settlement_steps", "done_at_ms"): ("TRUE", CLOCK),
    ("window_transitions", "at_ms"): ("number > 2 AND decision_id = ''", CLOCK),
}
MAY_GO = {
    "payments": ("bank_ref = 'B-2'", BANK),
    "reconciliations": ("TRUE", AGAIN),
    "settlement_steps": ("step <> 'prove-after'", LOG),
}
MAY_STAND_TWICE = {"settlement_steps": ("TRUE", "a step is done or is not")}


@pytest.fixture(scope="module")
def engine(booked_month: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The database of the eventful nights. What a test does to it is rolled back."""
    network = booked_month.copy(tmp_path_factory.mktemp("eventful") / "net")
    book_eventful_nights(network)
    yield network.engine
    network.engine.dispose()


def _is_found(connection: Connection, statement: str) -> bool:
    """Whether the parts of the audit that know these tables notice a change, which is taken back."""
    failures = Failures(most=1)
    with connection.begin_nested() as savepoint:
        connection.execute(text(statement))
        with suppress(Enough):
            _prove_nights(connection, failures)
        savepoint.rollback()
    return failures.found != []


def _prove_nights(connection: Connection, failures: Failures) -> None:
    """As `prove` runs them, without the entries, which take longest."""
    with failures.reading("directory"):
        prove_directory(connection, failures)
        facts = load_facts(connection)
    prove_windows(connection, failures, facts)
    prove_positions(connection, failures, facts, open_values=None)
    prove_settlement(connection, failures, facts, from_window=1, progress=lambda _line: None)
    prove_intake(connection, failures, facts, read_sent=FORM.read_sent)


def _others(rows: dict[str, tuple[str, str]], name: str) -> str:
    """Where a change must be noticed, as SQL."""
    return f"NOT ({rows[name][0]})" if name in rows else "TRUE"


@pytest.mark.parametrize(("table_name", "column_name"), COLUMNS)
def test_a_changed_value_is_found(engine: Engine, table_name: str, column_name: str) -> None:
    """A number that is higher, and one that is lower; a text with a letter more, bytes with one more."""
    table = metadata.tables[table_name]
    may_change = {f"{table}.{column}": why for (table, column), why in MAY_CHANGE.items()}
    with tampered(engine, table) as connection:
        where = _others(may_change, f"{table_name}.{column_name}")
        rows = some_rows(connection, table, where) if where != "NOT (TRUE)" else []
        for row, change in zip(rows[-1:] + rows[:1], changes_of(table, column_name), strict=False):
            is_found = _is_found(connection, f"UPDATE {table_name} SET {column_name} = {change} WHERE rowid = {row}")

            assert is_found, f"row {row}: {change}"


@pytest.mark.parametrize(("table_name", "column_name"), MAY_CHANGE)
def test_what_may_change_without_notice_does(engine: Engine, table_name: str, column_name: str) -> None:
    """Else the reason is out of date, and the test before this one must try it."""
    table, (where, why) = metadata.tables[table_name], MAY_CHANGE[table_name, column_name]
    with tampered(engine, table) as connection:
        row, change = some_rows(connection, table, where)[-1], changes_of(table, column_name)[0]

        assert not _is_found(connection, f"UPDATE {table_name} SET {column_name} = {change} WHERE rowid = {row}"), why


@pytest.mark.parametrize("table_name", NAMES)
def test_a_deleted_row_is_found(engine: Engine, table_name: str) -> None:
    """One at a time; all but those that are named."""
    table = metadata.tables[table_name]
    with tampered(engine, table) as connection:
        where = _others(MAY_GO, table_name)
        for row in some_rows(connection, table, where) if where != "NOT (TRUE)" else []:
            assert _is_found(connection, f"DELETE FROM {table_name} WHERE rowid = {row}"), f"row {row}"


@pytest.mark.parametrize("table_name", NAMES)
def test_a_row_that_stands_twice_is_found(engine: Engine, table_name: str) -> None:
    """One at a time; all but those that are named."""
    table = metadata.tables[table_name]
    statement = f"INSERT INTO {table_name} SELECT * FROM {table_name} WHERE rowid = "
    with tampered(engine, table) as connection:
        for row in some_rows(connection, table) if table_name not in MAY_STAND_TWICE else []:
            assert _is_found(connection, f"{statement}{row}"), f"row {row}"


@pytest.mark.parametrize(
    ("statement", "table_name"),
    [(f"DELETE FROM {name} WHERE {where}", name) for name, (where, _) in MAY_GO.items()]
    + [(f"INSERT INTO {name} SELECT * FROM {name}", name) for name in MAY_STAND_TWICE],
)
def test_rows_that_may_go_or_stand_twice_without_notice_do(engine: Engine, statement: str, table_name: str) -> None:
    """Else the reason is out of date."""
    with tampered(engine, metadata.tables[table_name]) as connection:
        assert not _is_found(connection, statement)


@pytest.mark.parametrize(
    ("table_name", "change"),
    [
        ("payments", "event = 'carried' WHERE event = 'written_off'"),
        ("payments", "event = 'paid', bank_ref = 'X', reason = '' WHERE event = 'carried'"),
        ("payments", "at_ms = at_ms - 20 * 86400000 WHERE bank_ref LIKE 'B-%'"),
        ("adjustments", "kind = 'adjustment' WHERE kind = 'fee_late'"),
        ("carries", "reason = 'minimum' WHERE reason = 'default'"),
        ("window_transitions", "made_by = 'night' WHERE state = 'SETTLED'"),
    ],
)
def test_a_row_that_says_something_else_of_its_kind_is_found(engine: Engine, table_name: str, change: str) -> None:
    """One that every constraint lets pass."""
    with tampered(engine, metadata.tables[table_name]) as connection:
        assert _is_found(connection, f"UPDATE {table_name} SET {change}")


def test_the_eventful_books_are_proved_and_every_table_has_rows(engine: Engine) -> None:
    """Else all the others would prove nothing."""
    with tampered(engine, metadata.tables["payments"]) as connection:
        report, _ = prove(connection, proofs={}, marks={}, receipts=FORM, progress=lambda _line: None)
        empty = [name for name in NAMES if connection.execute(select(metadata.tables[name]).limit(1)).first() is None]

    assert (report.failures, empty) == ((), [])
