"""How answers are shown to people and to programs."""

import base64
import json
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from gateway.domain.units import format_amount
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from tallystick.v1 import types_pb2


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON shows it: names as in the protos, 64-bit integers as texts, bytes in base64."""
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return fields


def print_json(content: dict[str, Any]) -> None:
    """One object, on standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def booked_plain(booked: Booked) -> dict[str, Any]:
    """A booking with its proof."""
    return {
        "receipt": plain(booked.receipt),
        "replayed": booked.is_replayed,
        "signed_receipt": _encoded(booked.signed_receipt),
    }


def refusal_plain(refused: Refused) -> dict[str, Any]:
    """A refusal, with its proof where it has one."""
    facts = refused.facts
    return {
        "refused": refused.reason,
        "details": dict(facts.details),
        "field_violations": [{"field": path, "description": what} for path, what in facts.field_violations],
        "receipt": plain(facts.receipt) if facts.receipt is not None else None,
        "signed_receipt": _encoded(facts.signed_receipt) if facts.signed_receipt is not None else None,
    }


def print_booked(booked: Booked, *, as_json: bool) -> None:
    """A booking, as a few lines or as JSON."""
    if as_json:
        print_json(booked_plain(booked))
        return
    receipt = booked.receipt
    kind = types_pb2.EntryKind.Name(receipt.kind).removeprefix("ENTRY_KIND_").replace("_", " ").lower()
    amount = (
        format_amount(receipt.amount.minor_units, receipt.amount.unit) + " " + receipt.amount.unit if receipt.amount.unit else ""
    )
    lines = [
        f"{kind}: {receipt.points:+d} points"
        + (f" for {amount}" if amount else "")
        + (" (booked before)" if booked.is_replayed else ""),
        f"balance: {receipt.balance_points} points" + (f", debt {receipt.debt_points}" if receipt.debt_points else ""),
        f"member: {receipt.member_id}",
        f"entry: {receipt.entry_id}, sequence {receipt.sequence} in lane {receipt.lane}, {receipt.business_date}",
        f"key: {receipt.idempotency_key}",
        f"receipt verified: signed by {booked.signed_receipt.key_id}",
    ]
    if receipt.HasField("cash_to_withhold"):
        withheld = receipt.cash_to_withhold
        lines.insert(1, f"keep back from the refund: {format_amount(withheld.minor_units, withheld.unit)} {withheld.unit}")
    click.echo("\n".join(lines))


def _encoded(signed: types_pb2.SignedReceipt) -> str:
    return base64.b64encode(signed.SerializeToString()).decode()
