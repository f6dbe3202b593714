"""The messages of TillService to commands. Shapes only: no rule of the books stands here."""

from collections.abc import Callable
from typing import Any

from gateway.domain.command import (
    AmountAsked,
    BasketLine,
    Checkout,
    ClaimReceipt,
    Command,
    LineReturned,
    PlaceHold,
    Refund,
    VoidHold,
)
from gateway.domain.ids import entry_id
from gateway.domain.rules_hold import HOLD_TTL_S_MAX
from gateway.edge.caller import Caller
from gateway.edge.validate import OUT_OF_RANGE, REQUIRED, Fields
from tallystick.v1 import till_pb2

LINES_MAX = 200


def basket(
    message: till_pb2.CheckoutRequest | till_pb2.ClaimReceiptRequest | till_pb2.QuoteRequest, fields: Fields
) -> tuple[AmountAsked, int | None]:
    """What a basket comes to, and the part that earns, if the till says."""
    total = fields.amount(message.total, "total")
    if not message.HasField("eligible_minor_units"):
        return total, None
    eligible = message.eligible_minor_units
    if not 0 <= eligible <= max(total.minor_units, 0):
        fields.wrong("eligible_minor_units", OUT_OF_RANGE, "0 to the total")
    return total, eligible


def _place_hold(message: till_pb2.PlaceHoldRequest, caller: Caller, fields: Fields) -> Command:
    quantity = message.WhichOneof("quantity")
    if quantity is None:
        fields.wrong("points", REQUIRED, "points or up_to_value")
    ttl_s = message.ttl_s if message.HasField("ttl_s") else None
    if ttl_s is not None and not 1 <= ttl_s <= HOLD_TTL_S_MAX:
        fields.wrong("ttl_s", OUT_OF_RANGE, f"1 to {HOLD_TTL_S_MAX}")
    return PlaceHold(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        member=fields.member(message.member),
        points=fields.points(message.points) if quantity == "points" else None,
        up_to_value=fields.amount(message.up_to_value, "up_to_value") if quantity == "up_to_value" else None,
        ttl_s=ttl_s,
        receipt_number=fields.receipt_number(message.receipt_number),
        rate_card_version=fields.rate_card_version(message.rate_card_version) if message.HasField("rate_card_version") else None,
    )


def _void_hold(message: till_pb2.VoidHoldRequest, caller: Caller, fields: Fields) -> Command:
    key = fields.idempotency_key(message.idempotency_key)
    hold_id = _hold_id(message.WhichOneof("hold"), message, caller, fields)
    if hold_id is None:
        fields.wrong("hold_id", REQUIRED, "hold_id or hold_idempotency_key")
    return VoidHold(partner_id=caller.partner_id, key_id=caller.key_id, idempotency_key=key, hold_id=hold_id or "")


def _checkout(message: till_pb2.CheckoutRequest, caller: Caller, fields: Fields) -> Command:
    payment = message.WhichOneof("payment")
    total, eligible = basket(message, fields)
    lines = _lines(message, total, eligible, fields)
    if lines and eligible is None:
        earning = sum(line.minor_units for line in lines if line.is_eligible)
        eligible = None if earning == total.minor_units else earning
    captured = message.captured_points if message.HasField("captured_points") else None
    hold_id = _hold_id(payment, message, caller, fields)
    if captured is not None and hold_id is None:
        fields.wrong("captured_points", "WITHOUT_HOLD", "only with a hold")
    points = message.points if payment == "points" else captured
    return Checkout(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        member=fields.member(message.member),
        total=total,
        eligible=eligible,
        lines=lines or None,
        hold_id=hold_id,
        points=fields.points(points, "points" if payment == "points" else "captured_points") if points is not None else None,
        up_to_value=fields.amount(message.up_to_value, "up_to_value") if payment == "up_to_value" else None,
        offer_id=fields.offer_id(message.offer_id),
        occurred_at_ms=fields.occurred_at_ms(message.occurred_at_ms) if message.HasField("occurred_at_ms") else None,
        receipt_number=fields.receipt_number(message.receipt_number),
        rate_card_version=fields.rate_card_version(message.rate_card_version) if message.HasField("rate_card_version") else None,
    )


