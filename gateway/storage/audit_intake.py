"""What the audit reads of what partners sent about settlement: raw rows. Trusts no constraint, and writes nothing."""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, func, or_, select

from gateway.domain.entry import EntryKind
from gateway.storage.audit_reads import Rows
from gateway.storage.tables import entries, postings
from gateway.storage.tables_intake import (
    acknowledgements,
    dispute_steps,
    disputes,
    intake,
    partner_records,
    reconciliations,
)
from gateway.storage.tables_settlement import adjustments, statement_lines, statements

_ROWS_AT_ONCE = 20  # a message has up to 256 KiB
_HASHES_AT_ONCE = 500


def intake_rows(connection: Connection) -> Iterator[Any]:
    """All signed rows, by partner and id."""
    query = select(intake).order_by(intake.c.partner_id, intake.c.intake_id)
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        yield from rows


def records(connection: Connection) -> Rows:
    """All records."""
    return connection.execute(select(partner_records)).all()


def acknowledgement_rows(connection: Connection) -> Rows:
    """All acknowledgements, each with the hash of the statement that stands."""
    joined = acknowledgements.outerjoin(
        statements,
        (statements.c.partner_id == acknowledgements.c.partner_id) & (statements.c.window_id == acknowledgements.c.window_id),
    )
    return connection.execute(select(acknowledgements, statements.c.sha256.label("published")).select_from(joined)).all()


def dispute_rows(connection: Connection) -> Rows:
    """All disputes."""
    return connection.execute(select(disputes).order_by(disputes.c.dispute_id)).all()


def step_rows(connection: Connection) -> Rows:
    """All steps of disputes, by dispute and number."""
    return connection.execute(select(dispute_steps).order_by(dispute_steps.c.dispute_id, dispute_steps.c.number)).all()


def statement_line(connection: Connection, window_id: int, partner_id: str, line_number: int) -> Any:
    """The line of a statement; None if there is none."""
    wanted = statement_lines.c
    query = select(statement_lines).where(
        wanted.window_id == window_id, wanted.partner_id == partner_id, wanted.line_number == line_number
    )
    return connection.execute(query).first()


def lines_of_receipts(connection: Connection, window_id: int, partner_id: str, hashes: Collection[bytes]) -> Rows:
    """Lines of a statement with some receipts, in order."""
    wanted, rest = statement_lines.c, sorted(hashes)
    found: list[Any] = []
    while rest:
        some, rest = rest[:_HASHES_AT_ONCE], rest[_HASHES_AT_ONCE:]
        query = select(statement_lines).where(wanted.window_id == window_id, wanted.partner_id == partner_id)
        found += connection.execute(query.where(wanted.receipt_sha256.in_(some))).all()
    return sorted(found, key=lambda row: int(row.line_number))


def reversals_of(connection: Connection, entry_id: str) -> Rows:
    """Postings of whatever names an entry as its original, each with the time of its booking."""
    query = select(postings, entries.c.booked_at_ms).join(entries, entries.c.entry_id == postings.c.entry_id)
    return connection.execute(query.where(entries.c.original_entry_id == entry_id)).all()


def dispute_adjustments(connection: Connection) -> Rows:
    """Lines that ends of disputes have made: their ids begin with a dispute's."""
    named = adjustments.c.adjustment_id.like("d%-1"), adjustments.c.adjustment_id.like("d%-2")
    return connection.execute(select(adjustments).where(or_(*named))).all()


def run_rows(connection: Connection) -> Rows:
    """All reconciliations."""
    return connection.execute(select(reconciliations)).all()


def entries_of_window(connection: Connection, partner_id: str, window_id: int, kinds: Collection[EntryKind]) -> int:
    """How many entries of some kinds a partner has booked in a window."""
    query = select(func.count()).select_from(entries)
    wanted = (
        entries.c.partner_id == partner_id,
        entries.c.window_id == window_id,
        entries.c.kind.in_(sorted(kind.value for kind in kinds)),
    )
    return int(connection.execute(query.where(*wanted)).scalar_one())
