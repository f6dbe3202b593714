"""What the audit reads: raw rows, by short ranges of sequences or as ordered streams, so that memory stays bounded.

Trusts no constraint: a row may stand twice, point nowhere, or hold another type than its column's. Writes nothing.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    func,
    select,
)

from gateway.domain.entry import Entry, EntryKind, Posting
from gateway.storage.tables import (
    debts,
    entries,
    head_of,
    lots,
    members,
    outcomes,
    postings,
    refusals,
)

Rows = Sequence[Any]

_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_RANGE = (
    entries.c.lane == bindparam("lane"),
    entries.c.sequence >= bindparam("first"),
    entries.c.sequence <= bindparam("last"),
)
# In the order in which the domain's values are made of them.
_ENTRY_COLUMNS = tuple(entries.c[name] for name in Entry.__slots__ if name != "postings")
_POSTING_COLUMNS = tuple(postings.c[name] for name in Posting.__slots__)
_ENTRIES = select(*_ENTRY_COLUMNS, entries.c.entry_hash).where(*_RANGE).order_by(entries.c.sequence)
_POSTINGS = (
    select(entries.c.sequence, postings.c.bucket, *_POSTING_COLUMNS)
    .join(postings, postings.c.entry_id == entries.c.entry_id)
    .where(*_RANGE)
    .order_by(entries.c.sequence, postings.c.ordinal)
)
_OUTCOMES = select(entries.c.sequence, outcomes).join(outcomes, outcomes.c.entry_id == entries.c.entry_id).where(*_RANGE)
_TOTAL_KEYS = (postings.c.issuer_id, postings.c.counterparty_id, postings.c.rate_card_version, postings.c.kind)
_TOTALS = (
    select(*_TOTAL_KEYS, func.sum(postings.c.points), func.count())
    .select_from(entries)
    .join(postings, postings.c.entry_id == entries.c.entry_id)
    .where(*_RANGE)
    .group_by(*_TOTAL_KEYS)
)
_ORIGINALS = select(*_ENTRY_COLUMNS, entries.c.entry_hash).where(entries.c.entry_id.in_(_IDS))
_ORIGINAL_POSTINGS = (
    select(postings.c.entry_id, *_POSTING_COLUMNS)
    .where(postings.c.entry_id.in_(_IDS))
    .order_by(postings.c.entry_id, postings.c.ordinal)
)
_IS_REVERSAL = and_(
    entries.c.original_entry_id.in_(_IDS),
    entries.c.original_entry_id != "",
    entries.c.kind.in_((EntryKind.REVERSE_ISSUE.value, EntryKind.REVERSE_REDEMPTION.value)),
)
_REVERSED = (
    select(entries.c.original_entry_id, func.sum(entries.c.amount)).where(_IS_REVERSAL).group_by(entries.c.original_entry_id)
)
_REVERSED_POINTS = (
    select(entries.c.original_entry_id, postings.c.kind, postings.c.lot_id, postings.c.cause_lot_id, func.sum(postings.c.points))
    .join(postings, postings.c.entry_id == entries.c.entry_id)
    .where(_IS_REVERSAL)
    .group_by(entries.c.original_entry_id, postings.c.kind, postings.c.lot_id, postings.c.cause_lot_id)
)
_OUTCOMES_NAMED = select(outcomes).where(outcomes.c.entry_id.in_(_IDS))
_REFUSALS_NAMED = select(refusals).where(refusals.c.entry_id.in_(_IDS))
_LOTS = select(lots).where(lots.c.lot_id.in_(_IDS))
_DEBTS = select(debts).where(debts.c.entry_id.in_(_IDS))
_MEMBERS = select(members).where(members.c.member_id.in_(_IDS))
_EVENTS = (
    select(
        entries.c.sequence,
        entries.c.entry_id,
        entries.c.business_date,
        postings.c.kind,
        postings.c.issuer_id,
        postings.c.counterparty_id,
        postings.c.rate_card_version,
        postings.c.points,
        lots.c.origin_entry_id,
        outcomes.c.receipt,
    )
    .select_from(entries)
    .join(postings, postings.c.entry_id == entries.c.entry_id)
    .join(lots, lots.c.lot_id == postings.c.lot_id, isouter=True)
    .join(outcomes, outcomes.c.entry_id == head_of(entries), isouter=True)
    .where(*_RANGE, postings.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(entries.c.sequence, postings.c.ordinal)
)
_REFUSALS = (
    select(refusals)
    .where(
        refusals.c.lane == bindparam("lane"),
        refusals.c.number >= bindparam("first"),
        refusals.c.number <= bindparam("last"),
    )
    .order_by(refusals.c.number)
)


def table_rows(connection: Connection, table: Table) -> Rows:
    """All rows of a small table, ordered by its key."""
    return connection.execute(select(table).order_by(*table.primary_key.columns)).all()


def entries_between(connection: Connection, lane: int, first: int, last: int) -> Rows:
    """Entries of a lane by sequence, both ends included: the fields of `Entry` but its postings, then the stored hash."""
    return connection.execute(_ENTRIES, {"lane": lane, "first": first, "last": last}).all()


def postings_between(connection: Connection, lane: int, first: int, last: int) -> Rows:
    """Their postings in order: the entry's sequence, the posting's bucket, then the fields of `Posting`."""
    return connection.execute(_POSTINGS, {"lane": lane, "first": first, "last": last}).all()


def outcomes_between(connection: Connection, lane: int, first: int, last: int) -> Rows:
    """Their outcomes, each after its entry's sequence."""
    return connection.execute(_OUTCOMES, {"lane": lane, "first": first, "last": last}).all()


