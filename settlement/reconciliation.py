"""A partner's record against the books: every line of both sides falls into exactly one class. Pure.

First by idempotency key and kind, then, for what is left, by receipt number and kind. Lines go through sorters, which may lie
on a disk, so that a million of them need no memory. In which order lines come changes nothing.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Protocol

ALIKE_MAX = 100
"""Lines of one receipt number and kind: beyond it the number names no receipt (a till that prints the same one for ever)."""

LOOKED_UP_AT_ONCE = 500
FIRST_KEPT = 100  # items of each class that a page shows; the CSV has all


class MatchClass(enum.StrEnum):
    """What became of a line, or of a pair of them."""

    MATCHED = "matched"
    MISSING_HERE = "missing_here"
    MISSING_AT_PARTNER = "missing_at_partner"
    AMOUNT_DIFFERS = "amount_differs"
    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Line:
    """One event of either side. `number` is the line in the partner's record, 0 for an entry of ours.

    An entry has its `entry_id` and its window; `is_late`: it was booked after its business date; `is_used`: it found its
    partner's line by its key.
    """

    idempotency_key: str
    kind: str
    points: int
    business_date: str
    receipt_number: str
    number: int = 0
    entry_id: str = ""
    window_id: int = 0
    is_late: bool = False
    is_used: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it stands in the books."""
        return self.number == 0

    @property
    def worth(self) -> tuple[int, str]:
        """What two lines of one event agree in."""
        return self.points, self.business_date


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the result: an entry of ours, a line of the partner's, or both. `note` says in words what there is to it."""

    match_class: MatchClass
    ours: Line | None
    theirs: Line | None
    note: str = ""


class Sorter(Protocol):
    """Takes texts, one line each, and gives all of them in order, once."""

    def add(self, text: str) -> None:
        """Takes one."""

    def in_order(self) -> Iterator[str]:
        """All of them. Nothing is added afterwards."""


Elsewhere = Callable[[Sequence[Line]], Mapping[tuple[str, str], Line]]
"""Entries of the partner's outside of what is reconciled, by key and kind, for lines that have none within."""


class Matcher:
    """Takes the lines of both sides in any order, then gives the items."""

    def __init__(self, new_sorter: Callable[[], Sorter], elsewhere: Elsewhere) -> None:
        self._by_key, self._by_receipt = new_sorter(), new_sorter()
        self._elsewhere = elsewhere
        self._first_date = ""
        self.entries = 0  # of ours that were added

    def add(self, line: Line) -> None:
        """Takes a line of either side."""
        self.entries += line.is_ours
        if not line.is_ours and (not self._first_date or line.business_date < self._first_date):
            self._first_date = line.business_date
        self._by_key.add(_text((line.idempotency_key, line.kind), line))

    def items(self) -> Iterator[Item]:
        """Everything that was added, each line once: by key and kind first, the rest by receipt number and kind."""
        left = self._left_by_key
        while chunk := list(islice(left, LOOKED_UP_AT_ONCE)):
            yield from (one for one in chunk if isinstance(one, Item))
            yield from self._looked_up([one for one in chunk if isinstance(one, Line)])
        for _, group in groupby(map(_line, self._by_receipt.in_order()), key=lambda line: (line.receipt_number, line.kind)):
            yield from self._of_receipt(group)

    @property
    def _left_by_key(self) -> Iterator[Item | Line]:
        for _, group in groupby(map(_line, self._by_key.in_order()), key=lambda line: (line.idempotency_key, line.kind)):
            yield from _of_key(group)

    def _looked_up(self, left: Sequence[Line]) -> Iterator[Item]:
        """What has no pair by its key: in another window or on another date, else by its receipt number, else for good."""
        theirs = [line for line in left if not line.is_ours]
        found = self._elsewhere(theirs) if theirs else {}
        for line in left:
            other = None if line.is_ours else found.get((line.idempotency_key, line.kind))
            if other is not None:
                yield _pair(other, line, by="", elsewhere=f"booked in window {other.window_id}")
            elif line.receipt_number:
                self._by_receipt.add(_text((line.receipt_number, line.kind), line))
            elif not line.is_used:
                yield self._alone(line)

    def _of_receipt(self, group: Iterator[Line]) -> Iterator[Item]:
        """The lines of one receipt number and kind. Bounded: a number that too many have names no receipt."""
        alike = list(islice(group, ALIKE_MAX))
        one_more = next(group, None)
        if one_more is not None:
            for line in (*alike, one_more, *group):
                if not line.is_used:
                    yield self._alone(line)
            return
        if len(alike) == 1 and alike[0].is_used:
            return
        used = {line.worth for line in alike if line.is_used}
        ours = [line for line in alike if line.is_ours and not line.is_used]
        theirs = [line for line in alike if not line.is_ours]
        pairs, ours, theirs = _paired(ours, theirs)
        matched_worths = used | {line.worth for line, _ in pairs}
        yield from (_pair(*pair, by="by receipt number") for pair in pairs)
        for line in (*ours, *theirs):
            if line.worth in matched_worths:
                where = "booked" if line.is_ours else "in the record"
                yield _one(MatchClass.DUPLICATE, line, f"another event of this receipt number is {where} with the same points")
            else:
                yield self._alone(line)

    def _alone(self, line: Line) -> Item:
        if not line.is_ours:
            return _one(MatchClass.MISSING_HERE, line, "")
        if line.is_late and line.business_date < self._first_date:
            return _one(MatchClass.LATE, line, f"booked late, for a date before the record's first, {self._first_date}")
        return _one(MatchClass.MISSING_AT_PARTNER, line, "")


