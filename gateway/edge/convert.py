"""Messages to commands, answers to messages. Shapes only: no rule of the books stands here.

A command whose shape is wrong is rejected by itself, so that in a batch the others go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.domain.command import Command, EventMark, Issue, Redeem, Reverse
from gateway.domain.ids import entry_id
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Result
from gateway.edge import convert_members
from gateway.edge.caller import Caller
from gateway.edge.convert_members import MemberMessage, occurred_at_ms
from gateway.edge.convert_till import TILL_MAKERS
from gateway.edge.refused import Rejected
from gateway.edge.status import VIOLATIONS_MAX, code_number, violations_of
from gateway.edge.validate import REQUIRED, Fields
from tallystick.v1 import errors_pb2, points_pb2, till_pb2, types_pb2

CommandMessage = (
    points_pb2.IssuePointsRequest
    | points_pb2.RedeemPointsRequest
    | points_pb2.ReverseEntryRequest
    | MemberMessage
    | till_pb2.PlaceHoldRequest
    | till_pb2.VoidHoldRequest
    | till_pb2.CheckoutRequest
    | till_pb2.RefundRequest
    | till_pb2.ClaimReceiptRequest
)


def to_command(message: CommandMessage, caller: Caller, pepper: bytes, *, event: EventMark | None = None) -> Command | Rejected:
    """The command that a message asks for; or all that is wrong with its shape, or that it names another partner."""
    if message.partner_id and message.partner_id != caller.partner_id:
        return Rejected(Refusal(Reason.PARTNER_MISMATCH))
    fields = Fields(pepper)
    command = _MAKERS[type(message)](message, caller, fields)
    if fields.violations:
        return Rejected(Refusal(Reason.INVALID_FIELDS), tuple(fields.violations))
    return command if event is None else replace(command, event=event)


def batched_command(
    message: points_pb2.Command, caller: Caller, pepper: bytes, *, event: EventMark | None = None
) -> Command | Rejected:
    """The same for a command of a batch, or of an event."""
    asked = message.WhichOneof("command")
    if asked is not None:
        return to_command(getattr(message, asked), caller, pepper, event=event)
    fields = Fields(pepper)
    fields.wrong("command", REQUIRED)
    return Rejected(Refusal(Reason.INVALID_FIELDS), tuple(fields.violations))


def rejected(result: Result) -> Rejected | None:
    """What to reject a call with; None if its command was booked."""
    if isinstance(result, Refusal):
        return Rejected(result)
    if result.refusal is None:
        return None
    # Its facts are read from the receipt, so that a repeat says the same as the first answer.
    return Rejected(Refusal(result.refusal.reason, _details(result.receipt)), answer=result)


def answer_message(answer: Answer, signature: bytes, *, now_ms: int) -> types_pb2.Answer:
    """The message of a signed answer."""
    receipt = types_pb2.SignedReceipt(receipt=answer.receipt, signature=signature, key_id=answer.receipt_key_id)
    return types_pb2.Answer(receipt=receipt, replayed=answer.is_replayed, server_time_ms=now_ms)


def command_answer(result: Result | Rejected, *, signed: Callable[[Answer], types_pb2.Answer]) -> points_pb2.CommandAnswer:
    """What became of one command of a batch."""
    refused = result if isinstance(result, Rejected) else rejected(result)
    if refused is None:
        assert isinstance(result, Answer)
        return points_pb2.CommandAnswer(booked=signed(result))
    reason = refused.refusal.reason
    return points_pb2.CommandAnswer(
        refused=points_pb2.Refusal(
            reason=errors_pb2.ErrorReason.ValueType(reason.value),
            status_code=code_number(reason),
            details=refused.refusal.details,
            answer=signed(refused.answer) if refused.answer is not None else None,
            field_violations=[
                points_pb2.FieldViolation(field=violation.field, description=violation.description)
                for violation in (refused.violations or violations_of(reason))[:VIOLATIONS_MAX]
            ],
        )
    )


def _details(receipt: bytes) -> Mapping[str, str]:
    return dict(types_pb2.Receipt.FromString(receipt).details)


def _issue(message: points_pb2.IssuePointsRequest, caller: Caller, fields: Fields) -> Command:
    return Issue(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        member=fields.member(message.member),
        eligible=fields.amount(message.eligible, "eligible"),
        occurred_at_ms=occurred_at_ms(message, fields),
        receipt_number=fields.receipt_number(message.receipt_number),
        offer_id=fields.offer_id(message.offer_id),
        rate_card_version=_rate_card_version(message, fields),
    )


def _redeem(message: points_pb2.RedeemPointsRequest, caller: Caller, fields: Fields) -> Command:
    quantity = message.WhichOneof("quantity")
    if quantity is None:
        fields.wrong("points", REQUIRED, "points or up_to_value")
    return Redeem(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        member=fields.member(message.member),
        points=fields.points(message.points) if quantity == "points" else None,
        up_to_value=fields.amount(message.up_to_value, "up_to_value") if quantity == "up_to_value" else None,
        occurred_at_ms=occurred_at_ms(message, fields),
        receipt_number=fields.receipt_number(message.receipt_number),
        rate_card_version=_rate_card_version(message, fields),
    )


def _reverse(message: points_pb2.ReverseEntryRequest, caller: Caller, fields: Fields) -> Command:
    part = message.WhichOneof("part")
    return Reverse(
        partner_id=caller.partner_id,
        key_id=caller.key_id,
        idempotency_key=fields.idempotency_key(message.idempotency_key),
        original_entry_id=_original(message, caller, fields),
        eligible=fields.amount(message.eligible, "eligible") if part == "eligible" else None,
        points=fields.points(message.points) if part == "points" else None,
        occurred_at_ms=occurred_at_ms(message, fields),
        receipt_number=fields.receipt_number(message.receipt_number),
    )


_MAKERS: dict[type[Any], Callable[[Any, Caller, Fields], Command]] = {
    points_pb2.IssuePointsRequest: _issue,
    points_pb2.RedeemPointsRequest: _redeem,
    points_pb2.ReverseEntryRequest: _reverse,
    **convert_members.MAKERS,
    **TILL_MAKERS,
}


def _original(message: points_pb2.ReverseEntryRequest, caller: Caller, fields: Fields) -> str:
    by = message.WhichOneof("original")
    if by == "entry_id":
        return fields.entry_id(message.entry_id)
    if by == "original_idempotency_key":
        return entry_id(caller.partner_id, fields.idempotency_key(message.original_idempotency_key, "original_idempotency_key"))
    fields.wrong("entry_id", REQUIRED, "entry_id or original_idempotency_key")
    return ""


def _rate_card_version(message: points_pb2.IssuePointsRequest | points_pb2.RedeemPointsRequest, fields: Fields) -> int | None:
    return fields.rate_card_version(message.rate_card_version) if message.HasField("rate_card_version") else None
