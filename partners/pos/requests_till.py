"""What a till asks for at a checkout and when goods come back, as messages. Pure: nothing is sent here."""

from collections.abc import Sequence

from partners.pos.errors import PosError
from tallystick.v1 import till_pb2, types_pb2


def quote(
    who: types_pb2.MemberRef, total: types_pb2.Amount, *, eligible: types_pb2.Amount | None = None, offer_id: str = ""
) -> till_pb2.QuoteRequest:
    """Ask what a checkout would issue, and how much of it points could pay."""
    return till_pb2.QuoteRequest(member=who, total=total, eligible_minor_units=_part(eligible, total), offer_id=offer_id)


def place_hold(
    who: types_pb2.MemberRef,
    quantity: int | types_pb2.Amount,
    *,
    key: str,
    ttl_s: int | None = None,
    receipt_number: str = "",
    rate_card_version: int | None = None,
    language: str = "",
) -> till_pb2.PlaceHoldRequest:
    """Set points aside: so many, or, given an amount, as many as it takes and the member has."""
    request = till_pb2.PlaceHoldRequest(
        idempotency_key=key,
        member=who,
        ttl_s=ttl_s,
        receipt_number=receipt_number,
        rate_card_version=rate_card_version,
        language=language,
    )
    _set_quantity(request, quantity)
    return request


def void_hold(*, key: str, hold_id: str = "", hold_key: str = "", language: str = "") -> till_pb2.VoidHoldRequest:
    """Let a hold go, named by its id or by the key it was placed with."""
    if bool(hold_id) == bool(hold_key):
        raise PosError("name the hold in one way: by its id, or by the key it was placed with")
    if hold_id:
        return till_pb2.VoidHoldRequest(idempotency_key=key, hold_id=hold_id, language=language)
    return till_pb2.VoidHoldRequest(idempotency_key=key, hold_idempotency_key=hold_key, language=language)


def basket_line(line_id: str, price: types_pb2.Amount, *, earns_nothing: bool = False) -> till_pb2.BasketLine:
    """A line of a basket, by the till's own name; needed only to refund by line."""
    return till_pb2.BasketLine(line_id=line_id, minor_units=price.minor_units, earns_nothing=earns_nothing)


def checkout(
    who: types_pb2.MemberRef,
    total: types_pb2.Amount,
    *,
    key: str,
    points: int | types_pb2.Amount | None = None,
    hold_id: str = "",
    hold_key: str = "",
    captured_points: int | None = None,
    eligible: types_pb2.Amount | None = None,
    lines: Sequence[till_pb2.BasketLine] = (),
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
    offer_id: str = "",
    rate_card_version: int | None = None,
    language: str = "",
) -> till_pb2.CheckoutRequest:
    """Book a basket. Points pay from a hold, or at once: so many, or, given an amount, as many as it takes and there are."""
    if (points is not None) + bool(hold_id) + bool(hold_key) > 1:
        raise PosError("say in one way what points pay: so many, up to an amount, or a hold by its id or its key")
    request = till_pb2.CheckoutRequest(
        idempotency_key=key,
        member=who,
        total=total,
        eligible_minor_units=_part(eligible, total),
        lines=lines,
        captured_points=captured_points,
        offer_id=offer_id,
        occurred_at_ms=occurred_at_ms,
        receipt_number=receipt_number,
        rate_card_version=rate_card_version,
        language=language,
    )
    if hold_id:
        request.hold_id = hold_id
    elif hold_key:
        request.hold_idempotency_key = hold_key
    elif points is not None:
        _set_quantity(request, points)
    return request


def returned_line(line_id: str, part: types_pb2.Amount | None = None) -> till_pb2.ReturnedLine:
    """A line that came back: so much of it, or all that is left."""
    return till_pb2.ReturnedLine(line_id=line_id, minor_units=part.minor_units if part is not None else None)


def refund(
    *,
    key: str,
    checkout_id: str = "",
    checkout_key: str = "",
    part: types_pb2.Amount | Sequence[till_pb2.ReturnedLine] | None = None,
    who: types_pb2.MemberRef | None = None,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
    language: str = "",
) -> till_pb2.RefundRequest:
    """Take goods of a checkout back: an amount, some lines, or all that is left. With a member it may come before its sale."""
    if bool(checkout_id) == bool(checkout_key):
        raise PosError("name the checkout in one way: by its id, or by the key it was booked with")
    request = till_pb2.RefundRequest(
        idempotency_key=key, member=who, receipt_number=receipt_number, occurred_at_ms=occurred_at_ms, language=language
    )
    if checkout_id:
        request.entry_id = checkout_id
    else:
        request.original_idempotency_key = checkout_key
    if isinstance(part, types_pb2.Amount):
        request.amount.CopyFrom(part)
    elif part is not None:
        request.lines.lines.extend(part)
    return request


def claim_receipt(
    who: types_pb2.MemberRef,
    total: types_pb2.Amount,
    *,
    key: str,
    receipt_number: str,
    occurred_at_ms: int,
    eligible: types_pb2.Amount | None = None,
    language: str = "",
) -> till_pb2.ClaimReceiptRequest:
    """Ask for the points of a purchase whose card had been forgotten, by the number on its paper receipt."""
    return till_pb2.ClaimReceiptRequest(
        idempotency_key=key,
        member=who,
        receipt_number=receipt_number,
        total=total,
        eligible_minor_units=_part(eligible, total),
        occurred_at_ms=occurred_at_ms,
        language=language,
    )


def _set_quantity(request: till_pb2.PlaceHoldRequest | till_pb2.CheckoutRequest, quantity: int | types_pb2.Amount) -> None:
    if isinstance(quantity, int):
        request.points = quantity
    else:
        request.up_to_value.CopyFrom(quantity)


def _part(part: types_pb2.Amount | None, total: types_pb2.Amount) -> int | None:
    if part is None:
        return None
    if part.unit != total.unit:
        raise PosError(f"what earns points must be in the unit of the total, {total.unit}")
    return part.minor_units
