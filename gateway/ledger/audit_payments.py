"""The audit of payment runs: what is paid, carried and taken in moves exactly the nets of the run's windows."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from gateway.domain.canonical import canonical
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import LAST_STEP, CarryReason, Form, Netting, Schedule
from gateway.domain.window import PUBLISHED, WindowState
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage import audit_sums
from gateway.storage.audit_reads import Rows, table_rows
from gateway.storage.tables_settlement import carries, instructions, net_positions, payment_runs, settlement_steps

_PUBLISHED = {state.value for state in PUBLISHED}
_FORMS = {form.value for form in Form}

Nets = Mapping[tuple[str, str], int]
"""By currency and party."""


def prove_runs(connection: Connection, failures: Failures, facts: Facts, *, from_window: int) -> None:
    """Each payment run that ends in a published window since `from_window`; and that windows have the runs that they need."""
    by_id = {row.window_id: row for row in facts.windows}
    runs = table_rows(connection, payment_runs)
    covered = [window_id for run in runs for window_id in range(run.first_window_id, run.window_id + 1)]
    published = {row.window_id for row in facts.windows if row.state in _PUBLISHED}
    closed = {row.window_id for row in facts.windows if row.state != WindowState.OPEN.value}
    alone = {row.window_id for row in facts.windows if facts.rules[row.rules_version].schedule is Schedule.WINDOW}
    failures.compare(
        "payment_runs",
        [
            ("windows that are paid twice", [], sorted(window_id for window_id, count in Counter(covered).items() if count > 1)),
            ("windows that are not closed", [], sorted(set(covered) - closed)),
            ("confirmed windows whose night did not end", [], sorted(_moving(facts) - _ended(connection))),
            ("windows without their run", [], sorted((published & alone) - set(covered))),
            ("instructions without a run", [], sorted(_named(connection, instructions) - {run.window_id for run in runs})),
            ("carries without a run", [], sorted(_named(connection, carries) - {run.window_id for run in runs})),
        ],
    )
    for run in runs:
        window = by_id.get(run.window_id)
        if window is not None and run.window_id >= from_window and window.state in _PUBLISHED:
            with failures.reading(f"payment run {run.window_id}"):
                _Run(connection, failures, facts, run).prove()


class _Run:
    """One payment run."""

    def __init__(self, connection: Connection, failures: Failures, facts: Facts, run: Any) -> None:
        self.failures, self.facts, self.run = failures, facts, run
        self.rules = facts.rules[run.rules_version]
        self.where = f"window {run.window_id}: instructions"
        self.rows = audit_sums.window_table_rows(connection, instructions, run.window_id)
        self.left = audit_sums.window_table_rows(connection, carries, run.window_id)
        self.brought: Rows = connection.execute(select(carries).where(carries.c.brought_window_id == run.window_id)).all()
        self.nets: Counter[tuple[str, str]] = Counter()
        for window_id in range(run.first_window_id, run.window_id + 1):
            for row in audit_sums.window_table_rows(connection, net_positions, window_id):
                self.nets[row.currency, row.party_id] += row.amount

    def prove(self) -> None:
        """Rules, sums, then each instruction."""
        last = next(row for row in self.facts.windows if row.window_id == self.run.window_id)
        forms = {row.form for row in self.rows}
        # Nights before there were rules could be told a form by hand.
        allowed = _FORMS if self.run.rules_version == 0 else {self.rules.form.value}
        self.failures.compare(
            self.where,
            [
                ("rules", last.rules_version, self.run.rules_version),
                ("unknown forms", set(), forms - allowed),
                ("forms beside each other", False, len(forms) > 1),
            ],
        )
        owed = self.nets.copy()
        for row in self.brought:
            _move(owed, row.currency, row.debtor_id, row.creditor_id, row.amount)
        moved: Counter[tuple[str, str]] = Counter()
        payable = owed.copy()  # without what is disputed
        for row in self.left:
            if row.reason == CarryReason.DISPUTE.value:
                _move(payable, row.currency, row.creditor_id, row.debtor_id, row.amount)
        for row in self.rows:
            _move(moved, row.currency, row.debtor_id, row.creditor_id, row.amount)
            self.failures.compare(f"instruction {row.instruction_id}", self._instruction(row, payable))
        for row in self.left:
            self.failures.compare(f"{self.where}: carried from {row.debtor_id} to {row.creditor_id}", self._carry(row))
            if row.reason != CarryReason.DEFAULT.value:  # what is not paid after all was instructed first
                _move(moved, row.currency, row.debtor_id, row.creditor_id, row.amount)
        unsettled = {key: amount for key, amount in owed.items() if amount}
        self.failures.compare_rows(
            f"{self.where}: sum for", unsettled, [(key, amount) for key, amount in moved.items() if amount]
        )

    def _carry(self, row: Any) -> Iterator[Difference]:
        yield "amount above zero between two parties", True, row.amount > 0 and row.debtor_id != row.creditor_id
        yield "reason", True, row.reason in set(CarryReason)
        if row.reason == CarryReason.MINIMUM.value:
            yield "below the minimum", True, row.amount < self.rules.minimum_amount
        yield "taken in before it was left", False, row.brought_window_id != 0 and row.brought_window_id <= row.window_id

    def _instruction(self, row: Any, owed: Nets) -> Iterator[Difference]:
        named = [
            "TS1-INSTRUCTION",
            self.facts.network.audience,
            row.window_id,
            row.form,
            row.currency,
            row.debtor_id,
            row.creditor_id,
        ]
        digest = hashlib.sha256(canonical(named)).digest()
        yield "id", "i" + base64.b32encode(digest).decode().lower()[:31], row.instruction_id
        yield "amount above zero between two parties", True, row.amount > 0 and row.debtor_id != row.creditor_id
        yield "below the minimum", False, row.amount < self.rules.minimum_amount
        if self.rules.netting is not Netting.MULTILATERAL:
            return
        # Sums alone would let money go round in a circle.
        net_of = {party_id: owed.get((row.currency, party_id), 0) for party_id in (row.debtor_id, row.creditor_id)}
        yield "paid by one that receives", False, row.debtor_id != OPERATOR and net_of[row.debtor_id] >= 0
        yield "received by one that pays", False, row.creditor_id != OPERATOR and net_of[row.creditor_id] <= 0


def _move(sums: Counter[tuple[str, str]], currency: str, debtor_id: str, creditor_id: str, amount: int) -> None:
    sums[currency, debtor_id] -= amount
    sums[currency, creditor_id] += amount


def _moving(facts: Facts) -> set[int]:
    states = {WindowState.CONFIRMED.value, WindowState.SETTLED.value}
    return {row.window_id for row in facts.windows if row.state in states}


def _ended(connection: Connection) -> set[int]:
    steps = settlement_steps.c
    return set(connection.execute(select(steps.window_id).where(steps.step == LAST_STEP)).scalars())


def _named(connection: Connection, table: Any) -> set[int]:
    return set(connection.execute(select(table.c.window_id).distinct()).scalars())
