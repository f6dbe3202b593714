"""Loads the book for a batch. The head row is locked first: sequence is commit order.

Every statement is built once; each load is a handful of look-ups by key for the whole batch, never one a command.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, func, select

from gateway.domain.book import Book, Head, KnownAnswer
from gateway.domain.command import Command, Enrol, Issue, MemberRef, Redeem, Reverse, Transfer
from gateway.domain.entry import Entry, EntryKind, Posting, PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.lot import Debt, Lot, MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, EncodeReceipt, Receipt
from gateway.domain.terms import Terms
from gateway.domain.working import Original, Position, WorkingSet
from gateway.storage.tables import (
    debts,
    entries,
    heads,
    lots,
    member_identifiers,
    members,
    outcomes,
    positions,
    postings,
    refusals,
)

_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_HEAD = select(heads).where(heads.c.lane == bindparam("lane")).with_for_update()
_OUTCOMES = select(outcomes).where(outcomes.c.entry_id.in_(_IDS))
_REFUSALS = select(
    refusals.c.entry_id, refusals.c.fingerprint, refusals.c.reason, refusals.c.receipt, refusals.c.receipt_key_id
).where(refusals.c.entry_id.in_(_IDS))
_CARDS = select(member_identifiers.c.identifier_hash, member_identifiers.c.member_id).where(
    member_identifiers.c.identifier_hash.in_(_IDS)
)
_MEMBERS = select(members).where(members.c.member_id.in_(_IDS))
_OPEN_LOTS = select(lots).where(lots.c.member_id.in_(_IDS), lots.c.open_points > 0)
_LOTS = select(lots).where(lots.c.lot_id.in_(_IDS))
_OPEN_DEBTS = select(debts).where(debts.c.member_id.in_(_IDS), debts.c.open_points > 0)
_ENTRIES = select(entries).where(entries.c.entry_id.in_(_IDS))
_REVERSALS = select(entries).where(
    entries.c.original_entry_id.in_(_IDS),
    entries.c.original_entry_id != "",
    entries.c.kind.in_((EntryKind.REVERSE_ISSUE.value, EntryKind.REVERSE_REDEMPTION.value)),
)
_POSTINGS = select(postings).where(postings.c.entry_id.in_(_IDS)).order_by(postings.c.entry_id, postings.c.ordinal)
# Every lane keeps its own rows; a partner's exposure is their sum, read without a lock.
_POSITIONS = (
    select(
        positions.c.partner_id,
        positions.c.currency,
        func.sum(positions.c.open_value_micros).label("open_value_micros"),
        func.sum(positions.c.net_debit_micros).label("net_debit_micros"),
    )
    .where(positions.c.partner_id.in_(_IDS))
    .group_by(positions.c.partner_id, positions.c.currency)
)


@dataclass(frozen=True, slots=True)
class LoadedBook:
    """A book, and the positions as they were loaded: what the batch adds to them goes to its own lane's rows.

    Only the positions that a cap may refuse by are loaded; the others start from zero.
    """

    book: Book
    positions_before: Mapping[tuple[str, str], tuple[int, int]]


def load_book(
    connection: Connection,
    commands: Sequence[Command],
    *,
    lane: int,
    now_ms: int,
    terms: Terms,
    encode: EncodeReceipt,
    receipt_key_id: str,
) -> LoadedBook:
    """Locks the lane's head and reads all that the commands may need."""
    head = _load_head(connection, lane)
    at_ms = max(head.last_commit_ms, now_ms)
    work = WorkingSet(terms=terms, at_ms=at_ms, network_date=terms.network_date(at_ms).isoformat())
    book = Book(head=head, work=work, encode=encode, receipt_key_id=receipt_key_id)
    _load_answers(connection, book, commands)
    fresh = [command for command in commands if command.entry_id not in book.known]
    if fresh:
        refs = [ref for command in fresh for ref in _refs(command)]
        _load_originals(connection, work, [c.original_entry_id for c in fresh if isinstance(c, Reverse)])
        _load_cards(connection, work, refs, fresh)
        _load_accounts(connection, work, _members_named(work, refs))
        _load_lots(connection, work, _members_spending(work, fresh))
    return LoadedBook(book, _load_positions(connection, work, _issuers(terms, fresh)))


def load_book_for_expiry(
    connection: Connection, overdue: Sequence[tuple[str, str]], *, lane: int, now_ms: int, terms: Terms
) -> LoadedBook:
    """The same for overdue lots, as (member id, lot id). Expiry gives no receipts."""
    head = _load_head(connection, lane)
    at_ms = max(head.last_commit_ms, now_ms)
    work = WorkingSet(terms=terms, at_ms=at_ms, network_date=terms.network_date(at_ms).isoformat())
    _load_accounts(connection, work, {member_id for member_id, _ in overdue})
    _hold_lots(work, _fetch(connection, _LOTS, {lot_id for _, lot_id in overdue}))
    return LoadedBook(Book(head=head, work=work, encode=_no_receipt, receipt_key_id=""), {})


def _no_receipt(_receipt: Receipt) -> bytes:
    raise BooksBroken("expiry gives no receipts")


def read_entries(connection: Connection, entry_ids: Iterable[str]) -> list[tuple[Entry, bytes]]:
    """Entries with their postings and hashes, in the order of the lane."""
    return _entries_of(connection, _fetch(connection, _ENTRIES, set(entry_ids)))


def _load_head(connection: Connection, lane: int) -> Head:
    return Head(**connection.execute(_HEAD, {"lane": lane}).one()._asdict())


