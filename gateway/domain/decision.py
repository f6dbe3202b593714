"""Decisions of operators: signed proposals, signed approvals, and which kinds need two of them."""

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.errors import SignatureError
from gateway.domain.signing import Algorithm, load_verifier, signed_string


class DecisionKind(enum.StrEnum):
    """What operators decide."""

    ADD_OPERATOR = "add-operator"
    ONBOARD_PARTNER = "onboard-partner"
    SUSPEND_PARTNER = "suspend-partner"
    RESUME_PARTNER = "resume-partner"
    CLOSE_PARTNER = "close-partner"
    ACTIVATE_PARTNER = "activate-partner"
    ADD_KEY = "add-key"
    RETIRE_KEY = "retire-key"
    REVOKE_KEY = "revoke-key"
    RATE_CARD = "rate-card"
    NET_DEBIT_CAP = "net-debit-cap"
    NETWORK_TERMS = "network-terms"
    PARTNER_LIMITS = "partner-limits"
    OFFER = "offer"
    RECEIPT_KEY = "receipt-key"
    RELEASE_TERMINAL = "release-terminal"
    CONFORMANCE_RULE = "conformance-rule"
    BREAKAGE_ESTIMATE = "breakage-estimate"
    SETTLEMENT_RULES = "settlement-rules"
    CONFIRM_WINDOW = "confirm-window"
    ADJUSTMENT = "adjustment"
    WRITE_OFF = "write-off"
    BANK_DETAILS = "bank-details"
    END_DISPUTE = "end-dispute"


# What can cost somebody money or cannot be undone takes two; what protects, and can be undone, takes one.
NEEDS_APPROVAL = frozenset(
    {
        DecisionKind.ADD_OPERATOR,
        DecisionKind.ONBOARD_PARTNER,
        DecisionKind.CLOSE_PARTNER,
        DecisionKind.ACTIVATE_PARTNER,
        DecisionKind.RATE_CARD,
        DecisionKind.NET_DEBIT_CAP,
        DecisionKind.NETWORK_TERMS,
        DecisionKind.PARTNER_LIMITS,
        DecisionKind.OFFER,
        DecisionKind.RECEIPT_KEY,
        DecisionKind.CONFORMANCE_RULE,
        DecisionKind.BREAKAGE_ESTIMATE,
        DecisionKind.SETTLEMENT_RULES,
        DecisionKind.CONFIRM_WINDOW,
        DecisionKind.ADJUSTMENT,
        DecisionKind.WRITE_OFF,
        DecisionKind.BANK_DETAILS,
        DecisionKind.END_DISPUTE,
    }
)


class DecisionState(enum.StrEnum):
    """Proposed, then applied in the transaction of its approval; or stale, since the terms it was written for moved on."""

    PROPOSED = "PROPOSED"
    APPLIED = "APPLIED"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who runs the network. The first two are named when it is created; later ones take two to add."""

    operator_id: str
    name: str
    algorithm: Algorithm
    public_key: bytes
    added_at_ms: int
    decision_id: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An operator's signature under a document, and when it was made (unix milliseconds)."""

    operator_id: str
    at_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """A document, as canonical JSON, and who stands for it."""

    decision_id: str
    kind: DecisionKind
    document: bytes
    state: DecisionState
    proposal: Mark
    approval: Mark | None


def decision_id(kind: DecisionKind, document: bytes, proposed_at_ms: int) -> str:
    """Derived from the content, short enough to read out."""
    return "d" + hashlib.sha256(b"\n".join((kind.encode(), document, str(proposed_at_ms).encode()))).hexdigest()[:16]


def proposal_string(*, audience: str, kind: DecisionKind, document: bytes, operator_id: str, at_ms: int) -> bytes:
    """What the proposer signs."""
    digest = hashlib.sha256(document).hexdigest()
    return signed_string("TS1-PROPOSAL", audience, operator_id, kind.value, str(at_ms), digest)


def approval_string(*, audience: str, decision: Decision, operator_id: str, at_ms: int) -> bytes:
    """What the approver signs: the document and the proposal, by hash and id."""
    digest = hashlib.sha256(decision.document).hexdigest()
    return signed_string("TS1-APPROVAL", audience, operator_id, decision.kind.value, str(at_ms), digest, decision.decision_id)


def verify_decision(decision: Decision, *, audience: str, operators: Mapping[str, Operator], is_founding: bool) -> None:
    """Raises SignatureError unless the signatures hold and are as many as an applied decision of its kind needs.

    `is_founding`: the decision adds one of the first two operators, who have nobody to approve them.
    """
    if decision.decision_id != decision_id(decision.kind, decision.document, decision.proposal.at_ms):
        raise SignatureError(f"{decision.decision_id} is not the id of its content")
    _verify_mark(
        decision.proposal,
        operators,
        proposal_string(
            audience=audience,
            kind=decision.kind,
            document=decision.document,
            operator_id=decision.proposal.operator_id,
            at_ms=decision.proposal.at_ms,
        ),
    )
    if decision.state is not DecisionState.APPLIED or is_founding:
        return
    if decision.approval is None:
        if decision.kind in NEEDS_APPROVAL:
            raise SignatureError(f"{decision.decision_id} was applied without an approval")
        return
    check_two_hands(operators[decision.proposal.operator_id], operators.get(decision.approval.operator_id))
    _verify_mark(
        decision.approval,
        operators,
        approval_string(
            audience=audience, decision=decision, operator_id=decision.approval.operator_id, at_ms=decision.approval.at_ms
        ),
    )


def check_two_hands(proposer: Operator, approver: Operator | None) -> None:
    """Raises SignatureError unless the approver is another operator with another key."""
    if approver is None:
        raise SignatureError("the approver is no operator")
    if approver.operator_id == proposer.operator_id or approver.public_key == proposer.public_key:
        raise SignatureError("proposed and approved with the same key: two operators are needed")


def _verify_mark(mark: Mark, operators: Mapping[str, Operator], message: bytes) -> None:
    operator = operators.get(mark.operator_id)
    if operator is None:
        raise SignatureError(f"{mark.operator_id} is no operator")
    load_verifier(operator.algorithm, operator.public_key)(mark.signature, message)
