"""Lines for the paper receipt, in the languages that there are files of. Made of the receipt alone: a repeat says the same.

A language is added by adding a file to `languages/`: the name is its BCP 47 primary subtag. Integers only.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from gateway.domain.units import CURRENCY_EXPONENTS, is_currency
from tallystick.v1 import types_pb2

LINES_MAX = 10
LINE_CHARACTERS_MAX = 40
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """How a language writes numbers and dates, and its lines, by name."""

    thousands: str
    decimal: str
    date: str
    months: Sequence[str]
    lines: Mapping[str, str]

    def points(self, points: int) -> str:
        """Such as 1,234 or -1.234."""
        return f"{points:,}".replace(",", self.thousands)

    def money(self, amount: types_pb2.Amount) -> str:
        """In major units, such as 1,234.50 EUR."""
        scale = 10 ** CURRENCY_EXPONENTS[amount.unit]
        whole, rest = divmod(abs(amount.minor_units), scale)
        decimals = f"{self.decimal}{rest:0{CURRENCY_EXPONENTS[amount.unit]}d}" if scale > 1 else ""
        return f"{'-' if amount.minor_units < 0 else ''}{self.points(whole)}{decimals} {amount.unit}"

    def day(self, iso: str) -> str:
        """A date of the books, YYYY-MM-DD."""
        year, month, day = iso.split("-")
        return self.date.format(year=year, month=self.months[int(month) - 1], day=day)


def _load() -> dict[str, Language]:
    files = (file for file in resources.files("gateway.edge").joinpath("languages").iterdir() if file.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): Language(**tomllib.loads(file.read_text("utf-8"))) for file in files}


LANGUAGES: Mapping[str, Language] = _load()
"""By primary subtag."""


def language_of(*tags: str) -> Language:
    """The first of these tags that there are lines in, such as "fr-CH"; English if there is none."""
    subtags = (tag.partition("-")[0].lower() for tag in tags)
    return LANGUAGES[next((subtag for subtag in subtags if subtag in LANGUAGES), ENGLISH)]


def receipt_lines(receipt: types_pb2.Receipt, language: Language) -> list[str]:
    """What happened, then how the member stands; what a line is for comes first, where there are too many."""
    lines = []
    for name, value in (*_happened(receipt), *_standing(receipt)):
        facts: dict[str, str] = {}
        match value:
            case int():
                facts["points"] = language.points(value)
            case types_pb2.Amount():
                facts["money"] = language.money(value)
            case (int(points), str(date)):
                facts = {"points": language.points(points), "date": language.day(date)}
        lines.append(language.lines[name].format_map(facts))
    return lines[:LINES_MAX]


_Line = tuple[str, int | types_pb2.Amount | tuple[int, str] | None]
_REVERSALS = (types_pb2.ENTRY_KIND_REVERSE_ISSUE, types_pb2.ENTRY_KIND_REVERSE_REDEMPTION)
# What an entry did to points, by its kind: name of the line, and the sign with which it is written.
_MOVES = {
    types_pb2.ENTRY_KIND_REDEEM: ("paid_with_points", -1),
    types_pb2.ENTRY_KIND_ISSUE: ("issued", 1),
    types_pb2.ENTRY_KIND_REVERSE_REDEMPTION: ("returned_points", 1),
    types_pb2.ENTRY_KIND_REVERSE_ISSUE: ("taken_back", -1),
}


def _happened(receipt: types_pb2.Receipt) -> Iterator[_Line]:
    if receipt.kind == types_pb2.ENTRY_KIND_PARK_REFUND:
        yield "waits", None
    elif receipt.kind == types_pb2.ENTRY_KIND_VOID_HOLD:
        yield "let_go", None
    elif receipt.kind == types_pb2.ENTRY_KIND_PLACE_HOLD and is_currency(receipt.amount.unit):
        yield "set_aside", receipt.amount
    points: dict[str, int] = {}
    entries: list[types_pb2.Receipt | types_pb2.ReceiptLeg] = [receipt, *receipt.legs]
    for entry in entries:
        if entry.kind in _MOVES:
            name, sign = _MOVES[entry.kind]
            points[name] = points.get(name, 0) + sign * entry.points
    yield from ((name, moved) for name, moved in points.items() if moved)
    if receipt.kind == types_pb2.ENTRY_KIND_REDEEM and is_currency(receipt.amount.unit):
        yield "worth_paid", receipt.amount
    yield from _money(receipt, entries)


def _money(receipt: types_pb2.Receipt, entries: Sequence[types_pb2.Receipt | types_pb2.ReceiptLeg]) -> Iterator[_Line]:
    withheld: dict[str, int] = {}
    for kept in (entry.cash_to_withhold for entry in entries if entry.HasField("cash_to_withhold")):
        withheld[kept.unit] = withheld.get(kept.unit, 0) + kept.minor_units
    yield from (("withheld", types_pb2.Amount(unit=unit, minor_units=kept)) for unit, kept in withheld.items())
    if receipt.HasField("to_pay") and is_currency(receipt.to_pay.unit):
        if receipt.kind in _REVERSALS:
            yield "to_return", receipt.to_pay
        elif receipt.to_pay != receipt.total:
            yield "to_pay", receipt.to_pay


def _standing(receipt: types_pb2.Receipt) -> Iterator[_Line]:
    standing = receipt.standing
    if standing.debt_points:
        yield "debt", standing.debt_points
    yield "balance", receipt.balance_points
    if standing.available_points != receipt.balance_points:
        yield "available", standing.available_points
    if standing.HasField("value") and standing.value.minor_units:
        yield "worth", standing.value
    if standing.next_expiry_points and standing.expiring_points:
        yield "expiring", (standing.next_expiry_points, standing.next_expiry_on)
    if standing.pending_points:
        yield "pending", standing.pending_points
    if standing.held_points:
        yield "held", standing.held_points
