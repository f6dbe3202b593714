"""What is stored about a member, by pages, as far as a partner may see it: its own entries, and of others how many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.domain.canonical import Plain, canonical
from gateway.domain.identifiers import masked
from gateway.domain.member import KnownIdentifier
from gateway.storage.journal import Place
from gateway.storage.member_reads import (
    OpenLot,
    PlacedEntry,
    count_entries,
    former_ids,
    load_open_debts,
    load_open_lots,
    load_own_entries,
    load_record,
)

ITEMS_MAX = 200  # lots or entries of a page, so that it stays well under what a call may answer
FORMAT = "tallystick-member-1"

_MEMBER, _LOTS, _ENTRIES = 0, 1, 2
Where = tuple[int, ...]
"""Where a page starts: the part (lots, entries), then the place behind which it goes on."""


@dataclass(frozen=True, slots=True)
class Page:
    """Canonical JSON, and where the next page starts; None after the last."""

    document: bytes
    following: Where | None


def export_page(connection: Connection, member_id: str, partner_id: str, where: Where | None) -> Page:
    """A page: the member first, then its open lots, then the partner's own entries. `where` None: the first."""
    part, *place = where or (_MEMBER,)
    if part == _MEMBER:
        return Page(_document({"member": _member(connection, member_id, partner_id)}), (_LOTS, 0, 0))
    if part == _LOTS:
        expiry, arrival = place
        lots = load_open_lots(connection, member_id, after=(date_text(expiry), arrival), limit=ITEMS_MAX + 1)
        page = lots[:ITEMS_MAX]
        is_last = len(lots) <= ITEMS_MAX
        following: Where = (_ENTRIES, 0, 0, 0) if is_last else (_LOTS, date_number(page[-1].expires_on), page[-1].arrival)
        return Page(_document({"lots": [_lot(lot) for lot in page]}), following)
    window_id, sequence, lane = place
    ids = [member_id, *former_ids(connection, member_id)]
    after = Place(window_id, sequence, lane)
    entries = load_own_entries(connection, ids, partner_id, after=after, limit=ITEMS_MAX + 1)
    shown = entries[:ITEMS_MAX]
    last = shown[-1].place if len(entries) > ITEMS_MAX else None
    following_entries = (_ENTRIES, last.window_id, last.sequence, last.lane) if last else None
    return Page(_document({"entries": [_entry(placed) for placed in shown]}), following_entries)


def _document(parts: Mapping[str, Plain]) -> bytes:
    return canonical({"format": FORMAT, **parts})


def _member(connection: Connection, member_id: str, partner_id: str) -> Plain:
    record = load_record(connection, member_id)
    in_all, of_others = count_entries(connection, [member_id, *record.former_ids], partner_id)
    return {
        "member_id": member_id,
        "former_member_ids": record.former_ids,
        "status": record.status.name,
        "spending_paused": record.is_paused,
        "language": record.language,
        "enrolled_by": record.enrolled_by,
        "identifiers": [_identifier(known) for known in record.identifiers],
        "debts": [{"issuer_id": issuer_id, "points": points} for issuer_id, points in load_open_debts(connection, member_id)],
        "entries": in_all,
        "entries_of_others": of_others,
    }


def _identifier(known: KnownIdentifier) -> Plain:
    return {
        "kind": known.kind.name,
        "masked": masked(known.kind, known.tail),
        "identifier_id": known.identifier_id,
        "valid_until_ms": known.valid_until_ms,
        "used": known.used_by != "",
    }


def _lot(lot: OpenLot) -> Plain:
    return {"issuer_id": lot.issuer_id, "points": lot.points, "expires_on": lot.expires_on, "usable_from": lot.usable_from}


def _entry(placed: PlacedEntry) -> Plain:
    entry = placed.entry
    movements: Sequence[Plain] = [
        {"kind": posting.kind.name, "issuer_id": posting.issuer_id, "points": posting.points} for posting in entry.postings
    ]
    return {
        "entry_id": entry.entry_id,
        "member_id": entry.member_id,
        "kind": entry.kind.name,
        "lane": entry.lane,
        "sequence": entry.sequence,
        "window_id": entry.window_id,
        "key_id": entry.key_id,
        "idempotency_key": entry.idempotency_key,
        "business_date": entry.business_date,
        "occurred_at_ms": entry.occurred_at_ms,
        "booked_at_ms": entry.booked_at_ms,
        "points": entry.points,
        "unit": entry.unit,
        "amount": entry.amount,
        "original_entry_id": entry.original_entry_id,
        "offer_id": entry.offer_id,
        "receipt_number": entry.receipt_number,
        "movements": movements,
        "entry_hash": placed.entry_hash.hex(),
    }


def date_number(date: str) -> int:
    """A date as a page token holds it."""
    return int(date.replace("-", ""))


def date_text(number: int) -> str:
    """A date out of a page token; 0 gives what comes before all dates."""
    text = f"{number:08}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"
