"""Pieces of inline SVG. Pure: coordinates are integers, each division names its rounding, all text is escaped.

Colours and sizes of letters are classes of the page's style, so that they follow the dark and the paper.
"""

from collections.abc import Iterable

from markupsafe import Markup

from gateway.domain.units import div_half_even


def picture(name: str, *, title: str, text: str, width: int, height: int, parts: Iterable[Markup]) -> Markup:
    """A whole picture with its alternative in words. `name` is unique in the page, and its letters fit an id."""
    return Markup(
        '<svg class="{name}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-text">'
        '<title id="{name}-title">{title}</title><desc id="{name}-text">{text}</desc>{parts}</svg>'
    ).format(name=name, title=title, text=text, width=width, height=height, parts=joined(parts))


def rect(x: int, y: int, width: int, height: int, style: str) -> Markup:
    """A filled box."""
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(style, x, y, width, height)


def label(x: int, y: int, content: str, style: str, *, anchor: str = "start", turned: bool = False) -> Markup:
    """A line of text. `anchor`: start, middle or end; `turned`: it runs upwards."""
    turn = Markup(' transform="rotate(-90 {} {})"').format(x, y) if turned else ""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(style, x, y, anchor, turn, content)


def path(steps: str, style: str) -> Markup:
    """An outline or a line."""
    return Markup('<path class="{}" d="{}"/>').format(style, steps)


def group(parts: Iterable[Markup], style: str = "") -> Markup:
    """Parts that belong together."""
    return Markup('<g class="{}">{}</g>').format(style, joined(parts))


def joined(parts: Iterable[Markup]) -> Markup:
    """One after the other."""
    return Markup("").join(parts)


def scaled(value: int, *, maximum: int, length: int) -> int:
    """How long a value is where `maximum` is `length` long: half to even; at least 1 where there is anything at all."""
    if value <= 0 or maximum <= 0:
        return 0
    return max(1, div_half_even(value * length, maximum))


def shortened(name: str, characters: int) -> str:
    """The name, with its middle left out where it is longer than so many characters: names often differ at their ends."""
    if len(name) <= characters:
        return name
    last = characters // 3
    return f"{name[: characters - last - 1]}…{name[-last:]}"
