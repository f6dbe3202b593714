"""Where a member stands: confirmed or not, paused, merged, erased; and what an entry commits to when that changes."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.canonical import Plain, canonical, canonical_hash
from gateway.domain.identifiers import Identifier, IdentifierKind
from gateway.domain.identifiers import identifier_id as id_of


class MemberStatus(enum.IntEnum):
    """Where a member stands. The number is stored; MERGED is never shown: whoever names it is led on."""

    ACTIVE = 1
    PROVISIONAL = 2
    ERASED = 3
    MERGED = 4


@dataclass(slots=True)
class KnownIdentifier:
    """An identifier that a member has, as it is stored. `entry_id` gave it; `used_by` is the entry that used up a token."""

    identifier_hash: str
    kind: IdentifierKind
    member_id: str
    tail: str
    valid_until_ms: int
    entry_id: str
    used_by: str

    @property
    def identifier_id(self) -> str:
        """How it is named to whoever has not got it."""
        return id_of(self.identifier_hash)

    @property
    def is_token(self) -> bool:
        """Whether it is used up by a booking."""
        return self.kind is IdentifierKind.TOKEN

    def is_over(self, at_ms: int, *, after: str = "") -> bool:
        """Whether it is a token that is used up, unless by the entry `after`, or whose time is over."""
        if not self.is_token:
            return False
        return self.valid_until_ms < at_ms if not self.used_by else self.used_by != after

    def commitment(self) -> str:
        """What the entry that gave it says of it."""
        return Identifier(self.kind, self.identifier_hash, self.tail, self.valid_until_ms).commitment()


def standing_commitment(*, is_provisional: bool, language: str) -> str:
    """What an entry that makes, confirms or changes a member says of it. Hex."""
    return canonical_hash(["TS1-STANDING", is_provisional, language]).hex()


def with_facts(facts: str, more: Mapping[str, Plain]) -> str:
    """The facts of an entry, and some more of them: canonical JSON."""
    present: Mapping[str, Plain] = json.loads(facts) if facts else {}
    return canonical({**present, **more}).decode("ascii")
