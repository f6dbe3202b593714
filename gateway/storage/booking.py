"""Saves what a batch decided: rows of entries are only ever inserted, running values are replaced, sums are added to.

Every statement is built once; each table is written by one statement for the whole batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, insert, update

from gateway.domain.book import Book
from gateway.domain.entry import Entry
from gateway.domain.working import WorkingSet
from gateway.storage.books import LoadedBook
from gateway.storage.engine import upsert
from gateway.storage.tables import debts, entries, heads, lots, member_identifiers, members, outcomes, positions, postings, refusals, totals

_Row = dict[str, Any]

_INSERT_ENTRIES, _INSERT_POSTINGS, _INSERT_OUTCOMES = insert(entries), insert(postings), insert(outcomes)
_INSERT_MEMBERS, _INSERT_CARDS = insert(members), insert(member_identifiers)
_INSERT_LOTS, _INSERT_DEBTS, _INSERT_REFUSALS = insert(lots), insert(debts), insert(refusals)
_UPDATE_MEMBERS = (
    update(members)
    .where(members.c.member_id == bindparam("of_member"), members.c.bucket == bindparam("of_bucket"))
    .values({name: bindparam(name) for name in ("open_points", "debt_points", "next_arrival", "entries")})
)
_UPDATE_LOTS = (
    update(lots)
    .where(lots.c.lot_id == bindparam("of_lot"), lots.c.bucket == bindparam("of_bucket"))
    .values({name: bindparam(name) for name in ("open_points", "expired_points")})
)
_UPDATE_DEBTS = (
    update(debts)
    .where(
        debts.c.entry_id == bindparam("of_entry"), debts.c.ordinal == bindparam("of_ordinal"), debts.c.bucket == bindparam("of_bucket")
    )
    .values(open_points=bindparam("open_points"))
)
_HEAD_VALUES = ("last_sequence", "last_commit_ms", "chain_hash", "refusals", "refusals_hash")
_UPDATE_HEAD = update(heads).where(heads.c.lane == bindparam("of_lane")).values({name: bindparam(name) for name in _HEAD_VALUES})


def save_book(connection: Connection, loaded: LoadedBook) -> None:
    """Writes what the batch decided. A constraint that disagrees raises the driver's IntegrityError."""
    book = loaded.book
    if not book.new_entries and not book.new_refusals:
        return
    work = book.work
    _write(connection, _INSERT_ENTRIES, [_entry_row(entry, entry_hash) for entry, entry_hash in book.new_entries])
    _write(connection, _INSERT_POSTINGS, [row for entry, _ in book.new_entries for row in _posting_rows(entry)])
    _write(connection, _INSERT_OUTCOMES, [_outcome_row(book, entry, receipt) for entry, receipt in book.new_answers])
    _write(connection, _INSERT_REFUSALS, _refusal_rows(book))
    _write(connection, _INSERT_CARDS, [_card_row(card, member) for card, member in work.new_cards.items()])
    _save_accounts(connection, work)
    _save_lots_and_debts(connection, work)
    _save_sums(connection, loaded)
    row = {name: getattr(book.head, name) for name in _HEAD_VALUES}
    connection.execute(_UPDATE_HEAD, {"of_lane": book.head.lane, **row})


def _write(connection: Connection, statement: Any, rows: Sequence[_Row]) -> None:
    if rows:
        connection.execute(statement, rows)


def _entry_row(entry: Entry, entry_hash: bytes) -> _Row:
    row = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
    row["kind"] = entry.kind.value
    row["entry_hash"] = entry_hash
    return row


_ENTRY_FIELDS = tuple(column.name for column in entries.columns if column.name != "entry_hash")


def _posting_rows(entry: Entry) -> list[_Row]:
    return [
        {
            "bucket": entry.bucket,
            "entry_id": entry.entry_id,
            "ordinal": posting.ordinal,
            "kind": posting.kind.value,
            "lot_id": posting.lot_id,
            "issuer_id": posting.issuer_id,
            "counterparty_id": posting.counterparty_id,
            "rate_card_version": posting.rate_card_version,
            "points": posting.points,
            "cause_lot_id": posting.cause_lot_id,
        }
        for posting in entry.postings
    ]


