"""Loads the book for a batch. The rows of its heads are locked first: sequence is commit order.

Every statement is built once; each load is a handful of look-ups by key for the whole batch, never one a command.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Column, Connection, Table, func, or_, select

from gateway.domain.book import Book, Head, KnownAnswer
from gateway.domain.caps import share_micros
from gateway.domain.command import (
    AddIdentifier,
    Checkout,
    ClaimReceipt,
    Command,
    Erase,
    Issue,
    MemberRef,
    Merge,
    Refund,
    RemoveIdentifier,
    Reverse,
    identifier_claimed,
    member_refs,
)
from gateway.domain.entry import Entry, EntryKind, Posting, PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.identifiers import IdentifierKind
from gateway.domain.lot import Debt, Lot, MemberAccount, OverdueLots
from gateway.domain.member import KnownIdentifier
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, EncodeReceipt, Receipt
from gateway.domain.rules_standing import named_member
from gateway.domain.terms import Terms
from gateway.domain.units import MICROS
from gateway.domain.working import Original, WorkingSet
from gateway.storage.bulk import Lookup, Row, look_up
from gateway.storage.caps import lock_caps
from gateway.storage.days import load_days
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
from gateway.storage.tills import load_holds, load_named


def _columns(table: Table, kind: type[Any]) -> list[Column[Any]]:
    """The columns that a dataclass is made of, in its order."""
    return [table.c[field.name] for field in fields(kind) if field.name in table.c]


_ENTRY_COLUMNS = [*_columns(entries, Entry), entries.c.entry_hash]
_ENTRY_NAMES = [column.name for column in _ENTRY_COLUMNS]
_POSTING_COLUMNS = [postings.c.entry_id, *_columns(postings, Posting)]

# Rows are locked in the order in which they are sorted: ascending, as whoever cuts off takes them.
_HEADS = Lookup(select(*_columns(heads, Head)).order_by(heads.c.lane).with_for_update(), heads.c.lane)
_OUTCOMES = Lookup(
    select(outcomes.c.entry_id, outcomes.c.fingerprint, outcomes.c.receipt, outcomes.c.receipt_key_id), outcomes.c.entry_id
)
_REFUSALS = Lookup(
    select(refusals.c.entry_id, refusals.c.fingerprint, refusals.c.reason, refusals.c.receipt, refusals.c.receipt_key_id),
    refusals.c.entry_id,
)
_IDENTIFIER_COLUMNS = _columns(member_identifiers, KnownIdentifier)
_IDENTIFIERS = Lookup(select(*_IDENTIFIER_COLUMNS), member_identifiers.c.identifier_hash)
_IDENTIFIERS_OF = Lookup(select(*_IDENTIFIER_COLUMNS), member_identifiers.c.member_id)
_MEMBERS = Lookup(select(*_columns(members, MemberAccount)), members.c.member_id)
_LOTS = Lookup(select(*_columns(lots, Lot)), lots.c.lot_id)
_OPEN_LOTS = Lookup(select(*_columns(lots, Lot)).where(lots.c.open_points > 0), lots.c.member_id)
_FREE_SUMS = Lookup(
    select(lots.c.member_id, lots.c.expires_on, lots.c.usable_from, func.sum(lots.c.open_points - lots.c.held_points))
    .where(lots.c.open_points > 0)
    .group_by(lots.c.member_id, lots.c.expires_on, lots.c.usable_from),
    lots.c.member_id,
)
_OPEN_DEBTS = Lookup(select(*_columns(debts, Debt)).where(debts.c.open_points > 0), debts.c.member_id)
_ENTRIES = Lookup(select(*_ENTRY_COLUMNS).order_by(entries.c.lane, entries.c.sequence), entries.c.entry_id)
_REVERSALS = Lookup(
    select(*_ENTRY_COLUMNS)
    .where(
        entries.c.original_entry_id != "",
        or_(entries.c.kind == EntryKind.REVERSE_ISSUE.value, entries.c.kind == EntryKind.REVERSE_REDEMPTION.value),
    )
    .order_by(entries.c.lane, entries.c.sequence),
    entries.c.original_entry_id,
)
_POSTINGS = Lookup(select(*_POSTING_COLUMNS).order_by(postings.c.entry_id, postings.c.ordinal), postings.c.entry_id)
# Every lane keeps its own rows; a partner's exposure is their sum, read without a lock.
_EXPOSURES = Lookup(
    select(
        positions.c.partner_id,
        positions.c.currency,
        func.sum(positions.c.open_value_micros),
        func.sum(positions.c.net_debit_micros),
    ).group_by(positions.c.partner_id, positions.c.currency),
    positions.c.partner_id,
)


# Made once: to write them where they are asked for would make them anew for every command.
_ISSUING = Issue | Checkout | ClaimReceipt
_TELLING = Checkout | ClaimReceipt
_TAKING_NOTHING = Issue | ClaimReceipt
_CHANGING = AddIdentifier | RemoveIdentifier | Erase | Merge
_LEADING_ELSEWHERE = AddIdentifier | Merge


@dataclass(frozen=True, slots=True)
class LockedHeads:
    """Heads that belong to the caller until its transaction ends, by lane, and how many lanes are in force.

    A lane that is not in force any more has none: nothing may be booked there.
    """

    heads: dict[int, Head]
    lanes: int


def lock_heads(connection: Connection, lanes: Collection[int]) -> LockedHeads:
    """Waits for the lanes' heads. Whatever is read by later statements was committed before. Raises BooksBroken."""
    (rows,) = look_up(connection, (_HEADS, set(lanes)))
    found = [Head(*row) for row in rows]
    in_force = found[0].lanes if found else connection.execute(select(func.max(heads.c.lanes))).scalar()
    if in_force is None:
        raise BooksBroken("no lane has a head")
    return LockedHeads({head.lane: head for head in found if head.lane < in_force}, in_force)


