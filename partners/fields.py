"""Reading TOML that people wrote: each field checked by its own rule, every error kept, none raised.

Pure. People fix lists, not one line at a time, so nothing stops at the first error.
"""

import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any, TypeVar

from gateway.domain.errors import InvalidValue
from gateway.domain.terms import parse_date

T = TypeVar("T")
TEXT_MAX = 200


class Fields:
    """One table of a file. Errors go to a list that all tables of the file share, each with the name of its field."""

    def __init__(self, table: Mapping[str, Any], errors: list[str], *, prefix: str = "") -> None:
        """`prefix` stands before the names in errors, such as "rate_card."."""
        self._table = table
        self._taken: set[str] = set()
        self._prefix = prefix
        self.errors = errors

    def text(self, name: str, *, default: str | None = None, length_max: int = TEXT_MAX) -> str:
        """A printable text; empty after an error."""
        self._taken.add(name)
        value = self._table.get(name, default)
        if value is None:
            return self._fail(name, "is missing", "")
        if not isinstance(value, str):
            return self._fail(name, "must be a text in quotes", "")
        if value != default and not (0 < len(value) <= length_max and value.isprintable() and value == value.strip()):
            return self._fail(name, f"must be 1 to {length_max} printable characters, without space at its ends", "")
        return value

    def read(self, name: str, parse: Callable[[str], T], fallback: T, *, default: str | None = None) -> T:
        """A text that `parse` reads, which raises InvalidValue; `fallback` after an error."""
        failures = len(self.errors)
        text = self.text(name, default=default)
        if len(self.errors) > failures:
            return fallback
        try:
            return parse(text)
        except InvalidValue as error:
            return self._fail(name, str(error), fallback)

    def day(self, name: str) -> date:
        """A date, as TOML writes dates or in quotes."""
        value = self._table.get(name)
        if type(value) is date:
            self._taken.add(name)
            return value
        return self.read(name, parse_date, date.min)

    def number(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number within limits; `least` after an error."""
        self._taken.add(name)
        value = self._table.get(name, default)
        if value is None:
            return self._fail(name, "is missing", least)
        if type(value) is not int or not least <= value <= most:
            return self._fail(name, f"must be a whole number from {least} to {most}", least)
        return value

    def texts(self, name: str, *, allowed: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of different texts, in the file's order."""
        self._taken.add(name)
        value = self._table.get(name)
        if value is None:
            return self._fail(name, "is missing", ())
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(set(value)) < len(value):
            return self._fail(name, "must be a list of different texts", ())
        unknown = [one for one in value if allowed is not None and one not in allowed]
        if unknown:
            return self._fail(name, f"knows no {', '.join(unknown)}; choose from {', '.join(sorted(allowed or ()))}", ())
        return tuple(value)

    def has(self, name: str) -> bool:
        """Whether the table names it at all."""
        return name in self._table

    def table(self, name: str) -> "Fields":
        """A table inside this one; an empty one after an error."""
        self._taken.add(name)
        value = self._table.get(name)
        if value is None:
            self._fail(name, "is missing", None)
        elif not isinstance(value, dict):
            self._fail(name, f"must be a table: [{self._prefix}{name}]", None)
        return Fields(value if isinstance(value, dict) else {}, self.errors, prefix=f"{self._prefix}{name}.")

    def tables(self, name: str) -> list["Fields"]:
        """A list of tables; empty where it is missing."""
        self._taken.add(name)
        value = self._table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            return self._fail(name, f"must be a list of tables: [[{self._prefix}{name}]]", [])
        return [Fields(one, self.errors, prefix=f"{self._prefix}{name}[{index}].") for index, one in enumerate(value)]

    def rest(self) -> dict[str, Any]:
        """What nobody has taken yet, and takes it."""
        left = {name: value for name, value in self._table.items() if name not in self._taken}
        self._taken |= left.keys()
        return left

    def error(self, name: str, message: str) -> None:
        """Keeps an error of a field."""
        self.errors.append(f"{self._prefix}{name}: {message}")

    def close(self) -> None:
        """Keeps an error for each field that has no meaning: a misspelt one must not be passed over."""
        for name in self.rest():
            self.error(name, "is no known field")

    def _fail(self, name: str, message: str, fallback: T) -> T:
        self.error(name, message)
        return fallback


def read_toml(text: str) -> dict[str, Any] | str:
    """The content of a TOML file, or why it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return f"not TOML: {error}"
