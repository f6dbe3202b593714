"""The map from cases of hostile input to tests is whole: no row is missing, and each test that it names exists."""

import ast
import re
import tomllib
from functools import cache
from typing import Any

import pytest

from tests.shared import ROOT, shared_path

ROWS = 77
MAP: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests/hostile_cases.toml").read_text("utf-8"))


@cache
def names_in(file: str) -> frozenset[str]:
    """Names of the test functions of a file; none if there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def test_every_row_is_mapped() -> None:
    """1 to 77, each once."""
    assert list(MAP) == [str(number) for number in range(1, ROWS + 1)]


@pytest.mark.parametrize("row", MAP)
def test_a_row_has_tests_that_exist_or_a_reason_why_not_yet(row: str) -> None:
    """Never both, never neither."""
    entry = MAP[row]
    named = [tuple(test_id.split("::")) for test_id in entry.get("tests", [])]
    missing = ["::".join(test_id) for test_id in named if len(test_id) != 2 or test_id[1] not in names_in(test_id[0])]

    assert missing == []
    assert bool(named) != bool(entry.get("not_yet"))
    assert entry.keys() <= {"case", "tests", "not_yet", "note"}


def test_the_rows_are_those_of_the_list_of_cases() -> None:
    """Word for word, where the list is at hand."""
    listed = re.findall(r"^\| (\d+) \| (.+?) \|", shared_path("HOSTILE_CASES.md").read_text("utf-8"), re.MULTILINE)

    assert {number: text.strip() for number, text in listed} == {number: entry["case"] for number, entry in MAP.items()}
