"""A partner's own record of what it did, read line by line: CSV or JSON lines, every bad line named by its number. Pure.

The form stands in docs/reconciliation.md. Nothing is guessed and nothing is mended: what is not of its form is an error.
"""

import csv
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NoReturn

from gateway.domain.entry import EntryKind
from gateway.domain.ids import IDEMPOTENCY_KEY
from gateway.domain.intake import RECORDED_KINDS
from gateway.domain.units import POINTS_MAX

LINE_BYTES_MAX = 4_096  # a line of the form has 250 at the most; beyond this somebody sent another file
RECEIPT_NUMBER_MAX = 64

KINDS: Mapping[str, EntryKind] = {kind.name.lower(): kind for kind in RECORDED_KINDS}
"""What a partner may book that moves points, by the word for it in a record."""

REQUIRED = ("idempotency_key", "kind", "points", "business_date")
OPTIONAL = ("receipt_number",)


@dataclass(frozen=True, slots=True)
class PartnerLine:
    """One line of a record that is of its form; `number` counts from 1, the header included."""

    number: int
    idempotency_key: str
    kind: str
    points: int
    business_date: str
    receipt_number: str


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that is not. `what` is for people, and never repeats more of the line than a few characters."""

    number: int
    what: str


def read_record(parts: Iterable[bytes]) -> Iterator[PartnerLine | LineError]:
    """The lines of a record, in order, from its bytes in pieces of any size. Holds one piece and one line at a time.

    Empty lines are passed over. Where the first line makes all others unreadable, its error is the only one.
    """
    lines = _lines(parts)
    number, first = next(lines, (1, b""))
    unreadable = _unreadable(first)
    if unreadable:
        yield LineError(number, unreadable)
        return
    first = first.removeprefix(b"\xef\xbb\xbf")
    if first.lstrip().startswith(b"{"):
        yield from _read_all([(number, first)], _json_fields)
        yield from _read_all(lines, _json_fields)
        return
    form = _csv_form(first)
    if isinstance(form, str):
        yield LineError(number, form)
        return
    yield from _read_all(lines, form.fields)


class _Wrong(Exception):
    """What is wrong with a line."""


def _lines(parts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered, without their ends; one that is too long comes cut, and still too long."""
    number, rest = 0, b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            number += 1
            yield number, line.removesuffix(b"\r")
        rest = rest[: LINE_BYTES_MAX + 2]
    if rest:
        yield number + 1, rest.removesuffix(b"\r")


def _unreadable(first: bytes) -> str:
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first[:64]:
        return "the file is UTF-16 or no text at all: save it as UTF-8"
    if not first.strip():
        return f"the file has no header: the first line must name the columns {', '.join((*REQUIRED, *OPTIONAL))}"
    return ""


def _read_all(
    lines: Iterable[tuple[int, bytes]], fields: Callable[[str], Mapping[str, object]]
) -> Iterator[PartnerLine | LineError]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield _checked(number, fields(_decoded(line)))
        except _Wrong as wrong:
            yield LineError(number, str(wrong))


def _decoded(line: bytes) -> str:
    if len(line) > LINE_BYTES_MAX:
        raise _Wrong(f"longer than {LINE_BYTES_MAX} bytes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Wrong(f"byte {error.start + 1} is not UTF-8: save the file as UTF-8") from None


@dataclass(frozen=True, slots=True)
class _CsvForm:
    """Which column stands where."""

    delimiter: str
    names: Sequence[str]

    def fields(self, line: str) -> dict[str, object]:
        cells = _cells(line, self.delimiter)
        if len(cells) != len(self.names):
            raise _Wrong(f"{len(cells)} columns instead of {len(self.names)}")
        return dict(zip(self.names, cells, strict=True))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        raise _Wrong("quotes that are not closed, or text behind closed ones: a record is one line") from None
    return rows[0]


def _csv_form(first: bytes) -> "_CsvForm | str":
    """Or what is wrong with the header."""
    try:
        line = _decoded(first)
        delimiter = ";" if line.count(";") > line.count(",") else ","
        names = _cells(line, delimiter)
    except _Wrong as wrong:
        return str(wrong)
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in REQUIRED if name not in names]
    if twice:
        return f"columns that stand twice: {', '.join(map(_shown, twice))}"
    if missing:
        return f"columns that are missing: {', '.join(missing)}"
    return _CsvForm(delimiter, names)


def _json_fields(line: str) -> dict[str, object]:
    try:
        value = json.loads(line, object_pairs_hook=_no_twice, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _Wrong("not a JSON object of one line") from None
    if not isinstance(value, dict):
        raise _Wrong("not a JSON object of one line")
    missing = [name for name in REQUIRED if name not in value]
    if missing:
        raise _Wrong(f"fields that are missing: {', '.join(missing)}")
    if type(value["points"]) is not int:  # True is an int, too
        raise _Wrong("points: must be an integer, without quotes and without a decimal point")
    return value | {"points": str(value["points"])}


def _no_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Wrong("a field stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _checked(number: int, fields: Mapping[str, object]) -> PartnerLine:
    key, kind, points, business_date = (fields[name] for name in REQUIRED)
    receipt_number = fields.get("receipt_number", "")
    if not isinstance(key, str) or IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise _Wrong(f"idempotency_key {_shown(key)}: must be 1 to 64 characters of A-Z, a-z, 0-9 and ._:/-")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _Wrong(f"kind {_shown(kind)}: must be one of {', '.join(KINDS)}")
    if not isinstance(points, str) or _POINTS.fullmatch(points) is None or int(points) > POINTS_MAX:
        raise _Wrong(f"points {_shown(points)}: must be an integer from 0 to {POINTS_MAX}, digits alone")
    if not isinstance(business_date, str) or not _is_date(business_date):
        raise _Wrong(f"business_date {_shown(business_date)}: must be a date written YYYY-MM-DD")
    if not isinstance(receipt_number, str) or len(receipt_number) > RECEIPT_NUMBER_MAX or not receipt_number.isprintable():
        raise _Wrong(f"receipt_number {_shown(receipt_number)}: must be up to {RECEIPT_NUMBER_MAX} printable characters")
    return PartnerLine(number, key, kind, int(points), business_date, receipt_number)


_POINTS = re.compile(r"0|[1-9][0-9]{0,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN_MAX = 20


@functools.lru_cache(maxsize=4_096)  # a record has few dates, each of them many times
def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return ascii(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "...")
