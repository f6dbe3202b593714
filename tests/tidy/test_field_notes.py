"""The map from what goes wrong elsewhere to tests is whole: no row is missing, each test that it names exists."""

import re
import tomllib
from typing import Any

import pytest

from tests.mapped import missing
from tests.shared import ROOT, shared_path

ROWS = {"tills": 30, "ledgers": 52}
COLUMNS = {"tills": 0, "ledgers": 1}  # the one that says the case, after the row's number
MAP: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((ROOT / "tests/field_notes.toml").read_text("utf-8"))


def test_every_row_is_mapped() -> None:
    """Of both tables, each once, in order."""
    assert {table: list(rows) for table, rows in MAP.items()} == {
        table: [str(number) for number in range(1, count + 1)] for table, count in ROWS.items()
    }


@pytest.mark.parametrize(("table", "row"), [(table, row) for table, rows in MAP.items() for row in rows])
def test_a_row_has_tests_that_exist_or_a_reason_why_there_are_none(table: str, row: str) -> None:
    """Never both, never neither, and no reason that says nothing."""
    entry = MAP[table][row]
    named = entry.get("tests", [])

    assert missing(named) == []
    assert bool(named) != bool(entry.get("reason", "").strip())
    assert entry.keys() <= {"case", "tests", "reason", "note"}


def test_the_rows_are_those_of_the_field_notes() -> None:
    """Word for word, where the notes are at hand."""
    _, *tables = re.split(r"^## ", shared_path("FIELD_NOTES.md").read_text("utf-8"), flags=re.MULTILINE)
    listed = {
        table: {
            number: cells[COLUMNS[table]] for number, *cells in re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|", text, re.MULTILINE)
        }
        for table, text in zip(ROWS, tables, strict=True)
    }

    assert listed == {table: {number: entry["case"] for number, entry in rows.items()} for table, rows in MAP.items()}
