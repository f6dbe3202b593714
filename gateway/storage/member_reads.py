"""Reading members: who is named, under which ids, with what identifiers and lots. Writes nothing, locks nothing."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, tuple_

from gateway.domain.command import MemberRef
from gateway.domain.entry import Entry
from gateway.domain.identifiers import IdentifierKind
from gateway.domain.ids import bucket_of
from gateway.domain.member import KnownIdentifier, MemberStatus
from gateway.domain.outcome import Reason, Refusal
from gateway.storage.books import read_entries
from gateway.storage.journal import Place, own_entries
from gateway.storage.tables import debts, entries, lots, member_identifiers, members

_IDENTIFIER_COLUMNS = [member_identifiers.c[field.name] for field in fields(KnownIdentifier)]
_IDENTIFIED = select(*_IDENTIFIER_COLUMNS).where(member_identifiers.c.identifier_hash == bindparam("identifier_hash"))
_IDENTIFIERS = select(*_IDENTIFIER_COLUMNS).where(member_identifiers.c.member_id == bindparam("member_id"))
_RECORD = select(members.c.status, members.c.is_paused, members.c.language, members.c.merged_into, members.c.enrolled_by).where(
    members.c.member_id == bindparam("member_id"), members.c.bucket == bindparam("bucket")
)
_FORMER = select(members.c.member_id).where(
    members.c.merged_into.in_(bindparam("ids", expanding=True)), members.c.merged_into != ""
)
_LOTS = select(lots.c.issuer_id, lots.c.open_points, lots.c.expires_on, lots.c.usable_from, lots.c.arrival).where(
    lots.c.member_id == bindparam("member_id"), lots.c.bucket == bindparam("bucket"), lots.c.open_points > 0
)
_DEBTS = (
    select(debts.c.issuer_id, debts.c.open_points)
    .where(debts.c.member_id == bindparam("member_id"), debts.c.bucket == bindparam("bucket"), debts.c.open_points > 0)
    .order_by(debts.c.arrival)
)
_OWN_IDS = select(entries.c.window_id, entries.c.sequence, entries.c.lane, entries.c.entry_id).order_by(
    entries.c.window_id, entries.c.sequence, entries.c.lane
)
_COUNTS = select(entries.c.partner_id, func.count()).group_by(entries.c.partner_id)


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """Who a member is, as it may be told."""

    member_id: str
    status: MemberStatus
    is_paused: bool
    language: str
    enrolled_by: str
    former_ids: tuple[str, ...]
    identifiers: tuple[KnownIdentifier, ...]


@dataclass(frozen=True, slots=True)
class OpenLot:
    """Open points of a lot, usable from its first day on (empty: at once); `arrival` is its place among those of its expiry."""

    issuer_id: str
    points: int
    expires_on: str
    usable_from: str
    arrival: int


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """An entry with its hash, and its place among those of its member."""

    place: Place
    entry: Entry
    entry_hash: bytes


def find_member(connection: Connection, ref: MemberRef, *, at_ms: int) -> str | Refusal:
    """The id of the member that a reference names or leads to. MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""
    member_id = ref.member_id
    if ref.named_hash is not None:
        found = connection.execute(_IDENTIFIED, {"identifier_hash": ref.named_hash}).one_or_none()
        if found is None:
            return Refusal(Reason.MEMBER_NOT_FOUND)
        known = _known(found)
        if known.is_over(at_ms):
            return Refusal(Reason.TOKEN_USED_OR_EXPIRED)
        member_id = known.member_id
    while member_id is not None:
        row = connection.execute(_RECORD, _place(member_id)).one_or_none()
        if row is None:
            break
        if not row.merged_into:
            return member_id
        member_id = row.merged_into
    return Refusal(Reason.MEMBER_NOT_FOUND)


def load_record(connection: Connection, member_id: str) -> MemberRecord:
    """Who a member is, by its present id, which must exist."""
    row = connection.execute(_RECORD, _place(member_id)).one()
    known = (_known(found) for found in connection.execute(_IDENTIFIERS, {"member_id": member_id}))
    return MemberRecord(
        member_id=member_id,
        status=MemberStatus(row.status),
        is_paused=bool(row.is_paused),
        language=row.language,
        enrolled_by=row.enrolled_by,
        former_ids=tuple(former_ids(connection, member_id)),
        identifiers=tuple(sorted(known, key=lambda one: (_KIND_ORDER[one.kind], one.identifier_hash))),
    )


def former_ids(connection: Connection, member_id: str) -> list[str]:
    """Ids of the members that were merged into this one, however many steps ago."""
    found: list[str] = []
    ids = [member_id]
    while ids := list(connection.execute(_FORMER.order_by(members.c.member_id), {"ids": ids}).scalars()):
        found += ids
    return found


def load_open_lots(connection: Connection, member_id: str, *, after: tuple[str, int], limit: int) -> list[OpenLot]:
    """Open lots in the order in which they are taken, behind an (expiry, arrival)."""
    place = tuple_(lots.c.expires_on, lots.c.arrival)
    query = _LOTS.where(place > tuple_(*after)).order_by(lots.c.expires_on, lots.c.arrival).limit(limit)
    return [OpenLot(*row) for row in connection.execute(query, _place(member_id))]


def load_open_debts(connection: Connection, member_id: str) -> list[tuple[str, int]]:
    """Issuer and open points of each debt, oldest first."""
    return [(issuer_id, points) for issuer_id, points in connection.execute(_DEBTS, _place(member_id))]


def load_own_entries(
    connection: Connection, member_ids: Collection[str], partner_id: str, *, after: Place, limit: int
) -> list[PlacedEntry]:
    """Entries that the partner booked for a member, under any of its ids, oldest first, from the place on."""
    rows = connection.execute(own_entries(_OWN_IDS, member_ids, partner_id, after=after).limit(limit)).all()
    places = {row.entry_id: Place(row.window_id, row.sequence, row.lane) for row in rows}
    found = {entry.entry_id: (entry, entry_hash) for entry, entry_hash in read_entries(connection, places)}
    return [PlacedEntry(place, *found[entry_id]) for entry_id, place in places.items()]


def count_entries(connection: Connection, member_ids: Collection[str], partner_id: str) -> tuple[int, int]:
    """How many entries a member has under any of its ids, and how many of them others booked than the partner."""
    query = _COUNTS.where(
        entries.c.member_id.in_(sorted(member_ids)),
        entries.c.bucket.in_(sorted({bucket_of(member_id) for member_id in member_ids})),
    )
    counts: dict[str, int] = {partner: count for partner, count in connection.execute(query)}  # noqa: C416 - rows are no pairs
    return sum(counts.values()), sum(count for partner, count in counts.items() if partner != partner_id)


_KIND_ORDER = {kind: number for number, kind in enumerate(IdentifierKind)}


def _place(member_id: str) -> dict[str, Any]:
    return {"member_id": member_id, "bucket": bucket_of(member_id)}


def _known(row: Any) -> KnownIdentifier:
    identifier_hash, kind, *rest = row
    return KnownIdentifier(identifier_hash, IdentifierKind(kind), *rest)
