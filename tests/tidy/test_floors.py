"""The floors of the house: who may import whom. The contracts stand in pyproject.toml."""

from tests.tidy.tools import BIN, check


def test_imports_go_downward_only() -> None:
    """Every contract of import-linter is kept."""
    check(str(BIN / "lint-imports"), "--no-cache", "--no-logo")
