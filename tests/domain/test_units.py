"""Points, money and rates: what is read, what is written, and how each division rounds."""

import pytest

from gateway.domain.errors import InvalidValue
from gateway.domain.units import (
    CURRENCY_EXPONENTS,
    PRICE_MICROS_MAX,
    RATE_TERM_MAX,
    Rate,
    check_unit,
    div_ceil,
    div_floor,
    div_half_even,
    format_amount,
    format_micros,
    is_currency,
    parse_amount,
    parse_micros,
    unit_scale,
)


@pytest.mark.parametrize(
    ("numerator", "denominator", "floor", "ceil", "half_even"),
    [
        (0, 2, 0, 0, 0),
        (1, 2, 0, 1, 0),
        (3, 2, 1, 2, 2),
        (5, 2, 2, 3, 2),
        (-1, 2, -1, 0, 0),
        (-3, 2, -2, -1, -2),
        (-5, 2, -3, -2, -2),
        (4, 2, 2, 2, 2),
        (-4, 2, -2, -2, -2),
        (49, 100, 0, 1, 0),
        (51, 100, 0, 1, 1),
        (-49, 100, -1, 0, 0),
        (-51, 100, -1, 0, -1),
        (2**80 + 1, 2, 2**79, 2**79 + 1, 2**79),
        (2**80 + 3, 2, 2**79 + 1, 2**79 + 2, 2**79 + 2),
    ],
)
def test_each_division_rounds_as_its_name_says(numerator: int, denominator: int, floor: int, ceil: int, half_even: int) -> None:
    """Ties, negative numbers and numbers beyond what a float holds included."""
    rounded = (div_floor(numerator, denominator), div_ceil(numerator, denominator), div_half_even(numerator, denominator))

    assert rounded == (floor, ceil, half_even)


@pytest.mark.parametrize(
    ("text", "numerator", "denominator"),
    [
        ("0", 0, 1),
        ("2", 2, 1),
        ("5/2", 5, 2),
        ("4/2", 4, 2),
        ("0.5", 5, 10),
        ("0.000001", 1, 1_000_000),
        ("1000000", 1_000_000, 1),
        ("1000000/1000000", 1_000_000, 1_000_000),
        ("1000.123456", 1_000_123_456, 1_000_000),
    ],
)
def test_a_rate_is_read_in_the_terms_in_which_it_was_agreed(text: str, numerator: int, denominator: int) -> None:
    """A fraction is not reduced: the card shows what was signed."""
    assert Rate.parse(text) == Rate(numerator, denominator)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "-1", "+1", "01", "1.", ".5", "1/0", "1/02", "1/-2", "1,5", "1e3",
     "0.1234567", "1/2/3", "½", "٣", "1\n", "1000001", "1000000.000001", "1/1000001"],
)  # fmt: skip
def test_a_rate_of_another_form_is_refused(text: str) -> None:
    """Each rate has one spelling as a decimal and one as a fraction, and no more."""
    with pytest.raises(InvalidValue, match="rate"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("numerator", "denominator", "is_accepted"),
    [
        (0, 1, True),
        (-1, 1, False),
        (1, 0, False),
        (1, RATE_TERM_MAX - 1, True),
        (1, RATE_TERM_MAX, True),
        (1, RATE_TERM_MAX + 1, False),
        (RATE_TERM_MAX - 1, 1, True),
        (RATE_TERM_MAX, 1, True),
        (RATE_TERM_MAX + 1, 1, False),
        (RATE_TERM_MAX * RATE_TERM_MAX, RATE_TERM_MAX, True),
        (RATE_TERM_MAX * RATE_TERM_MAX + 1, RATE_TERM_MAX, False),
    ],
)
def test_a_rate_has_limits_above_and_below(numerator: int, denominator: int, is_accepted: bool) -> None:  # noqa: FBT001 - the table's last column
    """At most a million, and over a denominator of at most a million."""
    try:
        Rate(numerator, denominator)
    except InvalidValue:
        assert not is_accepted
    else:
        assert is_accepted