def _load_answers(connection: Connection, book: Book, commands: Sequence[Command]) -> None:
    wanted = {command.entry_id for command in commands}
    for row in _fetch(connection, _OUTCOMES, wanted):
        book.known[row.entry_id] = KnownAnswer(row.fingerprint, Answer(row.receipt, row.receipt_key_id))
    for row in _fetch(connection, _REFUSALS, wanted):
        refusal = Refusal(Reason(row.reason))
        book.known_refusals[row.entry_id, row.fingerprint] = Answer(row.receipt, row.receipt_key_id, refusal)


def _load_originals(connection: Connection, work: WorkingSet, entry_ids: Sequence[str]) -> None:
    for entry, _hash in read_entries(connection, entry_ids):
        work.originals[entry.entry_id] = Original(entry)
    for entry, _hash in _entries_of(connection, _fetch(connection, _REVERSALS, set(work.originals))):
        work.note_entry(entry)


def _load_cards(connection: Connection, work: WorkingSet, refs: Sequence[MemberRef], commands: Sequence[Command]) -> None:
    hashes = {ref.card_hash for ref in refs if ref.card_hash is not None}
    hashes |= {command.card_hash for command in commands if isinstance(command, Enrol)}
    for row in _fetch(connection, _CARDS, hashes):
        work.cards[row.identifier_hash] = row.member_id


def _load_accounts(connection: Connection, work: WorkingSet, member_ids: set[str]) -> None:
    for row in _fetch(connection, _MEMBERS, member_ids):
        work.accounts[row.member_id] = MemberAccount(**row._asdict())
    in_debt = {account.member_id for account in work.accounts.values() if account.debt_points}
    for row in _fetch(connection, _OPEN_DEBTS, in_debt):
        work.accounts[row.member_id].debts.append(Debt(**row._asdict()))


def _load_lots(connection: Connection, work: WorkingSet, spending: set[str]) -> None:
    with_points = {member_id for member_id in spending if member_id in work.accounts and work.accounts[member_id].open_points}
    _hold_lots(work, _fetch(connection, _OPEN_LOTS, with_points))
    named = {posting.lot_id for original in work.originals.values() for posting in original.entry.postings if posting.lot_id}
    held = {lot_id for account in work.accounts.values() for lot_id in account.lots}
    _hold_lots(work, _fetch(connection, _LOTS, named - held))


def _hold_lots(work: WorkingSet, rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        work.accounts[row.member_id].lots[row.lot_id] = Lot(**row._asdict())


def _load_positions(connection: Connection, work: WorkingSet, issuers: set[str]) -> dict[tuple[str, str], tuple[int, int]]:
    before = {}
    for row in _fetch(connection, _POSITIONS, issuers):
        # PostgreSQL sums 64-bit integers as decimals.
        before[row.partner_id, row.currency] = sums = (int(row.open_value_micros), int(row.net_debit_micros))
        work.positions[row.partner_id, row.currency] = Position(*sums)
    return before


def _issuers(terms: Terms, commands: Sequence[Command]) -> set[str]:
    issues = [command for command in commands if isinstance(command, Issue)]
    offers = [terms.offers[command.offer_id] for command in issues if command.offer_id and command.offer_id in terms.offers]
    return {command.partner_id for command in issues} | {funder_id for offer in offers for funder_id, _ in offer.shares}


def _refs(command: Command) -> tuple[MemberRef, ...]:
    if isinstance(command, Issue | Redeem):
        return (command.member,)
    return (command.source, command.target) if isinstance(command, Transfer) else ()


def _members_named(work: WorkingSet, refs: Sequence[MemberRef]) -> set[str]:
    named = {original.entry.member_id for original in work.originals.values()}
    for ref in refs:
        member_id = ref.member_id if ref.card_hash is None else work.cards.get(ref.card_hash)
        if member_id is not None:
            named.add(member_id)
    return named


def _members_spending(work: WorkingSet, commands: Sequence[Command]) -> set[str]:
    """Members whose open lots a command may take. Whoever only gets points needs none of them loaded."""
    spending = {original.entry.member_id for original in work.originals.values()}
    for command in commands:
        ref = command.member if isinstance(command, Redeem) else command.source if isinstance(command, Transfer) else None
        account = work.member(ref) if ref is not None else None
        if account is not None:
            spending.add(account.member_id)
        if isinstance(command, Reverse) and command.original_entry_id not in work.originals:
            # It may reverse what an earlier command of this batch books; whose, that command says.
            spending |= set(work.accounts)
    return spending


def _fetch(connection: Connection, statement: Select[Any], ids: set[str]) -> Sequence[Row[Any]]:
    # Sorted, so that rows are always read in the same order.
    return connection.execute(statement, {"ids": sorted(ids)}).all() if ids else ()


def _entries_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[tuple[Entry, bytes]]:
    by_entry: dict[str, list[Posting]] = {row.entry_id: [] for row in rows}
    for row in _fetch(connection, _POSTINGS, set(by_entry)):
        by_entry[row.entry_id].append(posting_of(row))
    return [
        (entry_of(row, tuple(by_entry[row.entry_id])), row.entry_hash) for row in sorted(rows, key=lambda r: (r.lane, r.sequence))
    ]


def entry_of(row: Row[Any], its_postings: tuple[Posting, ...]) -> Entry:
    """The entry of a row of `entries`."""
    fields = row._asdict()
    del fields["entry_hash"]
    fields["kind"] = EntryKind(row.kind)
    return Entry(**fields, postings=its_postings)


def posting_of(row: Row[Any]) -> Posting:
    """The posting of a row of `postings`."""
    return Posting(
        ordinal=row.ordinal,
        kind=PostingKind(row.kind),
        lot_id=row.lot_id,
        issuer_id=row.issuer_id,
        counterparty_id=row.counterparty_id,
        rate_card_version=row.rate_card_version,
        points=row.points,
        cause_lot_id=row.cause_lot_id,
    )
