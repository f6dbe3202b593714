"""What the audit reads of members and their identifiers. Trusts no constraint, as `audit_reads`. Writes nothing."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, func, select

from gateway.storage.tables import entries, member_identifiers, members

_STREAM_ROWS = 5_000
_STANDINGS = select(members.c.member_id, members.c.status, members.c.is_paused, members.c.language, members.c.merged_into)
_IDENTIFIERS = (
    select(
        *member_identifiers.columns,
        entries.c.kind.label("kind_of_entry"),
        entries.c.member_id.label("given_to"),
        entries.c.fingerprint,
        entries.c.facts,
    )
    .select_from(member_identifiers)
    .join(entries, entries.c.entry_id == member_identifiers.c.entry_id, isouter=True)
    .order_by(member_identifiers.c.identifier_hash)
)
_COUNTS = select(member_identifiers.c.member_id, func.count()).group_by(member_identifiers.c.member_id)


def stream_standings(connection: Connection) -> Iterator[Any]:
    """Where each member stands, in the order of their ids."""
    return _stream(connection, _STANDINGS.order_by(members.c.member_id))


def stream_identifiers(connection: Connection) -> Iterator[Any]:
    """Each identifier with kind, member, fingerprint and facts of the entry that gave it; None where there is none."""
    return _stream(connection, _IDENTIFIERS)


def identifier_counts(connection: Connection) -> dict[str, int]:
    """How many identifiers each member has that has any."""
    return {member_id: count for member_id, count in connection.execute(_COUNTS)}  # noqa: C416 - rows are no pairs


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    # Closed also when the audit has seen enough: on PostgreSQL a stream is a cursor of the server's.
    with connection.execute(query.execution_options(yield_per=_STREAM_ROWS)) as rows:
        yield from rows
