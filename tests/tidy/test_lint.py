"""The linter and the formatter. Rules and exceptions, with their reasons, stand in pyproject.toml."""

from tests.tidy.tools import BIN, check

RUFF = str(BIN / "ruff")


def test_the_linter_finds_nothing() -> None:
    """All of ruff's rules, less the exceptions that have a reason."""
    check(RUFF, "check", "--quiet", "--output-format", "concise")


def test_every_file_is_in_its_one_form() -> None:
    """`make format` puts it there."""
    check(RUFF, "format", "--check", "--output-format", "concise")
