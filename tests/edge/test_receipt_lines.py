"""Lines of the paper receipt: every language has all of them, each fits the paper, and the same receipt gives the same ones."""

import string

import pytest

from gateway.domain.units import BALANCE_POINTS_MAX, PRICE_MICROS_MAX
from gateway.edge.lines import ENGLISH, LANGUAGES, LINE_CHARACTERS_MAX, LINES_MAX, Language, language_of, receipt_lines
from tallystick.v1 import types_pb2

EUR = types_pb2.Amount(unit="EUR", minor_units=123_450)
# The most that a member's points can be worth, in minor units; of no currency is that longer than of one with three decimals.
MOST = BALANCE_POINTS_MAX * (PRICE_MICROS_MAX // 1_000_000)
_FIELDS = string.Formatter()


def facts_of(line: str) -> set[str]:
    """What a line has places for."""
    return {name for _, name, _, _ in _FIELDS.parse(line) if name}


def amount(minor_units: int, unit: str = "EUR") -> types_pb2.Amount:
    """In smallest units."""
    return types_pb2.Amount(unit=unit, minor_units=minor_units)


def checkout(**standing: object) -> types_pb2.Receipt:
    """500 points pay 5.00 of 20.00, and 7 points are issued."""
    return types_pb2.Receipt(
        kind=types_pb2.ENTRY_KIND_REDEEM,
        points=-500,
        amount=amount(500),
        total=amount(2_000),
        to_pay=amount(1_500),
        balance_points=1_507,
        legs=[types_pb2.ReceiptLeg(kind=types_pb2.ENTRY_KIND_ISSUE, points=7)],
        standing=types_pb2.Standing(available_points=1_507, value=amount(1_507), **standing),  # type: ignore[arg-type]  # by name
    )


def largest(kind: types_pb2.EntryKind.ValueType, unit: str) -> types_pb2.Receipt:
    """All that a receipt can say, each as long as it can be."""
    points = BALANCE_POINTS_MAX
    return types_pb2.Receipt(
        kind=kind,
        points=-points,
        amount=amount(MOST, unit),
        to_pay=amount(MOST, unit),
        cash_to_withhold=amount(MOST, unit),
        balance_points=-points,
        legs=[
            types_pb2.ReceiptLeg(kind=types_pb2.ENTRY_KIND_ISSUE, points=points),
            types_pb2.ReceiptLeg(kind=types_pb2.ENTRY_KIND_REVERSE_REDEMPTION, points=points),
            types_pb2.ReceiptLeg(kind=types_pb2.ENTRY_KIND_REVERSE_ISSUE, points=-points),
        ],
        standing=types_pb2.Standing(
            available_points=points,
            held_points=points,
            debt_points=points,
            pending_points=points,
            next_expiry_on="2027-12-31",
            next_expiry_points=points,
            expiring_points=points,
            value=amount(MOST, unit),
        ),
    )


def test_the_languages_are_there() -> None:
    """English, German, French; others by a file."""
    assert set(LANGUAGES) >= {"en", "de", "fr"}


@pytest.mark.parametrize("name", sorted(LANGUAGES))
def test_every_language_has_every_line_with_the_same_facts(name: str) -> None:
    """Compared with English."""
    wanted = {key: facts_of(line) for key, line in LANGUAGES[ENGLISH].lines.items()}

    assert {key: facts_of(line) for key, line in LANGUAGES[name].lines.items()} == wanted
    assert len(LANGUAGES[name].months) == 12


@pytest.mark.parametrize("name", sorted(LANGUAGES))
@pytest.mark.parametrize("unit", ["EUR", "JPY", "KWD"])
def test_every_line_fits_the_paper_with_the_largest_numbers(name: str, unit: str) -> None:
    """Also those that one receipt alone would leave out, being the eleventh."""
    language = LANGUAGES[name]
    facts = {
        "points": language.points(-BALANCE_POINTS_MAX),
        "money": language.money(amount(MOST, unit)),
        "date": max((language.day(f"2027-{month:02d}-30") for month in range(1, 13)), key=len),
    }

    assert {key: len(line.format_map(facts)) for key, line in language.lines.items() if len(line.format_map(facts)) > 40} == {}
    assert LINE_CHARACTERS_MAX == 40


@pytest.mark.parametrize("name", sorted(LANGUAGES))
@pytest.mark.parametrize("kind", [kind for kind in types_pb2.EntryKind.values() if kind])
def test_a_receipt_has_at_most_ten_lines(name: str, kind: types_pb2.EntryKind.ValueType) -> None:
    """Of any kind, with everything in it."""
    lines = receipt_lines(largest(kind, "EUR"), LANGUAGES[name])

    assert 0 < len(lines) <= LINES_MAX
    assert all(0 < len(line) <= LINE_CHARACTERS_MAX and line.isprintable() and line == line.strip() for line in lines)


@pytest.mark.parametrize(
    ("name", "points", "money", "day"),
    [
        ("en", "-1,234,567", "1,234.50 EUR", "30 Jun 2027"),
        ("de", "-1.234.567", "1.234,50 EUR", "30.06.2027"),
        ("fr", "-1 234 567", "1 234,50 EUR", "30/06/2027"),
    ],
)
def test_numbers_and_dates_are_written_as_the_language_does(name: str, points: str, money: str, day: str) -> None:
    """Points, money, and a day."""
    language = LANGUAGES[name]

    assert (language.points(-1_234_567), language.money(EUR), language.day("2027-06-30")) == (points, money, day)


@pytest.mark.parametrize(
    ("minor_units", "unit", "written"),
    [(5, "EUR", "0.05 EUR"), (-5, "EUR", "-0.05 EUR"), (1_234, "JPY", "1,234 JPY"), (1_234_567, "KWD", "1,234.567 KWD")],
)
def test_money_has_the_decimals_of_its_currency(minor_units: int, unit: str, written: str) -> None:
    """None of yen, three of dinars; below zero with its sign."""
    assert LANGUAGES["en"].money(amount(minor_units, unit)) == written


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (("de",), "de"),
        (("fr-CH",), "fr"),
        (("DE-at",), "de"),
        (("",), "en"),
        (("xx",), "en"),
        (("xx", "fr"), "fr"),
        (("de", "fr"), "de"),
    ],
)
def test_the_first_language_that_there_are_lines_in_is_taken(tags: tuple[str, ...], name: str) -> None:
    """What the request says, then what the member has; English without either."""
    assert language_of(*tags) is LANGUAGES[name]


