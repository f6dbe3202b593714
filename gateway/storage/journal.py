"""Reading the books: answers and entries. Writes nothing, locks nothing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, tuple_

from gateway.domain.entry import EntryKind
from gateway.domain.ids import bucket_of
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer
from gateway.storage.tables import entries, outcomes, refusals

_OUTCOME = select(outcomes.c.partner_id, outcomes.c.receipt, outcomes.c.receipt_key_id).where(
    outcomes.c.entry_id == bindparam("entry_id")
)
_REFUSAL = (
    select(refusals.c.partner_id, refusals.c.reason, refusals.c.receipt, refusals.c.receipt_key_id)
    .where(refusals.c.entry_id == bindparam("entry_id"))
    .order_by(refusals.c.refused_at_ms.desc(), refusals.c.number.desc())
    .limit(1)
)
_MEMBER_OF_ENTRY = select(entries.c.member_id).where(entries.c.entry_id == bindparam("entry_id"))
_OWN_ENTRIES = (
    select(entries.c.window_id, entries.c.sequence, entries.c.lane, outcomes.c.receipt, outcomes.c.receipt_key_id)
    .join(outcomes, outcomes.c.entry_id == entries.c.entry_id)
    .order_by(entries.c.window_id, entries.c.sequence, entries.c.lane)
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an entry stands among those of its member. A member changes its lane only at a cut-off, so this is commit order.

    Entries of members that were merged may stand in several lanes: the lane then comes last, for an order that is total.
    """

    window_id: int
    sequence: int
    lane: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries somebody asks for; what is empty does not narrow."""

    kinds: tuple[EntryKind, ...] = ()
    first_business_date: str = ""
    last_business_date: str = ""
    receipt_number: str = ""


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


def load_member_of_entry(connection: Connection, entry_id: str) -> str | None:
    """The member that an entry is about; None if there is no such entry."""
    return connection.execute(_MEMBER_OF_ENTRY, {"entry_id": entry_id}).scalar_one_or_none()


def load_own_answers(
    connection: Connection,
    member_ids: Collection[str],
    partner_id: str,
    *,
    wanted: EntryFilter,
    after: Place,
    limit: int,
) -> list[PlacedAnswer]:
    """Answers of entries that the partner booked for a member, under any of its ids, oldest first, from the place on."""
    query = own_entries(_OWN_ENTRIES, member_ids, partner_id, after=after).where(*_narrowed(wanted)).limit(limit)
    return [
        PlacedAnswer(Place(row.window_id, row.sequence, row.lane), Answer(row.receipt, row.receipt_key_id))
        for row in connection.execute(query)
    ]


def own_entries(query: Select[Any], member_ids: Collection[str], partner_id: str, *, after: Place) -> Select[Any]:
    """Narrowed to what a partner booked for a member, behind a place."""
    place = tuple_(entries.c.window_id, entries.c.sequence, entries.c.lane)
    return query.where(
        entries.c.member_id.in_(sorted(member_ids)),
        entries.c.bucket.in_(sorted({bucket_of(member_id) for member_id in member_ids})),
        entries.c.partner_id == partner_id,
        place > tuple_(after.window_id, after.sequence, after.lane),
    )


def _narrowed(wanted: EntryFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.kinds:
        yield entries.c.kind.in_([kind.value for kind in wanted.kinds])
    if wanted.first_business_date:
        yield entries.c.business_date >= wanted.first_business_date
    if wanted.last_business_date:
        yield entries.c.business_date <= wanted.last_business_date
    if wanted.receipt_number:
        yield entries.c.receipt_number == wanted.receipt_number
