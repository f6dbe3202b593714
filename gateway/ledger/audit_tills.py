"""The audit of what tills leave open: each row of holds, checkouts, parked refunds and paper receipts against the entries."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Table

from gateway.domain.checkout import sale_id
from gateway.domain.entry import EntryKind
from gateway.domain.ids import leg_entry_id
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage import audit_sums
from gateway.storage import audit_tills as reads
from gateway.storage.audit_reads import Rows
from gateway.storage.tables_till import checkouts, holds, parked_refunds, sales

Proof = tuple[str, Iterator[Difference]]
"""Whose row, and how it differs from what the entries say: found out while it is read."""

_STATE_AFTER = {
    EntryKind.REDEEM.value: "CAPTURED",
    EntryKind.VOID_HOLD.value: "VOIDED",
    EntryKind.LAPSE_HOLD.value: "LAPSED",
}


def prove_tills(connection: Connection, failures: Failures) -> None:
    """All rows, and that none is missing."""
    for table, expected in reads.first_entries(connection).items():
        failures.compare("network", [(f"{table.name}, by their entries", expected, audit_sums.row_count(connection, table))])
    failures.compare("sales", [("paper receipts that stand twice", [], reads.sales_twice(connection))])
    for table, proofs in _PROOFS.items():
        for rows in reads.ranges_of(connection, table):
            for where, differences in proofs(connection, rows):
                with failures.reading(where):
                    failures.compare(where, differences)


def _holds(connection: Connection, rows: Rows) -> Iterator[Proof]:
    ids = [row.hold_id for row in rows]
    placed, points = reads.entries_by_id(connection, ids), reads.points_moved(connection, ids)
    ends = reads.ends_of_holds(connection, ids)
    return ((f"hold {row.hold_id}", _hold(row, placed, points, ends.get(row.hold_id, []))) for row in rows)


def _hold(row: Any, placed: dict[str, Any], points: dict[str, int], ends: list[Any]) -> Iterator[Difference]:
    entry = placed[row.hold_id]
    yield "entry", EntryKind.PLACE_HOLD.value, entry.kind
    yield (
        "bucket, member, partner, key, date and card",
        (entry.bucket, entry.member_id, entry.partner_id, entry.key_id, entry.business_date, entry.rate_card_version),
        (row.bucket, row.member_id, row.partner_id, row.key_id, row.business_date, row.rate_card_version),
    )
    yield "points", points.get(row.hold_id), row.points
    yield "time", json.loads(entry.facts)["expires_at_ms"], row.expires_at_ms
    yield "entries that ended it, at most", True, len(ends) <= 1
    state, by = next(((_STATE_AFTER[end.kind], end.entry_id) for end in ends), ("OPEN", ""))
    yield "state", (state, by), (row.state, row.ended_by)


def _checkouts(connection: Connection, rows: Rows) -> Iterator[Proof]:
    ids = {entry_id for row in rows for entry_id in (row.entry_id, row.redeem_entry_id, row.issue_entry_id) if entry_id}
    legs = reads.entries_by_id(connection, ids)
    reversals = reads.following(connection, ids)
    moved = reads.points_moved(connection, ids | {row.entry_id for row in reversals})
    of_leg: dict[str, list[Any]] = {}
    for reversal in reversals:
        of_leg.setdefault(reversal.original_entry_id, []).append(reversal)
    yield "paper receipts", _claimed(connection, rows, legs)
    yield from ((f"checkout {row.entry_id}", _checkout(row, legs, of_leg, moved)) for row in rows)


def _checkout(row: Any, legs: dict[str, Any], of_leg: dict[str, list[Any]], moved: dict[str, int]) -> Iterator[Difference]:
    head = legs[row.entry_id]
    told = json.loads(head.facts)
    redeemed, issued = legs.get(row.redeem_entry_id), legs.get(row.issue_entry_id)
    yield "entries", True, head in (redeemed, issued)
    kinds = (redeemed.kind if redeemed else EntryKind.REDEEM, issued.kind if issued else EntryKind.ISSUE)
    yield "kinds of its entries", (EntryKind.REDEEM, EntryKind.ISSUE), kinds
    yield "its further entry", True, redeemed is None or issued is None or issued.head_entry_id == head.entry_id
    yield "names of entries that are none", [], [i for i in (row.redeem_entry_id, row.issue_entry_id) if i and i not in legs]
    yield (
        "bucket, member, partner, unit, total and what earns",
        (head.bucket, head.member_id, head.partner_id, told["unit"], told["total"], told["earning"]),
        (row.bucket, row.member_id, row.partner_id, row.unit, row.total, row.earning),
    )
    value = redeemed.amount if redeemed else 0
    yield "value of points within the total", True, 0 <= value <= row.total
    if issued is not None:
        yield "eligible amount", max(row.earning - value, 0), issued.amount
    returns = [*of_leg.get(row.redeem_entry_id, ()), *of_leg.get(row.issue_entry_id, ())]
    refunds = [json.loads(one.facts) for one in returns if one.facts]
    yield from _returned(row, refunds)
    paid = row.total - value
    yield "money handed back", paid - paid * (row.total - row.returned) // row.total, sum(one["money"] for one in refunds)
    yield from _rest(row, redeemed, issued, of_leg, moved)


def _returned(row: Any, refunds: list[dict[str, Any]]) -> Iterator[Difference]:
    """What refunds say that came back, in all."""
    yield "refunds of another checkout", set(), {one["checkout"] for one in refunds} - {row.entry_id}
    lines: dict[str, int] = {}
    for refund in refunds:
        for line_id, part in refund.get("lines", {}).items():
            lines[line_id] = lines.get(line_id, 0) + part
    yield "returned", sum(one["returned"] for one in refunds), row.returned
    yield "returned of what earned", sum(one["earning"] for one in refunds), row.returned_earning
    yield "returned lines", lines, json.loads(row.returned_lines) if row.returned_lines else {}


def _rest(
    row: Any, redeemed: Any | None, issued: Any | None, of_leg: dict[str, list[Any]], moved: dict[str, int]
) -> Iterator[Difference]:
    """What follows for points and eligible amount from what is left of the basket."""
    if redeemed is not None:
        points = moved.get(redeemed.entry_id, 0)
        stay = -(-points * (row.total - row.returned) // row.total)
        restored = sum(moved.get(one.entry_id, 0) for one in of_leg.get(redeemed.entry_id, ()))
        yield "points restored", points - stay, restored
    if issued is not None and row.earning:
        stays = issued.amount * (row.earning - row.returned_earning) // row.earning
        back = sum(one.amount for one in of_leg.get(issued.entry_id, ()))
        yield "eligible amount reversed", issued.amount - stays, back


def _claimed(connection: Connection, rows: Rows, legs: dict[str, Any]) -> Iterator[Difference]:
    """Each checkout's paper receipt belongs to somebody."""
    heads = [legs[row.entry_id] for row in rows]
    wanted = {sale_id(head.partner_id, head.business_date, head.receipt_number) for head in heads if head.receipt_number}
    found = {row.sale_id for row in reads.sales_named(connection, wanted)}
    yield "paper receipts that nobody has", set(), wanted - found


