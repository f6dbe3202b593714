"""Whether new partners rehearse before they begin: what the operators have last decided. The decision is all there is of it."""

from sqlalchemy import Connection, select

from gateway.domain.decision import DecisionKind, DecisionState
from gateway.domain.documents import read_document
from gateway.domain.partner import PartnerStatus
from gateway.storage.tables_directory import decisions

_LAST_RULE = (
    select(decisions.c.decision_id, decisions.c.document)
    .where(decisions.c.kind == DecisionKind.CONFORMANCE_RULE.value, decisions.c.state == DecisionState.APPLIED.value)
    .order_by(decisions.c.approved_at_ms.desc())
    .limit(1)
)


def conformance_rule(connection: Connection) -> tuple[str, bool]:
    """The decision that is in force, and whether new partners must rehearse; "" and False where nobody has decided."""
    row = connection.execute(_LAST_RULE).one_or_none()
    return ("", False) if row is None else (row.decision_id, read_document(row.document)["is_required"])


def status_after_onboarding(connection: Connection) -> PartnerStatus:
    """Where a partner that is taken in now begins."""
    return PartnerStatus.REHEARSING if conformance_rule(connection)[1] else PartnerStatus.ACTIVE
