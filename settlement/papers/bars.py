"""Lying bars, one or two for each row, with their numbers at the end. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from settlement.papers.svg import label, picture, rect, scaled, shortened

_WIDTH = 360
_BAR = 14
_STEP = 17
_NAME = 18
_GAP = 12
_LENGTH_MAX = 250
_LETTERS = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: its name, and for each series how long it is and what is written at its end."""

    name: str
    lengths: tuple[int, ...]
    texts: tuple[str, ...]


def bars(name: str, rows: Sequence[Bar], *, title: str, text: str, series: Mapping[str, str]) -> Markup:
    """Rows from top to bottom. `series`: what the bars of a row are, and their styles; a single one needs no key."""
    styles = list(series.values())
    maximum = max((length for row in rows for length in row.lengths), default=0)
    # What is written at the longest bar still has to fit.
    letters = max((len(written) for row in rows for written in row.texts), default=0)
    longest = min(_LENGTH_MAX, _WIDTH - 7 * letters - 10)
    parts, y = _key(series)
    for row in rows:
        parts.append(label(0, y + 12, shortened(row.name, _LETTERS), "name"))
        y += _NAME
        for number, (length, written) in enumerate(zip(row.lengths, row.texts, strict=True)):
            drawn = scaled(length, maximum=maximum, length=longest)
            parts.append(rect(0, y, drawn, _BAR, styles[number]))
            parts.append(label(drawn + (6 if drawn else 0), y + 12, written, "number"))
            y += _STEP
        y += _GAP
    return picture(name, title=title, text=text, width=_WIDTH, height=y, parts=parts)


def _key(series: Mapping[str, str]) -> tuple[list[Markup], int]:
    if len(series) == 1:
        return [], 0
    parts, x = [], 0
    for name, style in series.items():
        parts.append(rect(x, 2, 12, 12, style))
        parts.append(label(x + 18, 13, name, "name"))
        x += 30 + 8 * len(name)
    return parts, 28