def _parked(connection: Connection, rows: Rows) -> Iterator[Proof]:
    waiting = reads.entries_by_id(connection, [row.entry_id for row in rows])
    legs = {entry_id for row in rows for entry_id in (row.checkout_id, leg_entry_id(row.checkout_id, 1))}
    completed = {json.loads(one.facts).get("parked") for one in reads.following(connection, legs) if one.facts}
    return ((f"parked refund {row.entry_id}", _parked_refund(row, waiting, completed)) for row in rows)


def _parked_refund(row: Any, waiting: dict[str, Any], completed: set[str]) -> Iterator[Difference]:
    entry = waiting[row.entry_id]
    yield "kind", EntryKind.PARK_REFUND.value, entry.kind
    expected = (entry.bucket, json.loads(entry.facts)["checkout"], entry.member_id, entry.partner_id)
    yield "row", expected, (row.bucket, row.checkout_id, row.member_id, row.partner_id)
    yield "open", int(row.entry_id not in completed), row.is_open


def _sales(connection: Connection, rows: Rows) -> Iterator[Proof]:
    its_entries = reads.entries_by_id(connection, [row.entry_id for row in rows])
    return ((f"paper receipt {row.sale_id}", _sale(row, its_entries)) for row in rows)


def _sale(row: Any, its_entries: dict[str, Any]) -> Iterator[Difference]:
    entry = its_entries[row.entry_id]
    yield "id", sale_id(entry.partner_id, entry.business_date, entry.receipt_number), row.sale_id


_PROOFS: dict[Table, Callable[[Connection, Rows], Iterator[Proof]]] = {
    holds: _holds,
    checkouts: _checkouts,
    parked_refunds: _parked,
    sales: _sales,
}
