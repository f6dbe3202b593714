"""What a disputed line is about: one event, as both statements have it; what is left of it; its share of who owes whom.

Nothing of this is kept: lines, postings and disputes say it. Each function takes a Connection.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.domain.dispute import Dispute, share
from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from gateway.domain.statement import ISSUE, REDEEM, REDEMPTION, RESTORATION, StatementLine
from gateway.domain.units import div_half_even
from gateway.storage.statements import load_statement_lines
from gateway.storage.tables import entries, postings
from gateway.storage.tables_intake import disputes
from gateway.storage.tables_settlement import obligations, statement_lines

# What moved a line's points, and what reverses it: kinds of postings, and the column that names the event's lot in them.
_MOVED_BY = {REDEMPTION: PostingKind.REDEEM, REDEEM: PostingKind.REDEEM, ISSUE: PostingKind.ISSUE}
_REVERSED_BY = {
    PostingKind.REDEEM: ((PostingKind.RESTORE,), postings.c.lot_id),
    PostingKind.ISSUE: ((PostingKind.CLAWBACK, PostingKind.CLAWBACK_TO_DEBT), postings.c.cause_lot_id),
}
# Where issuers owe redeemers, both kinds are parts of one obligation, which goes one way or the other.
_TURNED = {REDEMPTION: RESTORATION, RESTORATION: REDEMPTION}


@dataclass(frozen=True, slots=True)
class Event:
    """Points of one lot that one entry moved: a line of a partner's statement, and of the other party's where it has one.

    `lines`: its number in each statement, by partner. `entry_id` and `lot_id` are empty for what nothing reverses.
    """

    window_id: int
    line: StatementLine
    lines: dict[str, int]
    entry_id: str
    lot_id: str


def find_event(connection: Connection, window_id: int, partner_id: str, line_number: int) -> Event | None:
    """Behind a line of a partner's statement; None if there is no such line. Does not ask whether it is published."""
    found = load_statement_lines(connection, window_id, partner_id, after=line_number - 1, limit=1)
    if not found or found[0].line_number != line_number:
        return None
    line = found[0]
    other_id = line.payee_id if line.payer_id == partner_id else line.payer_id
    # Both statements have the lines of a receipt in the order of the books.
    own = _alike(connection, window_id, partner_id, line)
    place = [row.line_number for row in own].index(line_number)
    lines, others = {partner_id: line_number}, []
    if other_id not in (OPERATOR, partner_id):
        others = _alike(connection, window_id, other_id, line)
        if len(others) != len(own):
            raise BooksBroken(f"window {window_id}: statements of {partner_id} and {other_id} differ about one receipt")
        lines[other_id] = others[place].line_number
    moved_by = _MOVED_BY.get(line.kind)
    if moved_by is None:
        return Event(window_id, line, lines, "", "")
    # The redeemer's line names the redemption; the issuer's names the issue that the points came from.
    mover_id = line.payee_id if line.kind == REDEMPTION else partner_id
    movers = own if mover_id == partner_id else others
    entry_id = movers[place].own_entry_id
    nth = sum(row.own_entry_id == entry_id for row in movers[:place])
    issuer_id = line.payer_id if line.kind == REDEMPTION else None
    return Event(window_id, line, lines, entry_id, _lot_of(connection, entry_id, moved_by, mover_id, issuer_id, nth))


def event_of(connection: Connection, dispute: Dispute) -> Event:
    """What a dispute is about. Raises BooksBroken if its line is gone."""
    event = find_event(connection, dispute.window_id, dispute.opener_id, dispute.line_number)
    if event is None:
        raise BooksBroken(f"dispute {dispute.dispute_id}: its line is missing")
    return event


def points_left(connection: Connection, event: Event) -> int:
    """Points of an event less those that reversals of its entry have taken back or restored since, in whatever window."""
    if not event.lot_id:
        return event.line.points
    kinds, lot_id = _REVERSED_BY[_MOVED_BY[event.line.kind]]
    query = (
        select(func.coalesce(func.sum(postings.c.points), 0))
        .join(entries, (entries.c.entry_id == postings.c.entry_id) & (entries.c.bucket == postings.c.bucket))
        .where(entries.c.original_entry_id == event.entry_id, postings.c.kind.in_([kind.value for kind in kinds]))
        .where(lot_id == event.lot_id)
    )
    return event.line.points - int(connection.execute(query).scalar_one())


def micros_of(event: Event, points: int) -> int:
    """What so many of an event's points cost, in micros; half to even where a price has more decimals."""
    return div_half_even(event.line.amount_micros * points, event.line.points)


def amount_of(connection: Connection, event: Event, points: int) -> int:
    """What a dispute of so many of an event's points holds out or gives back, in minor units.

    Its share of the obligation that it is part of, after the shares of whatever was disputed of that before it.
    """
    before = sum(row.amount_micros for row in _disputed_before(connection, event))
    return share(_owed_micros(connection, event), before, micros_of(event, points))


