"""What the audit sums up: counts, sums over whole tables, and streams in byte order, so that memory stays bounded.

Trusts no constraint, as `audit_reads`. Writes nothing.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Select,
    Table,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects import sqlite

from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import AdjustmentKind
from gateway.domain.window import LaneRange
from gateway.storage.audit_reads import Rows
from gateway.storage.tables import (
    debts,
    entries,
    lots,
    members,
    postings,
    refusals,
    totals,
)
from gateway.storage.tables_settlement import adjustments, statements

_STREAM_ROWS = 5_000


def mistyped_columns(connection: Connection, table: Table) -> Iterator[tuple[str, int]]:
    """Columns with values of another type, and how many: SQLite keeps whatever it is given."""
    if connection.dialect.name == "sqlite":
        for name, count in connection.exec_driver_sql(_count_of_mistyped(table)).one()._asdict().items():
            if count:
                yield name, count


def entry_counts(connection: Connection) -> dict[int, tuple[int, int, int]]:
    """By lane: how many entries, the lowest and the highest sequence."""
    return _counts(connection, entries.c.lane, entries.c.sequence)


def refusal_counts(connection: Connection) -> dict[int, tuple[int, int, int]]:
    """By lane: how many refusals, the lowest and the highest number."""
    return _counts(connection, refusals.c.lane, refusals.c.number)


def kind_counts(connection: Connection) -> dict[int, int]:
    """How many postings of each kind there are, of whatever entry."""
    query = select(postings.c.kind, func.count()).group_by(postings.c.kind)
    return {kind: count for kind, count in connection.execute(query)}  # noqa: C416 - rows are no pairs to the type checker


def row_count(connection: Connection, table: Table) -> int:
    """How many rows a table has."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def keyed_entry_counts(connection: Connection) -> tuple[int, int]:
    """How many entries somebody asked for, and how many of them enrol a member."""
    enrols = func.coalesce(func.sum(case((entries.c.kind == EntryKind.ENROL.value, 1), else_=0)), 0)
    keyed, enrolled = connection.execute(select(func.count(), enrols).where(entries.c.idempotency_key != "")).one()
    return keyed, int(enrolled)


def stream_lots(connection: Connection) -> Iterator[Any]:
    """All lots in byte order of their id."""
    columns = (lots.c[name] for name in ("lot_id", "points", "open_points", "expired_points", "held_points"))
    return _stream(connection, select(*columns).order_by(lots.c.lot_id))


def stream_lot_sums(connection: Connection) -> Iterator[Any]:
    """By lot, in the same order: points by kind of posting, as (lot, kind, points, how many)."""
    query = select(postings.c.lot_id, postings.c.kind, func.sum(postings.c.points), func.count()).where(postings.c.lot_id != "")
    return _stream(
        connection,
        query.group_by(postings.c.lot_id, postings.c.kind).order_by(postings.c.lot_id, postings.c.kind),
    )


def stream_members(connection: Connection) -> Iterator[Any]:
    """All members in byte order of their id."""
    names = ("member_id", "bucket", "open_points", "debt_points", "next_arrival", "entries", "held_points")
    columns = (members.c[name] for name in names)
    return _stream(connection, select(*columns).order_by(members.c.member_id))


def stream_entry_counts(connection: Connection) -> Iterator[Any]:
    """By member, in the same order: how many entries."""
    query = select(entries.c.member_id, func.count()).group_by(entries.c.member_id)
    return _stream(connection, query.order_by(entries.c.member_id))


def stream_arrivals(connection: Connection) -> Iterator[Any]:
    """Lots and debts of each member, in the same order and then by arrival, each with the place of the entry that made it.

    Member, arrival, whether a debt, id, bucket, points, open points, last day, cause, then window, sequence, entry's bucket,
    and what is set aside of a lot.
    """
    made_by = entries.alias("made_by")
    owed_by = entries.alias("owed_by")
    its_lots = select(
        lots.c.member_id,
        lots.c.arrival,
        literal(0).label("is_debt"),
        lots.c.lot_id,
        lots.c.bucket,
        lots.c.points,
        lots.c.open_points,
        lots.c.expires_on,
        literal("").label("cause_lot_id"),
        made_by.c.window_id,
        made_by.c.sequence,
        made_by.c.bucket.label("entry_bucket"),
        lots.c.held_points,
    ).join(made_by, made_by.c.entry_id == func.substr(lots.c.lot_id, 1, 33), isouter=True)
    its_debts = select(
        debts.c.member_id,
        debts.c.arrival,
        literal(1),
        debts.c.entry_id,
        debts.c.bucket,
        debts.c.points,
        debts.c.open_points,
        literal(""),
        debts.c.cause_lot_id,
        owed_by.c.window_id,
        owed_by.c.sequence,
        owed_by.c.bucket,
        literal(0),
    ).join(owed_by, owed_by.c.entry_id == debts.c.entry_id, isouter=True)
    both = union_all(its_lots, its_debts).subquery()
    return _stream(connection, select(both).order_by(both.c.member_id, both.c.arrival))


def stream_debts_paid(connection: Connection) -> Iterator[Any]:
    """By member, in the same order: points of debt that were paid or moved on, by the lot whose reversal had made it."""
    query = (
        select(entries.c.member_id, postings.c.cause_lot_id, func.sum(postings.c.points))
        .join(postings, postings.c.entry_id == entries.c.entry_id)
        .where(postings.c.kind.in_((PostingKind.DEBT_PAID.value, PostingKind.DEBT_OUT.value)))
        .group_by(entries.c.member_id, postings.c.cause_lot_id)
    )
    return _stream(connection, query.order_by(entries.c.member_id))


