"""The audit of what partners sent about settlement: every signature, and whatever follows from what was signed."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from gateway.domain.decision import DecisionKind, DecisionState
from gateway.domain.dispute import TRANSITIONS, Dispute, DisputeReason, DisputeState, owed_at_end
from gateway.domain.documents import read_document
from gateway.domain.errors import SignatureError
from gateway.domain.ids import OPERATOR
from gateway.domain.intake import (
    RECORDED_KINDS,
    ChunkSent,
    DisputeAnswered,
    DisputeOpened,
    ReadSent,
    Sent,
    SignedRequest,
    StatementAcknowledged,
)
from gateway.domain.partner import PartnerKey
from gateway.domain.signing import load_verifier
from gateway.ledger.audit_disputes import DisputedEvents
from gateway.ledger.audit_facts import Facts, local_date
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage import audit_intake as stored
from gateway.storage.directory import load_keys
from gateway.storage.reconciliations import COUNTS, run_id

_DEADLINE = "deadline"
_DECIDED = {DisputeState.UPHELD, DisputeState.CORRECTED, DisputeState.WRITTEN_OFF}
_TEXTS = ("reason", "evidence", "deadline")


def prove_intake(connection: Connection, failures: Failures, facts: Facts, *, read_sent: ReadSent | None) -> None:
    """All of it. Without `read_sent` signatures are proven, and not what the messages say."""
    proof = _Intake(connection, failures, facts, read_sent)
    for name in ("signed rows", "records", "acknowledgements", "disputes", "reconciliations"):
        with failures.reading(name):
            getattr(proof, f"prove_{name.replace(' ', '_')}")()


class _Intake:
    """One run. What was signed is read first, by partner and id; contents of chunks are hashed as they go by."""

    def __init__(self, connection: Connection, failures: Failures, facts: Facts, read_sent: ReadSent | None) -> None:
        self.connection, self.failures, self.facts = connection, failures, facts
        self.keys: Mapping[str, PartnerKey] = load_keys(connection)
        self.read_sent = read_sent
        self.said: dict[tuple[str, str], tuple[Sent, int, str]] = {}
        self.chunks: defaultdict[tuple[str, str], list[tuple[ChunkSent, int]]] = defaultdict(list)
        self.hashes: defaultdict[tuple[str, str], Any] = defaultdict(hashlib.sha256)

    def prove_signed_rows(self) -> None:
        """By partner and id, so chunks come in the order of their numbers."""
        seen = set()
        for row in stored.intake_rows(self.connection):
            where = f"intake {row.intake_id} of {row.partner_id}"
            self.failures.compare(where, [("rows", False, (row.partner_id, row.intake_id) in seen)])
            seen.add((row.partner_id, row.intake_id))
            with self.failures.reading(where):
                self._verify(row, where)
                if self.read_sent is not None:
                    self._take(row, self.read_sent(row.method, row.message), where)

    def _verify(self, row: Any, where: str) -> None:
        key = self.keys.get(row.key_id)
        self.failures.compare(where, [("partner of its key", row.partner_id, key.partner_id if key else "none")])
        if key is None:
            return
        signed = SignedRequest(row.method, row.key_id, row.created, row.nonce, row.message, row.signature)
        try:
            load_verifier(key.algorithm, key.public_key)(row.signature, signed.signed_string(self.facts.network.audience))
        except SignatureError as error:
            self.failures.add(where, "signature", expected="one that holds", found=error.cause)

    def _take(self, row: Any, sent: Sent, where: str) -> None:
        content_at, content_bytes = 0, 0
        if isinstance(sent, ChunkSent):
            content_at, content_bytes = sent.content_at, sent.content_bytes
            named = row.partner_id, sent.record_id(row.partner_id)
            self.chunks[named].append((sent, row.received_at_ms))
            self.hashes[named].update(row.message[content_at : content_at + content_bytes])
        else:
            self.said[row.partner_id, row.intake_id] = sent, row.received_at_ms, row.key_id
        self.failures.compare(
            where,
            [
                ("id", sent.intake_id(row.partner_id), row.intake_id),
                ("where its content begins", content_at, row.content_at),
                ("bytes of its content", content_bytes, row.content_bytes),
                ("time", True, abs(row.received_at_ms - int(row.created)) <= _FRESH_MS),
            ],
        )

    def prove_records(self) -> None:
        """Each is what its chunks say, and whole only with its hash."""
        if self.read_sent is None:
            return
        expected, last = {}, dict[tuple[str, str], int | None]()
        for named, chunks in self.chunks.items():
            first = chunks[0][0]
            size, times = sum(one.content_bytes for one, _ in chunks), [at_ms for _, at_ms in chunks]
            is_whole = len(chunks) == first.chunks and (size, self.hashes[named].digest()) == (first.total_bytes, first.sha256)
            scope = first.window_id, first.business_date
            content = *scope, first.sha256, first.total_bytes, first.chunks, len(chunks), size, min(times)
            expected[named] = *content, True
            last[named] = max(times) if is_whole else None
        found = [
            (
                (row.partner_id, row.record_id),
                (
                    *(row.window_id, row.business_date, row.sha256, row.bytes, row.chunks, row.received, row.received_bytes),
                    row.started_at_ms,
                    _may_be_complete(row, last.get((row.partner_id, row.record_id))),
                ),
            )
            for row in stored.records(self.connection)
        ]
        self.failures.compare_rows("partner_records", expected, found)

    def prove_acknowledgements(self) -> None:
        """Each is a partner's own, of the statement that stands."""
        rows = stored.acknowledgement_rows(self.connection)
        for row in rows:
            where = f"acknowledgement of window {row.window_id} by {row.partner_id}"
            self.failures.compare(where, [("hash of the statement", row.published, row.statement_sha256)])
        if self.read_sent is None:
            return
        expected = {
            (partner_id, sent.window_id): (sent.statement_sha256, at_ms)
            for (partner_id, _), (sent, at_ms, _) in self.said.items()
            if isinstance(sent, StatementAcknowledged)
        }
        found = [((row.partner_id, row.window_id), (row.statement_sha256, row.acknowledged_at_ms)) for row in rows]
        self.failures.compare_rows("acknowledgements", expected, found)

    def prove_disputes(self) -> None:
        """Each is about a line, was opened by its opener, and walked along the table; what ended it made its lines."""
        steps: defaultdict[str, list[Any]] = defaultdict(list)
        for step in stored.step_rows(self.connection):
            steps[step.dispute_id].append(step)
        rows = stored.dispute_rows(self.connection)
        by_id = {row.dispute_id: row for row in rows}
        self.failures.compare(
            "disputes",
            [
                ("rows that stand twice", len(by_id), len(rows)),
                ("steps of no dispute", [], sorted(steps.keys() - by_id.keys())),
            ],
        )
        if self.read_sent is not None:
            opened = {
                intake_id.partition("/")[0] for (_, intake_id), (sent, *_) in self.said.items() if isinstance(sent, DisputeOpened)
            }
            self.failures.compare("disputes", [("by what was signed", sorted(opened), sorted(by_id))])
        events = DisputedEvents(self.connection, rows)
        self.failures.compare("disputes", events.of_all())
        for row in rows:
            where = f"dispute {row.dispute_id}"
            with self.failures.reading(where):
                self.failures.compare(where, self._of_line(row))
                self.failures.compare(where, events.of(row))
                self.failures.compare(where, self._walk(row, steps[row.dispute_id]))
                for step in steps[row.dispute_id]:
                    self.failures.compare(where, events.back(row, step))
        self._prove_adjustments(by_id, steps)

    def _of_line(self, row: Any) -> Iterator[Difference]:
        line = stored.statement_line(self.connection, row.window_id, row.opener_id, row.line_number)
        if line is None:
            yield "line of the opener's statement", "one", "none"
            return
        other = line.payee_id if line.payer_id == row.opener_id else line.payer_id
        yield "respondent", other, row.respondent_id
        for name in ("receipt_sha256", "kind", "payer_id", "payee_id", "currency"):
            yield name, getattr(line, name), getattr(row, name)
        yield "entry", line.own_entry_id, row.entry_id
        if self.read_sent is None:
            return
        asked, at_ms, _ = self.said[row.opener_id, f"{row.dispute_id}/{DisputeState.OPEN}"]
        assert isinstance(asked, DisputeOpened)
        yield "window and line", (asked.window_id, asked.line_number), (row.window_id, row.line_number)
        yield "what was signed", [str(getattr(asked, name)) for name in _TEXTS], [getattr(row, name) for name in _TEXTS]
        yield "time", at_ms, row.opened_at_ms

    def _walk(self, row: Any, steps: list[Any]) -> Iterator[Difference]:
        previous = ""
        for number, step in enumerate(steps, 1):
            yield "number of a step", number, step.number
            yield f"state before step {number}", previous, step.previous_state
            allowed = TRANSITIONS[DisputeState(previous)] if previous else {DisputeState.OPEN}
            yield f"step {number} along the table", True, step.state in allowed
            yield from self._step(row, step)
            previous = step.state
        yield "state", previous, row.state
        yield "state before", steps[-1].previous_state, row.previous_state
        yield "time of opening", steps[0].at_ms, row.opened_at_ms

    def _step(self, row: Any, step: Any) -> Iterator[Difference]:
        state = DisputeState(step.state)
        where = f"step {step.number}"
        if state in _DECIDED:
            yield f"decision of {where}", True, self._is_decided(row, step)
            return
        yield f"decision of {where}", "", step.decision_id
        if step.made_by == _DEADLINE:
            yield f"{where} after the deadline", True, local_date(self.facts.network.time_zone, step.at_ms) > row.deadline
            yield f"{where} by the deadline", DisputeState.ACCEPTED, state
            yield f"note of {where}", "", step.note
        elif self.read_sent is not None:
            is_openers = state in (DisputeState.OPEN, DisputeState.WITHDRAWN)
            by = row.opener_id if is_openers else row.respondent_id
            sent, at_ms, key_id = self.said[by, f"{row.dispute_id}/{state}"]
            note = sent.note if isinstance(sent, DisputeAnswered) else row.evidence
            yield f"what was signed of {where}", (at_ms, key_id, note), (step.at_ms, step.made_by, step.note)

    def _is_decided(self, row: Any, step: Any) -> bool:
        for decision in self.facts.decisions:
            if decision.decision_id != step.decision_id or decision.approval is None:
                continue
            said = read_document(decision.document)
            return (
                decision.kind is DecisionKind.END_DISPUTE
                and decision.state is DecisionState.APPLIED
                and (said["dispute_id"], said["state"], said["amount"]) == (row.dispute_id, step.state, step.amount)
                and said["reason"] == step.note
                and step.at_ms == decision.approval.at_ms
                and step.made_by == f"{decision.proposal.operator_id}, {decision.approval.operator_id}"
            )
        return False

    def _prove_adjustments(self, by_id: Mapping[str, Any], steps: Mapping[str, list[Any]]) -> None:
        """What was accepted waits for the night to be owed anew; what two operators decided does not."""
        expected, must = {}, set()
        for dispute_id, row in by_id.items():
            last = steps[dispute_id][-1]
            for number, owed in enumerate(owed_at_end(_dispute(row), DisputeState(last.state), last.amount), 1):
                named = f"{dispute_id}-{number}"
                kind = "write_off" if (last.state, owed.payer_id) == (DisputeState.WRITTEN_OFF, OPERATOR) else "adjustment"
                reason = last.note if last.decision_id else f"dispute {dispute_id}: {last.state}"
                expected[named] = (kind, owed.payer_id, owed.payee_id, row.currency, owed.amount, reason, last.decision_id)
                must |= {named} if last.decision_id else set()
        found = [
            (
                row.adjustment_id,
                (row.kind, row.payer_id, row.payee_id, row.currency, row.amount, row.reason, row.decision_id),
            )
            for row in stored.dispute_adjustments(self.connection)
        ]
        must |= {name for name, _ in found}
        needed = {name: value for name, value in expected.items() if name in must}
        self.failures.compare_rows("adjustments of disputes", needed, found)

    def prove_reconciliations(self) -> None:
        """Each is named by what it is of; entries of a closed window are counted again."""
        whole = {(row.partner_id, row.record_id): row.sha256 for row in stored.records(self.connection)}
        rows = stored.run_rows(self.connection)
        names = {row.run_id for row in rows}
        self.failures.compare("reconciliations", [("rows that stand twice", len(names), len(rows))])
        for row in rows:
            self.failures.compare(f"reconciliation {row.run_id}", self._reconciliation(row, whole))

    def _reconciliation(self, row: Any, whole: Mapping[tuple[str, str], bytes]) -> Iterator[Difference]:
        counts = [getattr(row, name) for name in COUNTS]
        yield (
            "id",
            run_id(row.partner_id, row.window_id, row.business_date, row.file_sha256, row.result_sha256, counts),
            row.run_id,
        )
        yield "a partner of the network", True, row.partner_id in self.facts.zones
        if row.record_id:
            yield "hash of the record", whole.get((row.partner_id, row.record_id)), row.file_sha256
        if row.window_id:
            counted = stored.entries_of_window(self.connection, row.partner_id, row.window_id, RECORDED_KINDS)
            yield "entries", counted, row.entries
        yield "entries in some class", True, row.matched + row.missing_at_partner <= row.entries
        in_file = row.matched + row.amount_differs + row.missing_here
        yield "lines in some class", True, in_file <= row.file_lines
        items = in_file + row.missing_at_partner + row.duplicate + row.late
        yield "items of both sides", True, max(row.entries, row.file_lines) <= items <= row.entries + row.file_lines


_FRESH_MS = 10 * 60_000  # what is kept was fresh when it came; clocks of gateways may differ a little


def _may_be_complete(row: Any, last_ms: int | None) -> bool:
    """A record is whole some moments after its last chunk, or never if the gateway was ended between; `last_ms` None: not yet.

    Only what is whole was read, and can have had lines that are wrong.
    """
    if row.completed_at_ms == 0:
        return bool(row.bad_lines == 0)
    return last_ms is not None and row.completed_at_ms >= last_ms and row.bad_lines >= 0


def _dispute(row: Any) -> Dispute:
    values = {name: getattr(row, name) for name in Dispute.__slots__}
    return Dispute(**values | {"reason": DisputeReason(row.reason), "state": DisputeState(row.state)})
