"""How two operators end a dispute: the entry stands, its amount is corrected, or the network bears it.

What was published stays. What an end makes somebody owe becomes a line of the next window that is cut off.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from gateway.adjusting import check_reason
from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.dispute import LIVE, Dispute, DisputeState, check_correction, owed_at_end
from gateway.domain.documents import Document
from gateway.domain.errors import BooksBroken, DecisionRefused, InvalidValue
from gateway.domain.settlement import Adjustment, AdjustmentKind
from gateway.governance import Hand, Ruling, Rulings, propose
from gateway.storage.decisions import load_decision
from gateway.storage.disputed_events import amount_left
from gateway.storage.disputes import load_dispute, move_dispute
from gateway.storage.rules import insert_adjustments

ENDS = {"uphold": DisputeState.UPHELD, "correct": DisputeState.CORRECTED, "write-off": DisputeState.WRITTEN_OFF}
"""What operators can decide, by the word for it."""


def propose_end(
    connection: Connection, dispute_id: str, *, end: str, amount: int, reason: str, hand: Hand, now_ms: int
) -> Decision:
    """Proposes how a dispute ends. `amount`: of a correction, what goes back, in minor units; else 0.

    A write-off gives back all that was not restored meanwhile. Where points are restored before the approval, it is stale.

    Raises InvalidValue; DecisionRefused with UNKNOWN_DISPUTE, NOT_POSSIBLE, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH.
    """
    if end not in ENDS:
        raise InvalidValue(f"end {end!r}: must be one of {', '.join(ENDS)}")
    if end != "correct" and amount:
        raise InvalidValue("an amount belongs to a correction, and to nothing else")
    dispute = _live(connection, dispute_id)
    most = amount_left(connection, dispute)
    if end == "correct":
        check_correction(amount, most=most)
    back = {"uphold": 0, "correct": amount, "write-off": most}[end]
    document: dict[str, Plain] = {
        "dispute_id": dispute_id,
        "state": ENDS[end].value,
        "amount": back,
        "currency": dispute.currency,
        "window_id": dispute.window_id,
        "opener_id": dispute.opener_id,
        "payer_id": dispute.payer_id,
        "payee_id": dispute.payee_id,
        "reason": check_reason(reason),
    }
    return propose(connection, _RULINGS, DecisionKind.END_DISPUTE, document, hand=hand, now_ms=now_ms)


def adjustments_of(dispute: Dispute, state: DisputeState, *, amount: int, decision_id: str, note: str) -> Sequence[Adjustment]:
    """The lines that the end of a dispute makes; their ids begin with the dispute's. Made twice, they are the same.

    `amount`: what its last step says goes back.
    """
    owed = owed_at_end(dispute, state, amount)
    return [
        Adjustment(
            adjustment_id=f"{dispute.dispute_id}-{number}",
            kind=AdjustmentKind.WRITE_OFF if one.is_loss else AdjustmentKind.ADJUSTMENT,
            payer_id=one.payer_id,
            payee_id=one.payee_id,
            currency=dispute.currency,
            amount=one.amount,
            reason=note or f"dispute {dispute.dispute_id}: {state.value}",
            decision_id=decision_id,
        )
        for number, one in enumerate(owed, 1)
    ]


def _live(connection: Connection, dispute_id: str) -> Dispute:
    dispute = load_dispute(connection, dispute_id, for_update=True)
    if dispute is None:
        raise DecisionRefused("UNKNOWN_DISPUTE", f"there is no dispute {dispute_id}: see 'tallystick settlement disputes list'")
    if dispute.state not in LIVE:
        raise DecisionRefused("NOT_POSSIBLE", f"dispute {dispute_id} is {dispute.state}: it has ended")
    return dispute


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    dispute = _live(connection, document["dispute_id"])
    state, amount = DisputeState(document["state"]), int(document["amount"])
    most = amount_left(connection, dispute)
    if amount > most or (state is DisputeState.WRITTEN_OFF and amount != most):
        return f"points of dispute {dispute.dispute_id} were restored since: of {amount} minor units {most} can still go back"
    return None


def _apply(connection: Connection, document: Document, decision_id: str, at_ms: int) -> None:
    decision = load_decision(connection, decision_id)
    if decision is None or decision.approval is None:
        raise BooksBroken(f"decision {decision_id} ends a dispute and is not signed by two")
    dispute = _live(connection, document["dispute_id"])
    state, amount, note = DisputeState(document["state"]), int(document["amount"]), str(document["reason"])
    made_by = f"{decision.proposal.operator_id}, {decision.approval.operator_id}"
    move_dispute(connection, dispute, state, at_ms=at_ms, made_by=made_by, note=note, amount=amount, decision_id=decision_id)
    insert_adjustments(connection, adjustments_of(dispute, state, amount=amount, decision_id=decision_id, note=note))


END_DISPUTE_RULING = Ruling(_stale_because, _apply)
_RULINGS: Rulings = {DecisionKind.END_DISPUTE: END_DISPUTE_RULING}
