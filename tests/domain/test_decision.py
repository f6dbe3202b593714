"""Decisions of operators: who must sign what, and what shows when it was changed by hand."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.domain.decision import (
    NEEDS_APPROVAL,
    Decision,
    DecisionKind,
    DecisionState,
    Mark,
    Operator,
    approval_string,
    check_two_hands,
    decision_id,
    proposal_string,
    verify_decision,
)
from gateway.domain.errors import SignatureError
from gateway.domain.signing import PrivateKey

AUDIENCE = "coalition.example:test"
DOCUMENT = b'{"base":"","rate_card":{"version":2}}'
SECRETS = {
    "ann": PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))),
    "bob": PrivateKey(ec.derive_private_key(2, ec.SECP256R1())),
    "eve": PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([3] * 32))),
}


def _operator(operator_id: str, secret: PrivateKey) -> Operator:
    return Operator(
        operator_id=operator_id,
        name=operator_id.title(),
        algorithm=secret.algorithm,
        public_key=secret.public_bytes(),
        added_at_ms=0,
        decision_id="d0",
    )


OPERATORS = {name: _operator(name, SECRETS[name]) for name in ("ann", "bob")}


def _proposed(kind: DecisionKind = DecisionKind.RATE_CARD, by: str = "ann", document: bytes = DOCUMENT) -> Decision:
    message = proposal_string(audience=AUDIENCE, kind=kind, document=document, operator_id=by, at_ms=1_000)
    return Decision(
        decision_id=decision_id(kind, document, 1_000),
        kind=kind,
        document=document,
        state=DecisionState.PROPOSED,
        proposal=Mark(by, 1_000, SECRETS[by].sign(message)),
        approval=None,
    )


def _approved(decision: Decision, by: str = "bob", *, as_operator: str = "") -> Decision:
    operator_id = as_operator or by
    message = approval_string(audience=AUDIENCE, decision=decision, operator_id=operator_id, at_ms=2_000)
    return replace(decision, state=DecisionState.APPLIED, approval=Mark(operator_id, 2_000, SECRETS[by].sign(message)))


def _verify(decision: Decision, operators: dict[str, Operator] | None = None, *, is_founding: bool = False) -> None:
    verify_decision(decision, audience=AUDIENCE, operators=operators or OPERATORS, is_founding=is_founding)


def test_a_decision_that_two_operators_signed_holds() -> None:
    """Each with a key of its own, of either algorithm."""
    _verify(_approved(_proposed()))


def test_a_proposal_alone_holds_as_a_proposal() -> None:
    """Nothing is applied by it."""
    _verify(_proposed())


@pytest.mark.parametrize("kind", sorted(NEEDS_APPROVAL))
def test_what_costs_money_is_not_applied_without_an_approval(kind: DecisionKind) -> None:
    """Whatever the state in the database says."""
    with pytest.raises(SignatureError, match="without an approval"):
        _verify(replace(_proposed(kind), state=DecisionState.APPLIED))


@pytest.mark.parametrize("kind", sorted(set(DecisionKind) - NEEDS_APPROVAL))
def test_what_protects_is_applied_with_one_signature(kind: DecisionKind) -> None:
    """A stolen key must be revoked at night, by whoever is awake."""
    _verify(replace(_proposed(kind), state=DecisionState.APPLIED))


def test_the_proposer_cannot_approve() -> None:
    """Two hands, not one twice."""
    with pytest.raises(SignatureError, match="two operators are needed"):
        _verify(_approved(_proposed(by="ann"), by="ann"))


def test_one_key_under_two_operator_ids_is_one_hand() -> None:
    """An operator entered twice stays one person."""
    operators = {**OPERATORS, "ann2": _operator("ann2", SECRETS["ann"])}

    with pytest.raises(SignatureError, match="two operators are needed"):
        _verify(_approved(_proposed(by="ann"), by="ann", as_operator="ann2"), operators)


def test_an_approver_who_is_no_operator_counts_for_nothing() -> None:
    """However good the signature."""
    with pytest.raises(SignatureError, match="no operator"):
        _verify(_approved(_proposed(), by="eve"))


def test_a_proposer_who_is_no_operator_counts_for_nothing() -> None:
    """Also for a kind that takes one signature."""
    with pytest.raises(SignatureError, match="no operator"):
        _verify(_proposed(DecisionKind.SUSPEND_PARTNER, by="eve"))


def test_an_approver_changed_by_hand_shows() -> None:
    """The signature is not that operator's."""
    operators = {**OPERATORS, "eve": _operator("eve", SECRETS["eve"])}
    decision = _approved(_proposed())
    assert decision.approval is not None

    with pytest.raises(SignatureError, match="does not match"):
        _verify(replace(decision, approval=replace(decision.approval, operator_id="eve")), operators)