def load_book(
    connection: Connection,
    commands: Sequence[Command],
    *,
    locked: LockedHeads,
    now_ms: int,
    terms: Terms,
    encode: EncodeReceipt,
    receipt_key_id: str,
    alone: bool = False,
) -> Book:
    """Reads all that the commands may need. `terms` as of a statement after the lock.

    `alone`: waits until no other lane adds to the exposures of its issuers, and keeps others from it until the transaction ends.
    """
    work = _working_set(locked, now_ms, terms)
    book = Book(heads=locked.heads, work=work, encode=encode, receipt_key_id=receipt_key_id)
    _load_answers_and_identifiers(connection, book, commands)
    fresh = [command for command in commands if command.entry_id not in book.known]
    if fresh:
        named = [command.original_entry_id for command in fresh if isinstance(command, Reverse)]
        _load_originals(connection, work, named + load_named(connection, work, fresh))
        refs = [ref for command in fresh for ref in member_refs(command)]
        issuers = _issuers(terms, fresh)
        # Whoever holds all heads is alone without asking.
        is_shared = len(locked.heads) < locked.lanes and lock_caps(connection, _capped(terms, issuers), alone=alone)
        _load_accounts(connection, work, _members_named(work, refs), issuers, is_shared=is_shared)
        _load_present_accounts(connection, work)
        _hold_identifiers(work, _IDENTIFIERS_OF(connection, _members_changing(work, fresh)))
        tells = any(isinstance(command, _TELLING) for command in fresh)
        _load_lots_and_debts(connection, work, _members_spending(work, fresh), tells=tells)
        load_days(connection, work, fresh)
    return book


def load_member(
    connection: Connection, ref: MemberRef, *, now_ms: int, terms: Terms
) -> tuple[WorkingSet, MemberAccount | Refusal]:
    """A member's account with its open lots, debts and holds, for somebody who only looks.

    MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED.
    """
    work = _working_set(LockedHeads({}, 1), now_ms, terms)
    if ref.named_hash is not None:
        _hold_identifiers(work, _IDENTIFIERS(connection, {ref.named_hash}))
    _load_accounts(connection, work, _members_named(work, [ref]), set(), is_shared=False)
    _load_present_accounts(connection, work)
    _load_lots_and_debts(connection, work, set(work.accounts))
    return work, named_member(work, ref)


def load_book_for_expiry(
    connection: Connection, overdue: Sequence[OverdueLots], *, locked: LockedHeads, now_ms: int, terms: Terms
) -> Book:
    """The same for overdue lots. Expiry gives no receipts."""
    work = _working_set(locked, now_ms, terms)
    _load_accounts(connection, work, {group.member_id for group in overdue}, set(), is_shared=False)
    _load_lots_and_debts(connection, work, _members_spending(work, ()))
    held = {lot_id for account in work.accounts.values() for lot_id in account.lots}
    _hold_lots(work, _LOTS(connection, {lot_id for group in overdue for lot_id in group.lot_ids} - held))
    return Book(heads=locked.heads, work=work, encode=_no_receipt, receipt_key_id="")


