"""What a till can ask for, as messages; and the methods that carry them. Pure: nothing is sent here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from gateway.domain.identifiers import LANGUAGE
from gateway.domain.ids import CARD_NUMBER, MEMBER_ID
from gateway.domain.units import check_unit, parse_amount
from partners.pos.errors import PosError
from tallystick.v1 import (
    member_pb2,
    network_pb2,
    offline_pb2,
    partner_pb2,
    points_pb2,
    reconciliation_pb2,
    statement_pb2,
    till_pb2,
    types_pb2,
)

Booking = (
    points_pb2.IssuePointsRequest
    | points_pb2.RedeemPointsRequest
    | points_pb2.ReverseEntryRequest
    | member_pb2.EnrolMemberRequest
    | member_pb2.TransferPointsRequest
    | member_pb2.ConfirmMemberRequest
    | member_pb2.AddIdentifierRequest
    | member_pb2.RemoveIdentifierRequest
    | member_pb2.DonatePointsRequest
    | member_pb2.PauseSpendingRequest
    | member_pb2.ResumeSpendingRequest
    | member_pb2.MergeMembersRequest
    | member_pb2.EraseMemberRequest
    | till_pb2.PlaceHoldRequest
    | till_pb2.VoidHoldRequest
    | till_pb2.CheckoutRequest
    | till_pb2.RefundRequest
    | till_pb2.ClaimReceiptRequest
)
"""A command that may book something: it has an idempotency key, and its answer a receipt."""

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[_Q, _A]):
    """A unary call: its full path, what it takes and what it answers."""

    path: str
    request: type[_Q]
    answer: type[_A]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def on(self, channel: Any) -> Callable[..., Any]:
        """The call on a channel, sync or aio, as a generated stub makes it."""
        call: Callable[..., Any] = channel.unary_unary(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.answer.FromString,
        )
        return call


GET_NETWORK = Method("/tallystick.v1.NetworkService/GetNetwork", network_pb2.GetNetworkRequest, network_pb2.GetNetworkResponse)
ISSUE = Method("/tallystick.v1.PointsService/IssuePoints", points_pb2.IssuePointsRequest, points_pb2.IssuePointsResponse)
REDEEM = Method("/tallystick.v1.PointsService/RedeemPoints", points_pb2.RedeemPointsRequest, points_pb2.RedeemPointsResponse)
REVERSE = Method("/tallystick.v1.PointsService/ReverseEntry", points_pb2.ReverseEntryRequest, points_pb2.ReverseEntryResponse)
GET_ENTRY = Method("/tallystick.v1.PointsService/GetEntry", points_pb2.GetEntryRequest, points_pb2.GetEntryResponse)
SUBMIT_BATCH = Method("/tallystick.v1.PointsService/SubmitBatch", points_pb2.SubmitBatchRequest, points_pb2.SubmitBatchResponse)
ENROL = Method("/tallystick.v1.MemberService/EnrolMember", member_pb2.EnrolMemberRequest, member_pb2.EnrolMemberResponse)
TRANSFER = Method(
    "/tallystick.v1.MemberService/TransferPoints", member_pb2.TransferPointsRequest, member_pb2.TransferPointsResponse
)
GET_BALANCE = Method("/tallystick.v1.MemberService/GetBalance", member_pb2.GetBalanceRequest, member_pb2.GetBalanceResponse)
LIST_ENTRIES = Method("/tallystick.v1.MemberService/ListEntries", member_pb2.ListEntriesRequest, member_pb2.ListEntriesResponse)
CONFIRM = Method("/tallystick.v1.MemberService/ConfirmMember", member_pb2.ConfirmMemberRequest, member_pb2.ConfirmMemberResponse)
ADD_IDENTIFIER = Method(
    "/tallystick.v1.MemberService/AddIdentifier", member_pb2.AddIdentifierRequest, member_pb2.AddIdentifierResponse
)
REMOVE_IDENTIFIER = Method(
    "/tallystick.v1.MemberService/RemoveIdentifier", member_pb2.RemoveIdentifierRequest, member_pb2.RemoveIdentifierResponse
)
DONATE = Method("/tallystick.v1.MemberService/DonatePoints", member_pb2.DonatePointsRequest, member_pb2.DonatePointsResponse)
PAUSE = Method("/tallystick.v1.MemberService/PauseSpending", member_pb2.PauseSpendingRequest, member_pb2.PauseSpendingResponse)
RESUME = Method(
    "/tallystick.v1.MemberService/ResumeSpending", member_pb2.ResumeSpendingRequest, member_pb2.ResumeSpendingResponse
)
MERGE = Method("/tallystick.v1.MemberService/MergeMembers", member_pb2.MergeMembersRequest, member_pb2.MergeMembersResponse)
ERASE = Method("/tallystick.v1.MemberService/EraseMember", member_pb2.EraseMemberRequest, member_pb2.EraseMemberResponse)
LOOK_UP = Method("/tallystick.v1.MemberService/LookUpMember", member_pb2.LookUpMemberRequest, member_pb2.LookUpMemberResponse)
LIST_LOTS = Method("/tallystick.v1.MemberService/ListLots", member_pb2.ListLotsRequest, member_pb2.ListLotsResponse)
EXPORT = Method("/tallystick.v1.MemberService/ExportMember", member_pb2.ExportMemberRequest, member_pb2.ExportMemberResponse)
QUOTE = Method("/tallystick.v1.TillService/Quote", till_pb2.QuoteRequest, till_pb2.QuoteResponse)
PLACE_HOLD = Method("/tallystick.v1.TillService/PlaceHold", till_pb2.PlaceHoldRequest, till_pb2.PlaceHoldResponse)
VOID_HOLD = Method("/tallystick.v1.TillService/VoidHold", till_pb2.VoidHoldRequest, till_pb2.VoidHoldResponse)
CHECKOUT = Method("/tallystick.v1.TillService/Checkout", till_pb2.CheckoutRequest, till_pb2.CheckoutResponse)
REFUND = Method("/tallystick.v1.TillService/Refund", till_pb2.RefundRequest, till_pb2.RefundResponse)
CLAIM_RECEIPT = Method("/tallystick.v1.TillService/ClaimReceipt", till_pb2.ClaimReceiptRequest, till_pb2.ClaimReceiptResponse)
SUBMIT_OFFLINE = Method(
    "/tallystick.v1.OfflineService/SubmitOffline", offline_pb2.SubmitOfflineRequest, offline_pb2.SubmitOfflineResponse
)
GET_TERMINAL = Method(
    "/tallystick.v1.OfflineService/GetTerminal", offline_pb2.GetTerminalRequest, offline_pb2.GetTerminalResponse
)
GET_PARTNER = Method("/tallystick.v1.PartnerService/GetPartner", partner_pb2.GetPartnerRequest, partner_pb2.GetPartnerResponse)
LIST_WINDOWS = Method(
    "/tallystick.v1.StatementService/ListWindows", statement_pb2.ListWindowsRequest, statement_pb2.ListWindowsResponse
)
GET_STATEMENT = Method(
    "/tallystick.v1.StatementService/GetStatement", statement_pb2.GetStatementRequest, statement_pb2.GetStatementResponse
)
LIST_STATEMENT_LINES = Method(
    "/tallystick.v1.StatementService/ListStatementLines",
    statement_pb2.ListStatementLinesRequest,
    statement_pb2.ListStatementLinesResponse,
)
_RECONCILIATION = "/tallystick.v1.ReconciliationService"
UPLOAD_RECORD = Method(
    f"{_RECONCILIATION}/UploadPartnerRecord",
    reconciliation_pb2.UploadPartnerRecordRequest,
    reconciliation_pb2.UploadPartnerRecordResponse,
)
LIST_RECORDS = Method(
    f"{_RECONCILIATION}/ListPartnerRecords",
    reconciliation_pb2.ListPartnerRecordsRequest,
    reconciliation_pb2.ListPartnerRecordsResponse,
)
ACKNOWLEDGE = Method(
    f"{_RECONCILIATION}/AcknowledgeStatement",
    reconciliation_pb2.AcknowledgeStatementRequest,
    reconciliation_pb2.AcknowledgeStatementResponse,
)
LIST_ACKNOWLEDGEMENTS = Method(
    f"{_RECONCILIATION}/ListAcknowledgements",
    reconciliation_pb2.ListAcknowledgementsRequest,
    reconciliation_pb2.ListAcknowledgementsResponse,
)
OPEN_DISPUTE = Method(
    f"{_RECONCILIATION}/OpenDispute", reconciliation_pb2.OpenDisputeRequest, reconciliation_pb2.OpenDisputeResponse
)
ANSWER_DISPUTE = Method(
    f"{_RECONCILIATION}/AnswerDispute", reconciliation_pb2.AnswerDisputeRequest, reconciliation_pb2.AnswerDisputeResponse
)
LIST_DISPUTES = Method(
    f"{_RECONCILIATION}/ListDisputes", reconciliation_pb2.ListDisputesRequest, reconciliation_pb2.ListDisputesResponse
)

METHODS: tuple[Method[Any, Any], ...] = (
    GET_NETWORK, ISSUE, REDEEM, REVERSE, GET_ENTRY, SUBMIT_BATCH, ENROL, TRANSFER, GET_BALANCE, LIST_ENTRIES, GET_PARTNER,
    LIST_WINDOWS, GET_STATEMENT, LIST_STATEMENT_LINES, QUOTE, PLACE_HOLD, VOID_HOLD, CHECKOUT, REFUND, CLAIM_RECEIPT,
    CONFIRM, ADD_IDENTIFIER, REMOVE_IDENTIFIER, DONATE, PAUSE, RESUME, MERGE, ERASE, LOOK_UP, LIST_LOTS, EXPORT,
    SUBMIT_OFFLINE, GET_TERMINAL, UPLOAD_RECORD, LIST_RECORDS, ACKNOWLEDGE, LIST_ACKNOWLEDGEMENTS, OPEN_DISPUTE,
    ANSWER_DISPUTE, LIST_DISPUTES,
)  # fmt: skip

# The method of each booking, and the field of `Command` that carries it in a batch; None: it goes by itself.
BOOKINGS: Mapping[type[Message], tuple[Method[Any, Any], str | None]] = {
    points_pb2.IssuePointsRequest: (ISSUE, "issue"),
    points_pb2.RedeemPointsRequest: (REDEEM, "redeem"),
    points_pb2.ReverseEntryRequest: (REVERSE, "reverse"),
    member_pb2.EnrolMemberRequest: (ENROL, "enrol"),
    member_pb2.TransferPointsRequest: (TRANSFER, "transfer"),
    member_pb2.DonatePointsRequest: (DONATE, "donate"),
    member_pb2.ConfirmMemberRequest: (CONFIRM, None),
    member_pb2.AddIdentifierRequest: (ADD_IDENTIFIER, None),
    member_pb2.RemoveIdentifierRequest: (REMOVE_IDENTIFIER, None),
    member_pb2.PauseSpendingRequest: (PAUSE, None),
    member_pb2.ResumeSpendingRequest: (RESUME, None),
    member_pb2.MergeMembersRequest: (MERGE, None),
    member_pb2.EraseMemberRequest: (ERASE, None),
    till_pb2.PlaceHoldRequest: (PLACE_HOLD, None),
    till_pb2.VoidHoldRequest: (VOID_HOLD, None),
    till_pb2.CheckoutRequest: (CHECKOUT, "checkout"),
    till_pb2.RefundRequest: (REFUND, "refund"),
    till_pb2.ClaimReceiptRequest: (CLAIM_RECEIPT, "claim"),
}


def method_named(name: str) -> Method[Any, Any]:
    """By its name or its full path. Raises PosError."""
    for method in METHODS:
        if name in {method.path, method.name}:
            return method
    raise PosError(f"no method {name!r}; there are: {', '.join(sorted(method.name for method in METHODS))}")


def card(number: str) -> types_pb2.MemberRef:
    """A member by the number on the card. Raises PosError if it is not of its form."""
    if CARD_NUMBER.fullmatch(number) is None:
        raise PosError(f"card number {number!r}: must be 4 to 32 characters of A-Z, a-z, 0-9 and -")
    return types_pb2.MemberRef(card_number=number)


def member(member_id: str) -> types_pb2.MemberRef:
    """A member by the id that the enrolment gave. Raises PosError if it is not of its form."""
    if MEMBER_ID.fullmatch(member_id) is None:
        raise PosError(f"member id {member_id!r}: must be 1 to 64 characters of a-z, 0-9, _ and -")
    return types_pb2.MemberRef(member_id=member_id)


def amount(text: str) -> types_pb2.Amount:
    """Reads "12.50 EUR" or "40 acme:STAR". Raises InvalidValue, PosError."""
    number, space, unit = text.partition(" ")
    if not space:
        raise PosError(f"amount {text!r}: write the number and its unit, such as '12.50 EUR'")
    return types_pb2.Amount(unit=check_unit(unit), minor_units=parse_amount(number, unit))


def issue(
    who: types_pb2.MemberRef,
    eligible: types_pb2.Amount,
    *,
    key: str,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
    offer_id: str = "",
    rate_card_version: int | None = None,
) -> points_pb2.IssuePointsRequest:
    """Issue points on a basket: `eligible` is what is left of it after discounts and after what points paid."""
    return points_pb2.IssuePointsRequest(
        idempotency_key=key,
        member=who,
        eligible=eligible,
        receipt_number=receipt_number,
        occurred_at_ms=occurred_at_ms,
        offer_id=offer_id,
        rate_card_version=rate_card_version,
    )


def redeem(
    who: types_pb2.MemberRef,
    quantity: int | types_pb2.Amount,
    *,
    key: str,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
    rate_card_version: int | None = None,
) -> points_pb2.RedeemPointsRequest:
    """Redeem so many points, or, given an amount, as many as it takes and the member has."""
    request = points_pb2.RedeemPointsRequest(
        idempotency_key=key,
        member=who,
        receipt_number=receipt_number,
        occurred_at_ms=occurred_at_ms,
        rate_card_version=rate_card_version,
    )
    if isinstance(quantity, int):
        request.points = quantity
    else:
        request.up_to_value.CopyFrom(quantity)
    return request


def reverse(
    *,
    key: str,
    entry_id: str = "",
    original_key: str = "",
    part: int | types_pb2.Amount | None = None,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
) -> points_pb2.ReverseEntryRequest:
    """Reverse an entry, named by its id or by the key it was booked with: by amount (issue), by points (redemption), or all."""
    if bool(entry_id) == bool(original_key):
        raise PosError("name the entry to reverse in one way: by its id, or by the key it was booked with")
    request = points_pb2.ReverseEntryRequest(idempotency_key=key, receipt_number=receipt_number, occurred_at_ms=occurred_at_ms)
    if entry_id:
        request.entry_id = entry_id
    else:
        request.original_idempotency_key = original_key
    if isinstance(part, int):
        request.points = part
    elif part is not None:
        request.eligible.CopyFrom(part)
    return request


def enrol(
    under: str | types_pb2.Identifier, *, key: str, provisional: bool = False, language: str = ""
) -> member_pb2.EnrolMemberRequest:
    """Enrol a member under a card number or another identifier; `provisional`: no points are taken until it is confirmed."""
    request = member_pb2.EnrolMemberRequest(idempotency_key=key, provisional=provisional, language=check_language(language))
    if isinstance(under, str):
        request.card_number = card(under).card_number
    else:
        request.identifier.CopyFrom(under)
    return request


def check_language(language: str) -> str:
    """Returns it; raises PosError unless it is of the form. Whether there are texts in it, the gateway says. Empty for none."""
    if language and LANGUAGE.fullmatch(language) is None:
        raise PosError(f"language {language!r}: must be two small letters, such as de")
    return language


def transfer(
    source: types_pb2.MemberRef,
    target: types_pb2.MemberRef,
    points: int,
    *,
    key: str,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
) -> member_pb2.TransferPointsRequest:
    """Move points from one member to another."""
    return member_pb2.TransferPointsRequest(
        idempotency_key=key,
        source=source,
        target=target,
        points=points,
        receipt_number=receipt_number,
        occurred_at_ms=occurred_at_ms,
    )


def entry_query(*, entry_id: str = "", key: str = "") -> points_pb2.GetEntryRequest:
    """Ask for the answer that a command got, by the id on its receipt or by its idempotency key."""
    if bool(entry_id) == bool(key):
        raise PosError("name the entry in one way: by its id, or by its idempotency key")
    return points_pb2.GetEntryRequest(entry_id=entry_id) if entry_id else points_pb2.GetEntryRequest(idempotency_key=key)


def balance(who: types_pb2.MemberRef) -> member_pb2.GetBalanceRequest:
    """Ask for the member's points. Refused: MEMBER_NOT_FOUND."""
    return member_pb2.GetBalanceRequest(member=who)


def one_of_batch(command: Booking) -> points_pb2.Command:
    """A command as a batch, or an event, carries it. Raises PosError for what goes by itself."""
    method, field = BOOKINGS[type(command)]
    if field is None:
        raise PosError(f"{method.name} does not go by batch: send it by itself")
    carried = points_pb2.Command()
    getattr(carried, field).CopyFrom(command)
    return carried


def batch(commands: "list[Booking]") -> points_pb2.SubmitBatchRequest:
    """Several commands under one signature, in this order, each by itself. Raises PosError for what does not go by batch."""
    return points_pb2.SubmitBatchRequest(commands=[one_of_batch(command) for command in commands])
