"""What the audit found wrong, by name, up to a limit: whoever repairs books wants the first causes, not a flood."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from gateway.domain.errors import DomainError

FAILURES_MAX = 20

# What reading a row that somebody changed by hand can raise. Everything else is a bug of the audit's own.
_UNREADABLE = (ArithmeticError, AssertionError, DomainError, LookupError, SQLAlchemyError, TypeError, ValueError)

Difference = tuple[str, object, object]
"""What differs, what it must be, what it is."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that cannot be right. `where` names it, such as `entry e12… (lane 0, sequence 7)`."""

    where: str
    what: str
    expected: object
    found: object

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where}: {self.what}: expected {_shown(self.expected)}, found {_shown(self.found)}"


class Enough(Exception):
    """Raised when the limit is reached: the rest of the audit would only repeat it."""


@dataclass(slots=True)
class Failures:
    """Collects at most `most` of them, in the order of discovery."""

    most: int = FAILURES_MAX
    found: list[Failure] = field(default_factory=list)

    def add(self, where: str, what: str, *, expected: object, found: object) -> None:
        """Notes one. Raises Enough at the limit."""
        self.found.append(Failure(where, what, expected, found))
        if len(self.found) >= self.most:
            raise Enough

    def compare(self, where: str, differences: Iterable[Difference]) -> None:
        """Notes each triple whose two values are not the same."""
        for what, expected, found in differences:
            if expected != found:
                self.add(where, what, expected=expected, found=found)

    def compare_rows(self, table: str, expected: Mapping[Any, Any], found: Iterable[tuple[Any, Any]]) -> None:
        """Compares rows by key: missing, unexpected, twice, or different. `found` gives key and content, keys may repeat."""
        seen = set()
        for key, content in found:
            where = f"{table} {_named(key)}"
            if key in seen:
                self.add(where, "rows", expected=1, found="several")
            elif key not in expected:
                self.add(where, "row", expected="none", found=content)
            elif expected[key] != content:
                self.add(where, "row", expected=expected[key], found=content)
            seen.add(key)
        for key in expected.keys() - seen:
            self.add(f"{table} {_named(key)}", "row", expected=expected[key], found="none")

    def reading(self, where: str) -> "Reading":
        """Turns what an unreadable row raises within into a failure that names the place."""
        return Reading(self, where)


class Reading:
    """See `Failures.reading`. A class, so that its readers and checkers see that it may swallow an exception."""

    def __init__(self, failures: Failures, where: str) -> None:
        """`where` names the row, as in a failure."""
        self._failures = failures
        self._where = where

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Raises Enough at the limit."""
        if not isinstance(error, _UNREADABLE):
            return False
        found = f"{type(error).__name__}: {error}"[:300]
        self._failures.add(self._where, "content", expected="readable rows", found=found)
        return True


def _named(key: object) -> str:
    return "/".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex() or "no bytes"
    if isinstance(value, tuple):
        return "(" + ", ".join(_shown(part) for part in value) + ")"
    return repr(value) if value == "" else str(value)
