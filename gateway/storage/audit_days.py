"""What the audit reads of days: the running values, and what the entries add up to. Trusts no constraint, writes nothing."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from gateway.domain.entry import EntryKind, PostingKind
from gateway.storage.tables import entries, postings
from gateway.storage.tables_till import member_days, terminal_days

_STREAM_ROWS = 5_000
_SET_ASIDE = entries.alias("set_aside")


def _sum_of(signs: dict[PostingKind, int]) -> ColumnElement[int]:
    return func.sum(case({kind.value: sign for kind, sign in signs.items()}, value=postings.c.kind, else_=0) * postings.c.points)


# By entry. Points that are let go are taken off again; what a capture takes of them stays.
_MOVED = (
    select(
        postings.c.entry_id,
        _sum_of({PostingKind.ISSUE: 1}).label("issued"),
        _sum_of({PostingKind.REDEEM: 1, PostingKind.HOLD: 1, PostingKind.RELEASE: -1}).label("redeemed"),
    )
    .group_by(postings.c.entry_id)
    .subquery("moved")
)


def _counted(name: str) -> ColumnElement[Any]:
    """A column of the entry, or of the hold that it ends."""
    return func.coalesce(_SET_ASIDE.c[name], entries.c[name])


def _by_day(*keys: ColumnElement[Any]) -> Select[Any]:
    hold = and_(
        _SET_ASIDE.c.entry_id == entries.c.original_entry_id,
        entries.c.original_entry_id != "",
        _SET_ASIDE.c.kind == EntryKind.PLACE_HOLD.value,
    )
    joined = _MOVED.join(entries, entries.c.entry_id == _MOVED.c.entry_id).join(_SET_ASIDE, hold, isouter=True)
    by_entry = select(*keys, _MOVED.c.issued, _MOVED.c.redeemed).select_from(joined)
    by_entry = by_entry.where(or_(_MOVED.c.issued != 0, _MOVED.c.redeemed != 0))
    # Grouped by names: PostgreSQL takes two like expressions with parameters for two.
    *named, issued, redeemed = by_entry.subquery("by_entry").columns
    return select(*named, func.sum(issued), func.sum(redeemed)).group_by(*named).order_by(named[0])


_MEMBER_DAY = entries.c.member_id.concat("/").concat(_counted("business_date")).label("day")
_OF_MEMBERS = _by_day(_MEMBER_DAY, _counted("partner_id").label("partner"), entries.c.bucket)
_OF_KEYS = _by_day(_counted("key_id").label("key"), _counted("business_date").label("date"), entries.c.lane)


def stream_member_days(connection: Connection) -> Iterator[Any]:
    """Day, partner, bucket, issued and redeemed points, in byte order of the day."""
    points = (member_days.c.issued_points, member_days.c.redeemed_points)
    columns = (member_days.c.member_day, member_days.c.partner_id, member_days.c.bucket, *points)
    return _stream(connection, select(*columns).order_by(member_days.c.member_day))


def stream_member_sums(connection: Connection) -> Iterator[Any]:
    """The same from the entries."""
    return _stream(connection, _OF_MEMBERS)


def terminal_rows(connection: Connection) -> Iterator[Any]:
    """Day, lane, issued and redeemed points."""
    return _stream(connection, select(*terminal_days.columns))


def key_sums(connection: Connection) -> Iterator[Any]:
    """Key, date, lane, issued and redeemed points, from the entries."""
    return _stream(connection, _OF_KEYS)


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    with connection.execute(query.execution_options(yield_per=_STREAM_ROWS)) as rows:
        yield from rows
