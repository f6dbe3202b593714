"""How a member stands after a command: what a till shows, and prints on its receipt."""

from dataclasses import dataclass
from datetime import date, timedelta

from gateway.domain.lot import MemberAccount, in_order
from gateway.domain.pricing import value_of
from gateway.domain.terms import RateCard

EXPIRING_DAYS = 90


@dataclass(frozen=True, slots=True)
class Standing:
    """Points by what can be done with them. `version` grows with each entry of the member.

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


def standing_of(account: MemberAccount, network_date: str, card: RateCard | None) -> Standing:
    """Of an account whose open lots are all at hand; `card` is the partner's that asks."""
    usable = in_order(account.usable_lots(network_date)) if account.may_give else []
    available = sum(lot.free_points for lot in usable)
    next_on = usable[0].expires_on if usable else ""
    horizon = (date.fromisoformat(network_date) + timedelta(days=EXPIRING_DAYS)).isoformat()
    return Standing(
        member_id=account.member_id,
        balance_points=account.balance_points,
        version=account.entries,
        available_points=available,
        held_points=account.held_points,
        debt_points=account.debt_points,
        next_expiry_on=next_on,
        next_expiry_points=sum(lot.free_points for lot in usable if lot.expires_on == next_on),
        expiring_points=sum(lot.free_points for lot in usable if lot.expires_on <= horizon),
        value=(card.currency, value_of(available, card)) if card is not None else None,
    )
