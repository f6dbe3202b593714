"""What a receipt must say, worked out from the books, and how it differs from what is stored."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.intake import ReadSent
from gateway.domain.outcome import CURABLE
from gateway.domain.receipt import EncodeReceipt, Leg, LotMovement, Receipt
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference
from gateway.ledger.audit_near import LOT_EFFECT, Near

_FIELDS = tuple(field.name for field in fields(Receipt))


@dataclass(frozen=True, slots=True)
class ReceiptForm:
    """How receipts become bytes, and bytes receipts (raises InvalidValue). The form on the wire is the edge's affair.

    What the books say is encoded and compared with what is stored; only where the bytes differ are they read.
    `entry_of_event(partner, command)`: the id of the entry that an event's command books; empty if there can be none.
    `read_sent(method, message)`: what a partner said about settlement.
    """

    encode: EncodeReceipt
    decode: Callable[[bytes], Receipt]
    entry_of_event: Callable[[str, bytes], str] | None = None
    read_sent: ReadSent | None = None


def booked(entries: Sequence[tuple[Entry, bytes]], near: Near, facts: Facts, *, balance: int, debt: int) -> Receipt:
    """What the receipt of a command's entries says; `balance` and `debt` are the member's after the last. Not how it stands."""
    entry, entry_hash = entries[0]
    told = json.loads(entry.facts) if entry.facts else {}
    total, to_pay = _money(entries, told, facts)
    return Receipt(
        audience=facts.network.audience,
        entry_id=entry.entry_id,
        kind=entry.kind,
        partner_id=entry.partner_id,
        idempotency_key=entry.idempotency_key,
        fingerprint=entry.fingerprint,
        member_id=entry.member_id,
        business_date=entry.business_date,
        occurred_at_ms=entry.occurred_at_ms,
        booked_at_ms=entry.booked_at_ms,
        receipt_number=entry.receipt_number,
        balance_points=balance,
        debt_points=debt,
        lane=entry.lane,
        sequence=entry.sequence,
        points=entry.points,
        unit=entry.unit,
        amount=entry.amount,
        rate_card_version=entry.rate_card_version,
        original_entry_id=entry.original_entry_id,
        withheld=_withheld(entry, facts),
        lots=_movements(entry, near.lots),
        entry_hash=entry_hash,
        legs=tuple(_leg(*further, near, facts) for further in entries[1:]),
        total=total,
        to_pay=to_pay,
        hold_expires_at_ms=told.get("expires_at_ms", 0),
    )


def differences(expected: Receipt, found: Receipt) -> Iterator[Difference]:
    """Field by field."""
    yield from ((f"receipt's {name}", getattr(expected, name), getattr(found, name)) for name in _FIELDS)


def refused(row: Any, found: Receipt, audience: str) -> Iterator[Difference]:
    """Compares the receipt of a remembered refusal with its row. What it tells the till of the cause, the books do not know."""
    yield "reason is one that time cures", False, row.reason in {reason.value for reason in CURABLE}
    yield (
        "receipt",
        (audience, row.entry_id, row.partner_id, row.idempotency_key, row.fingerprint, row.refused_at_ms, row.reason),
        (
            found.audience,
            found.entry_id,
            found.partner_id,
            found.idempotency_key,
            found.fingerprint,
            found.booked_at_ms,
            0 if found.refused is None else found.refused.value,
        ),
    )
    yield "receipt's sequence, points and balance", (0, 0, 0), (found.sequence, found.points, found.balance_points)


def _leg(entry: Entry, entry_hash: bytes, near: Near, facts: Facts) -> Leg:
    return Leg(
        entry_id=entry.entry_id,
        kind=entry.kind,
        lane=entry.lane,
        sequence=entry.sequence,
        points=entry.points,
        unit=entry.unit,
        amount=entry.amount,
        rate_card_version=entry.rate_card_version,
        original_entry_id=entry.original_entry_id,
        withheld=_withheld(entry, facts),
        lots=_movements(entry, near.lots),
        entry_hash=entry_hash,
    )


def _money(
    entries: Sequence[tuple[Entry, bytes]], told: Mapping[str, Any], facts: Facts
) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """What a basket came to, or what of it came back; and what of that is money."""
    first = entries[0][0]
    if "total" in told:
        paid = first.amount if first.kind is EntryKind.REDEEM else 0
        return (told["unit"], told["total"]), (told["unit"], told["total"] - paid)
    if "returned" not in told:
        return None, None
    returned = (told["unit"], told["returned"])
    if first.kind is EntryKind.PARK_REFUND:
        return returned, None
    kept = sum(withheld[1] for entry, _ in entries if (withheld := _withheld(entry, facts)) is not None)
    return returned, (told["unit"], max(told["money"] - kept, 0))


def _withheld(entry: Entry, facts: Facts) -> tuple[str, int] | None:
    points = sum(posting.points for posting in entry.postings if posting.kind is PostingKind.WITHHOLD)
    if not points:
        return None
    card = facts.cards[entry.partner_id, entry.rate_card_version]
    return card.currency, points * card.face_value_micros // MICROS


def _movements(entry: Entry, lots: Mapping[str, Any]) -> tuple[LotMovement, ...]:
    moved: dict[str, int] = {}
    for posting in entry.postings:
        if posting.lot_id:
            moved[posting.lot_id] = moved.get(posting.lot_id, 0) + LOT_EFFECT[posting.kind] * posting.points
    left = Counter[str]()
    for posting in entry.postings:
        if posting.kind in (PostingKind.DEBT_PAID, PostingKind.EXPIRE):
            left[posting.lot_id] += posting.points
    return tuple(
        LotMovement(lot_id, lots[lot_id].issuer_id, points, lots[lot_id].expires_on, left[lot_id])
        for lot_id, points in moved.items()
    )
