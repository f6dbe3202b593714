"""The audit of who no longer counts as owing: only those whose money has moved, and windows settled in order."""

from sqlalchemy import Connection

from gateway.domain.window import WindowState
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Failures
from gateway.storage import audit_sums
from gateway.storage.audit_reads import table_rows
from gateway.storage.tables_settlement import instructions, payment_runs, payments, releases


def prove_releases(connection: Connection, failures: Failures, facts: Facts, released: set[tuple[int, str]]) -> None:
    """Whoever is released has nothing left to pay or to receive; in a settled window everybody is."""
    left = {row.instruction_id: row.amount for row in table_rows(connection, instructions)}
    for row in table_rows(connection, payments):
        left[row.instruction_id] = left.get(row.instruction_id, 0) - row.amount
    beyond = [name for name, rest in left.items() if rest < 0]
    failures.compare("payments", [("instructions paid beyond their amount", [], beyond)])
    waiting = {
        (window_id, party)
        for run in table_rows(connection, payment_runs)
        for row in audit_sums.window_table_rows(connection, instructions, run.window_id)
        if left[row.instruction_id]
        for window_id in range(run.first_window_id, run.window_id + 1)
        for party in (row.debtor_id, row.creditor_id)
    }
    states = {row.window_id: row.state for row in facts.windows}
    moving = (WindowState.CONFIRMED.value, WindowState.SETTLED.value)
    early = {key for key in released if states.get(key[0]) not in moving} | (released & waiting)
    rows = audit_sums.total_rows(connection)
    parties = {(row.window_id, party) for row in rows for party in (row.issuer_id, row.counterparty_id)}
    late = {key for key in parties - released if states.get(key[0]) == WindowState.SETTLED.value}
    unpaid = sorted({key[0] for key in waiting if states.get(key[0]) == WindowState.SETTLED.value})
    order = [row.state == WindowState.SETTLED.value for row in facts.windows]
    failures.compare(
        "releases",
        [
            ("rows that stand twice", len(released), audit_sums.row_count(connection, releases)),
            ("of parties that wait for money", set(), early),
            ("missing in settled windows", set(), late),
            ("settled windows that are not paid", [], unpaid),
            ("windows settled out of order", sorted(order, reverse=True), order),
        ],
    )
