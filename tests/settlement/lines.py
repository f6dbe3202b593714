"""Lines of both sides in short, and a sorter in memory."""

from collections.abc import Iterable, Iterator, Sequence

from settlement.reconciliation import Elsewhere, Item, Line, Matcher


class ListSorter:
    """Sorts what fits into memory."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Takes one."""
        self._texts.append(text)

    def in_order(self) -> Iterator[str]:
        """All of them."""
        return iter(sorted(self._texts))


def ours(
    key: str, points: int, day: int = 1, *, receipt: str = "", kind: str = "issue", window: int = 1, is_late: bool = False
) -> Line:
    """An entry of the books."""
    entry_id = f"e-{key}-{kind}-{points}-{day}"
    return Line(key, kind, points, f"2026-06-{day:02}", receipt, entry_id=entry_id, window_id=window, is_late=is_late)


def theirs(number: int, key: str, points: int, day: int = 1, *, receipt: str = "", kind: str = "issue") -> Line:
    """A line of the partner's record."""
    return Line(key, kind, points, f"2026-06-{day:02}", receipt, number=number)


def nowhere(_lines: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """Nothing was booked elsewhere."""
    return {}


def reconcile(lines: Iterable[Line], elsewhere: Elsewhere = nowhere) -> list[Item]:
    """The items of a reconciliation."""
    matcher = Matcher(ListSorter, elsewhere)
    for line in lines:
        matcher.add(line)
    return list(matcher.items())


def shown(items: Iterable[Item]) -> list[tuple[str, str, int]]:
    """Class, key of our entry and number of the partner's line, sorted; "" and 0 where there is none."""
    return sorted(
        (
            item.match_class.value,
            item.ours.idempotency_key if item.ours else "",
            item.theirs.number if item.theirs else 0,
        )
        for item in items
    )
