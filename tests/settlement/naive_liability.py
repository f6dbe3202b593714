"""The roll-forward once more, from raw rows, in the plainest way: a script of its own that shares no rule with the settlement.

Every lot and every debt is followed by itself, posting by posting; nothing is read but entries, postings, and what a lot is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries, lots, postings

ISSUE, REDEEM, RESTORE, CLAWBACK, TO_DEBT, DEBT_PAID, GIVEN, RECEIVED, EXPIRE, UNDONE, WITHHELD = range(1, 12)
DEBT_OUT, DEBT_IN = 14, 15
Key = tuple[str, str, str]


@dataclass
class Raw:
    """The rows of a network."""

    entries: list[Any]
    postings: dict[str, list[Any]]
    lots: dict[str, Any]

    def key(self, lot_id: str) -> Key:
        """Issuer, expiry month and currency of a lot."""
        lot = self.lots[lot_id]
        return lot.issuer_id, lot.expires_on[:7], lot.currency

    def booked(self, zone: ZoneInfo, first: str, last: str) -> Iterator[Any]:
        """Postings of what was booked on dates from the first to the last."""
        for entry in self.entries:
            day = (
                (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=entry.booked_at_ms))
                .astimezone(zone)
                .date()
                .isoformat()
            )
            if first <= day <= last:
                yield from self.postings.get(entry.entry_id, ())

    def up_to(self, ends: dict[int, int]) -> Iterator[Any]:
        """Postings up to a sequence of each lane."""
        for entry in self.entries:
            if entry.sequence <= ends.get(entry.lane, 0):
                yield from self.postings.get(entry.entry_id, ())


@dataclass
class State:
    """Open points of each lot, and what is owed for each lot that was reversed."""

    lots: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    owed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def sums(self, raw: Raw) -> dict[Key, tuple[int, int]]:
        """Points and their value in micros, by key; what is zero left out."""
        found: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])
        for signed, some in ((1, self.lots), (-1, self.owed)):
            for lot_id, points in some.items():
                found[raw.key(lot_id)][0] += signed * points
                found[raw.key(lot_id)][1] += signed * points * raw.lots[lot_id].price_micros
        return {key: (points, value) for key, (points, value) in found.items() if points or value}


def load_raw(engine: Engine) -> Raw:
    """Everything."""
    with reading(engine) as connection:
        by_entry: dict[str, list[Any]] = {}
        for row in connection.execute(select(postings).order_by(postings.c.entry_id, postings.c.ordinal)):
            by_entry.setdefault(row.entry_id, []).append(row)
        ordered = connection.execute(select(entries).order_by(entries.c.lane, entries.c.sequence)).all()
        return Raw(list(ordered), by_entry, {row.lot_id: row for row in connection.execute(select(lots))})


def follow(moved: Iterable[Any]) -> State:
    """What postings leave of each lot and each debt."""
    state = State()
    for one in moved:
        if one.kind in (ISSUE, RESTORE, RECEIVED, UNDONE):
            state.lots[one.lot_id] += one.points
        elif one.kind in (REDEEM, CLAWBACK, DEBT_PAID, GIVEN, EXPIRE):
            state.lots[one.lot_id] -= one.points
        if one.kind in (TO_DEBT, DEBT_IN):
            state.owed[one.cause_lot_id] += one.points
        elif one.kind in (DEBT_PAID, DEBT_OUT):
            state.owed[one.cause_lot_id] -= one.points
    return state


def columns(raw: Raw, moved: Iterable[Any]) -> dict[Key, dict[str, int]]:
    """What a finance team would write into each column."""
    found: defaultdict[Key, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in moved:
        own = raw.key(one.lot_id) if one.lot_id else None
        if own and one.kind in (ISSUE, REDEEM, RESTORE):
            found[own][{ISSUE: "issued", REDEEM: "redeemed", RESTORE: "restored"}[one.kind]] += one.points
        if own and one.kind in (EXPIRE, UNDONE):
            found[own]["expired"] += one.points if one.kind == EXPIRE else -one.points
        if own and one.kind in (GIVEN, RECEIVED):
            found[own]["transferred_out" if one.kind == GIVEN else "transferred_in"] += one.points
        if one.kind in (DEBT_OUT, DEBT_IN):
            found[raw.key(one.cause_lot_id)]["transferred_out" if one.kind == DEBT_OUT else "transferred_in"] -= one.points
        if one.kind in (CLAWBACK, TO_DEBT):
            found[raw.key(one.cause_lot_id)]["reversed"] += one.points
        if own and one.kind in (CLAWBACK, DEBT_PAID) and own != raw.key(one.cause_lot_id):
            found[own]["substituted"] -= one.points
            found[raw.key(one.cause_lot_id)]["substituted"] += one.points
    return {key: {name: points for name, points in row.items() if points} for key, row in found.items() if any(row.values())}
