"""The audit of what tills leave open: each row of holds, checkouts, parked refunds and paper receipts against the entries."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from gateway.domain.checkout import sale_id
from gateway.domain.entry import EntryKind
from gateway.domain.ids import leg_entry_id
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage import audit_sums
from gateway.storage import audit_tills as reads
from gateway.storage.tables_till import checkouts, holds, parked_refunds, sales

_STATE_AFTER = {
    EntryKind.REDEEM.value: "CAPTURED",
    EntryKind.VOID_HOLD.value: "VOIDED",
    EntryKind.LAPSE_HOLD.value: "LAPSED",
}


def prove_tills(connection: Connection, failures: Failures) -> None:
    """All rows, and that none is missing."""
    expected = reads.first_entries(connection)
    for table in (holds, checkouts, parked_refunds):
        count = audit_sums.row_count(connection, table)
        failures.compare("network", [(f"{table.name}, by their entries", expected[table.name], count)])
    for rows in reads.ranges_of(connection, holds):
        _prove_holds(connection, failures, rows)
    for rows in reads.ranges_of(connection, checkouts):
        _prove_checkouts(connection, failures, rows)
    for rows in reads.ranges_of(connection, parked_refunds):
        _prove_parked(connection, failures, rows)
    last_sale_id = ""
    for rows in reads.ranges_of(connection, sales):
        _prove_sales(connection, failures, rows, after=last_sale_id)
        last_sale_id = rows[-1].sale_id


def _prove_holds(connection: Connection, failures: Failures, rows: Any) -> None:
    ids = [row.hold_id for row in rows]
    placed, points = reads.entries_by_id(connection, ids), reads.points_moved(connection, ids)
    ends = reads.ends_of_holds(connection, ids)
    for row in rows:
        with failures.reading(f"hold {row.hold_id}"):
            failures.compare(f"hold {row.hold_id}", _hold(row, placed[row.hold_id], points, ends.get(row.hold_id, [])))


def _hold(row: Any, entry: Any, points: dict[str, int], ends: list[Any]) -> Iterator[Difference]:
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


def _prove_checkouts(connection: Connection, failures: Failures, rows: Any) -> None:
    ids = {entry_id for row in rows for entry_id in (row.entry_id, row.redeem_entry_id, row.issue_entry_id) if entry_id}
    legs = reads.entries_by_id(connection, ids)
    reversals = reads.following(connection, ids)
    moved = reads.points_moved(connection, ids | {row.entry_id for row in reversals})
    of_leg: dict[str, list[Any]] = {}
    for reversal in reversals:
        of_leg.setdefault(reversal.original_entry_id, []).append(reversal)
    with failures.reading("paper receipts"):
        _prove_claimed(connection, failures, [legs[row.entry_id] for row in rows])
    for row in rows:
        where = f"checkout {row.entry_id}"
        with failures.reading(where):
            failures.compare(where, _checkout(row, legs, of_leg, moved))


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


def _prove_claimed(connection: Connection, failures: Failures, heads: list[Any]) -> None:
    """Each checkout's paper receipt belongs to somebody."""
    wanted = {sale_id(row.partner_id, row.business_date, row.receipt_number) for row in heads if row.receipt_number}
    found = {row.sale_id for row in reads.sales_named(connection, wanted)}
    failures.compare("sales", [("paper receipts that nobody has", set(), wanted - found)])


def _prove_parked(connection: Connection, failures: Failures, rows: Any) -> None:
    waiting = reads.entries_by_id(connection, [row.entry_id for row in rows])
    legs = {entry_id for row in rows for entry_id in (row.checkout_id, leg_entry_id(row.checkout_id, 1))}
    completed = {json.loads(one.facts).get("parked") for one in reads.following(connection, legs) if one.facts}
    for row in rows:
        where = f"parked refund {row.entry_id}"
        with failures.reading(where):
            entry = waiting[row.entry_id]
            expected = (entry.bucket, json.loads(entry.facts)["checkout"], entry.member_id, entry.partner_id)
            found = (row.bucket, row.checkout_id, row.member_id, row.partner_id)
            is_open = row.entry_id not in completed
            failures.compare(where, [("kind", EntryKind.PARK_REFUND.value, entry.kind), ("row", expected, found)])
            failures.compare(where, [("open", int(is_open), row.is_open)])


def _prove_sales(connection: Connection, failures: Failures, rows: Any, *, after: str) -> None:
    """In the order of their ids, so that one which stands twice comes behind itself."""
    ids = [after, *(row.sale_id for row in rows)]
    failures.compare("sales", [("paper receipts that stand twice", [], [a for a, b in pairwise(ids) if a == b])])
    its_entries = reads.entries_by_id(connection, [row.entry_id for row in rows])
    for row in rows:
        with failures.reading(f"paper receipt {row.sale_id}"):
            entry = its_entries[row.entry_id]
            expected = sale_id(entry.partner_id, entry.business_date, entry.receipt_number)
            failures.compare(f"paper receipt {row.sale_id}", [("id", expected, row.sale_id)])
