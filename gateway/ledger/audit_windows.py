"""The audit of heads, windows and refusals: numbers without gaps, and every chain from its beginning to its head."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from gateway.domain.chain import genesis_hash, refusal_hash, window_hash
from gateway.domain.decision import DecisionKind
from gateway.domain.documents import read_document
from gateway.domain.ids import entry_id
from gateway.domain.window import LaneRange, WindowState, steps_between
from gateway.ledger import audit_receipts
from gateway.ledger.audit_facts import Facts, local_date
from gateway.ledger.audit_failures import Difference, Failures
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage import audit_reads, audit_sums

_REFUSALS_PER_READ = 500


def prove_windows(connection: Connection, failures: Failures, facts: Facts) -> None:
    """One open window, the last one; ranges that follow each other in every lane; hashes that chain."""
    open_ids = [row.window_id for row in facts.windows if row.state == WindowState.OPEN.value]
    last_id = len(facts.windows)
    failures.compare(
        "windows", [("ids", list(range(1, last_id + 1)), [row.window_id for row in facts.windows]), ("open", [last_id], open_ids)]
    )
    failures.compare("window ranges", [("windows", [], sorted(facts.ranges.keys() - set(range(1, last_id))))])
    last: dict[int, LaneRange] = {}
    lanes = 0  # that ever began: those no longer in force keep their heads
    previous_hash, previous_ms = genesis_hash(facts.network.audience, 0), facts.network.created_at_ms
    for row in facts.windows:
        where = f"window {row.window_id}"
        ranges = facts.ranges.get(row.window_id, ())
        with failures.reading(where):
            failures.compare(where, _way(row, previous_ms, facts))
            if row.state == WindowState.OPEN.value:
                failures.compare(where, [("closing", ("", 0, b""), (row.cut_off_date, row.closed_at_ms, row.window_hash))])
                failures.compare(where, [("lanes in force", facts.network.lanes, row.lanes)])
                continue
            lanes = max(lanes, row.lanes)
            failures.compare(where, _closed(row, ranges, lanes, previous_hash, previous_ms, facts))
            for lane in ranges:
                before = last.get(lane.lane) or _nothing_yet(facts, lane.lane)
                failures.compare(f"{where}, lane {lane.lane}", _range(connection, lane, before))
                last[lane.lane] = lane
            previous_hash, previous_ms = row.window_hash, row.closed_at_ms


def prove_heads(connection: Connection, failures: Failures, facts: Facts) -> None:
    """The heads name the open window, the lanes in force, and the time of whatever was committed last."""
    began = max((row.lanes for row in facts.windows), default=0)
    failures.compare("heads", [("lanes", list(range(began)), [head.lane for head in facts.heads])])
    counts, refused = audit_sums.entry_counts(connection), audit_sums.refusal_counts(connection)
    lanes = {head.lane for head in facts.heads}
    failures.compare("entries", [("lanes without a head", set(), counts.keys() - lanes)])
    failures.compare("refusals", [("lanes without a head", set(), refused.keys() - lanes)])
    closed_ms = max((row.closed_at_ms for row in facts.windows), default=0)
    for head in facts.heads:
        booked_ms, refused_ms = audit_reads.last_times(connection, head.lane, sequence=head.last_sequence, number=head.refusals)
        failures.compare(
            f"head of lane {head.lane}",
            [
                ("window", len(facts.windows), head.window_id),
                ("lanes in force", facts.network.lanes, head.lanes),
                ("last commit", max(booked_ms, refused_ms, closed_ms, facts.network.created_at_ms), head.last_commit_ms),
                ("entries up to the last sequence", _whole(head.last_sequence), counts.get(head.lane, (0, 0, 0))),
                ("refusals up to the last number", _whole(head.refusals), refused.get(head.lane, (0, 0, 0))),
            ],
        )


def prove_refusals(
    connection: Connection,
    failures: Failures,
    facts: Facts,
    *,
    after: dict[int, tuple[int, bytes]],
    receipts: ReceiptForm | None,
) -> int:
    """The chain of remembered refusals of every lane, from behind the number and hash of `after`; answers how many."""
    count = 0
    for head in facts.heads:
        number, previous_hash = after.get(head.lane, (0, genesis_hash(facts.network.audience, head.lane)))
        previous_ms = 0
        for start in range(number + 1, head.refusals + 1, _REFUSALS_PER_READ):
            end = min(start + _REFUSALS_PER_READ - 1, head.refusals)
            expected = start
            for row in audit_reads.refusals_between(connection, head.lane, start, end):
                where = f"refusal {row.number} of lane {head.lane} ({row.entry_id})"
                failures.compare(
                    where, [("number", expected, row.number), ("time runs back", False, row.refused_at_ms < previous_ms)]
                )
                with failures.reading(where):
                    failures.compare(where, _refusal(row, previous_hash, facts, receipts))
                expected, previous_ms, previous_hash = row.number + 1, row.refused_at_ms, row.refusal_hash
                count += 1
        failures.compare(f"head of lane {head.lane}", [("hash of the last refusal", previous_hash, head.refusals_hash)])
    return count


def _closed(
    row: Any, ranges: Sequence[LaneRange], lanes: int, previous_hash: bytes, previous_ms: int, facts: Facts
) -> Iterator[Difference]:
    yield "lanes", list(range(lanes)), [lane.lane for lane in ranges]
    yield "closed before the one before it", False, row.closed_at_ms < previous_ms
    yield "cut-off date", local_date(facts.network.time_zone, row.closed_at_ms), row.cut_off_date
    chained = window_hash(
        previous_hash,
        window_id=row.window_id,
        cut_off_date=row.cut_off_date,
        closed_at_ms=row.closed_at_ms,
        lanes=row.lanes,
        ranges=[astuple(lane) for lane in ranges],
    )
    yield "hash", chained, row.window_hash


def _way(row: Any, previous_ms: int, facts: Facts) -> Iterator[Difference]:
    """From opening to where the window stands, one allowed step after the other, each signed for where it takes operators."""
    way = facts.transitions.get(row.window_id, ())
    states = ["", *(step.state for step in way)]
    yield "numbers of transitions", list(range(1, len(way) + 1)), [step.number for step in way]
    yield "transitions follow each other", states[:-1], [step.previous_state for step in way]
    yield "steps that may not be", set(), set(pairwise(states)) - set(steps_between())
    yield "state", states[-1], row.state
    yield "state before", states[-2:-1], [row.previous_state]
    yield "taken by", [_maker(row, step, facts) for step in way], [step.made_by for step in way]
    yield "times of opening and closing", [previous_ms, row.closed_at_ms][: len(way)], [step.at_ms for step in way[:2]]
    expected = next((rules.version for rules in reversed(facts.rules) if rules.from_window <= row.window_id), None)
    yield "rules", expected, row.rules_version
    for step in way:
        yield f"{step.state}: decided by", _decided(step, facts), (step.made_by, step.at_ms) if step.decision_id else None


def _maker(window: Any, step: Any, facts: Facts) -> str:
    """Who takes a window along such a step. A cut-off may be a night's or a change of lanes, and the next window opens with it.

    Operators are looked for in their decision.
    """
    if step.state == WindowState.OPEN.value:
        before = facts.transitions.get(window.window_id - 1, ())
        closed_by = [one.made_by for one in before if one.state == WindowState.CLOSED.value]
        return closed_by[0] if closed_by else "founding"
    if step.state == WindowState.CLOSED.value:
        return step.made_by if step.made_by in _CLOSE else _CLOSE[0]
    if step.state == WindowState.CONFIRMED.value:
        return str(step.made_by)
    return _MADE_BY.get((step.previous_state, step.state), "nobody")


_CLOSE = ("night", "lanes")
_MADE_BY = {
    (WindowState.CLOSED.value, WindowState.NETTED.value): "night",
    (WindowState.NETTED.value, WindowState.DISPUTED.value): "disputes",
    (WindowState.CONFIRMED.value, WindowState.DISPUTED.value): "disputes",
    (WindowState.DISPUTED.value, WindowState.NETTED.value): "disputes",
    (WindowState.CONFIRMED.value, WindowState.SETTLED.value): "payments",
}


def _decided(step: Any, facts: Facts) -> tuple[str, int] | None:
    """Who decided a step that operators must sign, and when; None for all others."""
    if step.state != WindowState.CONFIRMED.value:
        return None
    for decision in facts.decisions:
        if decision.decision_id == step.decision_id and decision.kind is DecisionKind.CONFIRM_WINDOW and decision.approval:
            if read_document(decision.document)["window_id"] != step.window_id:
                break
            return f"{decision.proposal.operator_id}, {decision.approval.operator_id}", decision.approval.at_ms
    return "two operators", 0


def _range(connection: Connection, lane: LaneRange, before: LaneRange) -> Iterator[Difference]:
    yield "first sequence", before.last + 1, lane.first
    at_the_end = audit_reads.entry_hash_at(connection, lane.lane, lane.last) if lane.last > before.last else before.chain_hash
    yield "chain hash", at_the_end, lane.chain_hash
    yield "last sequence before the first", False, lane.last < lane.first - 1
    are_more = lane.refusals > before.refusals
    refused = audit_reads.refusal_hash_at(connection, lane.lane, lane.refusals) if are_more else before.refusals_hash
    yield "hash of the last refusal", refused, lane.refusals_hash
    yield "fewer refusals than before", False, lane.refusals < before.refusals


def _nothing_yet(facts: Facts, lane: int) -> LaneRange:
    genesis = genesis_hash(facts.network.audience, lane)
    return LaneRange(lane, 1, 0, genesis, 0, genesis)


def _refusal(row: Any, previous_hash: bytes, facts: Facts, receipts: ReceiptForm | None) -> Iterator[Difference]:
    chained = refusal_hash(
        previous_hash,
        entry_id=row.entry_id,
        fingerprint=row.fingerprint,
        lane=row.lane,
        number=row.number,
        partner_id=row.partner_id,
        idempotency_key=row.idempotency_key,
        reason=row.reason,
        refused_at_ms=row.refused_at_ms,
        receipt=row.receipt,
        receipt_key_id=row.receipt_key_id,
    )
    yield "hash", chained, row.refusal_hash
    yield "entry id", entry_id(row.partner_id, row.idempotency_key), row.entry_id
    key = facts.receipt_keys.get(row.receipt_key_id)
    yield f"receipt key {row.receipt_key_id} was valid then", True, key is not None and key.is_valid_at(row.refused_at_ms)
    if receipts is not None:
        yield from audit_receipts.refused(row, receipts.decode(row.receipt), facts.network.audience)


def _whole(last: int) -> tuple[int, int, int]:
    """Count, lowest and highest of the numbers from 1 to the last."""
    return (last, 1, last) if last else (0, 0, 0)
