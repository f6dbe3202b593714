"""The audit of what is owed beside traffic: as two operators signed it, to the last character, and nothing else beside it."""

from collections.abc import Iterator

from sqlalchemy import Connection

from gateway.domain.decision import Decision, DecisionKind, DecisionState
from gateway.domain.documents import read_document
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import AdjustmentKind
from gateway.domain.window import WindowState
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Failures
from gateway.storage.audit_reads import table_rows
from gateway.storage.audit_sums import decided_adjustment_rows
from gateway.storage.tables_settlement import adjustments

_Content = tuple[str, str, str, str, int, str, str]


def prove_adjustments(connection: Connection, failures: Failures, facts: Facts) -> None:
    """Adjustments and write-offs beside the decisions that made them. What disputes left is proved with the disputes."""
    expected = {name: content for decision in facts.decisions for name, content in _owed_by(decision)}
    found = [
        (row.adjustment_id, (row.kind, row.payer_id, row.payee_id, row.currency, row.amount, row.reason, row.decision_id))
        for row in decided_adjustment_rows(connection)
    ]
    failures.compare_rows("adjustments", expected, found)
    closed = {row.window_id for row in facts.windows if row.state != WindowState.OPEN.value}
    taken = {row.window_id for row in table_rows(connection, adjustments)}
    failures.compare("adjustments", [("taken in by windows that are not closed", set(), taken - closed - {0})])


def _owed_by(decision: Decision) -> Iterator[tuple[str, _Content]]:
    """What a decision leaves owed, by its id. A write-off leaves nothing where the operator itself goes without."""
    if decision.state is not DecisionState.APPLIED:
        return
    said, name = read_document(decision.document), decision.decision_id
    if decision.kind is DecisionKind.ADJUSTMENT:
        parties = (AdjustmentKind.ADJUSTMENT.value, said["payer_id"], said["payee_id"])
    elif decision.kind is DecisionKind.WRITE_OFF and said["creditor_id"] != OPERATOR:
        parties = (AdjustmentKind.WRITE_OFF.value, OPERATOR, said["creditor_id"])
    else:
        return
    yield name, (*parties, said["currency"], said["amount"], said["reason"], name)
