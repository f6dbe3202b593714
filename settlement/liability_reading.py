"""Reads the roll-forward from the books in short ranges, while the gateway goes on: no write, and no transaction that lasts.

Two ways lead to what is open at some place of the books, and share no sum: all postings since the first day, and the running
values of lots and debts, less or more what was booked between then and when they were read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from gateway.breakage_estimates import Estimates
from gateway.domain.entry import DEBT_SIGN, LOT_SIGN, PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.estimate import place_in_force
from gateway.domain.pricing import reimbursement_micros
from gateway.domain.terms import day_ends_at_ms
from gateway.storage.engine import reading
from settlement import liability_store as store
from settlement.liability import Movements, Open, Place, by_expiry_month
from settlement.liability_store import LotFacts
from settlement.pricing import Cards, card_of

ENTRIES_PER_READ = 2_000
LOTS_PER_READ = 10_000
_ENTRIES_PER_PROGRESS = 100_000
MISSING = "an entry names a lot that is missing; run 'tallystick audit --full'"

Ends = Mapping[int, int]
"""A place of the books: the last sequence of each lane; 0, or no lane at all, where there is nothing yet."""

NOWHERE: Ends = {}
"""Before the first entry."""


@dataclass(slots=True)
class Placing:
    """Knows the place of a lot, given the breakage estimates; without any, all points of a price stand together."""

    estimates: Estimates = field(default_factory=dict)
    _known: dict[LotFacts, Place] = field(default_factory=dict)

    @property
    def divides_sales(self) -> bool:
        """Whether any estimate asks for the price of sales: else nobody needs to read them."""
        return any(one.estimate.point_value_micros for known in self.estimates.values() for one in known)

    def __call__(self, lot: LotFacts) -> Place:
        """Where a lot belongs."""
        place = self._known.get(lot)
        if place is None:
            issuer_id, month, currency, price_micros, day = lot
            estimate = place_in_force(self.estimates.get(issuer_id, ()), date.fromisoformat(day))
            place = self._known[lot] = Place(issuer_id, month, currency, price_micros, estimate)
        return place


def ends_of_day(engine: Engine, zone: ZoneInfo, on: date) -> Ends:
    """What was booked by the end of a date of the network's."""
    at_ms = day_ends_at_ms(on, zone)
    with reading(engine) as connection:
        last = store.load_ends(connection)
        return {lane: store.last_booked_before(connection, lane, last=last[lane], at_ms=at_ms) for lane in last}


def read_movements(
    engine: Engine,
    placing: Placing,
    cards: Cards,
    *,
    after: Ends = NOWHERE,
    ends: Ends,
    progress: Callable[[str], None] = lambda _line: None,
    entries_per_read: int = ENTRIES_PER_READ,
) -> Movements:
    """What moved between two places of the books, summed up from the postings. Raises BooksBroken where a lot is missing."""
    movements, read = Movements(), 0
    for lane, first, last in ranges(after, ends, entries_per_read):
        with reading(engine) as connection:
            moved = store.load_movements(connection, lane, first, last)
            sales = store.load_sales(connection, lane, first, last) if placing.divides_sales else []
            causes = {one.cause_lot_id for one in moved if one.cause_lot_id}
            facts = store.load_lot_facts(connection, causes)
        places = _places(placing, facts, causes)
        for one in moved:
            if one.lot is None and one.kind not in _WITHOUT_LOT:
                raise BooksBroken(f"lane {lane}, sequences {first} to {last}: {MISSING}")
            own = placing(one.lot) if one.lot else None
            movements.take(one.kind, one.points, own=own, cause=places.get(one.cause_lot_id))
            if own and one.kind in _AT_TILL:
                card, net = card_of(cards, one.counterparty_id, one.version), _AT_TILL[one.kind] * one.points
                movements.redeemed_at[one.counterparty_id] += net
                movements.reimbursed_micros[own.issuer_id, card.currency] += reimbursement_micros(net, card)
        for lot, amount in sales:
            movements.sales[placing(lot)] += amount
        read += last - first + 1
        if read % _ENTRIES_PER_PROGRESS < last - first + 1:
            progress(f"  {read} entries read")
    return movements


