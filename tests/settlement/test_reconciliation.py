"""Classes of reconciliation, one by one."""

import pytest

from settlement.reconciliation import ALIKE_MAX, Line, MatchClass
from tests.settlement.lines import ours, reconcile, shown, theirs


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([ours("a", 5), theirs(2, "a", 5)], [("matched", "a", 2)]),
        ([theirs(2, "a", 5)], [("missing_here", "", 2)]),
        ([ours("a", 5)], [("missing_at_partner", "a", 0)]),
        ([ours("a", 5), theirs(2, "a", 6)], [("amount_differs", "a", 2)]),
        ([ours("a", 5), theirs(2, "a", 5), theirs(3, "a", 5)], [("duplicate", "", 3), ("matched", "a", 2)]),
        ([ours("a", 5, day=1), theirs(2, "a", 5, day=2)], [("late", "a", 2)]),
        ([ours("a", 5, day=1, is_late=True), theirs(2, "b", 7, day=2)], [("late", "a", 0), ("missing_here", "", 2)]),
        ([ours("a", 5, day=1), theirs(2, "b", 7, day=2)], [("missing_at_partner", "a", 0), ("missing_here", "", 2)]),
        ([ours("a", 5, day=3), theirs(2, "b", 7, day=2)], [("missing_at_partner", "a", 0), ("missing_here", "", 2)]),
    ],
    ids=[
        "matched",
        "missing here",
        "missing at partner",
        "amount differs",
        "duplicate",
        "late: dates differ",
        "late: booked late, for a date before the record's first",
        "missing at partner: booked in time, on a date before the record's first",
        "missing at partner: a date after the record's last",
    ],
)
def test_each_class_has_its_case(lines: list[Line], expected: list[tuple[str, str, int]]) -> None:
    """By key, kind, points and business date."""
    assert shown(reconcile(lines)) == expected


def test_a_key_that_booked_two_kinds_has_a_line_for_each() -> None:
    """A checkout that points pay for redeems and issues under one key."""
    lines = [
        ours("a", 150, kind="redeem"),
        ours("a", 4),
        theirs(2, "a", 4),
        theirs(3, "a", 150, kind="redeem"),
    ]

    assert shown(reconcile(lines)) == [("matched", "a", 2), ("matched", "a", 3)]


def test_the_line_that_is_right_is_matched_whatever_stands_before_it() -> None:
    """The others of its key are duplicates, not the one that agrees."""
    lines = [theirs(2, "a", 1), theirs(3, "a", 5), theirs(4, "a", 9), ours("a", 5)]

    assert shown(reconcile(lines)) == [("duplicate", "", 2), ("duplicate", "", 4), ("matched", "a", 3)]


def test_a_key_that_was_never_booked_is_missing_once_however_often_it_is_said() -> None:
    """The repeats are duplicates of a line that is missing here."""
    assert shown(reconcile([theirs(2, "a", 5), theirs(3, "a", 5)])) == [("duplicate", "", 3), ("missing_here", "", 2)]


def test_a_partner_whose_record_has_other_keys_is_matched_by_receipt_number() -> None:
    """Its till made the key, its back office knows the receipt."""
    found = reconcile([ours("till-1", 5, receipt="R1"), theirs(2, "office-1", 5, receipt="R1")])

    assert shown(found) == [("matched", "till-1", 2)]
    assert found[0].note == "by receipt number"


def test_what_a_receipt_number_names_may_differ_in_amount_and_date() -> None:
    """And is not two lines that are missing."""
    lines = [
        ours("a", 5, receipt="R1"),
        ours("b", 7, receipt="R2"),
        theirs(2, "x", 6, receipt="R1"),
        theirs(3, "y", 7, day=2, receipt="R2"),
    ]

    assert shown(reconcile(lines)) == [("amount_differs", "a", 2), ("late", "b", 3)]


def test_a_receipt_number_of_another_kind_is_another_event() -> None:
    """The goods came back with the receipt of the sale."""
    lines = [ours("a", 5, receipt="R1"), theirs(2, "x", 5, receipt="R1", kind="reverse_issue")]

    assert shown(reconcile(lines)) == [("missing_at_partner", "a", 0), ("missing_here", "", 2)]


def test_a_sale_that_was_booked_twice_under_two_keys_is_a_duplicate_of_ours() -> None:
    """A till that makes a new key for a retry."""
    found = reconcile([ours("a", 5, receipt="R1"), ours("a-again", 5, receipt="R1"), theirs(2, "a", 5, receipt="R1")])

    assert shown(found) == [("duplicate", "a-again", 0), ("matched", "a", 2)]


def test_a_sale_that_the_record_has_twice_under_two_keys_is_a_duplicate_of_theirs() -> None:
    """The other way round."""
    found = reconcile([ours("a", 5, receipt="R1"), theirs(2, "a", 5, receipt="R1"), theirs(3, "b", 5, receipt="R1")])

    assert shown(found) == [("duplicate", "", 3), ("matched", "a", 2)]


@pytest.mark.parametrize(("count", "expected"), [(ALIKE_MAX // 2, MatchClass.MATCHED), (ALIKE_MAX // 2 + 1, None)])
def test_a_receipt_number_that_stands_everywhere_names_nothing(count: int, expected: MatchClass | None) -> None:
    """A till that prints the same one for ever must not make pairs of strangers."""
    lines = [ours(f"a{index}", index, receipt="1") for index in range(count)]
    lines += [theirs(index + 2, f"b{index}", index, receipt="1") for index in range(count)]
    classes = {item.match_class for item in reconcile(lines)}

    assert classes == ({expected} if expected else {MatchClass.MISSING_HERE, MatchClass.MISSING_AT_PARTNER})


@pytest.mark.parametrize(("points", "expected"), [(5, "late"), (6, "amount_differs")])
def test_what_was_booked_in_another_window_is_late(points: int, expected: str) -> None:
    """It is asked for by its key, and names that window."""
    elsewhere = ours("a", 5, window=3)
    found = reconcile([theirs(2, "a", points), theirs(3, "b", 5)], lambda lines: {("a", "issue"): elsewhere} if lines else {})

    assert shown(found) == [(expected, "a", 2), ("missing_here", "", 3)]
    assert [item.note for item in found if item.ours] == ["booked in window 3"]


def test_nobody_is_asked_for_what_has_its_pair() -> None:
    """A million lines that match cost no question."""
    asked: list[Line] = []

    def elsewhere(lines: object) -> dict[tuple[str, str], Line]:
        asked.extend(lines if isinstance(lines, list) else [])
        return {}

    reconcile([ours("a", 5), theirs(2, "a", 5), ours("b", 5)], elsewhere)

    assert asked == []