def _working_set(locked: LockedHeads, now_ms: int, terms: Terms) -> WorkingSet:
    at_ms = max([now_ms, *(head.last_commit_ms for head in locked.heads.values())])
    return WorkingSet(terms=terms, lanes=locked.lanes, at_ms=at_ms, network_date=terms.network_date(at_ms).isoformat())


def _no_receipt(_receipt: Receipt) -> bytes:
    raise BooksBroken("expiry gives no receipts")


def read_entries(connection: Connection, entry_ids: Iterable[str]) -> list[tuple[Entry, bytes]]:
    """Entries with their postings and hashes, in the order of the lane."""
    return _entries_of(connection, _ENTRIES(connection, set(entry_ids)))


def _load_answers_and_identifiers(connection: Connection, book: Book, commands: Sequence[Command]) -> None:
    wanted = {command.entry_id for command in commands}
    hashes = {ref.named_hash for command in commands for ref in member_refs(command)}
    hashes |= {identifier_claimed(command) for command in commands}
    named = {one for one in hashes if one is not None}
    known, known_refusals, identifiers = look_up(connection, (_OUTCOMES, wanted), (_REFUSALS, wanted), (_IDENTIFIERS, named))
    for entry_id, fingerprint, receipt, key_id in known:
        book.known[entry_id] = KnownAnswer(fingerprint, Answer(receipt, key_id))
    for entry_id, fingerprint, reason, receipt, key_id in known_refusals:
        book.known_refusals[entry_id, fingerprint] = Answer(receipt, key_id, Refusal(Reason(reason)))
    _hold_identifiers(book.work, identifiers)


def _hold_identifiers(work: WorkingSet, rows: Iterable[Row]) -> None:
    for identifier_hash, kind, *rest in rows:
        work.identifiers[identifier_hash] = KnownIdentifier(identifier_hash, IdentifierKind(kind), *rest)


def _load_originals(connection: Connection, work: WorkingSet, entry_ids: Sequence[str]) -> None:
    for entry, _hash in read_entries(connection, entry_ids):
        work.originals[entry.entry_id] = Original(entry)
    for entry, _hash in _entries_of(connection, _REVERSALS(connection, work.originals.keys())):
        work.note_entry(entry)


def _load_accounts(connection: Connection, work: WorkingSet, member_ids: set[str], issuers: set[str], *, is_shared: bool) -> None:
    """And the exposures of the issuers. `is_shared`: other lanes may be adding to them side by side."""
    accounts, exposures = look_up(connection, (_MEMBERS, member_ids), (_EXPOSURES, issuers))
    for row in accounts:
        account = MemberAccount(*row)
        work.accounts[account.member_id] = account
    for partner_id, currency, open_value_micros, net_debit_micros in exposures:
        # PostgreSQL sums 64-bit integers as decimals.
        work.exposures[partner_id, currency] = int(open_value_micros) + int(net_debit_micros)
    for partner_id in _capped(work.terms, issuers) if is_shared else ():
        partner = work.terms.partners[partner_id]
        work.cap_shares[partner.partner_id] = share_micros(
            cap_micros=(partner.net_debit_cap or 0) * MICROS,
            exposure_micros=work.exposure_micros(partner.partner_id, partner.settlement_currency),
            lanes=work.lanes,
        )


def _load_present_accounts(connection: Connection, work: WorkingSet) -> None:
    """Of members that were merged, those that they lead to: one look-up a step of the longest chain, mostly none."""
    while missing := {account.merged_into for account in work.accounts.values()} - {"", *work.accounts}:
        found = _MEMBERS(connection, missing)
        if not found:
            raise BooksBroken(f"member {min(missing)} is missing, and merged ones lead there")
        for row in found:
            account = MemberAccount(*row)
            work.accounts[account.member_id] = account


def _load_lots_and_debts(connection: Connection, work: WorkingSet, spending: set[str], *, tells: bool = False) -> None:
    """Lots of members in `spending`. `tells`: of the others their sums, since an answer will say how they stand."""
    in_debt = {account.member_id for account in work.accounts.values() if account.debt_points}
    spending = {member_id for member_id in spending if member_id in work.accounts}
    with_points = {member_id for member_id in spending if work.accounts[member_id].open_points}
    told = {account.member_id for account in work.accounts.values() if account.open_points} - spending if tells else set()
    owed, open_lots, sums = look_up(connection, (_OPEN_DEBTS, in_debt), (_OPEN_LOTS, with_points), (_FREE_SUMS, told))
    for member_id, expires_on, usable_from, points in sums:
        # PostgreSQL sums 64-bit integers as decimals.
        work.accounts[member_id].summed[expires_on, usable_from] = int(points)
    for row in owed:
        debt = Debt(*row)
        work.accounts[debt.member_id].debts.append(debt)
    _hold_lots(work, open_lots)
    load_holds(connection, work, {member_id for member_id in spending if work.accounts[member_id].held_points})
    named = {posting.lot_id for original in work.originals.values() for posting in original.entry.postings if posting.lot_id}
    held = {lot_id for account in work.accounts.values() for lot_id in account.lots}
    _hold_lots(work, _LOTS(connection, named - held))


