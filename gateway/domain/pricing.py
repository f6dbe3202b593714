"""Where a point's value is decided. Exact until the last step, each division with its named rounding.

An issue:       points = floor(eligible x issue rate), by the issuer's rate card of the business date.
A redemption:   value = floor(points x face value), or points = ceil(value / face value), by the redeemer's.
What it costs:  the issuer of each lot taken owes the redeemer points x reimbursement rate, rounded once per statement line.
"""

from collections.abc import Sequence

from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS, Rate, div_ceil, div_floor, unit_scale


def points_for(minor_units: int, rate: Rate, unit: str) -> int:
    """Points that an eligible amount earns; a rest below one point is not carried."""
    return div_floor(minor_units * rate.numerator, rate.denominator * unit_scale(unit))


def value_of(points: int, card: RateCard) -> int:
    """Minor units that points are worth to the member at this redeemer."""
    return div_floor(points * card.face_value_micros, MICROS)


def points_for_value(value: int, card: RateCard) -> int:
    """Fewest points that are worth at least `value` minor units at this redeemer."""
    return div_ceil(value * MICROS, card.face_value_micros)


def reimbursement_micros(points: int, card: RateCard) -> int:
    """Exact millionths of a minor unit that the redeemer is owed for points."""
    return points * card.reimbursement_rate_micros


def to_take_back(points: int, *, remaining: int, original: int) -> int:
    """Points of a bonus that go when only `remaining` of the `original` eligible amount is left; cumulative."""
    return points - div_floor(points * remaining, original)


def split_by_weights(points: int, weights: Sequence[int]) -> list[int]:
    """Splits points by weights with the method of largest remainders; ties go to the earlier one. Sums to `points`."""
    whole = sum(weights)
    parts = [div_floor(points * weight, whole) for weight in weights]
    remainders = [points * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in by_remainder[: points - sum(parts)]:
        parts[i] += 1
    return parts


def split_further(points: int, weights: Sequence[int], taken: Sequence[int]) -> list[int]:
    """What each part of a growing split gives now, when `points` in all and `taken` of it before.

    The largest remainders of a larger sum may give one part less than before (the Alabama paradox); that part then
    gives nothing now, and those that would give most give less, so that nothing is ever given back.
    """
    now = [max(0, target - before) for target, before in zip(split_by_weights(points, weights), taken, strict=True)]
    excess = sum(now) - (points - sum(taken))
    while excess > 0:
        largest = max(range(len(now)), key=lambda i: (now[i], -i))
        now[largest] -= 1
        excess -= 1
    return now


def split_by_shares(points: int, shares: Sequence[Rate]) -> list[int]:
    """Splits points by fractions that sum to one."""
    common = 1
    for share in shares:
        common *= share.denominator
    return split_by_weights(points, [share.numerator * (common // share.denominator) for share in shares])
