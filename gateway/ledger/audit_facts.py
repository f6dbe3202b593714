"""What the audit holds in memory while it reads: terms, heads and windows, all of them small. Recomputes nothing itself."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from gateway.domain.decision import Decision, DecisionState
from gateway.domain.documents import applied_at_ms
from gateway.domain.limits import NO_LIMITS, Limits
from gateway.domain.network import Network, ReceiptKey
from gateway.domain.partner import PartnerRole
from gateway.domain.settlement import SettlementRules
from gateway.domain.terms import ExpiryRule, NetworkTerms, Offer, RateCard, date_at
from gateway.domain.window import LaneRange, WindowState
from gateway.storage.audit_reads import Rows, table_rows
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_network, load_receipt_keys, load_terms
from gateway.storage.rules import load_rules
from gateway.storage.tables import heads, window_ranges, windows
from gateway.storage.tables_directory import network_terms, partner_limits, rate_cards
from gateway.storage.tables_settlement import window_transitions

# An approval and a batch may wait for each other's lock; which of the two came first, their times cannot say closer.
OVERLAP_MS = 60_000
_QUARTER_MS = 900_000  # no zone's offset is finer than a quarter of an hour

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Versions(Generic[V]):
    """Versions of terms, oldest first, each with its first date and the time of the decision that brought it."""

    rows: tuple[tuple[date, int, V], ...]

    def possible(self, on: date, booked_at_ms: int) -> Iterator[V]:
        """What may have been in force on a date for an entry of that time, newest first; several around an approval."""
        for effective_from, decided_at_ms, value in reversed(self.rows):
            if effective_from <= on:
                yield value
                if decided_at_ms <= booked_at_ms - OVERLAP_MS:
                    break

    def is_possible(self, wanted: V, on: date, booked_at_ms: int) -> bool:
        """Whether this very version is among them."""
        return any(value is wanted for value in self.possible(on, booked_at_ms))


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms by their keys; `ranges` are the closed windows' by window, then lane."""

    network: Network
    cards: Mapping[tuple[str, int], RateCard]
    card_versions: Mapping[str, Versions[RateCard]]
    network_versions: Versions[NetworkTerms]
    limit_versions: Mapping[str, Versions[Limits]]
    offers: Mapping[str, Offer]
    charities: frozenset[str]
    zones: Mapping[str, ZoneInfo]
    receipt_keys: Mapping[str, ReceiptKey]
    decisions: Sequence[Decision]
    heads: Rows
    windows: Rows
    ranges: Mapping[int, Sequence[LaneRange]]
    transitions: Mapping[int, Rows]
    rules: Sequence[SettlementRules]

    @property
    def network_date(self) -> str:
        """The network's date of the last commit of any lane."""
        return local_date(self.network.time_zone, max((head.last_commit_ms for head in self.heads), default=0))

    def last_sequence(self, head: Any, window: Any, *, before: int) -> int:
        """Where a lane ends in a window; `before`, where it ended in the one before, if it had not begun."""
        if window.state == WindowState.OPEN.value:
            return int(head.last_sequence)
        return next((lane.last for lane in self.ranges.get(window.window_id, ()) if lane.lane == head.lane), before)

    def terms_possible(self, on: date, booked_at_ms: int) -> list[NetworkTerms]:
        """Network terms that may have been in force; the first version also serves dates before it."""
        return list(self.network_versions.possible(on, booked_at_ms)) or [self.network_versions.rows[0][2]]

    def terms_on(self, on: str, decided_by_ms: int) -> NetworkTerms:
        """The network terms of a date, of those that had been decided by then; the first version also serves dates before it."""
        rows = [row for row in self.network_versions.rows if row[1] <= decided_by_ms]
        return next((terms for first, _, terms in reversed(rows) if first.isoformat() <= on), rows[0][2])

    def limits_possible(self, partner_id: str, on: date, booked_at_ms: int) -> Iterator[tuple[Limits, Limits]]:
        """The network's and the partner's limits that may have been in force together."""
        versions = self.limit_versions.get(partner_id)
        owns = [NO_LIMITS] if versions is None else list(versions.possible(on, booked_at_ms))
        return ((terms.limits, own) for terms in self.terms_possible(on, booked_at_ms) for own in owns)

    def zone_of(self, partner_id: str) -> ZoneInfo:
        """The partner's time zone; the network's for the operator."""
        return self.zones.get(partner_id, self.network.time_zone)


def load_facts(connection: Connection) -> Facts:
    """Raises what unreadable rows raise."""
    terms = load_terms(connection)
    decisions = load_decisions(connection)
    applied = {one.decision_id: applied_at_ms(one) for one in decisions if one.state is DecisionState.APPLIED}
    by_card = {(row.partner_id, row.version): applied.get(row.decision_id, 0) for row in table_rows(connection, rate_cards)}
    by_limits = {(row.partner_id, row.version): applied.get(row.decision_id, 0) for row in table_rows(connection, partner_limits)}
    by_version = {row.version: applied.get(row.decision_id, 0) for row in table_rows(connection, network_terms)}
    cards = {(card.partner_id, card.version): card for versions in terms.cards.values() for card in versions}
    return Facts(
        network=load_network(connection),
        cards=cards,
        card_versions={
            partner_id: Versions(tuple((card.effective_from, by_card[partner_id, card.version], card) for card in versions))
            for partner_id, versions in terms.cards.items()
        },
        network_versions=Versions(tuple((one.effective_from, by_version[one.version], one) for one in terms.network)),
        limit_versions={
            partner_id: Versions(
                (
                    (date.min, 0, NO_LIMITS),
                    *((own.effective_from, by_limits[partner_id, own.version], own.limits) for own in versions),
                )
            )
            for partner_id, versions in terms.partner_limits.items()
        },
        offers=terms.offers,
        charities=frozenset(one.partner_id for one in terms.partners.values() if PartnerRole.CHARITY in one.roles),
        zones=terms.zones,
        receipt_keys={key.key_id: key for key in load_receipt_keys(connection)},
        decisions=decisions,
        heads=table_rows(connection, heads),
        windows=table_rows(connection, windows),
        ranges=_ranges(table_rows(connection, window_ranges)),
        transitions=_by_window(table_rows(connection, window_transitions)),
        rules=load_rules(connection),
    )


def _by_window(rows: Rows) -> Mapping[int, Rows]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.window_id].append(row)
    return found


def local_date(zone: ZoneInfo, at_ms: int) -> str:
    """Date of an instant, as the books write it."""
    return _date_of_quarter(zone, at_ms // _QUARTER_MS)


@lru_cache(maxsize=65_536)
def last_day(rule: ExpiryRule, on: date) -> str:
    """The last day of points of a business date, as the books write it."""
    return rule.last_day(on).isoformat()


@lru_cache(maxsize=65_536)
def _date_of_quarter(zone: ZoneInfo, quarter: int) -> str:
    return date_at(quarter * _QUARTER_MS, zone).isoformat()


def _ranges(rows: Sequence[Any]) -> dict[int, list[LaneRange]]:
    found: dict[int, list[LaneRange]] = {}
    for row in rows:
        found.setdefault(row.window_id, []).append(
            LaneRange(row.lane, row.first_sequence, row.last_sequence, row.chain_hash, row.refusals, row.refusals_hash)
        )
    return found
