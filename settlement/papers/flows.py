"""Who pays on the left, who receives on the right, and bands between them as wide as the money. Pure."""

from collections import Counter
from collections.abc import Mapping

from markupsafe import Markup

from settlement.papers.folding import Folded, Pair, sides
from settlement.papers.svg import joined, label, path, picture, rect, scaled, shortened
from settlement.papers.words import money

_WIDTH = 360
_LEFT = 104  # names and amounts of those that pay stand left of it
_RIGHT = 256
_BAR = 6
_ROW_MIN = 32  # two lines of text
_GAP = 6
_HEAD = 30
_LETTERS = 12


def flows(
    name: str, folded: Folded, amounts: Mapping[Pair, int], currency: str, *, title: str, total: int, tallest: int
) -> Markup:
    """Bands in minor units by pairs that are shown; `total` of them is written above, and `tallest` units are 150 high.

    Two pictures with the same `tallest` can be compared by eye.
    """
    pays, receives = sides(amounts)
    unit = tallest
    left, left_end = _stacked(folded, pays, unit)
    right, right_end = _stacked(folded, receives, unit)
    head = [
        label(0, 14, title, "flow-title"),
        label(_WIDTH, 14, f"{money(total, currency)}", "number flow-total", anchor="end"),
    ]
    bands = _bands(folded, amounts, left, right, unit)
    nodes = [
        *(_node(folded, party, y, pays[party], unit, currency, is_left=True) for party, y in left.items()),
        *(_node(folded, party, y, receives[party], unit, currency, is_left=False) for party, y in right.items()),
    ]
    return picture(
        name,
        title=f"{title}, in {currency}",
        text=f"{len(left)} on the left pay {len(right)} on the right, {money(total, currency)} {currency} in all. "
        "The table beside it has the sums of each.",
        width=_WIDTH,
        height=max(left_end, right_end, _HEAD + _ROW_MIN),
        parts=[*head, bands, *nodes],
    )


def _height(amount: int, unit: int) -> int:
    return scaled(amount, maximum=unit, length=150)


def _stacked(folded: Folded, amounts: Counter[str], unit: int) -> tuple[dict[str, int], int]:
    """Where each bar begins, and where the column ends."""
    places, y = {}, _HEAD
    for party in folded.shown:
        if amounts[party]:
            places[party] = y
            y += max(_ROW_MIN, _height(amounts[party], unit)) + _GAP
    return places, y


def _bands(folded: Folded, amounts: Mapping[Pair, int], left: Mapping[str, int], right: Mapping[str, int], unit: int) -> Markup:
    # Positions come from running sums of amounts, so that bands never drift from their bars by rounding.
    out: Counter[str] = Counter()
    into: Counter[str] = Counter()
    bands = []
    for payer in folded.shown:
        for payee in folded.shown:
            amount = amounts.get((payer, payee), 0)
            if not amount:
                continue
            top, end = left[payer] + _height(out[payer], unit), right[payee] + _height(into[payee], unit)
            thick = _height(amount, unit)
            out[payer] += amount
            into[payee] += amount
            bands.append(path(_band(top, end, thick), "flow-band"))
    return joined(bands)


def _band(top: int, end: int, thick: int) -> str:
    x, far = _LEFT + _BAR, _RIGHT - _BAR
    middle = (x + far) // 2
    return (
        f"M{x} {top}C{middle} {top} {middle} {end} {far} {end}"
        f"V{end + thick}C{middle} {end + thick} {middle} {top + thick} {x} {top + thick}Z"
    )


def _node(folded: Folded, party: str, y: int, amount: int, unit: int, currency: str, *, is_left: bool) -> Markup:
    text_x, anchor = (_LEFT - 8, "end") if is_left else (_RIGHT + 8, "start")
    bar_x, style = (_LEFT, "pays") if is_left else (_RIGHT - _BAR, "receives")
    return joined(
        [
            rect(bar_x, y, _BAR, max(2, _height(amount, unit)), style),
            label(text_x, y + 11, shortened(folded.title(party), _LETTERS), "name", anchor=anchor),
            label(text_x, y + 25, money(amount, currency), "number", anchor=anchor),
        ]
    )
