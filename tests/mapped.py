"""Lists of cases that name the tests which answer them: whether those tests exist."""

import ast
from collections.abc import Iterable
from functools import cache

from tests.shared import ROOT


@cache
def names_in(file: str) -> frozenset[str]:
    """Names of the test functions of a file; none if there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def missing(test_ids: Iterable[str]) -> list[str]:
    """Those ids, as file::name, that are no test's."""
    named = [tuple(test_id.split("::")) for test_id in test_ids]
    return ["::".join(test_id) for test_id in named if len(test_id) != 2 or test_id[1] not in names_in(test_id[0])]