@pytest.mark.parametrize(
    ("text", "unit", "smallest"),
    [
        ("12.50", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("12", "EUR", 1200),
        ("0.01", "EUR", 1),
        ("0", "EUR", 0),
        ("1250", "JPY", 1250),
        ("1.234", "KWD", 1234),
        ("40", "acme:STAR", 40),
        ("999999999999.99", "EUR", 99_999_999_999_999),
    ],
)
def test_an_amount_is_read_into_smallest_units(text: str, unit: str, smallest: int) -> None:
    """By the minor unit of ISO 4217; a partner's own points have none."""
    assert parse_amount(text, unit) == smallest


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("12.505", "EUR"),
        ("12.0", "JPY"),
        ("1.2345", "KWD"),
        ("0.5", "acme:STAR"),
        ("-1", "EUR"),
        ("1e2", "EUR"),
        ("1,50", "EUR"),
        ("012", "EUR"),
        (" 1", "EUR"),
        ("1\n", "EUR"),
        ("", "EUR"),
        ("1234567890123", "EUR"),
        ("١٢", "EUR"),
    ],
)
def test_an_amount_of_another_form_is_refused(text: str, unit: str) -> None:
    """Also one with more decimals than its unit has: nothing is rounded on reading."""
    with pytest.raises(InvalidValue, match="amount"):
        parse_amount(text, unit)


@pytest.mark.parametrize(
    ("smallest", "unit", "text"),
    [
        (1250, "EUR", "12.50"),
        (5, "EUR", "0.05"),
        (0, "EUR", "0.00"),
        (-416, "EUR", "-4.16"),
        (-5, "EUR", "-0.05"),
        (5, "KWD", "0.005"),
        (-7, "JPY", "-7"),
        (40, "acme:STAR", "40"),
    ],
)
def test_an_amount_is_written_with_all_its_decimals(smallest: int, unit: str, text: str) -> None:
    """A net position may be negative."""
    assert format_amount(smallest, unit) == text


@pytest.mark.parametrize(
    ("text", "micros"),
    [("1.10", 1_100_000), ("0.96", 960_000), ("1", 1_000_000), ("0", 0), ("0.000001", 1),
     ("999.999999", PRICE_MICROS_MAX - 1), ("1000", PRICE_MICROS_MAX)],
)  # fmt: skip
def test_a_price_is_read_into_millionths(text: str, micros: int) -> None:
    """Of a minor unit, up to a thousand of them."""
    assert parse_micros(text) == micros


@pytest.mark.parametrize("text", ["", "-1", "1.1234567", "1000.000001", "1001", "1,1", "1e0", " 1", "1\n", "00.5"])
def test_a_price_of_another_form_is_refused(text: str) -> None:
    """Also one above a thousand minor units a point."""
    with pytest.raises(InvalidValue, match="price"):
        parse_micros(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(1_100_000, "1.1"), (1_000_000, "1"), (0, "0"), (1, "0.000001"), (-352_400_000, "-352.4"), (-1, "-0.000001")],
)
def test_a_price_is_written_without_trailing_zeros(micros: int, text: str) -> None:
    """An exact total may be negative."""
    assert format_micros(micros) == text


@pytest.mark.parametrize("unit", ["EUR", "JPY", "KWD", "acme:STAR", "a1:P2", "a-shop:ABCDEFGHIJKL"])
def test_a_unit_is_a_currency_or_a_partners_own_points(unit: str) -> None:
    """Exchange of private points follows the same rule as money."""
    assert check_unit(unit) == unit


@pytest.mark.parametrize(
    "unit",
    ["", "eur", "EURO", "XXX", "acme:", ":STAR", "acme:S", "acme:star", "ACME:STAR", "acme:1STAR", "acme:ABCDEFGHIJKLM",
     "EUR\n", "acme:STAR\n", "\N{CYRILLIC SMALL LETTER A}cme:STAR"],
)  # fmt: skip
def test_an_unknown_unit_is_refused(unit: str) -> None:
    """By name, and never guessed."""
    with pytest.raises(InvalidValue, match="unit"):
        check_unit(unit)


def test_a_unit_says_how_many_smallest_units_make_one() -> None:
    """Issue rates are per major unit: per euro, per yen, per star."""
    scales = [unit_scale(unit) for unit in ("EUR", "JPY", "KWD", "acme:STAR")]

    assert scales == [100, 1, 1000, 1]


def test_no_currency_is_also_a_partners_points() -> None:
    """So that a unit has one meaning."""
    assert all(is_currency(unit) and len(unit) == 3 and unit.isupper() for unit in CURRENCY_EXPONENTS)
    assert not is_currency("acme:STAR")
