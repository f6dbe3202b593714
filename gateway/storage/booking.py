"""Saves what a batch decided: rows of entries are only ever inserted, running values are replaced, sums are added to.

Every statement is built once; each table is written by one statement for the whole batch.
"""

from operator import attrgetter

from sqlalchemy import Connection

from gateway.domain.book import Book, StoredRefusal
from gateway.domain.entry import Entry
from gateway.domain.working import WorkingSet
from gateway.storage.bulk import BulkWrite, Row
from gateway.storage.days import save_days
from gateway.storage.engine import pipelined_to_commit
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
    totals,
)
from gateway.storage.terminals import save_warnings
from gateway.storage.tills import save_sales, save_till

_INSERT_ENTRIES = BulkWrite.insert(entries)
_INSERT_POSTINGS = BulkWrite.insert(postings)
_INSERT_OUTCOMES = BulkWrite.insert(outcomes)
_INSERT_REFUSALS = BulkWrite.insert(refusals)
_INSERT_MEMBERS = BulkWrite.insert(members)
_INSERT_IDENTIFIERS = BulkWrite.insert(member_identifiers)
_UPDATE_IDENTIFIERS = BulkWrite.update(member_identifiers, ("member_id", "used_by"))
_DELETE_IDENTIFIERS = BulkWrite.delete(member_identifiers)
_INSERT_LOTS = BulkWrite.insert(lots)
_INSERT_DEBTS = BulkWrite.insert(debts)
_MEMBER_KEY = ("bucket", "member_id", "enrolled_by")
_RUNNING = tuple(column.name for column in members.columns if column.name not in _MEMBER_KEY)
_UPDATE_MEMBERS = BulkWrite.update(members, _RUNNING)
_UPDATE_LOTS = BulkWrite.update(lots, ("open_points", "expired_points", "held_points"))
_UPDATE_DEBTS = BulkWrite.update(debts, ("open_points",))
_UPDATE_HEADS = BulkWrite.update(heads, ("last_sequence", "last_commit_ms", "chain_hash", "refusals", "refusals_hash"))

_ADD_TOTALS = BulkWrite.add(totals, ("points", "postings"))
_ADD_POSITIONS = BulkWrite.add(positions, ("open_value_micros", "net_debit_micros"))

_head_values = attrgetter("last_sequence", "last_commit_ms", "chain_hash", "refusals", "refusals_hash", "lane")
_BEFORE_HASH = [column.name for column in entries.columns].index("entry_hash")
_entry_fields = attrgetter(*(column.name for column in entries.columns if column.name != "entry_hash"))
_identifier_fields = attrgetter(*(column.name for column in member_identifiers.columns))
_running_fields = attrgetter(*_RUNNING)
_lot_fields = attrgetter(*(column.name for column in lots.columns))
_debt_fields = attrgetter(*(column.name for column in debts.columns))


def save_book(connection: Connection, book: Book) -> bool:
    """Writes what the batch decided, last in its transaction; answers whether COMMIT went with it.

    A constraint that disagrees raises the driver's IntegrityError; then nothing was written.
    """
    if not book.changed_lanes:
        return False
    with pipelined_to_commit(connection) as commits:
        # Keys that another lane may claim at the same time come first, and sorted: so nobody waits in a circle.
        _INSERT_OUTCOMES(connection, sorted(_outcome_row(book, entry, receipt) for entry, receipt in book.new_answers))
        _INSERT_REFUSALS(connection, sorted(_refusal_row(book, stored) for stored in book.new_refusals))
        _save_identifiers(connection, book.work)
        save_sales(connection, book.work)
        _INSERT_ENTRIES(connection, [_entry_row(entry, entry_hash) for entry, entry_hash in book.new_entries])
        _INSERT_POSTINGS(connection, [row for entry, _ in book.new_entries for row in _posting_rows(entry)])
        _save_accounts(connection, book.work)
        _save_lots_and_debts(connection, book.work)
        save_till(connection, book.work)
        save_days(connection, book.work)
        _save_sums(connection, book)
        save_warnings(connection, book.new_warnings)
        _UPDATE_HEADS(connection, [_head_values(book.heads[lane]) for lane in sorted(book.changed_lanes)])
    return commits


