"""The audit's walk along a lane: sequences, hash chain, rules, outcomes and receipts, by short ranges in bounded memory."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from gateway.domain.entry import Entry, EntryKind, Posting, PostingKind
from gateway.domain.ids import entry_id, leg_entry_id
from gateway.domain.lanes import lane_of
from gateway.domain.network import ReceiptKey
from gateway.domain.receipt import Receipt
from gateway.ledger import audit_receipts
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference, Failures
from gateway.ledger.audit_members import MembersWalked
from gateway.ledger.audit_near import DEBT_EFFECT, HELD_EFFECT, INCURRED, LOT_EFFECT, Near, is_system
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.ledger.audit_rules import differences
from gateway.ledger.audit_standing import expected_warnings, is_of_a_till, standing
from gateway.storage import audit_reads

ENTRIES_PER_READ = 500
_ENTRIES_PER_PROGRESS = 50_000
_KIND, _POSTINGS = Entry.__slots__.index("kind"), Entry.__slots__.index("postings")
# A look-up is three times as fast as asking the enumeration; what is no kind raises KeyError.
_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}
_POSTING_KINDS = {kind.value: kind for kind in PostingKind}
_REVERSALS = frozenset({EntryKind.REVERSE_ISSUE, EntryKind.REVERSE_REDEMPTION})
_CONCERN_MEMBERS = frozenset({EntryKind.ENROL, EntryKind.REVERSE_ISSUE})


@dataclass(slots=True)
class Running:
    """A member's balance and debt along the lanes, and what they were before the walk began: found by the first receipt."""

    balance: int = 0
    debt: int = 0
    held: int = 0
    entries: int = 0
    balance_before: int | None = None
    debt_before: int = 0

    def rebase(self, receipt: Receipt) -> None:
        """Takes over what a receipt says."""
        self.balance_before, self.debt_before = receipt.balance_points - self.balance, receipt.debt_points - self.debt


@dataclass(slots=True)
class Command:
    """The entries that a command booked, and its stored receipt: compared once the last of them was read."""

    entries: list[tuple[Entry, bytes]]
    near: Near
    receipt: bytes