def totals_between(connection: Connection, lane: int, first: int, last: int) -> dict[tuple[str, str, int, int], tuple[int, int]]:
    """Points and number of postings by issuer, counterparty, rate card version and kind, summed from the postings."""
    rows = connection.execute(_TOTALS, {"lane": lane, "first": first, "last": last})
    return {
        (issuer, counterparty, version, kind): (int(points), count) for issuer, counterparty, version, kind, points, count in rows
    }


def events_between(connection: Connection, lane: int, first: int, last: int, kinds: Collection[int]) -> Rows:
    """Postings of these kinds with what a statement says of them, in the order of the books."""
    return connection.execute(_EVENTS, {"lane": lane, "first": first, "last": last, "kinds": sorted(kinds)}).all()


def refusals_between(connection: Connection, lane: int, first: int, last: int) -> Rows:
    """Remembered refusals of a lane by number, both ends included."""
    return connection.execute(_REFUSALS, {"lane": lane, "first": first, "last": last}).all()


def entries_named(connection: Connection, ids: Collection[str]) -> Rows:
    """Entries by id, as above."""
    return named(connection, _ORIGINALS, ids)


def outcomes_named(connection: Connection, entry_ids: Collection[str]) -> Rows:
    """Outcomes by their entry's id."""
    return named(connection, _OUTCOMES_NAMED, entry_ids)


def refusals_named(connection: Connection, entry_ids: Collection[str]) -> Rows:
    """Remembered refusals by the id that the entry would have had: one for each fingerprint."""
    return named(connection, _REFUSALS_NAMED, entry_ids)


def postings_named(connection: Connection, entry_ids: Collection[str]) -> Rows:
    """Postings by their entry's id, in order: the id, then the fields of `Posting`."""
    return named(connection, _ORIGINAL_POSTINGS, entry_ids)


def reversed_amounts(connection: Connection, original_ids: Collection[str]) -> dict[str, int]:
    """By original entry: the sum of what its reversals say that they reverse."""
    return {original: int(amount) for original, amount in named(connection, _REVERSED, original_ids)}


def reversed_points(connection: Connection, original_ids: Collection[str]) -> Rows:
    """Original entry, kind, lot, cause and points of what its reversals moved."""
    return named(connection, _REVERSED_POINTS, original_ids)


def lots_named(connection: Connection, ids: Collection[str]) -> Rows:
    """Lots by id."""
    return named(connection, _LOTS, ids)


def debts_named(connection: Connection, entry_ids: Collection[str]) -> Rows:
    """Debts by the entry that made them."""
    return named(connection, _DEBTS, entry_ids)


def members_named(connection: Connection, ids: Collection[str]) -> Rows:
    """Members by id."""
    return named(connection, _MEMBERS, ids)


def entry_hash_at(connection: Connection, lane: int, sequence: int) -> bytes | None:
    """The stored hash of an entry; None if there is none."""
    query = select(entries.c.entry_hash).where(entries.c.lane == lane, entries.c.sequence == sequence)
    return connection.execute(query.limit(1)).scalar()


def refusal_hash_at(connection: Connection, lane: int, number: int) -> bytes | None:
    """The stored hash of a refusal; None if there is none."""
    query = select(refusals.c.refusal_hash).where(refusals.c.lane == lane, refusals.c.number == number)
    return connection.execute(query.limit(1)).scalar()


def last_times(connection: Connection, lane: int, *, sequence: int, number: int) -> tuple[int, int]:
    """When the lane's last entry was booked and its last refusal made; 0 where there is none."""
    booked = select(entries.c.booked_at_ms).where(entries.c.lane == lane, entries.c.sequence == sequence)
    refused = select(refusals.c.refused_at_ms).where(refusals.c.lane == lane, refusals.c.number == number)
    return connection.execute(booked.limit(1)).scalar() or 0, connection.execute(refused.limit(1)).scalar() or 0


def named(connection: Connection, query: Select[Any], ids: Collection[str]) -> Rows:
    """The rows of a query by `ids`; none, without asking, for none."""
    return connection.execute(query, {"ids": sorted(ids)}).all() if ids else ()
