"""The audit of what became of instructions: events that can follow each other, decisions behind them, and the fees for lateness.

What a bank did is written down by people and stands nowhere else: of that only what must follow from it is proved.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection

from gateway.domain.bank_days import payment_date
from gateway.domain.decision import Decision, DecisionKind, DecisionState
from gateway.domain.documents import applied_at_ms, read_document
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import AdjustmentKind, CarryReason, PaymentEvent
from gateway.domain.window import WindowState
from gateway.ledger.audit_facts import Facts, local_date
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage.audit_reads import Rows, table_rows
from gateway.storage.tables_settlement import adjustments, carries, instructions, payments

_ENDS = {PaymentEvent.CARRIED.value, PaymentEvent.WRITTEN_OFF.value}
_MOVING = {WindowState.CONFIRMED.value, WindowState.SETTLED.value}


def prove_payments(connection: Connection, failures: Failures, facts: Facts) -> None:
    """Each instruction's events; what was carried on, written off and charged is what they say, and nothing else."""
    by_instruction: defaultdict[str, list[Any]] = defaultdict(list)
    for row in table_rows(connection, payments):
        by_instruction[row.instruction_id].append(row)
    known = {row.instruction_id: row for row in table_rows(connection, instructions)}
    failures.compare("payments", [("of unknown instructions", [], sorted(by_instruction.keys() - known.keys()))])
    write_offs = dict(_decided(facts))
    for name, instruction in known.items():
        where = f"payments of {name}"
        with failures.reading(where):
            failures.compare(where, _way(by_instruction[name], instruction, write_offs.get(name), facts))
    _prove_carried(connection, failures, known, by_instruction)
    _prove_late_fees(connection, failures, facts, known, by_instruction)


def _way(rows: Rows, instruction: Any, write_off: Decision | None, facts: Facts) -> Iterator[Difference]:
    yield "numbers", list(range(1, len(rows) + 1)), [row.number for row in rows]
    refs = [row.bank_ref for row in rows if row.event == PaymentEvent.PAID.value]
    yield "bank references", len(set(refs)), len(refs)
    yield "events behind one that ended it", [], [row.number for row in rows[:-1] if row.event in _ENDS]
    if rows:
        yield "before two operators confirmed it", True, facts.windows[instruction.window_id - 1].state in _MOVING
    for row in rows:
        yield f"event {row.number}", True, row.event in set(PaymentEvent)
        yield f"event {row.number}: an amount that moved", row.event != PaymentEvent.FAILED.value, row.amount > 0
        is_paid = row.event == PaymentEvent.PAID.value
        yield f"event {row.number}: value date", True, row.value_date == "" or (is_paid and _has_come(row, facts))
        yield f"event {row.number}: bank reference, reason", (is_paid, not is_paid), (row.bank_ref != "", row.reason != "")
    ended = [(row.amount, row.reason, row.at_ms, row.decision_id) for row in rows if row.event == PaymentEvent.WRITTEN_OFF.value]
    yield "written off, by decisions", _written_off(write_off), ended
    others = [row.decision_id for row in rows if row.event != PaymentEvent.WRITTEN_OFF.value]
    yield "decisions of what takes none", set(), set(others) - {""}
    if rows and rows[-1].event in _ENDS:
        yield "left once it has ended", 0, instruction.amount - sum(row.amount for row in rows)


def _written_off(decision: Decision | None) -> list[tuple[int, str, int, str]]:
    if decision is None:
        return []
    said = read_document(decision.document)
    return [(said["amount"], said["reason"], applied_at_ms(decision), decision.decision_id)]


def _decided(facts: Facts) -> Iterator[tuple[str, Decision]]:
    for decision in facts.decisions:
        if decision.kind is DecisionKind.WRITE_OFF and decision.state is DecisionState.APPLIED:
            yield read_document(decision.document)["instruction_id"], decision


def _prove_carried(connection: Connection, failures: Failures, known: Mapping[str, Any], events: Mapping[str, list[Any]]) -> None:
    """What was left to a later run waits there, or was taken in by one."""
    expected: Counter[tuple[int, str, str, str]] = Counter()
    for name, instruction in known.items():
        for row in events[name]:
            if row.event == PaymentEvent.CARRIED.value:
                key = instruction.window_id, instruction.currency, instruction.debtor_id, instruction.creditor_id
                expected[key] += row.amount
    found = [
        ((row.window_id, row.currency, row.debtor_id, row.creditor_id), row.amount)
        for row in table_rows(connection, carries)
        if row.reason == CarryReason.DEFAULT.value
    ]
    failures.compare_rows("carried on", expected, found)


def _prove_late_fees(
    connection: Connection, failures: Failures, facts: Facts, known: Mapping[str, Any], events: Mapping[str, list[Any]]
) -> None:
    """One for each instruction that failed or was paid after its day, as the rules of its run's last window say."""
    expected = {}
    for name, instruction in known.items():
        window = facts.windows[instruction.window_id - 1]
        fee = facts.rules[window.rules_version].late_fee
        if fee and instruction.debtor_id != OPERATOR and any(_is_late(row, window, facts) for row in events[name]):
            charged = instruction.debtor_id, OPERATOR, facts.network.currency, fee, name, ""
            expected[f"late-{name}"] = charged
    found = [
        (row.adjustment_id, (row.payer_id, row.payee_id, row.currency, row.amount, row.reason, row.decision_id))
        for row in table_rows(connection, adjustments)
        if row.kind == AdjustmentKind.LATE_FEE.value or row.adjustment_id.startswith("late-")
    ]
    failures.compare_rows("late fees", expected, found)


def _has_come(row: Any, facts: Facts) -> bool:
    date.fromisoformat(row.value_date)  # else it is unreadable
    return bool(row.value_date <= local_date(facts.network.time_zone, row.at_ms))


def _is_late(row: Any, window: Any, facts: Facts) -> bool:
    if row.event == PaymentEvent.FAILED.value:
        return True
    due = payment_date(cut_off_date=window.cut_off_date, due_days=facts.rules[window.rules_version].due_days)
    booked_on = row.value_date or local_date(facts.network.time_zone, row.at_ms)
    return row.event == PaymentEvent.PAID.value and booked_on > due.isoformat()
