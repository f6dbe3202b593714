"""Decisions of operators: kept for ever, with every signature, in the order in which they were made."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from gateway.domain.decision import Decision, DecisionKind, DecisionState, Mark
from gateway.storage.tables_directory import decisions

_COLUMNS = (
    decisions.c.decision_id,
    decisions.c.kind,
    decisions.c.document,
    decisions.c.state,
    decisions.c.proposer_id,
    decisions.c.proposed_at_ms,
    decisions.c.proposal_signature,
    decisions.c.approver_id,
    decisions.c.approved_at_ms,
    decisions.c.approval_signature,
)
_LATEST = select(func.max(decisions.c.proposed_at_ms), func.max(decisions.c.approved_at_ms))


def load_decisions(connection: Connection, *, state: DecisionState | None = None) -> list[Decision]:
    """All decisions, or those of a state, by the time of their proposal."""
    query = select(*_COLUMNS).order_by(decisions.c.proposed_at_ms, decisions.c.decision_id)
    if state is not None:
        query = query.where(decisions.c.state == state.value)
    return [_decision(row) for row in connection.execute(query)]


def load_decision(connection: Connection, decision_id: str) -> Decision | None:
    """One decision."""
    row = connection.execute(select(*_COLUMNS).where(decisions.c.decision_id == decision_id)).one_or_none()
    return None if row is None else _decision(row)


def latest_mark_ms(connection: Connection) -> int:
    """When an operator last signed anything, in unix milliseconds; 0 if nobody ever did."""
    proposed_ms, approved_ms = connection.execute(_LATEST).one()
    return max(proposed_ms or 0, approved_ms or 0)


def insert_decision(connection: Connection, decision: Decision) -> None:
    """Keeps a new decision, proposed or applied at once."""
    connection.execute(
        insert(decisions).values(
            decision_id=decision.decision_id,
            kind=decision.kind.value,
            document=decision.document,
            state=decision.state.value,
            proposer_id=decision.proposal.operator_id,
            proposed_at_ms=decision.proposal.at_ms,
            proposal_signature=decision.proposal.signature,
        )
    )


def mark_applied(connection: Connection, decision_id: str, approval: Mark) -> None:
    """Notes the approval; to be called in the transaction that applies the decision."""
    connection.execute(
        update(decisions)
        .where(decisions.c.decision_id == decision_id)
        .values(
            state=DecisionState.APPLIED.value,
            approver_id=approval.operator_id,
            approved_at_ms=approval.at_ms,
            approval_signature=approval.signature,
        )
    )


def mark_stale(connection: Connection, decision_ids: Sequence[str]) -> None:
    """Notes that the decisions were written for terms that moved on."""
    connection.execute(update(decisions).where(decisions.c.decision_id.in_(decision_ids)).values(state=DecisionState.STALE.value))


def _decision(row: Any) -> Decision:
    approval = None
    if row.approver_id is not None:
        approval = Mark(row.approver_id, row.approved_at_ms or 0, row.approval_signature or b"")
    return Decision(
        decision_id=row.decision_id,
        kind=DecisionKind(row.kind),
        document=row.document,
        state=DecisionState(row.state),
        proposal=Mark(row.proposer_id, row.proposed_at_ms, row.proposal_signature),
        approval=approval,
    )