def test_a_checkout_says_what_it_did_and_what_is_left() -> None:
    """In German, as it stands on the paper."""
    standing = {"next_expiry_points": 100, "expiring_points": 300, "next_expiry_on": "2026-07-31"}

    assert receipt_lines(checkout(**standing), LANGUAGES["de"]) == [
        "Punkte bezahlt: 500",
        "Punkte erhalten: 7",
        "Mit Punkten: 5,00 EUR",
        "Zu zahlen: 15,00 EUR",
        "Stand: 1.507 Punkte",
        "Wert: 15,07 EUR",
        "100 verfallen 31.07.2026",
    ]


def test_points_that_are_not_available_are_told_apart() -> None:
    """What waits, what is set aside, what is owed."""
    receipt = types_pb2.Receipt(
        kind=types_pb2.ENTRY_KIND_ISSUE,
        points=50,
        balance_points=150,
        standing=types_pb2.Standing(available_points=70, held_points=30, pending_points=50),
    )

    assert receipt_lines(receipt, LANGUAGES["en"]) == [
        "Points earned: 50",
        "Balance: 150 points",
        "Available: 70 points",
        "Available later: 50",
        "Reserved: 30",
    ]


def test_money_in_a_partners_own_points_is_not_written() -> None:
    """Their names are as long as a line."""
    own = amount(100, "charlie:STAR")
    receipt = types_pb2.Receipt(kind=types_pb2.ENTRY_KIND_ISSUE, points=250, balance_points=250, total=own, to_pay=own)
    receipt.standing.available_points = 250

    assert receipt_lines(receipt, LANGUAGES["en"]) == ["Points earned: 250", "Balance: 250 points"]


def test_a_language_is_a_plain_value_of_its_file() -> None:
    """Nothing is looked up in the system's locales."""
    assert isinstance(LANGUAGES["fr"], Language)
    assert LANGUAGES["fr"].thousands == " "
