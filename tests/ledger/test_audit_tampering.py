"""Whoever changes a row by hand is found: each column of each table that the audit proves, by the tables' own metadata."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, select, text

from gateway.domain.limits import LIMIT_NAMES
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import AuditReport, prove
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage import tables_directory, tables_settlement
from gateway.storage.tables import metadata
from tests.ledger.busy import busy_network
from tests.ledger.tampering import changes_of, some_rows, tampered

_ = tables_settlement  # imported for the tables that it adds to the metadata
RECEIPTS = ReceiptForm(encode_receipt, decode_receipt)
LEDGER = [table for table in metadata.sorted_tables if table.info.get("ledger")]
DIRECTORY = [
    tables_directory.decisions,
    tables_directory.issue_rates,
    tables_directory.network_terms,
    tables_directory.offer_shares,
    tables_directory.offers,
    tables_directory.operators,
    tables_directory.partner_keys,
    tables_directory.partner_limits,
    tables_directory.partners,
    tables_directory.rate_cards,
]
COLUMNS = [(table.name, column.name) for table in (*LEDGER, *DIRECTORY) for column in table.columns]
NAMES = [table.name for table in (*LEDGER, *DIRECTORY)]

# The terms that a network is founded with are no decision's, and no entry says these of them. Later versions are proven.
NOT_OF_THE_FOUNDING = {
    ("network_terms", "late_days_max"),
    ("network_terms", "redemption_element_micros"),
    ("network_terms", "par_value_micros"),
    ("network_terms", "claim_days_max"),
    *(("network_terms", name) for name in LIMIT_NAMES),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The busy network's database, of three lanes and then of two. What a test does to it is rolled back."""
    network = busy_network(tmp_path_factory.mktemp("busy") / "net", lanes=3, lanes_then=2)
    yield network.engine
    network.engine.dispose()


def _audit(connection: Connection) -> AuditReport:
    report, _ = prove(connection, proofs={}, marks={}, receipts=RECEIPTS, progress=lambda _line: None, failures_max=1)
    return report


@pytest.mark.parametrize(("table_name", "column_name"), COLUMNS)
def test_a_changed_value_is_found(engine: Engine, table_name: str, column_name: str) -> None:
    """A number one higher or lower, a text with a letter more, bytes with one more."""
    table = metadata.tables[table_name]
    changes = changes_of(table, column_name)
    with tampered(engine, table) as connection:
        where = "decision_id <> ''" if (table_name, column_name) in NOT_OF_THE_FOUNDING else f"{column_name} IS NOT NULL"
        rows = some_rows(connection, table, where)
        for row in rows if len(changes) > 1 else rows[-1:]:
            for change in changes:
                with connection.begin_nested() as savepoint:
                    connection.execute(text(f"UPDATE {table_name} SET {column_name} = {change} WHERE rowid = {row}"))
                    report = _audit(connection)
                    savepoint.rollback()

                assert not report.is_proved, f"row {row}: {change}"


@pytest.mark.parametrize("table_name", NAMES)
def test_a_deleted_row_is_found(engine: Engine, table_name: str) -> None:
    """One at a time."""
    table = metadata.tables[table_name]
    with tampered(engine, table) as connection:
        for row in some_rows(connection, table):
            with connection.begin_nested() as savepoint:
                connection.execute(text(f"DELETE FROM {table_name} WHERE rowid = {row}"))
                report = _audit(connection)
                savepoint.rollback()

            assert not report.is_proved, f"row {row}"


@pytest.mark.parametrize("table_name", NAMES)
def test_a_row_that_stands_twice_is_found(engine: Engine, table_name: str) -> None:
    """One at a time."""
    table = metadata.tables[table_name]
    with tampered(engine, table) as connection:
        for row in some_rows(connection, table):
            with connection.begin_nested() as savepoint:
                connection.execute(text(f"INSERT INTO {table_name} SELECT * FROM {table_name} WHERE rowid = {row}"))
                report = _audit(connection)
                savepoint.rollback()

            assert not report.is_proved, f"row {row}"


def test_the_busy_books_are_proved(engine: Engine) -> None:
    """Else all the others would prove nothing."""
    with tampered(engine, tables_directory.networks) as connection:
        report = _audit(connection)

    assert report.failures == ()


def test_every_table_of_the_busy_books_hassome_rows(engine: Engine) -> None:
    """Else a change of them would not have been tried."""
    with engine.connect() as connection:
        empty = [name for name in NAMES if connection.execute(select(metadata.tables[name]).limit(1)).first() is None]

    assert empty == []
