"""Whatever both sides say: every line falls into exactly one class, and in which order lines come changes nothing."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.reconciliation import Item, Line, MatchClass, Matcher
from settlement.sorting import DiskSorter
from tests.settlement.lines import nowhere, ours, reconcile, theirs

KEYS, RECEIPTS = st.sampled_from("abcd"), st.sampled_from(["", "", "R1", "R2"])
POINTS, DAYS, KINDS = st.integers(1, 3), st.integers(1, 2), st.sampled_from(["issue", "redeem"])

# The books have each key and kind once; a record may have anything.
BOOKS = st.dictionaries(st.tuples(KEYS, KINDS), st.tuples(POINTS, DAYS, RECEIPTS), max_size=8).map(
    lambda found: [ours(key, points, day, receipt=receipt, kind=kind) for (key, kind), (points, day, receipt) in found.items()]
)
RECORDS = st.lists(st.tuples(KEYS, POINTS, DAYS, RECEIPTS, KINDS), max_size=10).map(
    lambda found: [
        theirs(number, key, points, day, receipt=receipt, kind=kind)
        for number, (key, points, day, receipt, kind) in enumerate(found, 2)
    ]
)


def _without_numbers(items: Sequence[Item]) -> Counter[tuple[object, ...]]:
    """What the items say, whichever of two lines that say the same it is said of."""

    def said(line: Line | None) -> tuple[object, ...]:
        return () if line is None else (line.idempotency_key, line.kind, *line.worth, line.receipt_number, line.entry_id)

    return Counter((item.match_class, said(item.ours), said(item.theirs)) for item in items)


@given(books=BOOKS, record=RECORDS)
def test_each_line_of_both_sides_falls_into_exactly_one_class(books: list[Line], record: list[Line]) -> None:
    """None is lost, none counts twice, and a class has the sides that its name says."""
    items = reconcile([*books, *record])

    assert Counter(item.ours.entry_id for item in items if item.ours) == Counter(line.entry_id for line in books)
    assert Counter(item.theirs.number for item in items if item.theirs) == Counter(line.number for line in record)
    for item in items:
        both = item.ours is not None and item.theirs is not None
        match item.match_class:
            case MatchClass.MATCHED:
                assert item.ours is not None
                assert item.theirs is not None
                assert item.ours.worth == item.theirs.worth
            case MatchClass.AMOUNT_DIFFERS:
                assert both
            case MatchClass.MISSING_HERE:
                assert item.ours is None
            case MatchClass.MISSING_AT_PARTNER:
                assert item.theirs is None
            case MatchClass.DUPLICATE:
                assert not both


@given(books=BOOKS, record=RECORDS, order=st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(books: list[Line], record: list[Line], order: Random) -> None:
    """Nor which side is read first."""
    lines = [*books, *record]
    shuffled = list(lines)
    order.shuffle(shuffled)

    assert _without_numbers(reconcile(shuffled)) == _without_numbers(reconcile(lines))


@given(books=BOOKS, record=RECORDS)
def test_whoever_agrees_has_nothing_but_matches(books: list[Line], record: list[Line]) -> None:
    """A record made of the books is matched line by line, whatever else it holds besides."""
    same = [
        Line(line.idempotency_key, line.kind, *line.worth, line.receipt_number, number=index)
        for index, line in enumerate(books, 100)
    ]
    items = reconcile([*books, *record, *same])

    assert {item.match_class for item in items if item.ours} <= {MatchClass.MATCHED}


@settings(max_examples=25)
@given(books=BOOKS, record=RECORDS)
def test_a_disk_sorts_as_memory_does(books: list[Line], record: list[Line]) -> None:
    """Runs of two lines each."""
    with DiskSorter(run_lines=2) as first, DiskSorter(run_lines=2) as second:
        sorters = iter((first, second))
        matcher = Matcher(lambda: next(sorters), nowhere)
        for line in (*books, *record):
            matcher.add(line)

        assert list(matcher.items()) == reconcile([*books, *record])