def open_points_at(engine: Engine, ends: Ends, placing: Placing | None = None, *, lots_per_read: int = LOTS_PER_READ) -> Open:
    """Open lots less debts at a place of the books, from their running values: they cost the lots, not the entries.

    Read piece by piece, each with the place at which it was read; what was booked between that and `ends` is then added
    or taken off. Raises BooksBroken where a lot is missing.
    """
    placing = placing or Placing()
    found: Open = Counter()
    pieces = _read_lots(engine, placing, found, lots_per_read)
    with reading(engine) as connection:
        debts_seen, owed = store.load_ends(connection), store.load_open_debts(connection)
        facts = store.load_lot_facts(connection, owed.keys())
    places = _places(placing, facts, owed)
    for cause_id, points in owed.items():
        found[places[cause_id]] -= points
    seen = [ends, debts_seen, *(piece.seen for piece in pieces)]
    lanes = {lane for one in seen for lane in one}
    earliest = {lane: min(one.get(lane, 0) for one in seen) for lane in lanes}
    latest = {lane: max(one.get(lane, 0) for one in seen) for lane in lanes}
    bounds = [piece.last_lot_id for piece in pieces[:-1]]
    for lane, first, last in ranges(earliest, latest):
        with reading(engine) as connection:
            steps = store.load_steps(connection, lane, first, last)
            named = {lot_id for _, _, own_id, cause_id, _ in steps for lot_id in (own_id, cause_id) if lot_id}
            facts = store.load_lot_facts(connection, named)
        places = _places(placing, facts, named)
        for sequence, number, lot_id, cause_id, points in steps:
            kind, is_wanted = PostingKind(number), sequence <= ends.get(lane, 0)
            if LOT_SIGN[kind]:
                was_seen = sequence <= pieces[bisect_left(bounds, lot_id)].seen.get(lane, 0)
                found[places[lot_id]] += (is_wanted - was_seen) * LOT_SIGN[kind] * points
            if DEBT_SIGN[kind]:
                was_seen = sequence <= debts_seen.get(lane, 0)
                found[places[cause_id]] -= (is_wanted - was_seen) * DEBT_SIGN[kind] * points
    return found


def liability_by_expiry_month(engine: Engine, ends: Ends) -> dict[tuple[str, str], tuple[int, int]]:
    """By currency and expiry month, all issuers together: open points less debt, and their value at issue prices in micros.

    For a closed window `ends` is {lane.lane: lane.last for lane in window.ranges}: the same whenever it is asked.
    """
    return by_expiry_month(open_points_at(engine, ends))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lots up to an id, as they stood when each lane had come to `seen`."""

    last_lot_id: str
    seen: Ends


def _read_lots(engine: Engine, placing: Placing, found: Open, lots_per_read: int) -> list[_Piece]:
    """Adds up all open lots, piece by piece; the last piece is what lies beyond all lots that there are."""
    pieces: list[_Piece] = []
    after = ""
    while True:
        with reading(engine) as connection:
            last_lot_id, seen = store.last_lot_of_piece(connection, after=after, limit=lots_per_read), store.load_ends(connection)
            opened = store.load_open_lots(connection, after=after, last=last_lot_id) if last_lot_id else []
        pieces.append(_Piece(last_lot_id, seen))
        if not last_lot_id:
            return pieces
        for lot, points in opened:
            found[placing(lot)] += points
        after = last_lot_id


def ranges(after: Ends, ends: Ends, length: int = ENTRIES_PER_READ) -> Iterator[tuple[int, int, int]]:
    """Lane by lane the sequences in between, in pieces of at most `length`: both ends included."""
    for lane in sorted(ends):
        for first in range(after.get(lane, 0) + 1, ends[lane] + 1, length):
            yield lane, first, min(first + length - 1, ends[lane])


def _places(placing: Placing, facts: Mapping[str, LotFacts], named: Mapping[str, int] | set[str]) -> dict[str, Place]:
    missing = sorted(set(named) - facts.keys())
    if missing:
        raise BooksBroken(f"lot {missing[0]}: {MISSING}")
    return {lot_id: placing(lot) for lot_id, lot in facts.items()}


_AT_TILL = {PostingKind.REDEEM: 1, PostingKind.RESTORE: -1}
_WITHOUT_LOT = frozenset({PostingKind.CLAWBACK_TO_DEBT, PostingKind.DEBT_OUT, PostingKind.DEBT_IN})
