"""Books of an older schema: what an upgrade works out anew is what these books would have kept."""

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select, text

from gateway.domain.limits import LIMIT_NAMES
from gateway.ledger.audit import audit
from gateway.storage.engine import writing
from gateway.storage.migrations.versions import v0004
from gateway.storage.tables_till import holds, member_days, terminal_days
from tests.given import at
from tests.ledger.books import Books

_NEW_COLUMNS = {
    "holds": ("key_id",),
    "lots": ("usable_from",),
    "network_terms": ("usable_after_days", "claim_days_max", *LIMIT_NAMES),
}
_NEW_TABLES = ("partner_limits", "member_days", "terminal_days")


def test_an_upgrade_counts_the_days_that_were(books: Books) -> None:
    """Issues, redemptions, holds that stand, were let go, and were captured in part on another day."""
    sale = books.checkout("ann", "100.00", partner="bravo")
    books.run(sale, books.issue("ben", "80.00"), books.redeem("ann", 10))
    left, gone, part = (books.place("ann", points, ttl_s=90_000) for points in (5, 6, 7))
    books.run(left, gone, part)
    books.book(books.void(gone))
    books.now_ms = at("2026-06-06")
    books.book(books.checkout("ann", "10.00", partner="bravo", hold=part, points=3))
    books.book(books.refund(sale))
    kept = (select(holds), select(member_days), select(terminal_days))
    before = [sorted(map(tuple, books.rows(query))) for query in kept]
    books.connection.close()
    with writing(books.network.engine) as connection:
        for table, columns in _NEW_COLUMNS.items():
            for column in columns:
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        for table in _NEW_TABLES:
            connection.execute(text(f"DROP TABLE {table}"))
        with Operations.context(MigrationContext.configure(connection)):
            v0004.upgrade()

    assert [sorted(map(tuple, books.rows(query))) for query in kept] == before
    assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()
