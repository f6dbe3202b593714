"""The audit's sums over lots, debts and members: each running value against what the postings add up to."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from gateway.domain.entry import PostingKind
from gateway.domain.ids import bucket_of
from gateway.ledger.audit_entries import Running
from gateway.ledger.audit_failures import Difference, Failures
from gateway.ledger.audit_near import LOT_EFFECT
from gateway.storage import audit_reads, audit_sums

_MADE = (PostingKind.ISSUE.value, PostingKind.TRANSFER_IN.value)
_EFFECT = {kind.value: effect for kind, effect in LOT_EFFECT.items()}
_EXPIRED = {PostingKind.EXPIRE.value: 1, PostingKind.EXPIRY_UNDONE.value: -1}
_HELD = {PostingKind.HOLD.value: 1, PostingKind.RELEASE.value: -1}
_MEMBERS_PER_READ = 500


def prove_lots(connection: Connection, failures: Failures) -> None:
    """Points, open and expired points of every lot, summed from the postings."""
    streams = (audit_sums.stream_lots(connection), audit_sums.stream_lot_sums(connection))
    for lot_id, (rows, sums) in merged(*streams):
        where = f"lot {lot_id}"
        failures.compare(where, [("rows", 1, len(rows))])
        for _, points, open_points, expired_points, held_points in rows[:1]:
            failures.compare(
                where,
                [
                    ("postings that made it", 1, sum(count for _, kind, _, count in sums if kind in _MADE)),
                    ("points", sum(int(moved) for _, kind, moved, _ in sums if kind in _MADE), points),
                    ("open points", sum(_EFFECT.get(kind, 0) * int(moved) for _, kind, moved, _ in sums), open_points),
                    ("expired points", sum(_EXPIRED.get(kind, 0) * int(moved) for _, kind, moved, _ in sums), expired_points),
                    ("held points", sum(_HELD.get(kind, 0) * int(moved) for _, kind, moved, _ in sums), held_points),
                ],
            )


def prove_members(connection: Connection, failures: Failures, *, with_postings: bool) -> int:
    """Balances, debts, arrivals and numbers of entries of every member; answers how many there are.

    `with_postings`: debts are also compared with the postings that paid them.
    """
    paid = audit_sums.stream_debts_paid(connection) if with_postings else iter(())
    streams = (
        audit_sums.stream_members(connection),
        audit_sums.stream_entry_counts(connection),
        audit_sums.stream_arrivals(connection),
        paid,
    )
    count = 0
    for member_id, (rows, counts, arrivals, payments) in merged(*streams):
        count += 1
        where = f"member {member_id}"
        failures.compare(where, [("rows", 1, len(rows))])
        entries = counts[0][1] if counts else 0
        for row in rows[:1]:
            failures.compare(where, _member(row, entries, arrivals))
        failures.compare(where, _arrivals(arrivals))
        if with_postings:
            failures.compare(where, _debts(arrivals, {cause: int(points) for _, cause, points in payments}))
    return count


def prove_running(connection: Connection, failures: Failures, running: Mapping[str, Running]) -> None:
    """The balances that the walk along the lanes ended with."""
    ids = sorted(member_id for member_id, end in running.items() if end.balance_before is not None)
    for start in range(0, len(ids), _MEMBERS_PER_READ):
        for row in audit_reads.members_named(connection, ids[start : start + _MEMBERS_PER_READ]):
            end = running[row.member_id]
            failures.compare(
                f"member {row.member_id}",
                [
                    ("balance after its last entry", (end.balance_before or 0) + end.balance, row.open_points - row.debt_points),
                    ("debt after its last entry", end.debt_before + end.debt, row.debt_points),
                ],
            )


def _member(row: Any, entries: int, arrivals: list[Any]) -> Iterator[Difference]:
    yield "bucket", bucket_of(row.member_id), row.bucket
    yield "entries", entries, row.entries
    yield "open points", sum(one.open_points for one in arrivals if not one.is_debt), row.open_points
    yield "debt points", sum(one.open_points for one in arrivals if one.is_debt), row.debt_points
    yield "held points", sum(one.held_points for one in arrivals), row.held_points
    yield "next arrival", len(arrivals) + 1, row.next_arrival


def _arrivals(arrivals: list[Any]) -> Iterator[Difference]:
    """Numbered from 1 in the order in which they were booked."""
    yield "arrivals", list(range(1, len(arrivals) + 1)), [one.arrival for one in arrivals]
    places = [(one.window_id or 0, one.sequence or 0, _number(one)) for one in arrivals]
    yield "order of arrivals", sorted(places), places
    yield "buckets of lots and debts", [], [one.lot_id for one in arrivals if one.bucket != one.entry_bucket]


def _number(one: Any) -> int:
    return 0 if one.is_debt else int(one.lot_id.partition("-")[2])


def _debts(arrivals: list[Any], paid: dict[str, int]) -> Iterator[Difference]:
    """Paid oldest first: none has been paid in part while an older one is open."""
    by_cause: dict[str, int] = {}
    is_one_open = False
    for debt in (one for one in arrivals if one.is_debt):
        yield f"debt of {debt.lot_id}: paid before an older one", False, is_one_open and debt.open_points < debt.points
        is_one_open = is_one_open or debt.open_points > 0
        by_cause[debt.cause_lot_id] = by_cause.get(debt.cause_lot_id, 0) + debt.points - debt.open_points
    yield "debt paid by cause", {cause: points for cause, points in by_cause.items() if points}, paid


def merged(*streams: Iterable[Any]) -> Iterator[tuple[Any, tuple[list[Any], ...]]]:
    """By key, ascending: the rows of each stream whose first column it is. The streams are ordered by it."""
    groups = [groupby(stream, key=itemgetter(0)) for stream in streams]
    heads = [next(group, None) for group in groups]
    while any(head is not None for head in heads):
        key = min(head[0] for head in heads if head is not None)
        rows = []
        for n, head in enumerate(heads):
            if head is not None and head[0] == key:
                rows.append(list(head[1]))
                heads[n] = next(groups[n], None)
            else:
                rows.append([])
        yield key, tuple(rows)
