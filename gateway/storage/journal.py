"""Reading the books: answers, members, entries. Writes nothing, locks nothing."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, or_, select

from gateway.domain.command import MemberRef
from gateway.domain.ids import bucket_of
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer
from gateway.storage.tables import entries, member_identifiers, members, outcomes, refusals

_OUTCOME = select(outcomes.c.partner_id, outcomes.c.receipt, outcomes.c.receipt_key_id).where(
    outcomes.c.entry_id == bindparam("entry_id")
)
_REFUSAL = (
    select(refusals.c.partner_id, refusals.c.reason, refusals.c.receipt, refusals.c.receipt_key_id)
    .where(refusals.c.entry_id == bindparam("entry_id"))
    .order_by(refusals.c.refused_at_ms.desc(), refusals.c.number.desc())
    .limit(1)
)
_MEMBER_OF_CARD = select(member_identifiers.c.member_id).where(member_identifiers.c.identifier_hash == bindparam("card_hash"))
_MEMBER = select(members.c.member_id).where(
    members.c.member_id == bindparam("member_id"), members.c.bucket == bindparam("bucket")
)
_OWN_ENTRIES = (
    select(entries.c.window_id, entries.c.sequence, outcomes.c.receipt, outcomes.c.receipt_key_id)
    .join(outcomes, outcomes.c.entry_id == entries.c.entry_id)
    .where(
        entries.c.member_id == bindparam("member_id"),
        entries.c.bucket == bindparam("bucket"),
        entries.c.partner_id == bindparam("partner_id"),
        or_(
            entries.c.window_id > bindparam("window_id"),
            and_(entries.c.window_id == bindparam("window_id"), entries.c.sequence > bindparam("sequence")),
        ),
    )
    .order_by(entries.c.window_id, entries.c.sequence)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an entry stands among those of its member. A member changes its lane only at a cut-off, so this is commit order."""

    window_id: int
    sequence: int


@dataclass(frozen=True, slots=True)
class PlacedAnswer:
    """The answer that booked an entry, and the entry's place."""

    place: Place
    answer: Answer


def load_answer(connection: Connection, entry_id: str, partner_id: str) -> Answer | None:
    """The booking of the partner's entry, else its latest remembered refusal, else None."""
    booked = connection.execute(_OUTCOME, {"entry_id": entry_id}).one_or_none()
    if booked is not None:
        return Answer(booked.receipt, booked.receipt_key_id, is_replayed=True) if booked.partner_id == partner_id else None
    refused = connection.execute(_REFUSAL, {"entry_id": entry_id}).one_or_none()
    if refused is None or refused.partner_id != partner_id:
        return None
    return Answer(refused.receipt, refused.receipt_key_id, Refusal(Reason(refused.reason)), is_replayed=True)


def load_member_id(connection: Connection, ref: MemberRef) -> str | None:
    """The id that a reference names; None for a card that nobody has. Whether a named id exists is not asked."""
    if ref.card_hash is None:
        return ref.member_id
    return connection.execute(_MEMBER_OF_CARD, {"card_hash": ref.card_hash}).scalar_one_or_none()


def is_member(connection: Connection, member_id: str) -> bool:
    """Whether there is such a member."""
    return connection.execute(_MEMBER, {"member_id": member_id, "bucket": bucket_of(member_id)}).first() is not None


def load_own_answers(connection: Connection, member_id: str, partner_id: str, *, after: Place, limit: int) -> list[PlacedAnswer]:
    """Answers of entries that the partner booked for the member, oldest first, from the place on."""
    wanted = {
        "member_id": member_id,
        "bucket": bucket_of(member_id),
        "partner_id": partner_id,
        "window_id": after.window_id,
        "sequence": after.sequence,
        "limit": limit,
    }
    return [
        PlacedAnswer(Place(row.window_id, row.sequence), Answer(row.receipt, row.receipt_key_id))
        for row in connection.execute(_OWN_ENTRIES, wanted)
    ]
