"""The audit of what disputes are about: which points of which lot, what was left of them, and what that comes to.

Worked out anew from statement lines, postings and obligations. When a reversal and a step of a dispute lie within minutes of each
other, clocks cannot tell which came first: then either is right.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from gateway.domain.dispute import GIVING_BACK, LIVE, DisputeState
from gateway.domain.entry import Posting, PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.statement import ISSUE, REDEEM, REDEMPTION, RESTORATION
from gateway.domain.units import MICROS
from gateway.ledger.audit_failures import Difference
from gateway.storage import audit_intake as stored
from gateway.storage import audit_sums
from gateway.storage.audit_reads import postings_named
from gateway.storage.tables_settlement import obligations

_CLOCKS_MS = 10 * 60_000
_COUNTS = {*LIVE, *GIVING_BACK}
_TAKEN = (PostingKind.CLAWBACK.value, PostingKind.CLAWBACK_TO_DEBT.value)
_ITS_ENTRY = {REDEMPTION: PostingKind.REDEEM, REDEEM: PostingKind.REDEEM, ISSUE: PostingKind.ISSUE}


@dataclass(frozen=True, slots=True)
class _About:
    """A dispute's line, which event that is (the same for both parties), and when how many of its points came back."""

    line: Any
    event: tuple[object, ...]
    obligation: tuple[object, ...]
    returned: Sequence[tuple[int, int]]

    def left(self, at_ms: int) -> list[int]:
        """What may have been left at an instant, the most first."""
        came = sorted(self.returned)
        sure = sum(booked_at_ms < at_ms - _CLOCKS_MS for booked_at_ms, _ in came)
        perhaps = sum(booked_at_ms <= at_ms + _CLOCKS_MS for booked_at_ms, _ in came)
        return [self.line.points - sum(points for _, points in came[:count]) for count in range(sure, perhaps + 1)]

    def micros(self, points: int) -> int:
        """What so many of its points cost."""
        return _half_even(self.line.amount_micros * points, self.line.points)


class DisputedEvents:
    """All disputes. Reads the lines of their receipts once for each statement."""

    def __init__(self, connection: Connection, rows: Sequence[Any]) -> None:
        self._connection = connection
        self._rows = sorted(rows, key=lambda row: (row.window_id, row.opened_at_ms, row.dispute_id))
        lines = {row.dispute_id: _line(connection, row) for row in rows}
        alike = _alike(connection, [(row.window_id, line) for row in rows if (line := lines[row.dispute_id]) is not None])
        self._about = {
            row.dispute_id: _about(connection, row, line, alike) for row in rows if (line := lines[row.dispute_id]) is not None
        }
        # What was left of the obligation when an event was first disputed, by event.
        self._rest: dict[tuple[object, ...], int] = {}
        owed = {window_id: _obligations(connection, window_id) for window_id in {row.window_id for row in rows}}
        for row in self._rows:
            about = self._about.get(row.dispute_id)
            if about is not None and about.event not in self._rest:
                self._rest[about.event] = owed[row.window_id].get(about.obligation, 0)
                owed[row.window_id][about.obligation] = self._rest[about.event] - row.amount_micros

    def of_all(self) -> Iterator[Difference]:
        """No event is disputed twice where it was given back, or may be; and times tell the order of disputes."""
        counted: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
        for row in self._rows:
            if row.dispute_id in self._about and row.state in _COUNTS:
                counted[self._about[row.dispute_id].event].append(row.dispute_id)
        yield "events that are disputed twice", [], [twice for twice in counted.values() if len(twice) > 1]
        times = [(row.window_id, row.opened_at_ms) for row in self._rows]
        yield "opened in the same millisecond", sorted(set(times)), times

    def of(self, row: Any) -> Iterator[Difference]:
        """What a dispute is about, and what it holds out."""
        about = self._about[row.dispute_id]
        left = about.left(row.opened_at_ms)
        yield "points", row.points if row.points in left and row.points > 0 else left[0], row.points
        yield "amount_micros", about.micros(row.points), row.amount_micros
        yield "amount", self._share(row)(row.points), row.amount

    def back(self, row: Any, step: Any) -> Iterator[Difference]:
        """What goes back by a step: of an acceptance or a write-off all that is left, of a correction no more than that."""
        state, share = DisputeState(step.state), self._share(row)
        left = [min(row.points, points) for points in self._about[row.dispute_id].left(step.at_ms)]
        amounts = [share(points) for points in left] if state in GIVING_BACK else [0]
        where = f"amount of step {step.number}"
        if state is DisputeState.CORRECTED:
            yield f"{where}, within what was left", True, min(1, amounts[-1]) <= step.amount <= amounts[0]
        else:
            yield where, step.amount if step.amount in amounts else amounts[0], step.amount

    def _share(self, row: Any) -> Callable[[int], int]:
        """By points: what they are of the obligation, after what was disputed of it before this event first was."""
        about = self._about[row.dispute_id]
        rest = self._rest[about.event]
        return lambda points: _half_even(rest, MICROS) - _half_even(rest - about.micros(points), MICROS)


