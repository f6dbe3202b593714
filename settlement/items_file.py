"""The items of a reconciliation and the errors of a record as lines of CSV that a spreadsheet may open. Pure.

A text that a spreadsheet would take for a formula gets an apostrophe in front: what partners send is data, whatever it says.
"""

from settlement.partner_file import LineError
from settlement.reconciliation import Item

ITEM_COLUMNS = (
    "class",
    "kind",
    "idempotency_key",
    "receipt_number",
    "points_here",
    "points_partner",
    "difference",
    "business_date_here",
    "business_date_partner",
    "line_number",
    "entry_id",
    "window_id",
    "note",
)
ERROR_COLUMNS = ("line_number", "error")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NEEDS_QUOTES = frozenset(',"\r\n;')


def item_text(item: Item) -> str:
    """One line. Numbers that one side has not are empty; `difference` is the partner's points less those of the books."""
    either = item.ours or item.theirs
    assert either is not None, "an item has a line"
    ours, theirs = item.ours, item.theirs
    return _line(
        item.match_class.value,
        either.kind,
        text_cell(either.idempotency_key),
        text_cell(either.receipt_number or (theirs.receipt_number if theirs else "")),
        str(ours.points) if ours else "",
        str(theirs.points) if theirs else "",
        str((theirs.points if theirs else 0) - (ours.points if ours else 0)),
        ours.business_date if ours else "",
        theirs.business_date if theirs else "",
        str(theirs.number) if theirs else "",
        ours.entry_id if ours else "",
        str(ours.window_id) if ours else "",
        text_cell(item.note),
    )


def error_text(error: LineError) -> str:
    """One line."""
    return _line(str(error.number), text_cell(error.what))


def harmless(text: str) -> str:
    """With an apostrophe in front of what a spreadsheet would take for a formula."""
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def text_cell(text: str) -> str:
    """A cell that stays text wherever the file is opened."""
    text = harmless(text)
    if _NEEDS_QUOTES.isdisjoint(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _line(*cells: str) -> str:
    return ",".join(cells) + "\n"