def amount_left(connection: Connection, dispute: Dispute, event: Event | None = None) -> int:
    """What the end of a dispute can still give back: points that were restored since are paid back by their own lines.

    `event`: what it is about, where that was looked for before: it never changes, and to find it takes a while in the largest
    statements, for which nobody should hold a lock.
    """
    event = event or event_of(connection, dispute)
    return amount_of(connection, event, min(dispute.points, points_left(connection, event)))


def gone_back_twice(connection: Connection, dispute: Dispute, given_back: int) -> int:
    """Of what the end of a dispute has given back, what reversals that came after it paid back again, in minor units."""
    return max(0, given_back - amount_left(connection, dispute)) if given_back else 0


def _alike(connection: Connection, window_id: int, partner_id: str, line: StatementLine) -> list[Any]:
    """Lines of a statement with the same receipt, kind and parties, in order."""
    wanted = statement_lines.c
    query = select(wanted.line_number, wanted.own_entry_id).where(
        wanted.window_id == window_id,
        wanted.partner_id == partner_id,
        wanted.receipt_sha256 == line.receipt_sha256,
        wanted.kind == line.kind,
        wanted.payer_id == line.payer_id,
        wanted.payee_id == line.payee_id,
    )
    return list(connection.execute(query.order_by(wanted.line_number)))


def _lot_of(
    connection: Connection, entry_id: str, kind: PostingKind, counterparty_id: str, issuer_id: str | None, nth: int
) -> str:
    of_kind = postings.c.kind == kind.value, postings.c.counterparty_id == counterparty_id
    query = select(postings.c.lot_id).where(postings.c.entry_id == entry_id, *of_kind)
    if issuer_id is not None:
        query = query.where(postings.c.issuer_id == issuer_id)
    lot_ids = connection.execute(query.order_by(postings.c.ordinal)).scalars().all()
    if nth >= len(lot_ids):
        raise BooksBroken(f"entry {entry_id} has not the postings that statements say")
    return str(lot_ids[nth])


def _owed_micros(connection: Connection, event: Event) -> int:
    """The obligation that the event is part of, as the event goes; below zero where it goes the other way."""
    line, wanted = event.line, obligations.c
    query = select(wanted.payer_id, wanted.amount_micros).where(
        wanted.window_id == event.window_id, wanted.rate_card_version == line.rate_card_version, wanted.reference == ""
    )
    same = query.where(wanted.payer_id == line.payer_id, wanted.payee_id == line.payee_id, wanted.kind == line.kind)
    turned = query.where(
        wanted.payer_id == line.payee_id, wanted.payee_id == line.payer_id, wanted.kind == _TURNED.get(line.kind, "")
    )
    there, back = (sum(int(row.amount_micros) for row in connection.execute(one)) for one in (same, turned))
    return there - back


def _disputed_before(connection: Connection, event: Event) -> list[Any]:
    """Disputes of the same obligation, of events that were disputed before this one first was. Each event counts once."""
    line = event.line
    its_line = (
        (statement_lines.c.window_id == disputes.c.window_id)
        & (statement_lines.c.partner_id == disputes.c.opener_id)
        & (statement_lines.c.line_number == disputes.c.line_number)
    )
    query = (
        select(disputes.c.opener_id, disputes.c.line_number, disputes.c.receipt_sha256, disputes.c.amount_micros)
        .join(statement_lines, its_line)
        .where(disputes.c.window_id == event.window_id, disputes.c.kind == line.kind)
        .where(disputes.c.payer_id == line.payer_id, disputes.c.payee_id == line.payee_id)
        .where(statement_lines.c.rate_card_version == line.rate_card_version)
        .order_by(disputes.c.opened_at_ms, disputes.c.dispute_id)
    )
    before = []
    for row in connection.execute(query):
        if event.lines.get(row.opener_id) == row.line_number:
            break
        before.append(row)
    return list(_first_of_each(connection, event, before))


def _first_of_each(connection: Connection, event: Event, rows: Iterable[Any]) -> Iterator[Any]:
    """Without what the other party opened about an event again. Most receipts are disputed by one side alone."""
    by_receipt = defaultdict(list)
    for row in rows:
        by_receipt[row.receipt_sha256].append(row)
    for receipt_sha256, of_receipt in by_receipt.items():
        if len({row.opener_id for row in of_receipt}) == 1:
            yield from of_receipt
            continue
        seen = set()
        for row in of_receipt:
            found = find_event(connection, event.window_id, row.opener_id, row.line_number)
            named = tuple(sorted(found.lines.items())) if found is not None else (receipt_sha256,)
            if named not in seen:
                yield row
            seen.add(named)
