"""Which redeemed points came from which original receipt: a line for each lot that a redemption took from or gave back to.

Lots are consumed in the order in which members' points expire, then in which they arrived: first in, first out. What was taken
from which lot is no estimate; the postings say it.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.statement import REDEMPTION, RESTORATION
from gateway.storage.engine import reading
from settlement.items_file import harmless
from settlement.liability_reading import ENTRIES_PER_READ, MISSING, Ends, ranges
from settlement.liability_store import load_origins, load_redemptions

COLUMNS = (
    "lane",
    "sequence",
    "kind",
    "redeemer_id",
    "entry_id",
    "receipt_number",
    "business_date",
    "points",
    "lot_id",
    "issuer_id",
    "expires_on",
    "issue_price_micros",
    "currency",
    "issue_entry_id",
    "issue_partner_id",
    "issue_receipt_number",
    "issue_business_date",
)


def attribution_lines(engine: Engine, *, after: Ends, ends: Ends, entries_per_read: int = ENTRIES_PER_READ) -> Iterator[bytes]:
    """The list as CSV, in the order of the books, piece by piece in bounded memory; points of a restoration are negative.

    A till's receipt number that a spreadsheet would take for a formula begins with an apostrophe. Raises BooksBroken.
    """
    yield _text([COLUMNS])
    for lane, first, last in ranges(after, ends, entries_per_read):
        with reading(engine) as connection:
            rows = load_redemptions(connection, lane, first, last)
            origins = load_origins(connection, {row.origin_entry_id for row in rows if row.lot_id is not None})
        if rows:
            yield _text([_line(lane, row, origins) for row in rows])


def _line(lane: int, row: Any, origins: dict[str, tuple[str, str, str]]) -> tuple[object, ...]:
    if row.lot_id is None or row.origin_entry_id not in origins:
        raise BooksBroken(f"entry {row.entry_id}: {MISSING}")
    partner_id, business_date, receipt_number = origins[row.origin_entry_id]
    is_restored = row.kind == PostingKind.RESTORE.value
    return (
        lane,
        row.sequence,
        RESTORATION if is_restored else REDEMPTION,
        row.counterparty_id,
        row.entry_id,
        harmless(row.receipt_number),
        row.business_date,
        -row.points if is_restored else row.points,
        row.lot_id,
        row.issuer_id,
        row.expires_on,
        row.price_micros,
        row.currency,
        row.origin_entry_id,
        partner_id,
        harmless(receipt_number),
        business_date,
    )


def _text(rows: list[tuple[Any, ...]] | list[tuple[str, ...]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()
