"""The matrix of who owes whom: the darker a cell, the more. Pure."""

from collections.abc import Mapping

from markupsafe import Markup

from gateway.domain.units import div_ceil
from settlement.papers.folding import REST, Folded, Pair
from settlement.papers.svg import group, label, path, picture, rect, shortened
from settlement.papers.words import money

LEVELS = 6  # of shade, in the page's style
_WIDTH = 720
_LEFT = 172
_TOP = 176
_GAP = 2
_CELL_MAX = 96
_LETTERS = 10
_SIZES = (13, 11, 9)  # of letters in cells, in the page's style


def heat_map(name: str, folded: Folded, amounts: Mapping[Pair, int], currency: str) -> Markup:
    """Rows pay, columns receive; `amounts` in minor units by pairs that are shown."""
    shown = folded.shown
    cell = min(_CELL_MAX, (_WIDTH - _LEFT) // max(1, len(shown)))
    # A sum over many parties would make all single debts pale.
    maximum = max((amount for pair, amount in amounts.items() if REST not in pair), default=0)
    parts = [
        label(_LEFT - 14, _TOP - 18, "pays ↓", "map-axis", anchor="end"),
        label(_LEFT - 14, _TOP - 50, "receives →", "map-axis", anchor="end"),
    ]
    for number, party in enumerate(shown):
        at = number * cell + cell // 2 + 8
        title = shortened(folded.title(party), _LETTERS)
        parts.append(label(_LEFT + at, _TOP - 12, title, "map-name", turned=True))
        parts.append(label(_LEFT - 14, _TOP + at, title, "map-name", anchor="end"))
    for row, payer in enumerate(shown):
        for column, payee in enumerate(shown):
            amount = amounts.get((payer, payee), 0)
            shade = 0 if REST in (payer, payee) or not amount else div_ceil(amount * LEVELS, maximum)
            x, y = _LEFT + column * cell, _TOP + row * cell
            parts.append(_cell(x, y, cell - _GAP, amount, shade, currency, is_own=row == column))
    height = _TOP + len(shown) * cell + 4
    return picture(
        name,
        title=f"Who owes whom before netting, in {currency}",
        text=f"A matrix of {len(shown)} by {len(shown)}: rows pay, columns receive, darker is more. "
        "The table beside it has every number.",
        width=_WIDTH,
        height=height,
        parts=parts,
    )


def _cell(x: int, y: int, size: int, amount: int, shade: int, currency: str, *, is_own: bool) -> Markup:
    if not amount:
        box = rect(x, y, size, size, "map-none")
        return group([box, path(f"M{x} {y + size}L{x + size} {y}", "map-own")], "map-cell") if is_own else box
    text = money(amount, currency)
    # A bold digit is about two thirds as wide as its letters are high.
    letters = next((one for one in _SIZES if len(text) * one * 2 <= 3 * size), _SIZES[-1])
    written = label(x + size // 2, y + size // 2 + 5, text, f"number map-amount size-{letters}", anchor="middle")
    return group([rect(x, y, size, size, "map-box"), written], f"map-cell shade-{shade}")
