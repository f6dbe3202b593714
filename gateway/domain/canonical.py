"""One canonical form for everything that is hashed: JSON with sorted keys, no spaces, ASCII, integers only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Plain: TypeAlias = "str | int | bool | Sequence[Plain] | Mapping[str, Plain] | None"

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def canonical(value: Plain) -> bytes:
    """The bytes to hash, sign or publish. The same value gives the same bytes in every language."""
    return _encode(value).encode("ascii")


def canonical_hash(value: Plain) -> bytes:
    """SHA-256 of the canonical form (32 bytes)."""
    return hashlib.sha256(canonical(value)).digest()