def test_a_document_changed_by_hand_shows() -> None:
    """The id is of another content already; with a new id the signatures fail."""
    decision = _approved(_proposed())
    document = DOCUMENT.replace(b"2", b"3")

    with pytest.raises(SignatureError, match="not the id"):
        _verify(replace(decision, document=document))
    with pytest.raises(SignatureError, match="does not match"):
        _verify(replace(decision, document=document, decision_id=decision_id(decision.kind, document, 1_000)))


def test_an_id_changed_by_hand_shows() -> None:
    """Also under a kind that nobody approves, where no signature is over the id."""
    decision = replace(_proposed(DecisionKind.REVOKE_KEY), state=DecisionState.APPLIED)

    with pytest.raises(SignatureError, match="not the id"):
        _verify(replace(decision, decision_id="d" + "0" * 16))


def test_a_kind_changed_by_hand_shows() -> None:
    """A proposal to revoke is none to add."""
    changed = replace(_proposed(DecisionKind.REVOKE_KEY), kind=DecisionKind.RETIRE_KEY)

    with pytest.raises(SignatureError, match="does not match"):
        _verify(replace(changed, decision_id=decision_id(changed.kind, changed.document, 1_000)))


@pytest.mark.parametrize("mark", ["proposal", "approval"])
def test_a_time_changed_by_hand_shows(mark: str) -> None:
    """What was decided when is part of what was signed."""
    decision = _approved(_proposed())
    if mark == "proposal":
        moved = replace(decision, proposal=replace(decision.proposal, at_ms=1_001))
        moved = replace(moved, decision_id=decision_id(moved.kind, moved.document, 1_001))
    else:
        assert decision.approval is not None
        moved = replace(decision, approval=replace(decision.approval, at_ms=2_001))

    with pytest.raises(SignatureError, match="does not match"):
        _verify(moved)


def test_an_approval_of_one_proposal_is_none_of_another() -> None:
    """Of the same document, proposed again later."""
    first = _approved(_proposed())
    message = proposal_string(audience=AUDIENCE, kind=first.kind, document=DOCUMENT, operator_id="ann", at_ms=5_000)
    again = replace(
        first,
        decision_id=decision_id(first.kind, DOCUMENT, 5_000),
        proposal=Mark("ann", 5_000, SECRETS["ann"].sign(message)),
    )

    with pytest.raises(SignatureError, match="does not match"):
        _verify(again)


def test_a_decision_of_another_network_does_not_hold() -> None:
    """The audience is part of what was signed."""
    with pytest.raises(SignatureError, match="does not match"):
        verify_decision(_approved(_proposed()), audience="coalition.example:prod", operators=OPERATORS, is_founding=False)


def test_a_proposal_signature_is_no_approval() -> None:
    """The purposes differ."""
    decision = _proposed(by="ann")
    message = proposal_string(audience=AUDIENCE, kind=decision.kind, document=DOCUMENT, operator_id="bob", at_ms=2_000)
    approval = Mark("bob", 2_000, SECRETS["bob"].sign(message))

    with pytest.raises(SignatureError, match="does not match"):
        _verify(replace(decision, state=DecisionState.APPLIED, approval=approval))


def test_a_founding_operator_needs_no_approval_but_a_signature() -> None:
    """There is nobody yet to approve the first two."""
    founding = replace(_proposed(DecisionKind.ADD_OPERATOR), state=DecisionState.APPLIED)
    _verify(founding, is_founding=True)

    with pytest.raises(SignatureError, match="does not match"):
        _verify(replace(founding, proposal=replace(founding.proposal, signature=bytes([1] * 64))), is_founding=True)


def test_two_hands_are_two_operators_with_two_keys() -> None:
    """And the approver must exist."""
    check_two_hands(OPERATORS["ann"], OPERATORS["bob"])

    with pytest.raises(SignatureError, match="no operator"):
        check_two_hands(OPERATORS["ann"], None)


def test_a_decision_id_never_changes() -> None:
    """People quote it."""
    assert decision_id(DecisionKind.RATE_CARD, DOCUMENT, 1_000) == "dc0efb8d9166d5024"
