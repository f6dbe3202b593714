"""Flat values as mappings, for documents and rows. Pure; dataclasses.asdict copies deeply, at ten times the cost."""

from typing import Any


def plain(value: Any) -> dict[str, Any]:
    """The fields of a slotted dataclass by name, in their order; the values as they are."""
    return {name: getattr(value, name) for name in type(value).__slots__}
