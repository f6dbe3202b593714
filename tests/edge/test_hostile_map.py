"""The map from cases of hostile input to tests is whole: no row is missing, and each test that it names exists."""

import re
import tomllib
from typing import Any

import pytest

from tests.mapped import missing
from tests.shared import ROOT, shared_path

ROWS = 77
MAP: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests/hostile_cases.toml").read_text("utf-8"))


def test_every_row_is_mapped() -> None:
    """1 to 77, each once."""
    assert list(MAP) == [str(number) for number in range(1, ROWS + 1)]


@pytest.mark.parametrize("row", MAP)
def test_a_row_has_tests_that_exist_or_a_reason_why_not_yet(row: str) -> None:
    """Never both, never neither."""
    entry = MAP[row]
    named = entry.get("tests", [])

    assert missing(named) == []
    assert bool(named) != bool(entry.get("not_yet"))
    assert entry.keys() <= {"case", "tests", "not_yet", "note"}


def test_the_rows_are_those_of_the_list_of_cases() -> None:
    """Word for word, where the list is at hand."""
    listed = re.findall(r"^\| (\d+) \| (.+?) \|", shared_path("HOSTILE_CASES.md").read_text("utf-8"), re.MULTILINE)

    assert {number: text.strip() for number, text in listed} == {number: entry["case"] for number, entry in MAP.items()}
