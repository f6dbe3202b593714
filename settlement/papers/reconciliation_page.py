"""A reconciliation as a page: how many lines agree, what does not, and the first items of each class. Pure."""

from dataclasses import dataclass

from gateway.domain.window import Window
from settlement.papers.bars import Bar, bars
from settlement.papers.figure import Figure
from settlement.papers.rendering import page
from settlement.papers.words import CLASSES, count
from settlement.reconciliation import ClassSum, Item, MatchClass, Sums
from settlement.report import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared with what. `window` is None for a business date. `items_name` is the CSV file that has all items."""

    audience: str
    partner_id: str
    name: str
    window: Window | None
    business_date: str
    file_lines: int
    entries: int
    file_sha256: bytes
    items_sha256: bytes
    items_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The items of one class."""

    title: str
    meaning: str
    todo: str
    sheet: Sheet
    note: str


def reconciliation_html(compared: Compared, sums: Sums) -> bytes:
    """The page; the same reconciliation gives the same bytes."""
    found = {one: its for one, its in sums.by_class.items() if its.items}
    unlike = {one: its for one, its in found.items() if one is not MatchClass.MATCHED}
    window = compared.window
    return page(
        "reconciliation.html",
        compared=compared,
        against=f"window {window.window_id}, cut off on {window.cut_off_date}" if window else compared.business_date,
        headline=_headline(sums),
        figure=_figure(found) if unlike else None,
        sections=[_section(one, its, compared.items_name) for one, its in unlike.items()],
        matched=sums.by_class[MatchClass.MATCHED].items,
    )


def _headline(sums: Sums) -> str:
    total = sum(its.items for its in sums.by_class.values())
    unlike = total - sums.by_class[MatchClass.MATCHED].items
    if not total:
        return "Neither side has anything"
    if not unlike:
        return f"Record and books agree: {count(total, 'event', 'events')}, and all are the same"
    return f"{count(unlike, 'item needs', 'items need')} a look, of {count(total, 'item', 'items')}"


def _figure(found: dict[MatchClass, ClassSum]) -> Figure:
    rows = [
        (
            CLASSES[one].title,
            f"{its.items:,}",
            f"{its.points_here:,}",
            f"{its.points_partner:,}",
            f"{its.points_partner - its.points_here:,}",
        )
        for one, its in found.items()
    ]
    here, partner = (sum(getattr(its, side) for its in found.values()) for side in ("points_here", "points_partner"))
    columns = ("class", "items", "points in the books", "in the record", "difference")
    rows.append(("all", f"{sum(its.items for its in found.values()):,}", f"{here:,}", f"{partner:,}", f"{partner - here:,}"))
    picture = bars(
        "classes-picture",
        [
            Bar(CLASSES[one].title, (its.items,), (f"{its.items:,}",))
            for one, its in found.items()
            if one is not MatchClass.MATCHED
        ],
        title="Items that do not simply match, by class",
        text="A bar for each class. The table beside it has every number.",
        series={"items": "pays"},
    )
    return Figure(
        name="classes",
        title="What was found",
        lead="A bar for each class of items that do not simply match. Points count whichever way they went.",
        pictures=[picture],
        sheet=Sheet("By class", columns, rows, frozenset({1, 2, 3, 4})),
    )


def _section(match_class: MatchClass, its: ClassSum, items_name: str) -> Section:
    words = CLASSES[match_class]
    columns = ("key", "receipt", "kind", "date", "in the books", "in the record", "line", "note")
    return Section(
        title=words.title,
        meaning=words.meaning,
        todo=words.todo,
        sheet=Sheet(words.title, columns, [_row(item) for item in its.first], frozenset({4, 5, 6})),
        note=f"The first {len(its.first)} of {its.items:,}; {items_name} has them all." if its.items > len(its.first) else "",
    )


def _row(item: Item) -> tuple[str, ...]:
    ours, theirs = item.ours, item.theirs
    either = ours or theirs
    assert either is not None, "an item has a line"
    dates = dict.fromkeys(line.business_date for line in (ours, theirs) if line)
    return (
        either.idempotency_key,
        either.receipt_number or (theirs.receipt_number if theirs else ""),
        either.kind.replace("_", " "),
        " / ".join(dates),
        f"{ours.points:,}" if ours else "",
        f"{theirs.points:,}" if theirs else "",
        f"{theirs.number:,}" if theirs else "",
        item.note,
    )