def _refund(message: till_pb2.RefundRequest, caller: Caller, fields: Fields) -> Command:
    part = message.WhichOneof("part")
    match message.WhichOneof("checkout"):
        case "entry_id":
            checkout_id = fields.entry_id(message.entry_id)
        case "original_idempotency_key":
            original = fields.idempotency_key(message.original_idempotency_key, "original_idempotency_key")
            checkout_id = entry_id(caller.partner_id, original)
        case _:
            fields.wrong("entry_id", REQUIRED, "entry_id or original_idempotency_key")
            checkout_id = ""
    return Refund(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        checkout_id=checkout_id,
        amount=fields.amount(message.amount, "amount") if part == "amount" else None,
        lines=_returned(message.lines, fields) if part == "lines" else None,
        member=fields.member(message.member) if message.HasField("member") else None,
        occurred_at_ms=fields.occurred_at_ms(message.occurred_at_ms) if message.HasField("occurred_at_ms") else None,
        receipt_number=fields.receipt_number(message.receipt_number),
    )


def _claim(message: till_pb2.ClaimReceiptRequest, caller: Caller, fields: Fields) -> Command:
    total, eligible = basket(message, fields)
    if not message.receipt_number:
        fields.wrong("receipt_number", REQUIRED)
    return ClaimReceipt(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        member=fields.member(message.member),
        total=total,
        eligible=eligible,
        occurred_at_ms=fields.occurred_at_ms(message.occurred_at_ms),
        receipt_number=fields.receipt_number(message.receipt_number),
    )


TILL_MAKERS: dict[type[Any], Callable[[Any, Caller, Fields], Command]] = {
    till_pb2.PlaceHoldRequest: _place_hold,
    till_pb2.VoidHoldRequest: _void_hold,
    till_pb2.CheckoutRequest: _checkout,
    till_pb2.RefundRequest: _refund,
    till_pb2.ClaimReceiptRequest: _claim,
}


def _hold_id(
    by: str | None, message: till_pb2.VoidHoldRequest | till_pb2.CheckoutRequest, caller: Caller, fields: Fields
) -> str | None:
    if by == "hold_id":
        return fields.entry_id(message.hold_id, "hold_id")
    if by == "hold_idempotency_key":
        return entry_id(caller.partner_id, fields.idempotency_key(message.hold_idempotency_key, "hold_idempotency_key"))
    return None


def _lines(message: till_pb2.CheckoutRequest, total: AmountAsked, eligible: int | None, fields: Fields) -> tuple[BasketLine, ...]:
    """Lines that add up to the basket."""
    _check_count(len(message.lines), fields)
    lines = tuple(
        BasketLine(
            line_id=fields.line_id(line.line_id, f"lines[{number}].line_id"),
            minor_units=fields.minor_units(line.minor_units, f"lines[{number}].minor_units"),
            is_eligible=not line.earns_nothing,
        )
        for number, line in enumerate(message.lines[:LINES_MAX])
    )
    if lines:
        _check_once([line.line_id for line in lines], fields)
        if sum(line.minor_units for line in lines) != total.minor_units:
            fields.wrong("total.minor_units", "NOT_THE_SUM", "the sum of the lines")
        if eligible not in (None, sum(line.minor_units for line in lines if line.is_eligible)):
            fields.wrong("eligible_minor_units", "NOT_THE_SUM", "the sum of the lines that earn")
    return lines


def _returned(message: till_pb2.ReturnedLines, fields: Fields) -> tuple[LineReturned, ...]:
    if not message.lines:
        fields.wrong("lines.lines", REQUIRED, f"1 to {LINES_MAX}")
    _check_count(len(message.lines), fields)
    lines = []
    for number, line in enumerate(message.lines[:LINES_MAX]):
        path = f"lines.lines[{number}]"
        part = fields.minor_units(line.minor_units, f"{path}.minor_units") if line.HasField("minor_units") else None
        lines.append(LineReturned(fields.line_id(line.line_id, f"{path}.line_id"), part))
    _check_once([line.line_id for line in lines], fields)
    return tuple(lines)


def _check_count(count: int, fields: Fields) -> None:
    if count > LINES_MAX:
        fields.wrong("lines", "TOO_MANY", f"up to {LINES_MAX}")


def _check_once(line_ids: list[str], fields: Fields) -> None:
    if len(set(line_ids)) < len(line_ids):
        fields.wrong("lines", "DUPLICATE", "each line once")
