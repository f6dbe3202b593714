"""Bank files of ISO 20022: pain.001.001.09 for what the operator pays, pain.008.001.08 for what it collects. Pure.

Nothing in them comes from the clock of the run: the same settlement gives the same bytes, and the same ids, so that a bank
which gets a file twice can tell. Addresses are left out: within the EEA none is asked for, and after November 2026 banks refuse
unstructured ones.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from xml.sax.saxutils import escape

from gateway.domain.bank import BankAccount, MandateScheme
from gateway.domain.canonical import Plain, canonical
from gateway.domain.units import format_amount
from settlement.banking import SEPA_CURRENCY, Debit, Transfer, bank_name
from settlement.instruction import Instruction
from settlement.sepa import TEXT_MAX, sepa_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a file is about: network, payment run, when its window was cut off, and the operator's account.

    `on`: when the operator's bank is to move money; `due`: by when whoever pays by itself must, without a late fee.
    `failures`: by instruction, how many of its payments have failed: what is asked for again is another payment to a bank.
    """

    audience: str
    window_id: int
    closed_at_ms: int
    on: date
    due: date
    account: BankAccount
    failures: Mapping[str, int]


def credit_transfers(order: Order, currency: str, transfers: Sequence[Transfer]) -> bytes:
    """pain.001.001.09: the operator pays, in one currency. What SEPA carries stands apart from what it does not."""
    parts = [(is_sepa, [one for one in transfers if one.is_sepa is is_sepa]) for is_sepa in (True, False)]
    blocks = [_transfer_block(order, currency, is_sepa, chosen) for is_sepa, chosen in parts if chosen]
    instructions = [one.instruction for one in transfers]
    head = _header(order, _id("TS1-PAIN-001", order, currency, _asked(order, transfers)), instructions)
    return _document("pain.001.001.09", _element("CstmrCdtTrfInitn", head + "".join(blocks)))


def direct_debits(order: Order, debits: dict[MandateScheme, list[Debit]]) -> bytes:
    """pain.008.001.08: the operator collects, in euros. Each scheme has a block of its own."""
    blocks = [_debit_block(order, scheme, chosen) for scheme, chosen in sorted(debits.items())]
    every = [one for _, chosen in sorted(debits.items()) for one in chosen]
    message_id = _id("TS1-PAIN-008", order, SEPA_CURRENCY, _asked(order, every))
    head = _header(order, message_id, [one.instruction for one in every])
    return _document("pain.008.001.08", _element("CstmrDrctDbtInitn", head + "".join(blocks)))


def purpose(order: Order) -> str:
    """What both sides read on their bank statements, beside the instruction's id."""
    return sepa_text(f"Settlement of {order.audience}, window {order.window_id}", length_max=TEXT_MAX)


def _transfer_block(order: Order, currency: str, is_sepa: bool, transfers: Sequence[Transfer]) -> str:  # noqa: FBT001 - one of two blocks
    instructions = [one.instruction for one in transfers]
    kind = _element("PmtTpInf", _element("SvcLvl", _text("Cd", "SEPA"))) if is_sepa else ""
    return _element(
        "PmtInf",
        _block_head("TRF", _id("TS1-PAIN-001-BLOCK", order, currency, [is_sepa, *_asked(order, transfers)]), instructions)
        + kind
        + _element("ReqdExctnDt", _text("Dt", order.on.isoformat()))
        + _party("Dbtr", order.account)
        + _account("DbtrAcct", order.account)
        + _agent("DbtrAgt", order.account)
        + _text("ChrgBr", "SLEV" if is_sepa else "SHAR")
        + "".join(_transfer(order, one) for one in transfers),
    )


def _transfer(order: Order, one: Transfer) -> str:
    return _element(
        "CdtTrfTxInf",
        _payment_id(one.instruction)
        + _element("Amt", _amount(one.instruction))
        + (_agent("CdtrAgt", one.account) if one.account.bic else "")
        + _party("Cdtr", one.account)
        + _account("CdtrAcct", one.account)
        + _remittance(order),
    )


