"""What a partner's open points are worth: what it owes whoever redeems them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from gateway.domain.units import MICROS, div_half_even, format_amount
from gateway.storage.tables import lots


@dataclass(frozen=True, slots=True)
class Liability:
    """Open lots of one issuer in one currency; `value_micros` at their issue prices, in millionths of a minor unit."""

    currency: str
    lots: int
    points: int
    value_micros: int


def load_liability(connection: Connection, partner_id: str) -> list[Liability]:
    """By currency; empty if no point of the partner is open."""
    rows = connection.execute(
        select(lots.c.currency, lots.c.price_micros, func.count(), func.sum(lots.c.open_points))
        .where(lots.c.issuer_id == partner_id, lots.c.open_points > 0)
        .group_by(lots.c.currency, lots.c.price_micros)
        .order_by(lots.c.currency)
    ).all()
    found: dict[str, Liability] = {}
    for currency, price_micros, count, points in rows:
        so_far = found.get(currency, Liability(currency, 0, 0, 0))
        # Multiplied here: the product of a whole network's points may exceed the database's 64 bits.
        value_micros = so_far.value_micros + int(points) * price_micros
        found[currency] = Liability(currency, so_far.lots + count, so_far.points + int(points), value_micros)
    return list(found.values())


def liability_words(liabilities: Sequence[Liability]) -> str:
    """For people; rounded half to even, since nobody pays this sum as such."""
    if not liabilities:
        return "no open points"
    return " and ".join(
        f"{one.points:,} open points in {one.lots:,} lots, worth "
        f"{format_amount(div_half_even(one.value_micros, MICROS), one.currency)} {one.currency} at their issue prices"
        for one in liabilities
    )
