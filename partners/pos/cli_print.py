"""How answers are shown to people and to programs."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from gateway.domain.units import format_amount
from partners.pos.answers import Booked
from partners.pos.cashier import languages
from partners.pos.errors import Refused
from tallystick.v1 import types_pb2

Verify = Callable[[types_pb2.SignedReceipt], types_pb2.Receipt]
"""Raises ReceiptError."""

Entry = types_pb2.Receipt | types_pb2.ReceiptLeg
"""A receipt describes its first entry, a leg a further one."""

_GIVES_BACK = {types_pb2.ENTRY_KIND_REVERSE_ISSUE, types_pb2.ENTRY_KIND_REVERSE_REDEMPTION}


def plain(message: Message, verify: Verify | None = None) -> dict[str, Any]:
    """A message as JSON shows it: names as in the protos, 64-bit integers as texts, bytes in base64.

    With `verify` a signed receipt within it is shown as what it says, beside its bytes. Raises ReceiptError.
    """
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if verify is not None:
        _open_receipts(message, fields, verify)
    return fields


def signed_plain(signed: types_pb2.SignedReceipt, receipt: types_pb2.Receipt) -> dict[str, Any]:
    """A verified receipt: what it says, and the bytes that prove it."""
    return {"receipt": plain(receipt), "signed_receipt": base64.b64encode(signed.SerializeToString()).decode()}


def print_json(content: dict[str, Any]) -> None:
    """One object, on standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_plain(content: dict[str, Any]) -> None:
    """The same content for people: a line a field, amounts as they are written, what is empty left out."""
    click.echo("\n".join(_lines(content)))


def booked_plain(booked: Booked) -> dict[str, Any]:
    """A booking with its proof, and what the paper receipt should say."""
    content = signed_plain(booked.signed_receipt, booked.receipt) | {"replayed": booked.is_replayed}
    return content | ({"receipt_lines": list(booked.receipt_lines)} if booked.receipt_lines else {})


def refusal_plain(refused: Refused) -> dict[str, Any]:
    """A refusal, with what the cashier should read, and its proof where it has one."""
    facts = refused.facts
    proof: dict[str, Any] = {"receipt": None, "signed_receipt": None}
    if facts.signed_receipt is not None and facts.receipt is not None:
        proof = signed_plain(facts.signed_receipt, facts.receipt)
    return {
        "refused": refused.reason,
        "details": dict(facts.details),
        "field_violations": [{"field": path, "description": what} for path, what in facts.field_violations],
        "cashier_text": {language: refused.cashier_text(language) for language in languages()},
    } | proof


def print_booked(booked: Booked, *, as_json: bool) -> None:
    """A booking, as a few lines or as JSON."""
    if as_json:
        print_json(booked_plain(booked))
        return
    receipt = booked.receipt
    again = " (booked before)" if booked.is_replayed else ""
    lines = [_moved(receipt) + again, *map(_moved, receipt.legs)]
    entries: list[Entry] = [receipt, *receipt.legs]
    lines += [
        f"keep back from the refund: {written(one.cash_to_withhold)}" for one in entries if one.HasField("cash_to_withhold")
    ]
    if receipt.HasField("to_pay"):
        lines.append(f"{'to hand back' if receipt.kind in _GIVES_BACK else 'to pay'}: {written(receipt.to_pay)}")
    lines += [
        f"balance: {receipt.balance_points} points" + (f", debt {receipt.debt_points}" if receipt.debt_points else ""),
        f"member: {receipt.member_id}",
        f"entry: {receipt.entry_id}, sequence {receipt.sequence} in lane {receipt.lane}, {receipt.business_date}",
        f"key: {receipt.idempotency_key}",
        f"receipt verified: signed by {booked.signed_receipt.key_id}",
    ]
    lines += [f"warning: {warning.lower().replace('_', ' ')}" for warning in booked.warnings]
    lines += [f"paper: {line}" for line in booked.receipt_lines]
    click.echo("\n".join(lines))


def kind_words(entry: Entry) -> str:
    """What was booked, such as "reverse issue"."""
    return types_pb2.EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_").replace("_", " ").lower()


def written(amount: types_pb2.Amount) -> str:
    """An amount as people write it, with its unit."""
    return f"{format_amount(amount.minor_units, amount.unit)} {amount.unit}"


def _moved(entry: Entry) -> str:
    amount = f" for {written(entry.amount)}" if entry.amount.unit else ""
    return f"{kind_words(entry)}: {entry.points:+d} points{amount}"


def _open_receipts(message: Message, fields: dict[str, Any], verify: Verify) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        values, shown = (value, fields[descriptor.name]) if descriptor.is_repeated else ([value], [fields[descriptor.name]])
        for index, one in enumerate(values):
            if isinstance(one, types_pb2.SignedReceipt):
                shown[index] = signed_plain(one, verify(one))
            else:
                _open_receipts(one, shown[index], verify)
        fields[descriptor.name] = shown if descriptor.is_repeated else shown[0]


def _lines(content: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in content.items():
        if name == "signed_receipt" or value in ("", [], {}):
            continue
        if isinstance(value, dict) and value.keys() == {"unit", "minor_units"}:
            yield f"{indent}{name}: {format_amount(int(value['minor_units']), value['unit'])} {value['unit']}"
        elif isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:"
            for one in value:
                inner = list(_lines(one, indent + "    ")) if isinstance(one, dict) else [f"{indent}    {one}"]
                yield f"{indent}  - {inner[0].strip()}" if inner else f"{indent}  -"
                yield from inner[1:]
        else:
            yield f"{indent}{name}: {value}"
