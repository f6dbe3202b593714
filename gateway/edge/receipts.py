"""The bytes of a receipt: the domain's `Receipt` as a serialized message. Made once, stored, never made again."""

from gateway.domain.receipt import Receipt
from tallystick.v1 import errors_pb2, types_pb2


def encode_receipt(receipt: Receipt) -> bytes:
    """What is stored and signed. The same receipt gives the same bytes."""
    message = types_pb2.Receipt(
        audience=receipt.audience,
        entry_id=receipt.entry_id,
        kind=types_pb2.EntryKind.ValueType(receipt.kind.value),
        refused=errors_pb2.ErrorReason.ValueType(receipt.refused.value if receipt.refused is not None else 0),
        partner_id=receipt.partner_id,
        idempotency_key=receipt.idempotency_key,
        fingerprint=receipt.fingerprint,
        member_id=receipt.member_id,
        lane=receipt.lane,
        sequence=receipt.sequence,
        business_date=receipt.business_date,
        occurred_at_ms=receipt.occurred_at_ms,
        booked_at_ms=receipt.booked_at_ms,
        points=receipt.points,
        amount=types_pb2.Amount(unit=receipt.unit, minor_units=receipt.amount) if receipt.unit else None,
        rate_card_version=receipt.rate_card_version,
        original_entry_id=receipt.original_entry_id,
        receipt_number=receipt.receipt_number,
        balance_points=receipt.balance_points,
        debt_points=receipt.debt_points,
        lots=[
            types_pb2.LotMovement(lot_id=lot.lot_id, issuer_id=lot.issuer_id, points=lot.points, expires_on=lot.expires_on)
            for lot in receipt.lots
        ],
        entry_hash=receipt.entry_hash,
        details=receipt.details,
        cash_to_withhold=_withheld(receipt),
    )
    return message.SerializeToString(deterministic=True)


def _withheld(receipt: Receipt) -> types_pb2.Amount | None:
    if receipt.withheld is None:
        return None
    unit, minor_units = receipt.withheld
    return types_pb2.Amount(unit=unit, minor_units=minor_units)
