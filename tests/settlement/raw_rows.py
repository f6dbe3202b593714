"""The rows of a network as SQL gives them, for scripts that work out by hand what the settlement has worked out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

ISSUE, RECEIVED = 1, 8


class Origin(NamedTuple):
    """The entry that issued a lot's points, and the lot that it made."""

    entry: Any
    lot: Any


@dataclass
class Raw:
    """Entries by lane and sequence, postings of each in order, and all else by its id or number."""

    network: Any
    entries: list[Any]
    postings: dict[str, list[Any]]
    lots: dict[str, Any]
    cards: dict[tuple[str, int], Any]
    terms: list[Any]
    rules: dict[int, Any]
    windows: dict[int, Any]
    ranges: dict[int, list[Any]]
    adjustments: list[Any]
    receipts: dict[str, str]
    active: list[str]

    @property
    def model(self) -> str:
        """Which the network was founded with."""
        return str(self.network.settlement_model)

    @cached_property
    def by_id(self) -> dict[str, Any]:
        """Entries by id."""
        return {entry.entry_id: entry for entry in self.entries}

    @cached_property
    def origins(self) -> dict[str, "Origin"]:
        """Where a lot's points were once issued: a lot that came from another member is followed back."""
        made, came_from = {}, {}
        for entry in self.entries:
            for posting in self.postings[entry.entry_id]:
                if posting.kind == ISSUE:
                    made[posting.lot_id] = Origin(entry, self.lots[posting.lot_id])
                elif posting.kind == RECEIVED:
                    came_from[posting.lot_id] = posting.cause_lot_id
        found = {}
        for lot_id in self.lots:
            first = lot_id
            while first not in made:
                first = came_from[first]
            found[lot_id] = made[first]
        return found

    def within(self, window_id: int) -> Iterator[Any]:
        """Entries of a closed window, lane by lane."""
        for one in self.ranges[window_id]:
            yield from self._lanes.get(one.lane, [])[one.first_sequence - 1 : one.last_sequence]

    def terms_on(self, day: str) -> Any:
        """The network's terms of a date: the newest version that had begun."""
        return max((one for one in self.terms if one.effective_from <= day), key=lambda one: one.version)

    def receipt_of(self, entry: Any) -> str | None:
        """The hash of the receipt that answered for an entry; None where nobody had asked."""
        return self.receipts.get(entry.head_entry_id or entry.entry_id)

    @cached_property
    def _lanes(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for entry in self.entries:
            of_lane = found.setdefault(entry.lane, [])
            of_lane.append(entry)
            assert entry.sequence == len(of_lane), "sequences have no gaps"
        return found


def card_on(raw: Raw, partner_id: str, day: str) -> Any:
    """The rate card of a partner that was in force on a date: the newest version that had begun."""
    return max(
        (one for (owner, _), one in raw.cards.items() if owner == partner_id and one.effective_from <= day),
        key=lambda one: one.version,
    )


def load_rows(engine: Engine) -> Raw:
    """Everything."""
    with engine.connect() as connection:
        entries = _rows(
            connection,
            "SELECT entry_id, lane, sequence, window_id, kind, partner_id, business_date, booked_at_ms, original_entry_id,"
            " head_entry_id FROM entries ORDER BY lane, sequence",
        )
        postings: dict[str, list[Any]] = {entry.entry_id: [] for entry in entries}
        for row in _rows(connection, "SELECT * FROM postings ORDER BY entry_id, ordinal"):
            postings[row.entry_id].append(row)
        ranges: dict[int, list[Any]] = {}
        for row in _rows(connection, "SELECT * FROM window_ranges ORDER BY window_id, lane"):
            ranges.setdefault(row.window_id, []).append(row)
        return Raw(
            network=_rows(connection, "SELECT * FROM networks")[0],
            entries=entries,
            postings=postings,
            lots={row.lot_id: row for row in _rows(connection, "SELECT * FROM lots")},
            cards={(row.partner_id, row.version): row for row in _rows(connection, "SELECT * FROM rate_cards")},
            terms=_rows(connection, "SELECT * FROM network_terms"),
            rules={row.version: row for row in _rows(connection, "SELECT * FROM settlement_rules")},
            windows={row.window_id: row for row in _rows(connection, "SELECT * FROM windows")},
            ranges=ranges,
            adjustments=_rows(connection, "SELECT * FROM adjustments"),
            receipts={
                row.entry_id: hashlib.sha256(row.receipt).hexdigest()
                for row in _rows(connection, "SELECT entry_id, receipt FROM outcomes")
            },
            active=[
                row.partner_id
                for row in _rows(connection, "SELECT partner_id FROM partners WHERE status IN ('ACTIVE', 'SUSPENDED')")
            ],
        )


def _rows(connection: Connection, query: str) -> list[Any]:
    return list(connection.execute(text(query)))
