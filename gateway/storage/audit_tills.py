"""What the audit reads of holds, checkouts, parked refunds and paper receipts: ordered streams, and rows by their ids.

Trusts no constraint, as `audit_reads`. Writes nothing.
"""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, func, select

from gateway.domain.checkout import BASKET_MARK
from gateway.domain.entry import EntryKind, PostingKind
from gateway.storage.audit_reads import Rows, named
from gateway.storage.tables import entries, postings
from gateway.storage.tables_till import checkouts, holds, parked_refunds, sales

_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_STREAM_ROWS = 500
_ENDS = (EntryKind.REDEEM.value, EntryKind.VOID_HOLD.value, EntryKind.LAPSE_HOLD.value)
_MOVED = (PostingKind.HOLD.value, PostingKind.REDEEM.value, PostingKind.RESTORE.value)
_COLUMNS = tuple(
    entries.c[name]
    for name in (
        "entry_id",
        "bucket",
        "kind",
        "partner_id",
        "key_id",
        "member_id",
        "business_date",
        "rate_card_version",
        "amount",
        "original_entry_id",
        "head_entry_id",
        "receipt_number",
        "facts",
    )
)
_ENTRIES = select(*_COLUMNS).where(entries.c.entry_id.in_(_IDS))
_FOLLOWING = select(*_COLUMNS).where(entries.c.original_entry_id.in_(_IDS), entries.c.original_entry_id != "")
_POINTS = (
    select(postings.c.entry_id, func.sum(postings.c.points))
    .where(postings.c.entry_id.in_(_IDS), postings.c.kind.in_(_MOVED))
    .group_by(postings.c.entry_id)
)
_SALES = select(sales).where(sales.c.sale_id.in_(_IDS))


def ranges_of(connection: Connection, table: Table) -> Iterator[Rows]:
    """All rows of a table in the order of its key, some hundred at a time."""
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_STREAM_ROWS)
    with connection.execute(query) as rows:
        yield from rows.partitions()


def first_entries(connection: Connection) -> dict[Table, int]:
    """How many entries should have a hold, a checkout and a parked refund."""
    is_basket = entries.c.facts.like(f"%{BASKET_MARK}%")
    wanted = {
        holds: (entries.c.kind == EntryKind.PLACE_HOLD.value,),
        checkouts: (entries.c.kind.in_((EntryKind.ISSUE.value, EntryKind.REDEEM.value)), is_basket),
        parked_refunds: (entries.c.kind == EntryKind.PARK_REFUND.value,),
    }
    count = select(func.count()).select_from(entries)
    return {table: connection.execute(count.where(*where)).scalar_one() for table, where in wanted.items()}


def entries_by_id(connection: Connection, ids: Collection[str]) -> dict[str, Any]:
    """What the audit of tills asks of entries."""
    return {row.entry_id: row for row in named(connection, _ENTRIES, ids)}


def following(connection: Connection, ids: Collection[str]) -> Rows:
    """The same of entries that name one of these as their original."""
    return named(connection, _FOLLOWING, ids)


def ends_of_holds(connection: Connection, ids: Collection[str]) -> dict[str, list[Any]]:
    """The entries that ended holds, by hold."""
    found: dict[str, list[Any]] = {}
    for row in following(connection, ids):
        if row.kind in _ENDS:
            found.setdefault(row.original_entry_id, []).append(row)
    return found


def points_moved(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Points that entries set aside, redeemed or restored."""
    return {entry_id: int(points) for entry_id, points in named(connection, _POINTS, ids)}


def sales_named(connection: Connection, ids: Collection[str]) -> Rows:
    """Paper receipts by their id."""
    return named(connection, _SALES, ids)


def sales_twice(connection: Connection) -> list[str]:
    """Paper receipts of which there is more than one row."""
    query = select(sales.c.sale_id).group_by(sales.c.sale_id).having(func.count() > 1).order_by(sales.c.sale_id)
    return list(connection.execute(query).scalars())
