"""What points are carried at, and what of it is recognised: the proportional method of IFRS 15 (B39 to B47, example 52). Pure.

Amounts are whole minor units; each function rounds once, half to even. A period's figure is the difference of two cumulative
ones, so a change of the estimate is caught up with in the period in which it is made, and periods add up.
"""

from dataclasses import dataclass

from gateway.domain.units import MICROS, Rate, div_half_even

ALL_REDEEMED = Rate(1, 1)
"""What is expected where nobody has estimated: no breakage, the careful end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Points of one portfolio up to a date, and the price that is carried for them.

    `to_serve` are all that were issued and not taken back: they were redeemed, have expired or are open (less debt).
    """

    price: int
    to_serve_points: int
    redeemed_points: int
    open_points: int

    def expected_points(self, expected_share: Rate) -> int:
        """How many will be redeemed in the end: the share, but no more than still can be; rounded half to even, for people."""
        return div_half_even(*self._expected(expected_share))

    def recognised(self, expected_share: Rate) -> int:
        """What of the price is recognised by now: as much of it as was redeemed of what is expected to be, at most all."""
        numerator, denominator = self._expected(expected_share)
        if numerator <= self.redeemed_points * denominator:
            # Nothing that is expected is left: the points are all served, or have expired, or the estimate was too low.
            return self.price
        return div_half_even(self.price * self.redeemed_points * denominator, numerator)

    def _expected(self, expected_share: Rate) -> tuple[int, int]:
        """As an exact fraction."""
        possible = self.redeemed_points + self.open_points
        numerator, denominator = self.to_serve_points * expected_share.numerator, expected_share.denominator
        return (possible, 1) if possible * denominator <= numerator else (numerator, denominator)


def price_of_points(*, sales: int, points: int, point_value_micros: int, expected_share: Rate) -> int:
    """What of a sale's price belongs to the points that came with it, by relative stand-alone prices.

    A point stands alone at its value times the share that is expected to be redeemed; `sales` is what the goods sell for
    by themselves, and what is paid for both. The goods get the rest.
    """
    worth = max(points, 0) * point_value_micros * expected_share.numerator
    whole = sales * MICROS * expected_share.denominator + worth
    return div_half_even(sales * worth, whole) if sales > 0 and worth else 0


def price_at_issue(*, points: int, price_micros: int) -> int:
    """What points come to at their issue price."""
    return div_half_even(points * price_micros, MICROS)