def _of_key(group: Iterator[Line]) -> Iterator[Item | Line]:
    """The lines of one key and kind, ours first. Entries of a key are few; of the partner's lines no more are held than those.

    Entries with a receipt number are given once more, marked as used: a second booking of the same receipt shows by that.
    """
    ours: list[Line] = []
    spare: list[Line] = []
    had = 0
    for line in group:
        if line.is_ours:
            ours.append(line)
            had += 1
        elif (same := next((one for one in ours if one.worth == line.worth), None)) is not None:
            ours.remove(same)
            yield from _matched(_pair(same, line, by=""))
        elif len(spare) < max(had, 1):
            spare.append(line)
        else:
            yield _one(MatchClass.DUPLICATE, line, _TWICE)
    if ours and spare:
        pairs, ours, spare = _paired(ours, spare)
        for pair in pairs:
            yield from _matched(_pair(*pair, by=""))
    yield from ours
    yield from (_one(MatchClass.DUPLICATE, line, _TWICE) for line in spare) if had else spare


_TWICE = "the record has this key and kind more often than it was booked"


def _matched(item: Item) -> Iterator[Item | Line]:
    yield item
    assert item.ours is not None, "a pair has both"
    if item.ours.receipt_number:
        yield _used(item.ours)


def _used(line: Line) -> Line:
    # Not dataclasses.replace: this runs for nearly every line.
    key, number = line.idempotency_key, line.receipt_number
    found = line.entry_id, line.window_id, line.is_late
    return Line(key, line.kind, line.points, line.business_date, number, 0, *found, is_used=True)


def _paired(ours: Sequence[Line], theirs: Sequence[Line]) -> tuple[list[tuple[Line, Line]], list[Line], list[Line]]:
    """Pairs of lines that name one event, and what is left of both sides: the same first, then the same points, then any."""
    pairs: list[tuple[Line, Line]] = []
    left, right = sorted(ours, key=_rank), sorted(theirs, key=_rank)
    for agreed in _AGREED:
        for line in list(left):
            other = next((one for one in right if agreed(line, one)), None)
            if other is not None:
                pairs.append((line, other))
                left.remove(line)
                right.remove(other)
    return pairs, left, right


_AGREED: Sequence[Callable[[Line, Line], bool]] = (
    lambda ours, theirs: ours.worth == theirs.worth,
    lambda ours, theirs: ours.points == theirs.points,
    lambda _ours, _theirs: True,
)


def _rank(line: Line) -> tuple[int, str, str, int, str]:
    return *line.worth, line.idempotency_key, line.number, line.entry_id


def _pair(ours: Line, theirs: Line, *, by: str, elsewhere: str = "") -> Item:
    notes = [note for note in (by, elsewhere) if note]
    if ours.points != theirs.points:
        return Item(MatchClass.AMOUNT_DIFFERS, ours, theirs, "; ".join(notes))
    if ours.business_date != theirs.business_date:
        notes.append("the business dates differ")
    elif not elsewhere:
        return Item(MatchClass.MATCHED, ours, theirs, "; ".join(notes))
    return Item(MatchClass.LATE, ours, theirs, "; ".join(notes))


def _one(match_class: MatchClass, line: Line, note: str) -> Item:
    return Item(match_class, line if line.is_ours else None, None if line.is_ours else line, note)


_SEPARATOR = "\x1f"  # no field can have it: keys have a form, receipt numbers are printable


def _text(group: tuple[str, str], line: Line) -> str:
    """Sorts by group, ours first, then by points, date and the rest."""
    return _SEPARATOR.join(
        (
            *group,
            "1" if line.number else "0",
            f"{line.points:019}",
            line.business_date,
            line.idempotency_key,
            line.receipt_number,
            f"{line.number:012}",
            line.entry_id,
            str(line.window_id),
            "1" if line.is_late else "",
            "1" if line.is_used else "",
        )
    )


def _line(text: str) -> Line:
    _, kind, _, points, on, key, receipt, number, entry_id, window_id, is_late, is_used = text.split(_SEPARATOR)
    found = entry_id, int(window_id), bool(is_late)
    return Line(key, kind, int(points), on, receipt, int(number), *found, is_used=bool(is_used))


@dataclass(slots=True)
class ClassSum:
    """Of one class: how many items, their points in the books and in the record, and the first of them."""

    items: int = 0
    points_here: int = 0
    points_partner: int = 0
    first: list[Item] = field(default_factory=list)


class Sums:
    """What a reconciliation found, by class. Of items that match none is kept, of others the first few: they come in millions."""

    def __init__(self) -> None:
        self.by_class = {match_class: ClassSum() for match_class in MatchClass}

    def add(self, item: Item) -> None:
        """Takes the next item."""
        its = self.by_class[item.match_class]
        its.items += 1
        its.points_here += item.ours.points if item.ours else 0
        its.points_partner += item.theirs.points if item.theirs else 0
        if item.match_class is not MatchClass.MATCHED and len(its.first) < FIRST_KEPT:
            its.first.append(item)
