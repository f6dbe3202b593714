"""The bytes of a receipt: the domain's `Receipt` as a serialized message. Made once, stored, never made again."""

from collections.abc import Iterable

from google.protobuf.message import DecodeError, Message

from gateway.domain.entry import EntryKind
from gateway.domain.errors import InvalidValue
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Leg, LotMovement, Receipt, TillWarning
from gateway.domain.standing import Standing
from gateway.edge.views import standing_message
from tallystick.v1 import errors_pb2, types_pb2


def encode_receipt(receipt: Receipt) -> bytes:
    """What is stored and signed. The same receipt gives the same bytes."""
    message = types_pb2.Receipt(
        audience=receipt.audience,
        entry_id=receipt.entry_id,
        kind=types_pb2.EntryKind.ValueType(receipt.kind.value),
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
        balance_points=receipt.balance_points,
        lots=_lot_messages(receipt.lots),
        entry_hash=receipt.entry_hash,
        refused=errors_pb2.ErrorReason.ValueType(receipt.refused.value if receipt.refused is not None else 0),
        original_entry_id=receipt.original_entry_id,
        receipt_number=receipt.receipt_number,
        debt_points=receipt.debt_points,
        hold_expires_at_ms=receipt.hold_expires_at_ms,
        language=receipt.language,
        # What few receipts have: an empty list or map is the same bytes as None, which is not even looked at.
        details=receipt.details or None,
        cash_to_withhold=_amount(receipt.withheld),
        legs=[_leg_message(leg) for leg in receipt.legs] if receipt.legs else None,
        total=_amount(receipt.total),
        to_pay=_amount(receipt.to_pay),
        standing=standing_message(receipt.standing) if receipt.standing is not None else None,
        warnings=[types_pb2.Warning.ValueType(warning.value) for warning in receipt.warnings] if receipt.warnings else None,
    )
    return message.SerializeToString(deterministic=True)


def decode_receipt(content: bytes) -> Receipt:
    """The receipt that the bytes say. Raises InvalidValue unless every byte of them is known."""
    message = types_pb2.Receipt()
    try:
        message.ParseFromString(content)
        message.DiscardUnknownFields()
        if message.ByteSize() != len(content):
            raise InvalidValue("receipt: holds more than a receipt says")
        return _receipt(message)
    except (DecodeError, ValueError):
        raise InvalidValue("receipt: cannot be read") from None


def split_signed(content: bytes) -> tuple[bytes, bytes, str]:
    """The receipt's bytes, its signature and the key's id, of a serialized `SignedReceipt`. Raises InvalidValue."""
    try:
        signed = types_pb2.SignedReceipt.FromString(content)
    except DecodeError:
        raise InvalidValue("signed receipt: cannot be read") from None
    return signed.receipt, signed.signature, signed.key_id


def _receipt(message: types_pb2.Receipt) -> Receipt:
    return Receipt(
        audience=message.audience,
        entry_id=message.entry_id,
        kind=EntryKind(message.kind),
        refused=Reason(message.refused) if message.refused else None,
        partner_id=message.partner_id,
        idempotency_key=message.idempotency_key,
        fingerprint=message.fingerprint,
        member_id=message.member_id,
        lane=message.lane,
        sequence=message.sequence,
        business_date=message.business_date,
        occurred_at_ms=message.occurred_at_ms,
        booked_at_ms=message.booked_at_ms,
        points=message.points,
        unit=message.amount.unit,
        amount=message.amount.minor_units,
        rate_card_version=message.rate_card_version,
        original_entry_id=message.original_entry_id,
        receipt_number=message.receipt_number,
        balance_points=message.balance_points,
        debt_points=message.debt_points,
        lots=_lots(message.lots),
        entry_hash=message.entry_hash,
        details=dict(message.details),
        withheld=_pair(message, "cash_to_withhold"),
        legs=tuple(_leg(leg) for leg in message.legs),
        total=_pair(message, "total"),
        to_pay=_pair(message, "to_pay"),
        hold_expires_at_ms=message.hold_expires_at_ms,
        standing=_standing(message),
        warnings=tuple(TillWarning(warning) for warning in message.warnings),
        language=message.language,
    )


def _leg_message(leg: Leg) -> types_pb2.ReceiptLeg:
    return types_pb2.ReceiptLeg(
        entry_id=leg.entry_id,
        kind=types_pb2.EntryKind.ValueType(leg.kind.value),
        lane=leg.lane,
        sequence=leg.sequence,
        points=leg.points,
        amount=types_pb2.Amount(unit=leg.unit, minor_units=leg.amount) if leg.unit else None,
        rate_card_version=leg.rate_card_version,
        original_entry_id=leg.original_entry_id,
        lots=_lot_messages(leg.lots),
        entry_hash=leg.entry_hash,
        cash_to_withhold=_amount(leg.withheld),
    )


def _leg(message: types_pb2.ReceiptLeg) -> Leg:
    return Leg(
        entry_id=message.entry_id,
        kind=EntryKind(message.kind),
        lane=message.lane,
        sequence=message.sequence,
        points=message.points,
        unit=message.amount.unit,
        amount=message.amount.minor_units,
        rate_card_version=message.rate_card_version,
        original_entry_id=message.original_entry_id,
        withheld=_pair(message, "cash_to_withhold"),
        lots=_lots(message.lots),
        entry_hash=message.entry_hash,
    )


def _standing(receipt: types_pb2.Receipt) -> Standing | None:
    if not receipt.HasField("standing"):
        return None
    message = receipt.standing
    return Standing(
        member_id=receipt.member_id,
        balance_points=receipt.balance_points,
        version=message.version,
        available_points=message.available_points,
        held_points=message.held_points,
        debt_points=message.debt_points,
        next_expiry_on=message.next_expiry_on,
        next_expiry_points=message.next_expiry_points,
        expiring_points=message.expiring_points,
        value=_pair(message, "value"),
        pending_points=message.pending_points,
    )


def _lot_messages(lots: Iterable[LotMovement]) -> list[types_pb2.LotMovement]:
    return [
        types_pb2.LotMovement(
            lot_id=lot.lot_id,
            issuer_id=lot.issuer_id,
            points=lot.points,
            expires_on=lot.expires_on,
            gone_points=lot.gone_points,
        )
        for lot in lots
    ]


def _lots(messages: Iterable[types_pb2.LotMovement]) -> tuple[LotMovement, ...]:
    return tuple(LotMovement(lot.lot_id, lot.issuer_id, lot.points, lot.expires_on, lot.gone_points) for lot in messages)


def _amount(pair: tuple[str, int] | None) -> types_pb2.Amount | None:
    return None if pair is None else types_pb2.Amount(unit=pair[0], minor_units=pair[1])


def _pair(message: Message, field: str) -> tuple[str, int] | None:
    amount: types_pb2.Amount = getattr(message, field)
    return (amount.unit, amount.minor_units) if message.HasField(field) else None
