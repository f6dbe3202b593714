"""What the roll-forward and the attribution list read of the books: short ranges, each in a transaction of its caller's.

Nothing is written. Rows of one member are joined by its bucket; what lies elsewhere is looked up by id.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, literal_column, select

from gateway.domain.entry import EntryKind, PostingKind
from gateway.storage.tables import debts, entries, heads, lots, postings
from settlement.liability import COUNTED, NAMES_CAUSE

_IDS_PER_QUERY = 500
# Written out: PostgreSQL would not know two bound numbers for the same one.
_MONTH = func.substr(lots.c.expires_on, literal_column("1"), literal_column("7"))
_LOT = (lots.c.issuer_id, _MONTH, lots.c.currency, lots.c.price_micros, lots.c.business_date)
"""What places a lot, in the order of `LotFacts`."""

LotFacts = tuple[str, str, str, int, str]
"""Issuer, expiry month, currency, price in micros, business date."""


def load_ends(connection: Connection) -> dict[int, int]:
    """The last sequence of every lane that ever was."""
    query = select(heads.c.lane, heads.c.last_sequence).order_by(heads.c.lane)
    return {lane: sequence for lane, sequence in connection.execute(query)}  # noqa: C416 - rows are no pairs to the type checker


def last_booked_before(connection: Connection, lane: int, *, last: int, at_ms: int) -> int:
    """The last sequence of a lane, up to `last`, that was booked before an instant; 0 if none was.

    The times of a lane never fall, so that a handful of look-ups find it.
    """
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        booked = select(entries.c.booked_at_ms).where(entries.c.lane == lane, entries.c.sequence == middle)
        if connection.execute(booked).scalar_one() < at_ms:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class Moved:
    """Points of postings that agree in all of this; `version` is of the counterparty's card.

    `lot` places their lot, None where there is none; `cause_lot_id` is the lot whose reversal they are about.
    """

    kind: PostingKind
    counterparty_id: str
    version: int
    cause_lot_id: str
    lot: LotFacts | None
    points: int


def load_movements(connection: Connection, lane: int, first: int, last: int) -> list[Moved]:
    """What moved in a range of sequences, both ends included, of all kinds that the roll-forward counts."""
    keys = (
        postings.c.kind,
        postings.c.counterparty_id,
        postings.c.rate_card_version,
        postings.c.cause_lot_id,
        *_LOT,
    )
    query = (
        select(*keys, func.sum(postings.c.points))
        .select_from(_with_postings().join(lots, _own_lot(), isouter=True))
        .where(*_within(lane, first, last), postings.c.kind.in_(_COUNTED))
        .group_by(*keys)
    )
    found = []
    for number, counterparty, version, cause_id, issuer, month, currency, price, day, points in connection.execute(query):
        kind, lot = PostingKind(number), None if issuer is None else (issuer, month, currency, price, day)
        found.append(Moved(kind, counterparty, version, cause_id if kind in NAMES_CAUSE else "", lot, int(points)))
    return found


def load_sales(connection: Connection, lane: int, first: int, last: int) -> list[tuple[LotFacts, int]]:
    """What goods sold for that points came with, less what was returned, by what places the points' lot.

    Only sales in the currency of the lot's price: an exchange of a partner's own points is none.
    """
    is_return = entries.c.kind == EntryKind.REVERSE_ISSUE.value
    sold = select(*_LOT, func.sum(entries.c.amount)).where(*_within(lane, first, last), entries.c.unit == lots.c.currency)
    bought = sold.join(lots, _base_lot(entries.c.entry_id)).where(entries.c.kind == EntryKind.ISSUE.value)
    returned = sold.join(lots, _base_lot(entries.c.original_entry_id)).where(is_return)
    found = []
    for sign, query in ((1, bought), (-1, returned)):
        for issuer, month, currency, price, day, amount in connection.execute(query.group_by(*_LOT)):
            found.append(((issuer, month, currency, price, day), sign * int(amount)))
    return found


def load_lot_facts(connection: Connection, lot_ids: Collection[str]) -> dict[str, LotFacts]:
    """What places lots, by id."""
    found: dict[str, LotFacts] = {}
    for row in _by_ids(connection, select(lots.c.lot_id, *_LOT), lots.c.lot_id, lot_ids):
        lot_id, issuer, month, currency, price, day = row
        found[lot_id] = (issuer, month, currency, price, day)
    return found


def last_lot_of_piece(connection: Connection, *, after: str, limit: int) -> str:
    """The id with which the next `limit` lots end, in byte order; empty where there are none."""
    piece = select(lots.c.lot_id).where(lots.c.lot_id > after).order_by(lots.c.lot_id).limit(limit).subquery()
    return connection.execute(select(func.max(piece.c.lot_id))).scalar_one() or ""


def load_open_lots(connection: Connection, *, after: str, last: str) -> list[tuple[LotFacts, int]]:
    """Open points of lots by what places them, of ids after the first and up to the last."""
    query = (
        select(*_LOT, func.sum(lots.c.open_points))
        .where(lots.c.lot_id > after, lots.c.lot_id <= last, lots.c.open_points > 0)
        .group_by(*_LOT)
    )
    return [
        ((issuer, month, currency, price, day), int(points))
        for issuer, month, currency, price, day, points in connection.execute(query)
    ]


def load_open_debts(connection: Connection) -> dict[str, int]:
    """Points that are owed, by the lot whose reversal made them."""
    query = select(debts.c.cause_lot_id, func.sum(debts.c.open_points)).where(debts.c.open_points > 0)
    return {cause_id: int(points) for cause_id, points in connection.execute(query.group_by(debts.c.cause_lot_id))}


def load_steps(connection: Connection, lane: int, first: int, last: int) -> Sequence[Any]:
    """Each posting of a range that the roll-forward counts: sequence, kind, lot, cause and points."""
    query = (
        select(entries.c.sequence, postings.c.kind, postings.c.lot_id, postings.c.cause_lot_id, postings.c.points)
        .select_from(_with_postings())
        .where(*_within(lane, first, last), postings.c.kind.in_(_COUNTED))
        .order_by(entries.c.sequence, postings.c.ordinal)
    )
    return connection.execute(query).all()


def load_redemptions(connection: Connection, lane: int, first: int, last: int) -> Sequence[Any]:
    """Postings that redeemed points of a lot or restored them, in the order of the books, with their entry and their lot."""
    query = (
        select(
            entries.c.sequence,
            entries.c.entry_id,
            entries.c.business_date,
            entries.c.receipt_number,
            postings.c.kind,
            postings.c.counterparty_id,
            postings.c.points,
            lots.c.lot_id,
            lots.c.issuer_id,
            lots.c.expires_on,
            lots.c.price_micros,
            lots.c.currency,
            lots.c.origin_entry_id,
        )
        .select_from(_with_postings().join(lots, _own_lot(), isouter=True))
        .where(*_within(lane, first, last), postings.c.kind.in_((PostingKind.REDEEM.value, PostingKind.RESTORE.value)))
        .order_by(entries.c.sequence, postings.c.ordinal)
    )
    return connection.execute(query).all()


def load_origins(connection: Connection, entry_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """Of entries that issued points, by id: partner, business date and the till's receipt number."""
    query = select(entries.c.entry_id, entries.c.partner_id, entries.c.business_date, entries.c.receipt_number)
    rows = _by_ids(connection, query, entries.c.entry_id, entry_ids)
    return {entry_id: (partner_id, day, number) for entry_id, partner_id, day, number in rows}


_COUNTED = [kind.value for kind in sorted(COUNTED)]


def _within(lane: int, first: int, last: int) -> tuple[Any, ...]:
    return entries.c.lane == lane, entries.c.sequence.between(first, last)


def _with_postings() -> Any:
    return entries.join(postings, and_(postings.c.entry_id == entries.c.entry_id, postings.c.bucket == entries.c.bucket))


def _own_lot() -> Any:
    return and_(lots.c.lot_id == postings.c.lot_id, lots.c.bucket == postings.c.bucket)


def _base_lot(entry_id: Any) -> Any:
    """The lot of the issuer's own points of an issue: a bonus has others."""
    return and_(lots.c.lot_id == entry_id + "-0", lots.c.bucket == entries.c.bucket)


def _by_ids(connection: Connection, query: Select[Any], column: Any, ids: Collection[str]) -> Iterator[Any]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _IDS_PER_QUERY):
        yield from connection.execute(query.where(column.in_(ordered[start : start + _IDS_PER_QUERY]))).all()
