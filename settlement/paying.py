"""What the finance team records of instructions: paid, in part or whole, failed, or left for a later payment run.

Two who record at the same time take turns: each takes the locks that settling needs before it reads what is left.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from gateway.adjusting import check_reason
from gateway.domain.bank_days import payment_date
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import Adjustment, AdjustmentKind, CarryReason, PaymentEvent
from gateway.domain.terms import date_at
from gateway.domain.units import format_amount
from gateway.domain.window import WindowState
from gateway.storage.directory import load_network
from gateway.storage.payments import (
    Payable,
    Payment,
    insert_carry,
    keep_payment,
    load_payable,
    load_payments,
    run_windows,
    settle,
)
from gateway.storage.rules import adjustment_exists, insert_adjustments, load_rules
from gateway.storage.windows import load_window, lock_all_heads

BANK_REF_MAX = 64


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where an instruction stands, and which windows became SETTLED by what was recorded."""

    payable: Payable
    settled: tuple[int, ...]


def record_paid(
    connection: Connection, instruction_id: str, *, bank_ref: str, amount: int | None, value_date: date | None = None, now_ms: int
) -> Recorded:
    """Money has moved: `amount` minor units, or all that is left. The same bank reference again changes nothing.

    `value_date`: on which the bank booked it, by which it is late or not; today where it is not said. Raises InvalidValue:
    unknown, not confirmed, more than is left, the reference stands for another amount, or a value date that is yet to come.
    """
    if not (0 < len(bank_ref) <= BANK_REF_MAX and bank_ref.isprintable()):
        raise InvalidValue(f"bank reference: must be 1 to {BANK_REF_MAX} printable characters")
    lock_all_heads(connection)
    payable = _payable(connection, instruction_id)
    events = load_payments(connection, instruction_id)
    same = next((one for one in events if one.event is PaymentEvent.PAID and one.bank_ref == bank_ref), None)
    if same is not None:
        if amount not in (None, same.amount):
            raise InvalidValue(
                f"{bank_ref} stands for {_money(same.amount, payable)} already: another payment has another reference"
            )
        return Recorded(payable, ())
    _check_open(connection, payable)
    paid = payable.outstanding if amount is None else amount
    if not 0 < paid <= payable.outstanding:
        raise InvalidValue(f"{_money(paid, payable)}: {_money(payable.outstanding, payable)} are left of {instruction_id}")
    today = date_at(now_ms, load_network(connection).time_zone)
    booked_on = value_date or today
    if booked_on > today:
        raise InvalidValue(f"value date {booked_on}: it is {today}, and money that is yet to move was not paid")
    number, on = len(events) + 1, booked_on.isoformat()
    keep_payment(connection, Payment(instruction_id, number, PaymentEvent.PAID, paid, bank_ref, "", now_ms, "", on))
    if _is_late(connection, payable, booked_on):
        _charge_late_fee(connection, payable)
    return _recorded(connection, instruction_id, now_ms)


def record_failed(connection: Connection, instruction_id: str, *, reason: str, now_ms: int) -> Recorded:
    """The bank did not pay. The debtor keeps its exposure and owes the late fee, once; nobody else is touched.

    Raises InvalidValue: unknown, not confirmed, or nothing is left to be paid.
    """
    lock_all_heads(connection)
    payable = _payable(connection, instruction_id)
    _check_open(connection, payable)
    events = load_payments(connection, instruction_id)
    if events and events[-1].event is PaymentEvent.FAILED and events[-1].reason == check_reason(reason):
        return Recorded(payable, ())
    failed = Payment(instruction_id, len(events) + 1, PaymentEvent.FAILED, 0, "", check_reason(reason), now_ms, "")
    keep_payment(connection, failed)
    _charge_late_fee(connection, payable)
    return _recorded(connection, instruction_id, now_ms)


def carry_on(connection: Connection, instruction_id: str, *, reason: str, now_ms: int) -> Recorded:
    """What is left goes to the next payment run, which instructs it anew; it stays in the debtor's exposure.

    Raises InvalidValue: unknown, not confirmed, or nothing is left to be paid.
    """
    lock_all_heads(connection)
    payable = _payable(connection, instruction_id)
    if payable.status == PaymentEvent.CARRIED.value:
        return Recorded(payable, ())
    _check_open(connection, payable)
    number = len(load_payments(connection, instruction_id)) + 1
    insert_carry(connection, payable, reason=CarryReason.DEFAULT.value)
    left = payable.outstanding
    keep_payment(connection, Payment(instruction_id, number, PaymentEvent.CARRIED, left, "", check_reason(reason), now_ms, ""))
    return _recorded(connection, instruction_id, now_ms)


def _payable(connection: Connection, instruction_id: str) -> Payable:
    payable = load_payable(connection, instruction_id)
    if payable is None:
        raise InvalidValue(f"there is no instruction {instruction_id}: 'tallystick settlement show WINDOW' names them")
    return payable


def _check_open(connection: Connection, payable: Payable) -> None:
    for window_id in run_windows(connection, payable.window_id):
        window = load_window(connection, window_id)
        if window is None or window.state not in (WindowState.CONFIRMED, WindowState.SETTLED):
            state = "missing" if window is None else window.state
            raise InvalidValue(f"window {window_id} is {state}: its payments are due once two operators have confirmed it")
    if payable.outstanding == 0:
        raise InvalidValue(f"instruction {payable.instruction_id} is {payable.status}: nothing is left of it")


def _is_late(connection: Connection, payable: Payable, booked_on: date) -> bool:
    """Later than the bank files and payment requests said."""
    window = load_window(connection, payable.window_id)
    if window is None:
        return False
    rules = load_rules(connection)[window.rules_version]
    return booked_on > payment_date(cut_off_date=window.cut_off_date, due_days=rules.due_days)


def _charge_late_fee(connection: Connection, payable: Payable) -> None:
    """Once an instruction, in the network's currency; the operator owes itself none."""
    window = load_window(connection, payable.window_id)
    fee = load_rules(connection)[window.rules_version].late_fee if window else 0
    adjustment_id = f"late-{payable.instruction_id}"
    if not fee or payable.debtor_id == OPERATOR or adjustment_exists(connection, adjustment_id):
        return
    currency = load_network(connection).currency
    made = Adjustment(
        adjustment_id, AdjustmentKind.LATE_FEE, payable.debtor_id, OPERATOR, currency, fee, payable.instruction_id, ""
    )
    insert_adjustments(connection, [made])


def _recorded(connection: Connection, instruction_id: str, now_ms: int) -> Recorded:
    settled = settle(connection, at_ms=now_ms)
    return Recorded(_payable(connection, instruction_id), tuple(settled))


def _money(amount: int, payable: Payable) -> str:
    return f"{format_amount(amount, payable.currency)} {payable.currency}"
