"""The type checker, strict, over source and tests."""

import sys

import pytest

from tests.tidy.tools import check


@pytest.mark.slow
def test_the_types_fit() -> None:
    """With mypy --strict; its settings stand in pyproject.toml."""
    check(sys.executable, "-m", "mypy", "--no-error-summary")
