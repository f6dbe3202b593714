"""Roundings against the exact fractions of the standard library, and what is written against what is read."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.units import (
    CURRENCY_EXPONENTS,
    PRICE_MICROS_MAX,
    RATE_TERM_MAX,
    Rate,
    div_ceil,
    div_floor,
    div_half_even,
    format_amount,
    format_micros,
    parse_amount,
    parse_micros,
)

NUMERATORS = st.integers(-(2**130), 2**130)
DENOMINATORS = st.integers(1, 2**70)
UNITS = st.sampled_from([*sorted(CURRENCY_EXPONENTS), "acme:STAR"])


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    """Any rate that there can be."""
    denominator = draw(st.integers(1, RATE_TERM_MAX))
    return Rate(draw(st.integers(0, RATE_TERM_MAX * denominator)), denominator)


@given(NUMERATORS, DENOMINATORS)
def test_the_divisions_agree_with_exact_fractions(numerator: int, denominator: int) -> None:
    """Python's own round() of a Fraction is half-even."""
    exact = Fraction(numerator, denominator)
    rounded = (div_floor(numerator, denominator), div_ceil(numerator, denominator), div_half_even(numerator, denominator))

    assert rounded == (floor(exact), ceil(exact), round(exact))


@given(NUMERATORS, DENOMINATORS)
def test_half_even_has_no_side(numerator: int, denominator: int) -> None:
    """What the payer rounds and what the payee rounds cancel: a statement sums to zero."""
    assert div_half_even(-numerator, denominator) == -div_half_even(numerator, denominator)


@given(st.integers(-(2**60), 2**60), st.integers(1, 2**40))
def test_half_even_at_a_tie_gives_the_even_neighbour(below: int, half: int) -> None:
    """A tie is an odd number of halves."""
    rounded = div_half_even((2 * below + 1) * half, 2 * half)

    assert rounded % 2 == 0
    assert rounded in {below, below + 1}


@given(rates())
def test_a_rate_is_read_as_it_was_written(rate: Rate) -> None:
    """Whatever a card may hold can be stored as text."""
    assert Rate.parse(str(rate)) == rate


@given(st.integers(0, 10**11), UNITS)
def test_an_amount_is_read_as_it_was_written(smallest: int, unit: str) -> None:
    """In every currency."""
    assert parse_amount(format_amount(smallest, unit), unit) == smallest


@given(st.integers(0, PRICE_MICROS_MAX))
def test_a_price_is_read_as_it_was_written(micros: int) -> None:
    """Up to the highest."""
    assert parse_micros(format_micros(micros)) == micros
