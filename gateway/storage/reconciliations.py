"""Reconciliations: what the books have of a partner's, line by line, and the runs that were made. Takes a Connection."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, insert, select

from gateway.domain.entry import EntryKind
from gateway.storage.tables import entries
from gateway.storage.tables_intake import reconciliations

_HEAD = entries.alias("head")
_KEY = case((entries.c.head_entry_id == "", entries.c.idempotency_key), else_=_HEAD.c.idempotency_key)
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class BookedLine:
    """An entry as its partner knows it. A further entry of a command goes by the command's key."""

    idempotency_key: str
    kind: EntryKind
    points: int
    business_date: str
    receipt_number: str
    entry_id: str
    window_id: int
    booked_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A run: whose record, against which entries, and how many items there are of each class."""

    run_id: str
    partner_id: str
    window_id: int
    business_date: str
    record_id: str
    file_sha256: bytes
    file_lines: int
    entries: int
    matched: int
    missing_here: int
    missing_at_partner: int
    amount_differs: int
    duplicate: int
    late: int
    result_sha256: bytes
    made_at_ms: int


COUNTS = ("file_lines", "entries", "matched", "missing_here", "missing_at_partner", "amount_differs", "duplicate", "late")
"""What a run counted, in the order in which its id knows them."""


def run_id(
    partner_id: str, window_id: int, business_date: str, file_sha256: bytes, result_sha256: bytes, counts: Iterable[int]
) -> str:
    """The same record with the same result is the same run; `counts` are those of `COUNTS`, which a row then cannot change."""
    of_record = ("TS1-RECONCILIATION", partner_id, str(window_id), business_date, file_sha256.hex(), result_sha256.hex())
    parts = (*of_record, *map(str, counts))
    return "r" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def booked_lines(
    connection: Connection,
    partner_id: str,
    *,
    lane: int,
    first: int,
    last: int,
    kinds: Collection[EntryKind],
    business_date: str = "",
) -> Iterator[BookedLine]:
    """A partner's entries of a range of sequences, both ends included, in their order; `business_date` narrows them."""
    query = _lines(partner_id, kinds).where(entries.c.lane == lane, entries.c.sequence.between(first, last))
    if business_date:
        query = query.where(entries.c.business_date == business_date)
    for row in connection.execute(query.order_by(entries.c.sequence)):
        yield _line(row)


def lines_of_entries(
    connection: Connection, partner_id: str, entry_ids: Collection[str], *, kinds: Collection[EntryKind]
) -> list[BookedLine]:
    """A partner's entries by their ids, wherever they stand."""
    query = _lines(partner_id, kinds).where(entries.c.entry_id.in_(sorted(entry_ids)))
    return [_line(row) for row in connection.execute(query.order_by(entries.c.entry_id))]


def load_reconciliation(connection: Connection, run_id: str) -> Reconciliation | None:
    """The run of this id."""
    row = connection.execute(_RUNS.where(reconciliations.c.run_id == run_id)).one_or_none()
    return None if row is None else Reconciliation(**row._asdict())


def load_reconciliations(connection: Connection, *, partner_id: str = "") -> list[Reconciliation]:
    """All runs, or those of a partner, newest first."""
    query = _RUNS.where(reconciliations.c.partner_id == partner_id) if partner_id else _RUNS
    ordered = query.order_by(reconciliations.c.made_at_ms.desc(), reconciliations.c.run_id)
    return [Reconciliation(**row._asdict()) for row in connection.execute(ordered)]


def save_reconciliation(connection: Connection, run: Reconciliation) -> None:
    """Keeps a run that is new."""
    connection.execute(insert(reconciliations).values(**{name: getattr(run, name) for name in Reconciliation.__slots__}))


_RUNS = select(*(reconciliations.c[name] for name in Reconciliation.__slots__))


def _lines(partner_id: str, kinds: Collection[EntryKind]) -> Select[Any]:
    columns: list[ColumnElement[Any]] = [
        _KEY.label("idempotency_key"),
        entries.c.kind,
        entries.c.points,
        entries.c.business_date,
        entries.c.receipt_number,
        entries.c.entry_id,
        entries.c.window_id,
        entries.c.booked_at_ms,
    ]
    joined = entries.join(
        _HEAD, and_(_HEAD.c.bucket == entries.c.bucket, _HEAD.c.entry_id == entries.c.head_entry_id), isouter=True
    )
    wanted = (entries.c.partner_id == partner_id, entries.c.kind.in_(sorted(kind.value for kind in kinds)))
    return select(*columns).select_from(joined).where(*wanted).execution_options(yield_per=_ROWS_AT_ONCE)


def _line(row: Any) -> BookedLine:
    key, kind, *rest = row
    return BookedLine(key, EntryKind(kind), *rest)
