"""Payment instructions: netted payments with an id that a bank file can carry. Made twice, they are the same. Pure."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.canonical import Plain, canonical
from gateway.domain.units import format_amount
from gateway.domain.window import Window
from settlement.netting import Payment
from settlement.payment_run import Carry
from settlement.plain import plain
from settlement.text import table


@dataclass(frozen=True, slots=True)
class Instruction:
    """A payment of a window, in minor units. `form` names how it was netted. The id has 32 characters: a bank takes 35."""

    instruction_id: str
    window_id: int
    form: str
    currency: str
    debtor_id: str
    creditor_id: str
    amount: int


def instruct(*, audience: str, window_id: int, form: str, payments: Iterable[Payment]) -> list[Instruction]:
    """One instruction for each payment, in its order."""
    return [
        Instruction(
            instruction_id=_instruction_id(audience, window_id, form, payment),
            window_id=window_id,
            form=form,
            currency=payment.currency,
            debtor_id=payment.debtor_id,
            creditor_id=payment.creditor_id,
            amount=payment.amount,
        )
        for payment in payments
    ]


def instructions_document(
    *,
    audience: str,
    window: Window,
    instructions: Iterable[Instruction],
    carried: Iterable[Carry] = (),
    brought: Iterable[Carry] = (),
) -> bytes:
    """All instructions of a payment run, what it left for a later one, and what it took in, as canonical JSON."""
    return canonical(
        {
            "format": "tallystick-instructions-1",
            "audience": audience,
            "window_id": window.window_id,
            "cut_off_date": window.cut_off_date,
            "instructions": [plain(instruction) for instruction in instructions],
            "carried": [_carry_plain(carry) for carry in carried],
            "brought": [_carry_plain(carry) for carry in brought],
        }
    )


def instructions_text(*, audience: str, window: Window, instructions: Iterable[Instruction]) -> str:
    """The same for people."""
    rows = [(i.instruction_id, i.debtor_id, i.creditor_id, format_amount(i.amount, i.currency), i.currency) for i in instructions]
    head = f"Payment instructions of {audience}, window {window.window_id}, cut off on {window.cut_off_date}\n\n"
    return head + (
        table(("instruction", "pays", "receives", "amount", ""), rows, right={3}) if rows else "Nobody owes anybody.\n"
    )


def _carry_plain(carry: Carry) -> dict[str, Plain]:
    """Without the run that took it in, which is not known when the file is written."""
    return {name: value for name, value in plain(carry).items() if name != "brought_window_id"}


def _instruction_id(audience: str, window_id: int, form: str, payment: Payment) -> str:
    named = canonical(["TS1-INSTRUCTION", audience, window_id, form, payment.currency, payment.debtor_id, payment.creditor_id])
    return "i" + base64.b32encode(hashlib.sha256(named).digest()).decode().lower()[:31]