def _hold_lots(work: WorkingSet, rows: Iterable[Row]) -> None:
    for row in rows:
        lot = Lot(*row)
        work.accounts[lot.member_id].lots[lot.lot_id] = lot


def _issuers(terms: Terms, commands: Sequence[Command]) -> set[str]:
    issues = [command for command in commands if isinstance(command, _ISSUING)]
    named = [command.offer_id for command in issues if not isinstance(command, ClaimReceipt)]
    offers = [terms.offers[offer_id] for offer_id in named if offer_id and offer_id in terms.offers]
    return {command.partner_id for command in issues} | {funder_id for offer in offers for funder_id, _ in offer.shares}


def _capped(terms: Terms, issuers: set[str]) -> list[str]:
    partners = (terms.partners.get(issuer_id) for issuer_id in sorted(issuers))
    return [partner.partner_id for partner in partners if partner is not None and partner.net_debit_cap is not None]


def _members_named(work: WorkingSet, refs: Sequence[MemberRef]) -> set[str]:
    named = {hold.member_id for hold in work.holds.values()} | {state.member_id for state in work.checkouts.values()}
    named |= {original.entry.member_id for original in work.originals.values()}
    named |= {parked.member_id for some in work.parked.values() for parked in some}
    for ref in refs:
        member_id = work.member_id(ref)
        if member_id is not None:
            named.add(member_id)
    return named


def _members_changing(work: WorkingSet, commands: Sequence[Command]) -> set[str]:
    """Members all of whose identifiers a command must know."""
    refs = (ref for command in commands if isinstance(command, _CHANGING) for ref in member_refs(command))
    return {account.member_id for ref in refs if (account := work.member(ref)) is not None}


def _members_spending(work: WorkingSet, commands: Sequence[Command]) -> set[str]:
    """Members whose open lots a command may take. Whoever only gets points needs none of them loaded.

    Unless a hold of theirs is over: it is ended first, whichever command comes next.
    """
    spending = {account.member_id for account in work.accounts.values() if account.held_points}
    spending |= {original.entry.member_id for original in work.originals.values()}
    spending |= {hold.member_id for hold in work.holds.values()}
    for command in commands:
        # Who gives comes first.
        for ref in member_refs(command)[:1] if _takes_points(command) else ():
            account = work.member(ref)
            if account is not None:
                spending.add(account.member_id)
        # It may reverse what an earlier command of this batch books: whose, that command says. Or a later one may name its
        # member by an identifier that it gets here, or lead to another one by a merge.
        is_of_this_batch = (isinstance(command, Reverse) and command.original_entry_id not in work.originals) or (
            isinstance(command, Refund) and command.checkout_id not in work.checkouts
        )
        if is_of_this_batch or isinstance(command, _LEADING_ELSEWHERE):
            return set(work.accounts)
    present = (work.present_account(member_id) for member_id in spending)
    return spending | {account.member_id for account in present if account is not None}


def _takes_points(command: Command) -> bool:
    if isinstance(command, Checkout):
        return command.hold_id is not None or command.points is not None or command.up_to_value is not None
    return not isinstance(command, _TAKING_NOTHING)


def _entries_of(connection: Connection, rows: Sequence[Row]) -> list[tuple[Entry, bytes]]:
    found = [dict(zip(_ENTRY_NAMES, row, strict=True)) for row in rows]
    by_entry: dict[str, list[Posting]] = {columns["entry_id"]: [] for columns in found}
    for entry_id, ordinal, kind, *rest in _POSTINGS(connection, by_entry.keys()):
        by_entry[entry_id].append(Posting(ordinal, PostingKind(kind), *rest))
    return [(_entry(columns, by_entry[columns["entry_id"]]), columns["entry_hash"]) for columns in found]


def _entry(columns: Mapping[str, Any], its_postings: Sequence[Posting]) -> Entry:
    named = {name: value for name, value in columns.items() if name != "entry_hash"}
    return Entry(**{**named, "kind": EntryKind(columns["kind"]), "postings": tuple(its_postings)})
