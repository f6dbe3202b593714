"""Messages about members to commands. Shapes only: no rule of the books stands here."""

from collections.abc import Callable
from typing import Any, TypedDict

from gateway.domain.command import (
    AddIdentifier,
    Command,
    Confirm,
    Donate,
    Enrol,
    Erase,
    MemberRef,
    Merge,
    Pause,
    RemoveIdentifier,
    Resume,
    Transfer,
)
from gateway.domain.identifiers import Identifier, IdentifierKind
from gateway.edge.caller import Caller
from gateway.edge.validate import OUT_OF_RANGE, REQUIRED, UNSUPPORTED, Fields
from tallystick.v1 import member_pb2, points_pb2, types_pb2

MemberMessage = (
    member_pb2.EnrolMemberRequest
    | member_pb2.ConfirmMemberRequest
    | member_pb2.AddIdentifierRequest
    | member_pb2.RemoveIdentifierRequest
    | member_pb2.TransferPointsRequest
    | member_pb2.DonatePointsRequest
    | member_pb2.PauseSpendingRequest
    | member_pb2.ResumeSpendingRequest
    | member_pb2.MergeMembersRequest
    | member_pb2.EraseMemberRequest
)

TimedMessage = (
    points_pb2.IssuePointsRequest
    | points_pb2.RedeemPointsRequest
    | points_pb2.ReverseEntryRequest
    | member_pb2.TransferPointsRequest
    | member_pb2.DonatePointsRequest
)


def occurred_at_ms(message: TimedMessage, fields: Fields) -> int | None:
    """When it happened, if the message says."""
    return fields.occurred_at_ms(message.occurred_at_ms) if message.HasField("occurred_at_ms") else None


class _Caller(TypedDict):
    partner_id: str
    key_id: str
    idempotency_key: str


def _caller(message: MemberMessage, caller: Caller, fields: Fields) -> _Caller:
    return _Caller(
        partner_id=caller.partner_id, key_id=caller.key_id, idempotency_key=fields.idempotency_key(message.idempotency_key)
    )


def _enrol(message: member_pb2.EnrolMemberRequest, caller: Caller, fields: Fields) -> Command:
    has_card, has_other = bool(message.card_number), message.HasField("identifier")
    named = fields.identifier(message.identifier) if has_other else fields.card(message.card_number)
    if has_card and has_other:
        fields.wrong("identifier", UNSUPPORTED, "only one of card_number and identifier")
    if named.kind is IdentifierKind.TOKEN:
        fields.wrong("identifier.kind", UNSUPPORTED, "an identifier that lasts")
    is_card = named.kind is IdentifierKind.CARD
    return Enrol(
        **_caller(message, caller, fields),
        card_hash=named.identifier_hash if is_card else None,
        card_tail=named.tail if is_card else "",
        identifier=None if is_card else named,
        provisional=message.provisional or None,
        language=fields.language(message.language),
    )


def _confirm(message: member_pb2.ConfirmMemberRequest, caller: Caller, fields: Fields) -> Command:
    return Confirm(
        **_caller(message, caller, fields), member=fields.member(message.member), language=fields.language(message.language)
    )


def _add_identifier(message: member_pb2.AddIdentifierRequest, caller: Caller, fields: Fields) -> Command:
    named = fields.identifier(message.identifier)
    if named.kind is IdentifierKind.TOKEN:
        valid_until_ms = fields.occurred_at_ms(message.valid_until_ms, "valid_until_ms")
        named = Identifier(named.kind, named.identifier_hash, named.tail, valid_until_ms)
    elif message.valid_until_ms:
        fields.wrong("valid_until_ms", OUT_OF_RANGE, "only of a one-time token")
    return AddIdentifier(**_caller(message, caller, fields), member=fields.member(message.member), identifier=named)


def _remove_identifier(message: member_pb2.RemoveIdentifierRequest, caller: Caller, fields: Fields) -> Command:
    by = message.WhichOneof("by")
    if by is None:
        fields.wrong("identifier", REQUIRED, "identifier or identifier_id")
    return RemoveIdentifier(
        **_caller(message, caller, fields),
        member=fields.member(message.member),
        identifier_hash=fields.identifier(message.identifier).identifier_hash if by == "identifier" else None,
        identifier_id=fields.identifier_id(message.identifier_id) if by == "identifier_id" else None,
    )


def _transfer(message: member_pb2.TransferPointsRequest, caller: Caller, fields: Fields) -> Command:
    source, target = _two_members(message.source, message.target, fields)
    return Transfer(
        **_caller(message, caller, fields),
        source=source,
        target=target,
        points=fields.points(message.points),
        occurred_at_ms=occurred_at_ms(message, fields),
        receipt_number=fields.receipt_number(message.receipt_number),
    )


def _merge(message: member_pb2.MergeMembersRequest, caller: Caller, fields: Fields) -> Command:
    source, target = _two_members(message.source, message.target, fields)
    return Merge(**_caller(message, caller, fields), source=source, target=target)


def _two_members(
    source_asked: types_pb2.MemberRef, target_asked: types_pb2.MemberRef, fields: Fields
) -> tuple[MemberRef, MemberRef]:
    source, target = fields.member(source_asked, "source"), fields.member(target_asked, "target")
    if source == target and not fields.violations:
        fields.wrong("target", "SAME_AS_SOURCE", "another member than the source")
    return source, target


def _donate(message: member_pb2.DonatePointsRequest, caller: Caller, fields: Fields) -> Command:
    return Donate(
        **_caller(message, caller, fields),
        member=fields.member(message.member),
        charity_id=fields.partner_id(message.charity_id, "charity_id"),
        points=fields.points(message.points),
        occurred_at_ms=occurred_at_ms(message, fields),
        receipt_number=fields.receipt_number(message.receipt_number),
    )


def _pause(message: member_pb2.PauseSpendingRequest, caller: Caller, fields: Fields) -> Command:
    return Pause(**_caller(message, caller, fields), member=fields.member(message.member))


def _resume(message: member_pb2.ResumeSpendingRequest, caller: Caller, fields: Fields) -> Command:
    return Resume(**_caller(message, caller, fields), member=fields.member(message.member))


def _erase(message: member_pb2.EraseMemberRequest, caller: Caller, fields: Fields) -> Command:
    return Erase(**_caller(message, caller, fields), member=fields.member(message.member))


MAKERS: dict[type[Any], Callable[[Any, Caller, Fields], Command]] = {
    member_pb2.EnrolMemberRequest: _enrol,
    member_pb2.ConfirmMemberRequest: _confirm,
    member_pb2.AddIdentifierRequest: _add_identifier,
    member_pb2.RemoveIdentifierRequest: _remove_identifier,
    member_pb2.TransferPointsRequest: _transfer,
    member_pb2.DonatePointsRequest: _donate,
    member_pb2.PauseSpendingRequest: _pause,
    member_pb2.ResumeSpendingRequest: _resume,
    member_pb2.MergeMembersRequest: _merge,
    member_pb2.EraseMemberRequest: _erase,
}