def _entry_row(entry: Entry, entry_hash: bytes) -> Row:
    values: Row = _entry_fields(entry)
    return (*values[:_BEFORE_HASH], entry_hash, *values[_BEFORE_HASH:])


def _save_identifiers(connection: Connection, work: WorkingSet) -> None:
    """What is gone first: it may have a new owner in the same batch."""
    _DELETE_IDENTIFIERS(connection, [(gone,) for gone in sorted(work.gone_identifiers)])
    _INSERT_IDENTIFIERS(connection, [_identifier_fields(work.identifiers[new]) for new in sorted(work.new_identifiers)])
    changed = (work.identifiers[name] for name in sorted(work.changed_identifiers))
    _UPDATE_IDENTIFIERS(connection, [(known.member_id, known.used_by, known.identifier_hash) for known in changed])


def _posting_rows(entry: Entry) -> list[Row]:
    return [
        (
            entry.bucket,
            entry.entry_id,
            posting.ordinal,
            posting.kind.value,
            posting.lot_id,
            posting.issuer_id,
            posting.counterparty_id,
            posting.rate_card_version,
            posting.points,
            posting.cause_lot_id,
        )
        for posting in entry.postings
    ]


def _outcome_row(book: Book, entry: Entry, receipt: bytes) -> Row:
    return (
        entry.entry_id,
        entry.partner_id,
        entry.idempotency_key,
        entry.fingerprint,
        entry.bucket,
        receipt,
        book.receipt_key_id,
    )


def _refusal_row(book: Book, stored: StoredRefusal) -> Row:
    receipt = stored.receipt
    return (
        receipt.entry_id,
        receipt.fingerprint,
        stored.lane,
        stored.number,
        receipt.partner_id,
        receipt.idempotency_key,
        stored.reason.value,
        receipt.booked_at_ms,
        stored.receipt_bytes,
        book.receipt_key_id,
        stored.refusal_hash,
    )


def _save_accounts(connection: Connection, work: WorkingSet) -> None:
    new, changed = [], []
    for member_id in sorted(work.changed_accounts):
        account = work.accounts[member_id]
        running = _running_fields(account)
        if member_id in work.new_accounts:
            new.append((account.bucket, member_id, account.enrolled_by, *running))
        else:
            changed.append((*running, member_id, account.bucket))
    _INSERT_MEMBERS(connection, new)
    _UPDATE_MEMBERS(connection, changed)


def _save_lots_and_debts(connection: Connection, work: WorkingSet) -> None:
    changed_lots = work.changed_lots.items()
    _INSERT_LOTS(connection, [_lot_fields(lot) for lot_id, lot in changed_lots if lot_id in work.new_lots])
    _UPDATE_LOTS(
        connection,
        [
            (lot.open_points, lot.expired_points, lot.held_points, lot_id, lot.bucket)
            for lot_id, lot in changed_lots
            if lot_id not in work.new_lots
        ],
    )
    changed_debts = work.changed_debts.items()
    _INSERT_DEBTS(connection, [_debt_fields(debt) for key, debt in changed_debts if key in work.new_debts])
    _UPDATE_DEBTS(connection, [(debt.open_points, *key, debt.bucket) for key, debt in changed_debts if key not in work.new_debts])


def _save_sums(connection: Connection, book: Book) -> None:
    _ADD_TOTALS(
        connection,
        [
            (book.heads[lane].window_id, lane, issuer_id, counterparty_id, version, kind.value, points, count)
            for (lane, issuer_id, counterparty_id, version, kind), (points, count) in sorted(book.work.totals.items())
        ],
    )
    _ADD_POSITIONS(
        connection,
        [
            (lane, partner_id, currency, added.open_value_micros, added.net_debit_micros)
            for (partner_id, currency), by_lane in sorted(book.work.positions.items())
            for lane, added in sorted(by_lane.items())
            if added.open_value_micros or added.net_debit_micros
        ],
    )
