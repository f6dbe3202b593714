"""What two operators decide about money beside traffic: an adjustment between two parties, or the end of a debt nobody will pay.

Both become lines of the next window that is cut off, so that windows go on summing to zero.
"""

from sqlalchemy import Connection, select

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import Document
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import AMOUNT_MAX, Adjustment, AdjustmentKind, PaymentEvent
from gateway.domain.units import is_currency
from gateway.domain.window import WindowState
from gateway.governance import Hand, Ruling, Rulings, propose
from gateway.storage.payments import Payable, Payment, keep_payment, load_payable, load_payments, settle
from gateway.storage.rules import insert_adjustments
from gateway.storage.tables_directory import partners
from gateway.storage.windows import load_window, lock_all_heads

REASON_MAX = 300


def propose_adjustment(
    connection: Connection, *, payer_id: str, payee_id: str, amount: int, currency: str, reason: str, hand: Hand, now_ms: int
) -> Decision:
    """Proposes that one party owes another an amount in minor units: two partners, or a partner and the operator.

    Raises InvalidValue; DecisionRefused with UNKNOWN_PARTNER, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH.
    """
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidValue(f"amount {amount}: must lie within 1 and {AMOUNT_MAX} minor units")
    if not is_currency(currency):
        raise InvalidValue(f"currency {currency!r}: must be an ISO 4217 code such as EUR")
    if payer_id == payee_id:
        raise InvalidValue(f"{payer_id} cannot owe itself")
    document: dict[str, Plain] = {
        "payer_id": payer_id,
        "payee_id": payee_id,
        "amount": amount,
        "currency": currency,
        "reason": check_reason(reason),
    }
    return propose(connection, _RULINGS, DecisionKind.ADJUSTMENT, document, hand=hand, now_ms=now_ms)


def propose_write_off(connection: Connection, instruction_id: str, *, reason: str, hand: Hand, now_ms: int) -> Decision:
    """Proposes that what is left of an instruction will not be paid: the operator owes its creditor instead.

    Raises InvalidValue; DecisionRefused with UNKNOWN_INSTRUCTION, NOT_POSSIBLE, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH.
    """
    payable = _payable(connection, instruction_id)
    document: dict[str, Plain] = {
        "instruction_id": instruction_id,
        "debtor_id": payable.debtor_id,
        "creditor_id": payable.creditor_id,
        "amount": payable.outstanding,
        "currency": payable.currency,
        "reason": check_reason(reason),
    }
    return propose(connection, _RULINGS, DecisionKind.WRITE_OFF, document, hand=hand, now_ms=now_ms)


def check_reason(reason: str) -> str:
    """Returns the reason; raises InvalidValue unless it says something, on one line."""
    if not (0 < len(reason.strip()) <= len(reason) <= REASON_MAX and reason.isprintable()):
        raise InvalidValue(f"reason: must be 1 to {REASON_MAX} printable characters")
    return reason


def _payable(connection: Connection, instruction_id: str) -> Payable:
    payable = load_payable(connection, instruction_id)
    if payable is None:
        raise DecisionRefused(
            "UNKNOWN_INSTRUCTION", f"there is no instruction {instruction_id}: see 'tallystick settlement show'"
        )
    return payable


def _stale_adjustment(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    parties = {document["payer_id"], document["payee_id"]} - {OPERATOR}
    known = set(connection.execute(select(partners.c.partner_id).where(partners.c.partner_id.in_(sorted(parties)))).scalars())
    if parties - known:
        raise DecisionRefused("UNKNOWN_PARTNER", f"{min(parties - known)} is no partner: see 'tallystick partners list'")
    return None


def _apply_adjustment(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    made = Adjustment(
        adjustment_id=decision_id,
        kind=AdjustmentKind.ADJUSTMENT,
        payer_id=document["payer_id"],
        payee_id=document["payee_id"],
        currency=document["currency"],
        amount=document["amount"],
        reason=document["reason"],
        decision_id=decision_id,
    )
    insert_adjustments(connection, [made])


def _stale_write_off(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    lock_all_heads(connection)  # whoever records a payment of it takes turns with this
    payable = _payable(connection, document["instruction_id"])
    window = load_window(connection, payable.window_id)
    if window is None or window.state is not WindowState.CONFIRMED:
        raise DecisionRefused("NOT_POSSIBLE", f"window {payable.window_id} is not CONFIRMED: nobody owes its payments yet")
    if payable.debtor_id == OPERATOR or payable.outstanding == 0:
        what = "the operator owes it" if payable.outstanding else f"it is {payable.status}"
        raise DecisionRefused("NOT_POSSIBLE", f"instruction {payable.instruction_id} cannot be written off: {what}")
    if payable.outstanding != document["amount"]:
        return f"{payable.instruction_id} was paid in part since: propose it anew"
    return None


def _apply_write_off(connection: Connection, document: Document, decision_id: str, at_ms: int) -> None:
    instruction_id, amount = document["instruction_id"], document["amount"]
    number = len(load_payments(connection, instruction_id)) + 1
    ended = Payment(instruction_id, number, PaymentEvent.WRITTEN_OFF, amount, "", document["reason"], at_ms, decision_id)
    keep_payment(connection, ended)
    if document["creditor_id"] != OPERATOR:
        borne = Adjustment(
            adjustment_id=decision_id,
            kind=AdjustmentKind.WRITE_OFF,
            payer_id=OPERATOR,
            payee_id=document["creditor_id"],
            currency=document["currency"],
            amount=amount,
            reason=document["reason"],
            decision_id=decision_id,
        )
        insert_adjustments(connection, [borne])
    settle(connection, at_ms=at_ms)


ADJUSTMENT_RULING = Ruling(_stale_adjustment, _apply_adjustment)
WRITE_OFF_RULING = Ruling(_stale_write_off, _apply_write_off)
_RULINGS: Rulings = {DecisionKind.ADJUSTMENT: ADJUSTMENT_RULING, DecisionKind.WRITE_OFF: WRITE_OFF_RULING}
