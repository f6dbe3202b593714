"""Where members live whom a caller names by something else than their id."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from gateway.domain.ids import bucket_of
from gateway.storage.bulk import Lookup
from gateway.storage.tables import member_identifiers, outcomes

_CARDS = Lookup(
    select(member_identifiers.c.identifier_hash, member_identifiers.c.member_id), member_identifiers.c.identifier_hash
)
_OUTCOMES = Lookup(select(outcomes.c.entry_id, outcomes.c.bucket), outcomes.c.entry_id)


def load_buckets(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """The buckets of card hashes and entry ids, as far as there are such."""
    cards = {card_hash: bucket_of(member_id) for card_hash, member_id in _CARDS(connection, names)}
    return cards | dict(_OUTCOMES(connection, names))
