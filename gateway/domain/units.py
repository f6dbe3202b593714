"""Points, money and rates: integers and exact fractions, each division with a named rounding. No float."""

import re
from dataclasses import dataclass

from gateway.domain.errors import InvalidValue

INT64_MAX = 2**63 - 1
POINTS_MAX = 1_000_000_000  # of one command; keeps points x price well inside 64 bits
BALANCE_POINTS_MAX = 1_000_000_000_000  # of one member
AMOUNT_MINOR_UNITS_MAX = 1_000_000_000_000  # of one command
PRICE_MICROS_MAX = 1_000_000_000  # 1,000 minor units a point
RATE_TERM_MAX = 1_000_000
MICROS = 1_000_000  # prices per point are integers of 1e-6 minor unit

# ISO 4217 codes and their minor units. An unknown currency is refused by name, not guessed.
_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_WITH_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_WITH_TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK
    DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD
    KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
    PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
    USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
CURRENCY_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_WITHOUT_DECIMALS.split(), 0),
    **dict.fromkeys(_WITH_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_WITH_THREE_DECIMALS.split(), 3),
}

_OWN_POINTS = re.compile(r"[a-z0-9][a-z0-9-]{1,31}:[A-Z][A-Z0-9]{1,11}")
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,6}))?")
_FRACTION = re.compile(r"(0|[1-9][0-9]{0,12})(?:/([1-9][0-9]{0,6})|\.([0-9]{1,6}))?")


def div_floor(numerator: int, denominator: int) -> int:
    """Rounds towards minus infinity."""
    return numerator // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """Rounds towards plus infinity."""
    return -(-numerator // denominator)


def div_half_even(numerator: int, denominator: int) -> int:
    """Rounds to the nearest integer, halves to the even one. `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


@dataclass(frozen=True, slots=True)
class Rate:
    """An exact fraction, not negative, in the terms in which it was agreed."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        """Raises InvalidValue when out of range."""
        if not (1 <= self.denominator <= RATE_TERM_MAX and 0 <= self.numerator <= RATE_TERM_MAX * self.denominator):
            raise InvalidValue(
                f"rate {self.numerator}/{self.denominator}: must be at most {RATE_TERM_MAX}, and its denominator as well"
            )

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Reads "5/2", "2" or "0.5". Raises InvalidValue."""
        match = _FRACTION.fullmatch(text)
        if match is None:
            raise InvalidValue(f"rate {text!r}: write a fraction such as 5/2, or a decimal such as 0.5")
        whole, below, decimals = match.groups()
        if decimals is not None:
            return cls(int(whole + decimals), 10 ** len(decimals))
        return cls(int(whole), int(below or 1))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return str(self.numerator) if self.denominator == 1 else f"{self.numerator}/{self.denominator}"


def is_currency(unit: str) -> bool:
    """Whether the unit is an ISO 4217 code."""
    return unit in CURRENCY_EXPONENTS


def check_unit(unit: str) -> str:
    """Returns the unit; raises InvalidValue unless it is a currency or of the form partner:CODE."""
    if is_currency(unit) or _OWN_POINTS.fullmatch(unit):
        return unit
    raise InvalidValue(f"unit {unit!r}: must be an ISO 4217 currency such as EUR, or a partner's own points such as acme:STAR")


def unit_scale(unit: str) -> int:
    """Smallest units in one major unit: 100 for EUR, 1 for JPY and for a partner's own points."""
    scale: int = 10 ** CURRENCY_EXPONENTS.get(unit, 0)
    return scale


def parse_amount(text: str, unit: str) -> int:
    """Reads "12.50" in major units into smallest units. Raises InvalidValue."""
    exponent = CURRENCY_EXPONENTS.get(unit, 0)
    match = _DECIMAL.fullmatch(text)
    if match is None or len(match[2] or "") > exponent:
        raise InvalidValue(f"amount {text!r}: must be a decimal number with at most {exponent} decimals for {unit}")
    return int(match[1] + (match[2] or "").ljust(exponent, "0"))


def format_amount(minor_units: int, unit: str) -> str:
    """The inverse of `parse_amount`, with a minus sign where negative."""
    exponent = CURRENCY_EXPONENTS.get(unit, 0)
    digits = str(abs(minor_units)).rjust(exponent + 1, "0")
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits


def parse_micros(text: str) -> int:
    """Reads a price per point such as "1.10" minor units into millionths of one. Raises InvalidValue."""
    match = _DECIMAL.fullmatch(text)
    micros = int(match[1] + (match[2] or "").ljust(6, "0")) if match else PRICE_MICROS_MAX + 1
    if micros > PRICE_MICROS_MAX:
        raise InvalidValue(f"price {text!r}: at most 1000 minor units per point, with at most 6 decimals")
    return micros


def format_micros(micros: int) -> str:
    """The inverse of `parse_micros`, without trailing zeros."""
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0")
    sign = "-" if micros < 0 else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
