"""Two lines over the last windows, with the numbers of the last one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from settlement.papers.svg import joined, label, path, picture, rect, scaled
from settlement.papers.words import money

_WIDTH = 360
_TOP = 34
_HEIGHT = 120
_RIGHT = 346
_LEFT = 14


@dataclass(frozen=True, slots=True)
class Point:
    """A window: what it is called below the line, and its values in minor units, the larger one first."""

    name: str
    values: tuple[int, int]


def trend(name: str, points: Sequence[Point], currency: str, *, title: str, series: tuple[str, str]) -> Markup:
    """From the oldest window on the left to the newest on the right; two at least."""
    maximum = max((value for point in points for value in point.values), default=0)
    places = [_x(index, len(points)) for index in range(len(points))]
    parts = [path(f"M{_LEFT} {_TOP + _HEIGHT}H{_RIGHT}", "axis")]
    for number, label_text in enumerate(series):
        heights = [_TOP + _HEIGHT - scaled(point.values[number], maximum=maximum, length=_HEIGHT) for point in points]
        parts.append(_key(number, label_text, money(points[-1].values[number], currency)))
        parts.append(path("M" + "L".join(f"{x} {y}" for x, y in zip(places, heights, strict=True)), f"line line-{number}"))
        parts += [rect(x - 3, y - 3, 6, 6, f"series-{number}") for x, y in zip(places, heights, strict=True)]
    parts.append(label(_LEFT, 174, points[0].name, "name"))
    parts.append(label(_RIGHT, 174, points[-1].name, "name", anchor="end"))
    return picture(
        name,
        title=title,
        text=f"{len(points)} windows, from {points[0].name} to {points[-1].name}. The table beside it has every number.",
        width=_WIDTH,
        height=182,
        parts=parts,
    )


def _x(index: int, number: int) -> int:
    return _LEFT + 4 + index * (_RIGHT - _LEFT - 8) // (number - 1)


def _key(number: int, name: str, amount: str) -> Markup:
    y = 2 + 16 * number
    # The newest value stands at its line's name: at the line's end two of them could cover each other.
    return joined(
        [
            rect(0, y, 12, 12, f"series-{number}"),
            label(18, y + 11, name, "name"),
            label(_WIDTH, y + 11, amount, "number", anchor="end"),
        ]
    )