def open_values(connection: Connection) -> dict[tuple[str, str], tuple[int, int]]:
    """Open points and what they are worth, in micros, by issuer and currency."""
    query = select(
        lots.c.issuer_id, lots.c.currency, func.sum(lots.c.open_points), func.sum(lots.c.open_points * lots.c.price_micros)
    )
    rows = connection.execute(query.where(lots.c.open_points > 0).group_by(lots.c.issuer_id, lots.c.currency))
    return {(issuer, currency): (int(points), int(value)) for issuer, currency, points, value in rows}


def open_debts(connection: Connection) -> dict[str, int]:
    """Unpaid debts by the issuer that they are owed to."""
    query = select(debts.c.issuer_id, func.sum(debts.c.open_points)).group_by(debts.c.issuer_id)
    return {issuer: int(points) for issuer, points in connection.execute(query)}


def debtors_with_lots(connection: Connection, network_date: str) -> Rows:
    """Members that have debt and usable lots at once."""
    usable = select(lots.c.lot_id).where(
        lots.c.member_id == members.c.member_id, lots.c.open_points > lots.c.held_points, lots.c.expires_on >= network_date
    )
    return connection.execute(
        select(members.c.member_id, members.c.debt_points).where(members.c.debt_points > 0, usable.exists())
    ).all()


def total_rows(connection: Connection, *, window_id: int | None = None) -> Rows:
    """The running totals of a window, or of all."""
    query = select(totals).order_by(*totals.primary_key.columns)
    return connection.execute(query if window_id is None else query.where(totals.c.window_id == window_id)).all()


def entries_by_partner(connection: Connection, ranges: Sequence[LaneRange]) -> dict[str, int]:
    """How many entries of these ranges each partner asked for: not those that nobody did."""
    within = [and_(entries.c.lane == lane.lane, entries.c.sequence.between(lane.first, lane.last)) for lane in ranges]
    query = select(entries.c.partner_id, func.count()).where(or_(false(), *within), entries.c.partner_id != OPERATOR)
    return {partner: count for partner, count in connection.execute(query.group_by(entries.c.partner_id))}  # noqa: C416 - as above


def adjustment_rows(connection: Connection, window_id: int) -> Rows:
    """What a window took in beside traffic."""
    return connection.execute(select(adjustments).where(adjustments.c.window_id == window_id)).all()


def decided_adjustment_rows(connection: Connection) -> Rows:
    """What decisions about money left: neither fees, nor the ends of disputes, whose ids a number follows."""
    of_dispute = adjustments.c.adjustment_id.like("d%-_")
    is_fee = adjustments.c.kind == AdjustmentKind.LATE_FEE.value
    return connection.execute(select(adjustments).where(~of_dispute, ~is_fee)).all()


def stray_count(connection: Connection, table: Table, *, after_window: int) -> int:
    """Rows of windows that are not closed yet, or never were."""
    query = select(func.count()).select_from(table)
    return connection.execute(query.where(or_(table.c.window_id > after_window, table.c.window_id < 1))).scalar_one()


def window_table_rows(connection: Connection, table: Table, window_id: int) -> Rows:
    """A window's rows of a table, ordered by its key."""
    return connection.execute(select(table).where(table.c.window_id == window_id).order_by(*table.primary_key.columns)).all()


def stream_window_rows(connection: Connection, table: Table, window_id: int, partner_id: str) -> Iterator[Any]:
    """A partner's rows of a window, ordered by key."""
    query = select(table).where(table.c.window_id == window_id, table.c.partner_id == partner_id)
    return _stream(connection, query.order_by(*table.primary_key.columns))


def counts_by_partner(connection: Connection, table: Table, window_id: int) -> dict[str, int]:
    """How many rows of a window each partner has."""
    query = select(table.c.partner_id, func.count()).where(table.c.window_id == window_id).group_by(table.c.partner_id)
    return {partner: count for partner, count in connection.execute(query)}  # noqa: C416 - as above


def previous_statement_hash(connection: Connection, window_id: int, partner_id: str) -> bytes | None:
    """Hash of the partner's latest statement before the window; None before the first."""
    query = select(statements.c.sha256).where(statements.c.partner_id == partner_id, statements.c.window_id < window_id)
    return connection.execute(query.order_by(statements.c.window_id.desc()).limit(1)).scalar()


def _counts(connection: Connection, lane: ColumnElement[int], number: ColumnElement[int]) -> dict[int, tuple[int, int, int]]:
    query = select(lane, func.count(), func.min(number), func.max(number)).group_by(lane)
    return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    # Closed also when the audit has seen enough: on PostgreSQL a stream is a cursor of the server's.
    with connection.execute(query.execution_options(yield_per=_STREAM_ROWS)) as rows:
        yield from rows


@cache
def _count_of_mistyped(table: Table) -> str:
    """As SQLite reads it: a small network's audit spent most of its time on making these texts anew."""
    counts = (
        func.sum(case((func.typeof(column).in_(_types(column)), 0), else_=1)).label(column.name) for column in table.columns
    )
    return str(select(*counts).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


def _types(column: ColumnElement[Any]) -> tuple[str, ...]:
    null = ("null",) if getattr(column, "nullable", False) else ()
    if isinstance(column.type, Integer | BigInteger):
        return ("integer", *null)
    return ("blob" if isinstance(column.type, LargeBinary) else "text", *null)
