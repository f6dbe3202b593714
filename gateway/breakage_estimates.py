"""Breakage estimates as operators decide them: the signed decisions are all there is of them.

An estimate may hold from a past date: then reports of that past see it from when it was entered. It changes no entry and
no obligation.
"""

from sqlalchemy import Connection

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind, DecisionState
from gateway.domain.documents import Document, applied_at_ms, base_of, estimate_of, estimate_plain, read_document
from gateway.domain.errors import InvalidValue
from gateway.domain.estimate import BreakageEstimate, EnteredEstimate, checked_estimate, in_order
from gateway.domain.partner import PartnerRole
from gateway.governance import Hand, Ruling, propose
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_terms

Estimates = dict[str, tuple[EnteredEstimate, ...]]
"""By issuer, in the order of the dates from which they hold."""


def load_estimates(connection: Connection, *, entered_before_ms: int | None = None) -> Estimates:
    """All estimates that two operators have signed; those that were known before an instant, if one is named."""
    found: dict[str, list[EnteredEstimate]] = {}
    for decision in load_decisions(connection, state=DecisionState.APPLIED):
        if decision.kind is DecisionKind.BREAKAGE_ESTIMATE:
            entered = _entered(decision)
            if entered_before_ms is None or entered.entered_at_ms < entered_before_ms:
                found.setdefault(entered.estimate.partner_id, []).append(entered)
    return {partner_id: in_order(found[partner_id]) for partner_id in sorted(found)}


def propose_estimate(connection: Connection, estimate: BreakageEstimate, *, hand: Hand, now_ms: int) -> Decision:
    """Proposes an issuer's next estimate. Raises InvalidValue or DecisionRefused."""
    checked_estimate(estimate)
    partner = load_terms(connection).partners.get(estimate.partner_id)
    if partner is None or PartnerRole.ISSUER not in partner.roles:
        raise InvalidValue(f"{estimate.partner_id}: no partner that issues points")
    document: dict[str, Plain] = {
        "base": _last_decision(connection, estimate.partner_id),
        "estimate": estimate_plain(estimate),
    }
    rulings = {DecisionKind.BREAKAGE_ESTIMATE: BREAKAGE_ESTIMATE_RULING}
    return propose(connection, rulings, DecisionKind.BREAKAGE_ESTIMATE, document, hand=hand, now_ms=now_ms)


def _entered(decision: Decision) -> EnteredEstimate:
    return EnteredEstimate(
        estimate=estimate_of(read_document(decision.document)["estimate"]),
        decision_id=decision.decision_id,
        proposed_by=decision.proposal.operator_id,
        approved_by=decision.approval.operator_id if decision.approval else "",
        entered_at_ms=applied_at_ms(decision),
    )


def _last_decision(connection: Connection, partner_id: str) -> str:
    """Which estimate of the issuer was entered last; empty if there is none."""
    known = load_estimates(connection).get(partner_id, ())
    return max(known, key=lambda one: one.entered_at_ms).decision_id if known else ""


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    partner_id = estimate_of(document["estimate"]).partner_id
    if base_of(document) != _last_decision(connection, partner_id):
        return f"another estimate for {partner_id} was entered since: propose it anew"
    return None


def _apply(_connection: Connection, _document: Document, _decision_id: str, _at_ms: int) -> None:
    """Nothing changes but what reports say from now on: the decision itself is the estimate."""


BREAKAGE_ESTIMATE_RULING = Ruling(_stale_because, _apply)
