"""Amounts at the edge of 64 bits: nothing ever becomes a float."""

from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.storage.errors import ConstraintBroken
from tests.given import create_network
from tests.ledger.books import Books


def test_a_debit_beyond_64_bits_is_not_written(tmp_path: Path) -> None:
    """SQLite's own addition would go on with floats; the named constraint refuses the whole batch."""
    network = create_network(tmp_path / "net")
    network.onboard("alpha", {"EUR": "1000000"}, issue_price="0")
    network.onboard("bravo", {"EUR": "1"}, reimbursement_rate="1000")
    books = Books(network)
    books.enrol("ann")
    books.book(books.issue("ann", "10000.00"))
    books.book(books.redeem("ann", 5_000_000_000))
    with pytest.raises(ConstraintBroken, match="in_64_bits"):
        books.run(books.redeem("ann", 5_000_000_000))

    assert books.balance("ann") == (5_000_000_000, 0)
    assert {row[0] for row in books.rows(text("SELECT typeof(net_debit_micros) FROM positions"))} == {"integer"}
    books.connection.close()
    network.engine.dispose()
