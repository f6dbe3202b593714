"""Where members live whom a caller names by something else than their id."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from gateway.domain.ids import bucket_of
from gateway.storage.bulk import Lookup
from gateway.storage.tables import member_identifiers, outcomes

_IDENTIFIERS = Lookup(
    select(member_identifiers.c.identifier_hash, member_identifiers.c.member_id), member_identifiers.c.identifier_hash
)
_OUTCOMES = Lookup(select(outcomes.c.entry_id, outcomes.c.bucket), outcomes.c.entry_id)


def load_buckets(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """The buckets of hashes of identifiers and entry ids, as far as there are such."""
    found = {name: bucket_of(member_id) for name, member_id in _IDENTIFIERS(connection, names)}
    return found | dict(_OUTCOMES(connection, names))
