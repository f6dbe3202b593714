"""How operators decide: a signed proposal, a signed approval by another one, and only then the change.

What a decision of a kind builds on, and what it changes, is its maker's affair (`Ruling`). Raises DecisionRefused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.domain.canonical import Plain, canonical
from gateway.domain.decision import (
    NEEDS_APPROVAL,
    Decision,
    DecisionKind,
    DecisionState,
    Mark,
    Operator,
    approval_string,
    decision_id,
    proposal_string,
    verify_decision,
)
from gateway.domain.documents import Document, read_document
from gateway.domain.errors import DecisionRefused, SignatureError
from gateway.domain.signing import PrivateKey
from gateway.storage.decisions import insert_decision, latest_mark_ms, load_decision, mark_applied, mark_stale
from gateway.storage.directory import bump_directory_version, load_network, load_operators


@dataclass(frozen=True, slots=True)
class Hand:
    """An operator at work: who, and the key that the operator signs with."""

    operator_id: str
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Ruling:
    """What decisions of one kind do.

    `stale_because(connection, document, decision_id, at_ms)` says why the document no longer fits what is in force; None
    if it does. It may raise DecisionRefused. `apply(connection, document, decision_id, at_ms)` makes the change; the decision
    is kept by then, with its signatures.
    """

    stale_because: Callable[[Connection, Document, str, int], str | None]
    apply: Callable[[Connection, Document, str, int], None]


Rulings = Mapping[DecisionKind, Ruling]


def propose(
    connection: Connection, rulings: Rulings, kind: DecisionKind, document: Mapping[str, Plain], *, hand: Hand, now_ms: int
) -> Decision:
    """Signs and keeps a proposal; a kind that takes one signature is applied in the same transaction.

    Raises DecisionRefused with UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH, APPROVAL_STALE, or what the ruling says.
    """
    _known(load_operators(connection), hand)
    return _keep(connection, rulings, kind, document, hand=hand, now_ms=now_ms, is_final=kind not in NEEDS_APPROVAL)


def propose_founder(
    connection: Connection, rulings: Rulings, document: Mapping[str, Plain], *, hand: Hand, now_ms: int
) -> Decision:
    """Adds one of the first two operators, signed by that operator alone."""
    return _keep(connection, rulings, DecisionKind.ADD_OPERATOR, document, hand=hand, now_ms=now_ms, is_final=True)


def approve(connection: Connection, rulings: Rulings, wanted_id: str, *, hand: Hand, now_ms: int) -> Decision:
    """Signs an approval and applies the decision, or marks it stale; the answer's state says which. Safe to repeat.

    Raises DecisionRefused with UNKNOWN_DECISION, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH, DUAL_CONTROL_REQUIRED,
    DECISION_TAMPERED, or what the ruling says.
    """
    decision = load_decision(connection, wanted_id)
    if decision is None:
        raise DecisionRefused("UNKNOWN_DECISION", f"there is no decision {wanted_id}: see 'tallystick operators proposals'")
    if decision.state is not DecisionState.PROPOSED:
        return decision
    operators = load_operators(connection)
    audience = load_network(connection).audience
    _check_other_hand(operators.get(decision.proposal.operator_id), decision, hand)
    _known(operators, hand)
    try:
        verify_decision(decision, audience=audience, operators=operators, is_founding=False)
    except SignatureError as error:
        raise DecisionRefused("DECISION_TAMPERED", f"{wanted_id}: {error.cause}; run 'tallystick audit'") from None
    document = read_document(decision.document)
    at_ms = _next_mark_ms(connection, now_ms)
    ruling = rulings[decision.kind]
    if ruling.stale_because(connection, document, wanted_id, at_ms) is not None:
        mark_stale(connection, [wanted_id])
        return _with(decision, DecisionState.STALE, None)
    message = approval_string(audience=audience, decision=decision, operator_id=hand.operator_id, at_ms=at_ms)
    approval = Mark(hand.operator_id, at_ms, hand.key.sign(message))
    # From here on it must succeed.
    mark_applied(connection, wanted_id, approval)
    ruling.apply(connection, document, wanted_id, at_ms)
    bump_directory_version(connection)
    return _with(decision, DecisionState.APPLIED, approval)


def _keep(
    connection: Connection,
    rulings: Rulings,
    kind: DecisionKind,
    document: Mapping[str, Plain],
    *,
    hand: Hand,
    now_ms: int,
    is_final: bool,
) -> Decision:
    content = canonical(document)
    at_ms = _next_mark_ms(connection, now_ms)
    message = proposal_string(
        audience=load_network(connection).audience, kind=kind, document=content, operator_id=hand.operator_id, at_ms=at_ms
    )
    decision = Decision(
        decision_id=decision_id(kind, content, at_ms),
        kind=kind,
        document=content,
        state=DecisionState.APPLIED if is_final else DecisionState.PROPOSED,
        proposal=Mark(hand.operator_id, at_ms, hand.key.sign(message)),
        approval=None,
    )
    ruling = rulings[kind]
    reason = ruling.stale_because(connection, document, decision.decision_id, at_ms)
    if reason is not None:
        raise DecisionRefused("APPROVAL_STALE", reason)
    # From here on it must succeed.
    insert_decision(connection, decision)
    if is_final:
        ruling.apply(connection, document, decision.decision_id, at_ms)
        bump_directory_version(connection)
    return decision


def _check_other_hand(proposer: Operator | None, decision: Decision, hand: Hand) -> None:
    if decision.proposal.operator_id == hand.operator_id or (proposer and proposer.public_key == hand.key.public_bytes()):
        raise DecisionRefused(
            "DUAL_CONTROL_REQUIRED",
            f"{decision.proposal.operator_id} proposed {decision.decision_id}; another operator approves, with another key",
        )


def _known(operators: Mapping[str, Operator], hand: Hand) -> Operator:
    operator = operators.get(hand.operator_id)
    if operator is None:
        raise DecisionRefused("UNKNOWN_OPERATOR", f"{hand.operator_id} is no operator: see 'tallystick operators list'")
    if (operator.algorithm, operator.public_key) != (hand.key.algorithm, hand.key.public_bytes()):
        raise DecisionRefused("OPERATOR_KEY_MISMATCH", f"the key is not the one that {hand.operator_id} was added with")
    return operator


def _next_mark_ms(connection: Connection, now_ms: int) -> int:
    """Strictly increasing, so that the order in which decisions were applied can be told from them alone."""
    return max(now_ms, latest_mark_ms(connection) + 1)


def _with(decision: Decision, state: DecisionState, approval: Mark | None) -> Decision:
    return Decision(decision.decision_id, decision.kind, decision.document, state, decision.proposal, approval)