@dataclass(slots=True, kw_only=True)
class Walk:
    """What a walk needs and what it adds up. `is_whole`: it began at the first entry, so that all begins at zero."""

    connection: Connection
    facts: Facts
    failures: Failures
    receipts: ReceiptForm | None
    progress: Callable[[str], None]
    is_whole: bool
    entries: int = 0
    further: int = 0
    system: int = 0
    members: MembersWalked = field(default_factory=MembersWalked)
    _command: Command | None = None
    kinds: Counter[EntryKind] = field(default_factory=Counter)
    running: dict[str, Running] = field(default_factory=dict)
    open_values: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def along(self, lane: int, first: int, last: int, *, window: Any, previous_hash: bytes) -> bytes:
        """Proves the entries of a lane's range, which belong to one window; answers the hash that the next one chains to."""
        for start in range(first, last + 1, ENTRIES_PER_READ):
            end = min(start + ENTRIES_PER_READ - 1, last)
            read = None
            with self.failures.reading(f"lane {lane}, sequences {start} to {end}"):
                read = _Range(self.connection, self.failures, lane, start, end)
            if read is None:
                previous_hash = audit_reads.entry_hash_at(self.connection, lane, end) or b""
                continue
            for entry, stored_hash in read.entries:
                with self.failures.reading(_name(entry)):
                    self._prove(entry, stored_hash, previous_hash, window, read)
                previous_hash = stored_hash
            self.entries += len(read.entries)
            if self.entries % _ENTRIES_PER_PROGRESS < len(read.entries):
                self.progress(f"  {self.entries} entries")
        self._compare_receipt()
        return previous_hash

    def _prove(self, entry: Entry, stored_hash: bytes, previous_hash: bytes, window: Any, read: "_Range") -> None:
        compare, where = self.failures.compare, _name(entry)
        is_further = self._command is not None and entry.head_entry_id == self._command.entries[0][0].entry_id
        if not is_further:
            self._compare_receipt()
        self.kinds[entry.kind] += 1
        self.further += bool(entry.head_entry_id)
        self.system += is_system(entry)
        if self.is_whole:
            compare(where, self.members.follow(entry, read.near))
        self._run(entry, read.near)
        compare(where, (("hash", entry.chained_hash(previous_hash), stored_hash), ("window", window.window_id, entry.window_id)))
        compare(where, (("lane", lane_of(entry.bucket, window.lanes), entry.lane),))
        compare(where, differences(entry, read.near, self.facts))
        found = read.outcomes.get(entry.sequence, ())
        number = len(self._command.entries) if is_further and self._command is not None else 0
        compare(where, _outcomes(entry, number, found, self.facts.receipt_keys))
        if is_further and self._command is not None:
            self._command.entries.append((entry, stored_hash))
            self._command.near.lots = {**self._command.near.lots, **read.near.lots}
        elif found:
            self._command = Command([(entry, stored_hash)], read.near, found[0].receipt)

    def _compare_receipt(self) -> None:
        """Of the command whose last entry was read."""
        command, self._command = self._command, None
        if self.receipts is None or command is None:
            return
        entry, _hash = command.entries[0]
        running = self.running[entry.member_id]
        with self.failures.reading(_name(entry)):
            told = None
            if running.balance_before is None or is_of_a_till(entry):
                told = self.receipts.decode(command.receipt)
            if told is not None and running.balance_before is None:
                running.rebase(told)
            balance, debt = (running.balance_before or 0) + running.balance, running.debt_before + running.debt
            expected = audit_receipts.booked(command.entries, command.near, self.facts, balance=balance, debt=debt)
            if told is not None and told.standing is not None:
                held = running.held if self.is_whole else None
                version = running.entries if self.is_whole else None
                self.failures.compare(
                    _name(entry), standing(told, self.facts, balance=balance, debt=debt, held=held, version=version)
                )
                warnings = expected_warnings(told, [one for one, _ in command.entries], debt=debt)
                language = self.members.language_of(entry.member_id) if self.is_whole else None
                expected = replace(
                    expected,
                    standing=told.standing,
                    warnings=warnings,
                    language=told.language if language is None else language,
                )
            if self.receipts.encode(expected) != command.receipt:
                receipt = told or self.receipts.decode(command.receipt)
                # One difference is one failure, not one of every later receipt of the member.
                running.rebase(receipt)
                self.failures.compare(_name(entry), audit_receipts.differences(expected, receipt))

    def _run(self, entry: Entry, near: Near) -> Running:
        running = self.running.get(entry.member_id)
        if running is None:
            running = self.running[entry.member_id] = Running(balance_before=0 if self.is_whole else None)
        running.entries += 1
        for posting in entry.postings:
            in_lot, in_debt = LOT_EFFECT[posting.kind] * posting.points, DEBT_EFFECT[posting.kind] * posting.points
            running.balance += in_lot - in_debt
            running.debt += in_debt
            running.held += HELD_EFFECT[posting.kind] * posting.points
            lot = near.lots.get(posting.lot_id)
            if lot is not None:
                self.open_values[entry.lane, lot.issuer_id, lot.currency] += in_lot * lot.price_micros
        return running


class _Range:
    """The entries of a short range with all that they point to. Gaps and repeats are failures."""

    def __init__(self, connection: Connection, failures: Failures, lane: int, first: int, last: int) -> None:
        postings = self._postings(connection, failures, lane, first, last)
        self.entries = self._entries(connection, failures, postings, lane, first, last)
        self.outcomes: dict[int, list[Any]] = {}
        for row in audit_reads.outcomes_between(connection, lane, first, last):
            self.outcomes.setdefault(row.sequence, []).append(row)
        self.near = _near(connection, [entry for entry, _ in self.entries])

    @staticmethod
    def _postings(
        connection: Connection, failures: Failures, lane: int, first: int, last: int
    ) -> dict[int, list[tuple[int, Posting]]]:
        found: dict[int, list[tuple[int, Posting]]] = {}
        for sequence, bucket, ordinal, kind, *rest in audit_reads.postings_between(connection, lane, first, last):
            with failures.reading(f"posting {ordinal} of lane {lane}, sequence {sequence}"):
                found.setdefault(sequence, []).append((bucket, Posting(ordinal, _POSTING_KINDS[kind], *rest)))
        return found

    @staticmethod
    def _entries(
        connection: Connection,
        failures: Failures,
        postings: dict[int, list[tuple[int, Posting]]],
        lane: int,
        first: int,
        last: int,
    ) -> list[tuple[Entry, bytes]]:
        expected, found = first, []
        for row in audit_reads.entries_between(connection, lane, first, last):
            sequence = row.sequence
            where = f"entry {row.entry_id} (lane {lane}, sequence {sequence})"
            if sequence > expected:
                failures.add(f"lane {lane}", f"entry with sequence {expected}", expected="one", found="none")
            elif sequence < expected:
                failures.add(where, "rows", expected=1, found="several")
                continue
            expected = sequence + 1
            its_postings = postings.get(sequence, [])
            for bucket, _ in its_postings:
                if bucket != row.bucket:
                    failures.add(where, "bucket of a posting", expected=row.bucket, found=bucket)
            with failures.reading(where):
                found.append((_entry(row, [posting for _, posting in its_postings]), row.entry_hash))
        if expected <= last:
            failures.add(f"lane {lane}", f"entry with sequence {expected}", expected="one", found="none")
        return found


