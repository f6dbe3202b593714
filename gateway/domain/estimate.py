"""Breakage estimates: how many of the points that a partner issues will ever be redeemed, as it was thought from a date on. Pure.

An estimate has two dates: from when it holds, and when it was entered. The past may be seen anew, and what was believed then
stays known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.domain.errors import InvalidValue
from gateway.domain.units import Rate


@dataclass(frozen=True, slots=True)
class BreakageEstimate:
    """What is expected of an issuer's points from a date on.

    `expected_share`: of all points issued, the part that will be redeemed in the end. `point_value_micros`: what a point
    that is redeemed is worth to its member, in millionths of a minor unit, where the price of a sale is divided between goods
    and points; 0: the points are taken at their issue price.
    """

    partner_id: str
    effective_from: date
    expected_share: Rate
    point_value_micros: int


@dataclass(frozen=True, slots=True)
class EnteredEstimate:
    """An estimate, the decision that brought it, who proposed and approved it, and when that was (unix milliseconds)."""

    estimate: BreakageEstimate
    decision_id: str
    proposed_by: str
    approved_by: str
    entered_at_ms: int


def checked_estimate(estimate: BreakageEstimate) -> BreakageEstimate:
    """Returns the estimate. Raises InvalidValue unless its share is above 0 and at most 1."""
    share = estimate.expected_share
    if not 0 < share.numerator <= share.denominator:
        raise InvalidValue(f"expected share {share}: must be above 0 and at most 1; 95/100 if 5 % will never be redeemed")
    return estimate


def in_order(entered: Iterable[EnteredEstimate]) -> tuple[EnteredEstimate, ...]:
    """By the date from which they hold; of two with one date, the one that was entered later comes last and counts."""
    return tuple(sorted(entered, key=lambda one: (one.estimate.effective_from, one.entered_at_ms)))


def place_in_force(estimates: Sequence[EnteredEstimate], on: date) -> int:
    """Where in that order the estimate stands that holds on a date; -1 before the first."""
    return sum(one.estimate.effective_from <= on for one in estimates) - 1
