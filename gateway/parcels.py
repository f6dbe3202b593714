"""Packs what two processes of one gateway hand to each other: pickles in which frozen dataclasses cost a third.

Python's own way asks each value for its fields, by name, every time; here each class is asked once. Only for a pipe between
processes that trust each other: whoever unpacks runs what the parcel says.
"""

import io
import pickle
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

_getters: dict[type[Any], Callable[[Any], Any] | None] = {}
_setters: dict[type[Any], list[Callable[[Any, Any], None]]] = {}


def pack(value: object) -> bytes:
    """The bytes of a value."""
    parcel = io.BytesIO()
    _Packer(parcel, pickle.HIGHEST_PROTOCOL).dump(value)
    return parcel.getvalue()


def unpack(parcel: bytes) -> Any:
    """The value, equal to the one that was packed."""
    return pickle.loads(parcel)  # noqa: S301 - from the other half of ourselves


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        try:
            getter = _getters[kind]
        except KeyError:
            getter = _getters[kind] = _getter(kind)
        return NotImplemented if getter is None else (_made, (kind, getter(value)))


def _getter(kind: type[Any]) -> Callable[[Any], Any] | None:
    """All fields of a value at once; None for what is no dataclass with slots of several fields."""
    if not is_dataclass(kind) or "__slots__" not in vars(kind):
        return None
    names = [field.name for field in fields(kind)]
    return attrgetter(*names) if len(names) > 1 else None


def _made(kind: type[Any], values: Iterable[Any]) -> Any:
    """What was checked when it was made first is not checked again."""
    setters = _setters.get(kind)
    if setters is None:
        setters = _setters[kind] = [getattr(kind, field.name).__set__ for field in fields(kind)]
    value: Any = object.__new__(kind)
    for set_field, field_value in zip(setters, values, strict=True):
        set_field(value, field_value)
    return value
