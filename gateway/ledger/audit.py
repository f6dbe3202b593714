"""The audit: proves the books by sums of its own, a third time, after the domain and the constraints.

It reads one state of the database, blocks no writer, and repairs nothing. What it finds, it names.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from gateway.domain.chain import genesis_hash
from gateway.domain.entry import EntryKind
from gateway.domain.window import WindowState
from gateway.ledger.audit_days import prove_days
from gateway.ledger.audit_directory import prove_directory
from gateway.ledger.audit_entries import Walk
from gateway.ledger.audit_facts import Facts, load_facts
from gateway.ledger.audit_failures import FAILURES_MAX, Enough, Failure, Failures
from gateway.ledger.audit_intake import prove_intake
from gateway.ledger.audit_lots import prove_lots, prove_members, prove_running
from gateway.ledger.audit_members import prove_standings
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.ledger.audit_roll import (
    RollForward,
    prove_positions,
    prove_roll_forward,
    prove_totals,
    prove_whole_tables,
)
from gateway.ledger.audit_settlement import prove_settlement
from gateway.ledger.audit_terminals import prove_terminals
from gateway.ledger.audit_tills import prove_tills
from gateway.ledger.audit_windows import prove_heads, prove_refusals, prove_windows
from gateway.storage import audit_reads, audit_sums
from gateway.storage.engine import reading, writing
from gateway.storage.proofs import Proof, load_proofs, save_proofs
from gateway.storage.tables import entries, lots, members, metadata, outcomes

Progress = Callable[[str], None]


@dataclass(slots=True)
class AuditReport:
    """What was proven, or what failed. Figures are of the whole books; `proven_entries` is how many were read this time."""

    failures: tuple[Failure, ...] = ()
    entries: int = 0
    proven_entries: int = 0
    members: int = 0
    lots: int = 0
    windows: int = 0
    refusals: int = 0
    decisions: int = 0
    events: int = 0
    issuers: Mapping[str, RollForward] = field(default_factory=dict)

    @property
    def is_proved(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def whole(self) -> RollForward:
        """The roll-forward of all issuers together."""
        return sum(self.issuers.values(), RollForward())


def audit(
    engine: Engine,
    *,
    full: bool,
    now_ms: int,
    receipts: ReceiptForm | None = None,
    progress: Progress = lambda _line: None,
    failures_max: int = FAILURES_MAX,
) -> AuditReport:
    """Proves the books, or what came since they were proven last, and notes how far that is.

    Without `receipts` the content of receipts is not compared. Stops at `failures_max` failures; never raises for
    what the rows say.
    """
    with reading(engine) as connection:
        marks = load_proofs(connection)
        report, proven = prove(
            connection,
            proofs={} if full else marks,
            marks=marks,
            receipts=receipts,
            progress=progress,
            failures_max=failures_max,
        )
    if report.is_proved:
        with writing(engine) as connection:
            save_proofs(connection, proven, at_ms=now_ms)
    return report


def prove(
    connection: Connection,
    *,
    proofs: Mapping[int, Proof],
    marks: Mapping[int, Proof],
    receipts: ReceiptForm | None,
    progress: Progress,
    failures_max: int = FAILURES_MAX,
) -> tuple[AuditReport, list[Proof]]:
    """The same on a transaction that sees one state, from behind earlier proofs; without any, all of it.

    `marks` are how far earlier audits came: what they saw must still be there, or the end of a chain could be cut off.
    """
    report, failures, proven = AuditReport(), Failures(failures_max), list[Proof]()
    try:
        facts = _prove_ground(connection, failures, report, is_full=not proofs, progress=progress)
        if facts is not None:
            proven = _proofs(facts)
            _Run(connection, failures, facts, report, proofs, marks, receipts, progress).prove()
    except Enough:
        progress(f"{failures_max} failures: the rest is not looked at")
    report.failures = tuple(failures.found)
    return report, proven


def _prove_ground(
    connection: Connection, failures: Failures, report: AuditReport, *, is_full: bool, progress: Progress
) -> Facts | None:
    """What all else stands on; None if it cannot be read."""
    if is_full:
        progress("columns")
        for table in metadata.sorted_tables:
            for name, count in audit_sums.mistyped_columns(connection, table):
                failures.add(table.name, f"{name}: values of another type", expected=0, found=count)
    progress("decisions and directory")
    with failures.reading("directory"):
        report.decisions = prove_directory(connection, failures)
    with failures.reading("directory, heads and windows"):
        return load_facts(connection)
    return None


@dataclass(slots=True)
class _Run:
    """One run over entries and sums."""

    connection: Connection
    failures: Failures
    facts: Facts
    report: AuditReport
    proofs: Mapping[int, Proof]
    marks: Mapping[int, Proof]
    receipts: ReceiptForm | None
    progress: Progress

    def prove(self) -> None:
        """Small tables first: they say what the others must hold."""
        self.progress("windows and heads")
        with self.failures.reading("windows"):
            prove_windows(self.connection, self.failures, self.facts)
        with self.failures.reading("heads"):
            prove_heads(self.connection, self.failures, self.facts)
        self._prove_marks()
        self.progress("entries")
        with _unscanned():
            walk = self._walk()
        with self.failures.reading("refusals"):
            self._prove_refusals()
        self.progress("lots and members")
        with self.failures.reading("lots and members"):
            self._prove_lots(walk)
        self.progress("sums")
        with self.failures.reading("sums"):
            self._prove_sums(walk)
        self.progress("settlement")
        with self.failures.reading("settlement"):
            from_window = self._from_window
            prove_settlement(self.connection, self.failures, self.facts, from_window=from_window, progress=self.progress)
        if self._is_full:
            self.progress("terminals")
            with self.failures.reading("terminals"):
                entry_of_event = self.receipts.entry_of_event if self.receipts is not None else None
                self.report.events = prove_terminals(self.connection, self.failures, self.facts, entry_of_event=entry_of_event)
            self.progress("what partners sent about settlement")
            read_sent = self.receipts.read_sent if self.receipts is not None else None
            prove_intake(self.connection, self.failures, self.facts, read_sent=read_sent)
        self.report.entries = sum(head.last_sequence for head in self.facts.heads)
        self.report.windows = len(self.facts.windows)

    @property
    def _is_full(self) -> bool:
        return not self.proofs

    @property
    def _from_window(self) -> int:
        return min((proof.window_id for proof in self.proofs.values()), default=1)

    def _prove_marks(self) -> None:
        """What was proven is still there."""
        for proof in self.marks.values():
            if proof.sequence:
                stored = audit_reads.entry_hash_at(self.connection, proof.lane, proof.sequence)
                self.failures.compare(f"lane {proof.lane}", [("hash of the entry last proven", proof.chain_hash, stored)])
            if proof.refusals:
                stored = audit_reads.refusal_hash_at(self.connection, proof.lane, proof.refusals)
                self.failures.compare(f"lane {proof.lane}", [("hash of the refusal last proven", proof.refusals_hash, stored)])

    def _walk(self) -> Walk:
        walk = Walk(
            connection=self.connection,
            facts=self.facts,
            failures=self.failures,
            receipts=self.receipts,
            progress=self.progress,
            is_whole=self._is_full,
        )
        ends = {head.lane: (0, genesis_hash(self.facts.network.audience, head.lane)) for head in self.facts.heads}
        ends |= {proof.lane: (proof.sequence, proof.chain_hash) for proof in self.proofs.values()}
        # By window, then lane: what a window holds was booked before anything in the next one.
        for window in self.facts.windows:
            for head in self.facts.heads:
                done, previous_hash = ends[head.lane]
                last = self.facts.last_sequence(head, window, before=done)
                if last > done:
                    reached = walk.along(head.lane, done + 1, last, window=window, previous_hash=previous_hash)
                    ends[head.lane] = last, reached
        for head in self.facts.heads:
            self.failures.compare(f"head of lane {head.lane}", [("hash of the last entry", ends[head.lane][1], head.chain_hash)])
        self.report.proven_entries = walk.entries
        return walk

    def _prove_refusals(self) -> None:
        after = {proof.lane: (proof.refusals, proof.refusals_hash) for proof in self.proofs.values()}
        prove_refusals(self.connection, self.failures, self.facts, after=after, receipts=self.receipts)
        self.report.refusals = sum(head.refusals for head in self.facts.heads)

    def _prove_lots(self, walk: Walk) -> None:
        if self._is_full:
            prove_lots(self.connection, self.failures)
            self._prove_counts(walk)
            prove_tills(self.connection, self.failures)
            prove_standings(self.connection, self.failures, walk.members)
            prove_days(self.connection, self.failures)
        self.report.members = prove_members(self.connection, self.failures, with_postings=self._is_full)
        self.report.lots = audit_sums.row_count(self.connection, lots)
        if self._is_full or self.receipts is not None:
            prove_running(self.connection, self.failures, walk.running)
        for row in audit_sums.debtors_with_lots(self.connection, self.facts.network_date):
            self.failures.add(f"member {row.member_id}", "debt beside usable lots", expected=0, found=row.debt_points)

    def _prove_counts(self, walk: Walk) -> None:
        """Each enrolment has its member, each gift its receiver, each booking one outcome; and none is over."""
        kinds = walk.kinds
        enrolled = kinds[EntryKind.ENROL]
        booked = sum(kinds.values()) - walk.system - walk.further
        self.failures.compare(
            "network",
            [
                ("entries", sum(kinds.values()), audit_sums.row_count(self.connection, entries)),
                ("members, by enrolments", enrolled, audit_sums.row_count(self.connection, members)),
                ("transfers received, by those given", kinds[EntryKind.TRANSFER_OUT], kinds[EntryKind.TRANSFER_IN]),
                ("merges joined, by those left", kinds[EntryKind.MERGE_OUT], kinds[EntryKind.MERGE_IN]),
                ("outcomes, by bookings", booked, audit_sums.row_count(self.connection, outcomes)),
            ],
        )

    def _prove_sums(self, walk: Walk) -> None:
        count = prove_totals(self.connection, self.failures, self.facts, from_window=self._from_window)
        if self._is_full:
            prove_whole_tables(self.connection, self.failures, self.facts, posting_count=count)
        values = walk.open_values if self._is_full else None
        prove_positions(self.connection, self.failures, self.facts, open_values=values)
        self.report.issuers = prove_roll_forward(self.connection, self.failures)


@contextmanager
def _unscanned() -> Iterator[None]:
    """Without the search for cycles: the walk makes none, and would be a quarter slower for it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _proofs(facts: Facts) -> list[Proof]:
    # What a night has only half made of a closed window was not looked at: the next audit begins with that window.
    half_made = min((row.window_id for row in facts.windows if row.state == WindowState.CLOSED.value), default=None)
    return [
        Proof(head.lane, half_made or head.window_id, head.last_sequence, head.chain_hash, head.refusals, head.refusals_hash)
        for head in facts.heads
    ]
