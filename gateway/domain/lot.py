"""Lots, debts and accounts: the running state of a member inside a batch."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lot:
    """Points of one issue. `arrival` is its order in the account; dates are ISO strings; price in micros of `currency`."""

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

    def is_overdue(self, network_date: str) -> bool:
        """A lot is usable through its expiry date, by the network's date at commit."""
        return self.expires_on < network_date


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


@dataclass(slots=True)
class MemberAccount:
    """A member's running values. `lots` holds the open lots only where the batch needs them, and all that it made."""

    member_id: str
    bucket: int
    enrolled_by: str
    open_points: int
    debt_points: int
    next_arrival: int
    entries: int
    lots: dict[str, Lot] = field(default_factory=dict)
    debts: list[Debt] = field(default_factory=list)

    @property
    def balance_points(self) -> int:
        """Open lots less debt."""
        return self.open_points - self.debt_points

    def usable_lots(self, network_date: str) -> list[Lot]:
        """Open lots that are not overdue, in the order in which they are taken: by expiry, then arrival."""
        return in_order(lot for lot in self.lots.values() if lot.open_points and not lot.is_overdue(network_date))

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