def _outcome_row(book: Book, entry: Entry, receipt: bytes) -> _Row:
    return {
        "entry_id": entry.entry_id,
        "partner_id": entry.partner_id,
        "idempotency_key": entry.idempotency_key,
        "fingerprint": entry.fingerprint,
        "bucket": entry.bucket,
        "receipt": receipt,
        "receipt_key_id": book.receipt_key_id,
    }


def _refusal_rows(book: Book) -> list[_Row]:
    return [
        {
            "entry_id": stored.receipt.entry_id,
            "fingerprint": stored.receipt.fingerprint,
            "lane": book.head.lane,
            "number": stored.number,
            "partner_id": stored.receipt.partner_id,
            "idempotency_key": stored.receipt.idempotency_key,
            "reason": stored.reason.value,
            "refused_at_ms": stored.receipt.booked_at_ms,
            "receipt": stored.receipt_bytes,
            "receipt_key_id": book.receipt_key_id,
            "refusal_hash": stored.refusal_hash,
        }
        for stored in book.new_refusals
    ]


def _card_row(card_hash: str, member_id: str) -> _Row:
    return {"identifier_hash": card_hash, "kind": "card", "member_id": member_id}


def _save_accounts(connection: Connection, work: WorkingSet) -> None:
    new, changed = [], []
    for member_id in work.changed_accounts:
        account = work.accounts[member_id]
        values = {name: getattr(account, name) for name in ("open_points", "debt_points", "next_arrival", "entries")}
        if member_id in work.new_accounts:
            new.append({"member_id": member_id, "bucket": account.bucket, "enrolled_by": account.enrolled_by, **values})
        else:
            changed.append({"of_member": member_id, "of_bucket": account.bucket, **values})
    _write(connection, _INSERT_MEMBERS, new)
    _write(connection, _UPDATE_MEMBERS, changed)


def _save_lots_and_debts(connection: Connection, work: WorkingSet) -> None:
    lots_changed = work.changed_lots
    _write(connection, _INSERT_LOTS, [_fields(lot, _LOT_FIELDS) for lot_id, lot in lots_changed.items() if lot_id in work.new_lots])
    _write(
        connection,
        _UPDATE_LOTS,
        [
            {"of_lot": lot_id, "of_bucket": lot.bucket, "open_points": lot.open_points, "expired_points": lot.expired_points}
            for lot_id, lot in lots_changed.items()
            if lot_id not in work.new_lots
        ],
    )
    debts_changed = work.changed_debts
    _write(connection, _INSERT_DEBTS, [_fields(debt, _DEBT_FIELDS) for key, debt in debts_changed.items() if key in work.new_debts])
    _write(
        connection,
        _UPDATE_DEBTS,
        [
            {"of_entry": debt.entry_id, "of_ordinal": debt.ordinal, "of_bucket": debt.bucket, "open_points": debt.open_points}
            for key, debt in debts_changed.items()
            if key not in work.new_debts
        ],
    )


_LOT_FIELDS = tuple(column.name for column in lots.columns)
_DEBT_FIELDS = tuple(column.name for column in debts.columns)


def _fields(value: object, names: Sequence[str]) -> _Row:
    return {name: getattr(value, name) for name in names}


def _save_sums(connection: Connection, loaded: LoadedBook) -> None:
    head, work = loaded.book.head, loaded.book.work
    rows: list[Mapping[str, Any]] = [
        {
            "window_id": head.window_id,
            "lane": head.lane,
            "issuer_id": issuer_id,
            "counterparty_id": counterparty_id,
            "rate_card_version": version,
            "kind": kind.value,
            "points": points,
            "postings": count,
        }
        for (issuer_id, counterparty_id, version, kind), (points, count) in sorted(work.totals.items())
    ]
    upsert(connection, totals, rows, add=("points", "postings"))
    added: list[Mapping[str, Any]] = []
    for (partner_id, currency), position in sorted(work.positions.items()):
        open_before, debit_before = loaded.positions_before.get((partner_id, currency), (0, 0))
        open_added, debit_added = position.open_value_micros - open_before, position.net_debit_micros - debit_before
        if open_added or debit_added:
            added.append(
                {
                    "lane": head.lane,
                    "partner_id": partner_id,
                    "currency": currency,
                    "open_value_micros": open_added,
                    "net_debit_micros": debit_added,
                }
            )
    upsert(connection, positions, added, add=("open_value_micros", "net_debit_micros"))
