"""Lots, debts and accounts: the running state of a member inside a batch."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from gateway.domain.member import MemberStatus

EXPIRED_TOGETHER_MAX = 50  # lots of an entry: one account with thousands of them must not make one long write


@dataclass(slots=True)
class Lot:
    """Points of one issue. `arrival` is its order in the account; dates are ISO strings; price in micros of `currency`.

    `held_points` are open, but set aside by holds: nobody takes them, and they do not expire. `usable_from`: the first date
    on which the points can be spent; empty for at once.
    """

    lot_id: str
    member_id: str
    bucket: int
    issuer_id: str
    price_micros: int
    currency: str
    rate_card_version: int
    business_date: str
    expires_on: str
    arrival: int
    points: int
    open_points: int
    expired_points: int
    origin_entry_id: str
    held_points: int = 0
    usable_from: str = ""

    @property
    def free_points(self) -> int:
        """Open points that no hold has set aside."""
        return self.open_points - self.held_points

    def is_overdue(self, network_date: str) -> bool:
        """A lot is usable through its expiry date, by the network's date at commit."""
        return self.expires_on < network_date

    def is_pending(self, network_date: str) -> bool:
        """Whether the points wait until they can be spent. They pay debt and can be taken back all the same."""
        return self.usable_from > network_date


@dataclass(slots=True)
class Debt:
    """Points that a member owes since a reversal found them gone; owed to the issuer of `cause_lot_id`."""

    entry_id: str
    ordinal: int
    member_id: str
    bucket: int
    issuer_id: str
    rate_card_version: int
    cause_lot_id: str
    arrival: int
    points: int
    open_points: int


class HoldState(enum.StrEnum):
    """What became of a hold: it is ended once, whoever races."""

    OPEN = "OPEN"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    LAPSED = "LAPSED"


@dataclass(slots=True)
class Hold:
    """Points that a redeemer has set aside. `parts` are lot ids and points in the order in which they will be taken.

    Business date and rate card are those by which it will be captured; `ended_by` is the entry that ended it, `key_id` the
    key that asked for it.
    """

    hold_id: str
    member_id: str
    bucket: int
    partner_id: str
    business_date: str
    rate_card_version: int
    points: int
    expires_at_ms: int
    state: str
    ended_by: str
    key_id: str
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nothing has ended it yet."""
        return self.state == HoldState.OPEN.value


@dataclass(frozen=True, slots=True)
class OverdueLots:
    """Lots of one member and one last day, few enough to expire in one entry."""

    expires_on: str
    member_id: str
    lot_ids: tuple[str, ...]


def together(overdue: Iterable[tuple[str, str, str]]) -> list[OverdueLots]:
    """Overdue lots, given as (last day, member, lot) in that order, as they expire together."""
    by_owner = ((owner, [row[2] for row in rows]) for owner, rows in groupby(overdue, key=itemgetter(0, 1)))
    return [
        OverdueLots(expires_on, member_id, tuple(lot_ids[start : start + EXPIRED_TOGETHER_MAX]))
        for (expires_on, member_id), lot_ids in by_owner
        for start in range(0, len(lot_ids), EXPIRED_TOGETHER_MAX)
    ]


@dataclass(slots=True)
class MemberAccount:
    """A member's running values. `lots` holds the open lots only where the batch needs them, and all that it made.

    `status` is a MemberStatus; `is_paused` 1 or 0; `merged_into` the id that this one leads to, empty where it leads nowhere.
    Where it only tells how the member stands, `summed` has their free points: by last day, and first day of use.
    """

    member_id: str
    bucket: int
    enrolled_by: str
    open_points: int
    debt_points: int
    next_arrival: int
    entries: int
    held_points: int = 0
    status: int = MemberStatus.ACTIVE
    is_paused: int = 0
    language: str = ""
    merged_into: str = ""
    lots: dict[str, Lot] = field(default_factory=dict)
    debts: list[Debt] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    summed: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def may_give(self) -> bool:
        """Whether points of it may be taken at all: it is confirmed, and nobody has paused it."""
        return self.status == MemberStatus.ACTIVE and not self.is_paused

    @property
    def balance_points(self) -> int:
        """Open lots less debt."""
        return self.open_points - self.debt_points

    def usable_lots(self, network_date: str) -> list[Lot]:
        """Lots of which points can be spent, in the order in which they are taken: by expiry, then arrival."""
        return [lot for lot in self.free_lots(network_date) if not lot.is_pending(network_date)]

    def free_lots(self, network_date: str) -> list[Lot]:
        """The same with lots whose points still wait: what a reversal may take."""
        return in_order(lot for lot in self.lots.values() if lot.free_points and not lot.is_overdue(network_date))

    def usable_points(self, network_date: str) -> int:
        """What can be spent on a date."""
        return sum(
            lot.open_points - lot.held_points for lot in self.lots.values() if lot.expires_on >= network_date >= lot.usable_from
        )

    def lapsed_holds(self, at_ms: int) -> list[Hold]:
        """Open holds whose time is over, the oldest first."""
        due = (hold for hold in self.holds.values() if hold.is_open and hold.expires_at_ms <= at_ms)
        return sorted(due, key=lambda hold: (hold.expires_at_ms, hold.hold_id))

    def open_debts(self) -> list[Debt]:
        """Debts that are not yet paid, oldest first."""
        return sorted((debt for debt in self.debts if debt.open_points), key=lambda debt: debt.arrival)

    def take_arrival(self) -> int:
        """The next number in the account's order of arrival."""
        arrival = self.next_arrival
        self.next_arrival += 1
        return arrival


def in_order(lots: Iterable[Lot]) -> list[Lot]:
    """Lots in the order in which they are taken: by expiry, then arrival."""
    return sorted(lots, key=lambda lot: (lot.expires_on, lot.arrival))
