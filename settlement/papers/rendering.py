"""From values to a page: one file, without script or anything from elsewhere, and a policy that forbids both.

Whatever comes from partners is escaped: autoescape is on, and only the pieces that settlement.papers.svg made are markup.
"""

import base64
import functools
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from settlement.papers.words import count
from settlement.report import Sheet


def page(template: str, **values: Any) -> bytes:
    """A page from a template of this package; the same values give the same bytes."""
    return _environment().get_template(template).render(**values).encode()


# What fits on a phone, in letters.
_LETTERS_MAX = 34
_GAP = 2
_WORD_MAX = 16


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("settlement.papers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    style = resources.files("settlement.papers").joinpath("templates/style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - our own file
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    }
    environment.filters |= {"count": count, "is_wide": _is_wide, "has_long_word": _has_long_word}
    return environment


def _is_wide(sheet: Sheet) -> bool:
    """Whether a phone shows each row as a card, because its columns do not fit side by side."""
    letters = 0
    for index, column in enumerate(sheet.columns):
        cells = [row[index] for row in sheet.rows]
        # Numbers stand in one line; words may be broken at spaces, and long ones anywhere.
        widest = max((len(cell) if index in sheet.right else _longest_word(cell) for cell in cells), default=0)
        letters += max(widest, _longest_word(column)) + _GAP
    return letters - _GAP > _LETTERS_MAX


def _has_long_word(text: str) -> bool:
    """Whether it must be broken within a word."""
    return any(len(word) > _WORD_MAX for word in text.split())


def _longest_word(text: str) -> int:
    return min(_WORD_MAX, max(map(len, text.split()), default=0))