def _line(connection: Connection, row: Any) -> Any:
    return stored.statement_line(connection, row.window_id, row.opener_id, row.line_number)


def _alike(connection: Connection, disputed: Sequence[tuple[int, Any]]) -> dict[tuple[object, ...], list[Any]]:
    """Lines of the receipts that disputed lines have, by window and statement and then by what tells an event's lines apart."""
    receipts: defaultdict[tuple[int, str], set[bytes]] = defaultdict(set)
    for window_id, line in disputed:
        for party in {line.payer_id, line.payee_id} - {OPERATOR}:
            receipts[window_id, party].add(line.receipt_sha256)
    found: defaultdict[tuple[object, ...], list[Any]] = defaultdict(list)
    for (window_id, party), hashes in receipts.items():
        for line in stored.lines_of_receipts(connection, window_id, party, hashes):
            found[window_id, party, *_told_apart(line)].append(line)
    return found


def _told_apart(line: Any) -> tuple[object, ...]:
    return line.receipt_sha256, line.kind, line.payer_id, line.payee_id


def _about(connection: Connection, row: Any, line: Any, alike: dict[tuple[object, ...], list[Any]]) -> _About:
    told_apart = _told_apart(line)
    own = alike[row.window_id, row.opener_id, *told_apart]
    place = [one.line_number for one in own].index(line.line_number)
    event = row.window_id, *told_apart, place
    obligation = line.payer_id, line.payee_id, line.kind, line.rate_card_version
    kind = _ITS_ENTRY.get(line.kind)
    if kind is None:
        return _About(line, event, obligation, ())
    # Who names the very entry: the redeemer of a redemption, and where the network is a party, its partner.
    mover_id = next(party for party in (line.payee_id, line.payer_id) if party != OPERATOR)
    movers = alike[row.window_id, mover_id, *told_apart]
    entry_id = movers[place].own_entry_id
    before = sum(one.own_entry_id == entry_id for one in movers[:place])
    moved = [Posting(*rest) for _, *rest in postings_named(connection, [entry_id])]
    mine = [
        one
        for one in moved
        if one.kind == kind.value
        and one.counterparty_id == mover_id
        and (line.kind != REDEMPTION or one.issuer_id == line.payer_id)
    ]
    return _About(line, event, obligation, _returned(connection, entry_id, kind, mine[before].lot_id))


def _returned(connection: Connection, entry_id: str, kind: PostingKind, lot_id: str) -> list[tuple[int, int]]:
    """Times and points of what reversals of an entry gave back to a lot, or took back for it."""
    if kind is PostingKind.REDEEM:
        reversals = [row for row in stored.reversals_of(connection, entry_id) if row.lot_id == lot_id]
        return [(row.booked_at_ms, row.points) for row in reversals if row.kind == PostingKind.RESTORE.value]
    reversals = [row for row in stored.reversals_of(connection, entry_id) if row.cause_lot_id == lot_id]
    return [(row.booked_at_ms, row.points) for row in reversals if row.kind in _TAKEN]


def _obligations(connection: Connection, window_id: int) -> dict[tuple[object, ...], int]:
    """Exact amounts by parties, kind and card; one that was turned round also as it would go otherwise, below zero."""
    turned = {REDEMPTION: RESTORATION, RESTORATION: REDEMPTION}
    rows = [row for row in audit_sums.window_table_rows(connection, obligations, window_id) if not row.reference]
    found: dict[tuple[object, ...], int] = {
        (row.payee_id, row.payer_id, turned[row.kind], row.rate_card_version): -row.amount_micros
        for row in rows
        if row.kind in turned
    }
    return found | {(row.payer_id, row.payee_id, row.kind, row.rate_card_version): row.amount_micros for row in rows}


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