def _near(connection: Connection, entries: Sequence[Entry]) -> Near:
    originals = _originals(connection, {entry.original_entry_id for entry in entries if entry.original_entry_id})
    reversed_ids = {entry.original_entry_id for entry in entries if entry.kind in _REVERSALS}
    points: dict[str, list[tuple[int, str, str, int]]] = {}
    for original, kind, lot_id, cause_id, moved in audit_reads.reversed_points(connection, reversed_ids):
        points.setdefault(original, []).append((kind, lot_id, cause_id, int(moved)))
    postings = [posting for entry in entries for posting in entry.postings]
    lot_ids = {posting.lot_id for posting in postings} | {posting.cause_lot_id for posting in postings}
    in_debt = {entry.entry_id for entry in entries if any(posting.kind in INCURRED for posting in entry.postings)}
    concerned = {entry.member_id for entry in entries if entry.kind in _CONCERN_MEMBERS}
    return Near(
        lots={row.lot_id: row for row in audit_reads.lots_named(connection, lot_ids - {""})},
        debts={(row.entry_id, row.ordinal): row for row in audit_reads.debts_named(connection, in_debt)},
        members={row.member_id: row for row in audit_reads.members_named(connection, concerned)},
        originals=originals,
        reversed_amounts=audit_reads.reversed_amounts(connection, reversed_ids),
        reversed_points=points,
    )


def _originals(connection: Connection, ids: set[str]) -> dict[str, Entry]:
    postings: dict[str, list[Posting]] = {}
    for of_entry, ordinal, kind, *rest in audit_reads.postings_named(connection, ids):
        postings.setdefault(of_entry, []).append(Posting(ordinal, _POSTING_KINDS[kind], *rest))
    rows = audit_reads.entries_named(connection, ids)
    return {row.entry_id: _entry(row, postings.get(row.entry_id, ())) for row in rows}


def _entry(row: Any, postings: Sequence[Posting]) -> Entry:
    values: list[Any] = [*row[:-1]]
    values.insert(_POSTINGS, tuple(postings))
    values[_KIND] = _ENTRY_KINDS[values[_KIND]]
    return Entry(*values)


def _outcomes(entry: Entry, number: int, found: Sequence[Any], receipt_keys: Mapping[str, ReceiptKey]) -> Iterator[Difference]:
    """`number` of the entry among those of its command, from 0."""
    if is_system(entry):
        yield "key and fingerprint of a system entry", ("", "", b""), (entry.key_id, entry.idempotency_key, entry.fingerprint)
        yield "outcomes", 0, len(found)
        return
    if entry.head_entry_id:
        yield "entry id", leg_entry_id(entry.head_entry_id, number) if number else "one behind its first", entry.entry_id
        yield "key and fingerprint of a further entry", ("", b""), (entry.idempotency_key, entry.fingerprint)
        yield "partner of the key", entry.partner_id, entry.key_id.partition("/")[0]
        yield "outcomes", 0, len(found)
        return
    yield "entry id", entry_id(entry.partner_id, entry.idempotency_key), entry.entry_id
    yield "outcomes", 1, len(found)
    expected = (entry.partner_id, entry.idempotency_key, entry.fingerprint, entry.bucket)
    for row in found:
        yield "outcome", expected, (row.partner_id, row.idempotency_key, row.fingerprint, row.bucket)
        key = receipt_keys.get(row.receipt_key_id)
        if key is None or not key.is_valid_at(entry.booked_at_ms):
            yield "receipt key", "one of the network's that was valid then", row.receipt_key_id


def _name(entry: Entry) -> str:
    return f"entry {entry.entry_id} (lane {entry.lane}, sequence {entry.sequence})"