def _debit_block(order: Order, scheme: MandateScheme, debits: Sequence[Debit]) -> str:
    # RCUR from the first collection on: FRST is optional since November 2016, and needs to know what a bank has seen.
    kind = _element("SvcLvl", _text("Cd", "SEPA")) + _element("LclInstrm", _text("Cd", scheme.value)) + _text("SeqTp", "RCUR")
    scheme_id = _element("Othr", _text("Id", order.account.creditor_id) + _element("SchmeNm", _text("Prtry", "SEPA")))
    return _element(
        "PmtInf",
        _block_head(
            "DD",
            _id("TS1-PAIN-008-BLOCK", order, SEPA_CURRENCY, [scheme.value, *_asked(order, debits)]),
            [d.instruction for d in debits],
        )
        + _element("PmtTpInf", kind)
        + _text("ReqdColltnDt", order.on.isoformat())
        + _party("Cdtr", order.account)
        + _account("CdtrAcct", order.account)
        + _agent("CdtrAgt", order.account)
        + _text("ChrgBr", "SLEV")
        + _element("CdtrSchmeId", _element("Id", _element("PrvtId", scheme_id)))
        + "".join(_debit(order, one) for one in debits),
    )


def _debit(order: Order, one: Debit) -> str:
    mandate = _text("MndtId", one.mandate.mandate_id) + _text("DtOfSgntr", one.mandate.signed_on.isoformat())
    return _element(
        "DrctDbtTxInf",
        _payment_id(one.instruction)
        + _amount(one.instruction)
        + _element("DrctDbtTx", _element("MndtRltdInf", mandate))
        + _agent("DbtrAgt", one.account)
        + _party("Dbtr", one.account)
        + _account("DbtrAcct", one.account)
        + _remittance(order),
    )


def _header(order: Order, message_id: str, instructions: Sequence[Instruction]) -> str:
    closed_at = datetime.fromtimestamp(order.closed_at_ms // 1000, UTC)
    return _element(
        "GrpHdr",
        _text("MsgId", message_id)
        + _text("CreDtTm", closed_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        + _sums(instructions)
        + _element("InitgPty", _text("Nm", bank_name(order.account))),
    )


def _block_head(method: str, block_id: str, instructions: Sequence[Instruction]) -> str:
    return _text("PmtInfId", block_id) + _text("PmtMtd", method) + _text("BtchBookg", "false") + _sums(instructions)


def _sums(instructions: Sequence[Instruction]) -> str:
    """Of one currency, since a sum over several would be none."""
    total = sum(one.amount for one in instructions)
    return _text("NbOfTxs", str(len(instructions))) + _text("CtrlSum", format_amount(total, instructions[0].currency))


def _payment_id(instruction: Instruction) -> str:
    return _element("PmtId", _text("EndToEndId", instruction.instruction_id))


def _amount(instruction: Instruction) -> str:
    amount = format_amount(instruction.amount, instruction.currency)
    return f'<InstdAmt Ccy="{instruction.currency}">{amount}</InstdAmt>'


def _party(tag: str, account: BankAccount) -> str:
    return _element(tag, _text("Nm", bank_name(account)))


def _account(tag: str, account: BankAccount) -> str:
    return _element(tag, _element("Id", _text("IBAN", account.iban)))


def _agent(tag: str, account: BankAccount) -> str:
    known = _text("BICFI", account.bic) if account.bic else _element("Othr", _text("Id", "NOTPROVIDED"))
    return _element(tag, _element("FinInstnId", known))


def _remittance(order: Order) -> str:
    return _element("RmtInf", _text("Ustrd", purpose(order)))


def _document(name: str, content: str) -> bytes:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{name}"
    lines = _indented(f'<Document xmlns="{namespace}">{content}</Document>')
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(lines)).encode("ascii")


def _indented(xml: str) -> Iterator[str]:
    """One element a line, so that people can read a file and compare two."""
    depth = 0
    for piece in xml.replace("><", ">\n<").split("\n"):
        is_end, has_end = piece.startswith("</"), "</" in piece
        depth -= is_end
        yield "  " * depth + piece + "\n"
        depth += not has_end


def _element(tag: str, content: str) -> str:
    return f"<{tag}>{content}</{tag}>"


def _text(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>"


def _asked(order: Order, orders: Sequence[Transfer | Debit]) -> list[Plain]:
    """What makes another file of it: what is left of each instruction, whose account, and how often its payment failed."""
    return [
        [
            one.instruction.instruction_id,
            one.instruction.amount,
            order.failures.get(one.instruction.instruction_id, 0),
            one.account.iban,
            bank_name(one.account),
            one.mandate.mandate_id if isinstance(one, Debit) else "",
        ]
        for one in orders
    ]


def _id(form: str, order: Order, currency: str, content: Plain) -> str:
    """32 characters, of which banks take 35: another content, another id."""
    named = canonical([form, order.audience, order.window_id, order.on.isoformat(), currency, order.account.iban, content])
    return "t" + base64.b32encode(hashlib.sha256(named).digest()).decode().lower()[:31]
