"""One canonical form for everything that is hashed: JSON with sorted keys, no spaces, ASCII, integers only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson

Plain: TypeAlias = "str | int | bool | Sequence[Plain] | Mapping[str, Plain] | None"

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
_QUICK = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def canonical(value: Plain) -> bytes:
    """The bytes to hash, sign or publish. The same value gives the same bytes in every language.

    Raises TypeError or ValueError for most of what is not plain; fractions, of which the types know nothing, have no form.
    """
    try:
        text = orjson.dumps(value, option=_QUICK)
    except orjson.JSONEncodeError:  # more than 64 bits, half a character, or a bug of ours
        return _encode(value).encode("ascii")
    # The quick one leaves characters beyond ASCII and DEL as they are, and takes NaN for null; else the two are the same.
    if text.isascii() and b"\x7f" not in text and b"null" not in text:
        return text
    return _encode(value).encode("ascii")


def canonical_hash(value: Plain) -> bytes:
    """SHA-256 of the canonical form (32 bytes)."""
    return hashlib.sha256(canonical(value)).digest()
