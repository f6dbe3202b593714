"""How a member stands after a command: what a till shows, and prints on its receipt."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.domain.lot import MemberAccount
from gateway.domain.pricing import value_of
from gateway.domain.terms import RateCard

EXPIRING_DAYS = 90


@dataclass(frozen=True, slots=True)
class Standing:
    """Points by what can be done with them. `version` grows with each entry of the member; `pending_points` still wait.

    `next_expiry`: the last day of the points that go first, and how many they are; empty and 0 where none do. `value`: what
    the available points are worth at the partner that asks, as unit and smallest units.
    """

    member_id: str
    balance_points: int
    version: int
    available_points: int
    held_points: int
    debt_points: int
    next_expiry_on: str
    next_expiry_points: int
    expiring_points: int
    value: tuple[str, int] | None
    pending_points: int = 0


def standing_of(account: MemberAccount, network_date: str, card: RateCard | None) -> Standing:
    """Of an account whose open lots, or their sums, are all at hand; `card` is the partner's that asks."""
    horizon = (date.fromisoformat(network_date) + timedelta(days=EXPIRING_DAYS)).isoformat()
    available = pending = expiring = next_points = 0
    next_on = ""
    for expires_on, usable_from, points in _free(account):
        if not points or expires_on < network_date:
            continue
        if usable_from > network_date:
            pending += points
            continue
        if not account.may_give:
            continue
        available += points
        if expires_on <= horizon:
            expiring += points
        if not next_on or expires_on < next_on:
            next_on, next_points = expires_on, points
        elif expires_on == next_on:
            next_points += points
    return Standing(
        member_id=account.member_id,
        balance_points=account.balance_points,
        version=account.entries,
        available_points=available,
        held_points=account.held_points,
        debt_points=account.debt_points,
        next_expiry_on=next_on,
        next_expiry_points=next_points,
        expiring_points=expiring,
        value=(card.currency, value_of(available, card)) if card is not None else None,
        pending_points=pending,
    )


def _free(account: MemberAccount) -> Iterator[tuple[str, str, int]]:
    """Last day, first day of use, and points that no hold has set aside."""
    for (expires_on, usable_from), points in account.summed.items():
        yield expires_on, usable_from, points
    for lot in account.lots.values():
        yield lot.expires_on, lot.usable_from, lot.open_points - lot.held_points
