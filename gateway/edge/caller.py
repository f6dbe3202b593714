"""Who calls, as the signature has proven it; what a call is allowed, and until when."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

from gateway.domain.intake import SignedRequest
from gateway.domain.partner import KeyScope

TILL, OFFICE = frozenset({KeyScope.TILL}), frozenset({KeyScope.OFFICE})


@dataclass(frozen=True, slots=True)
class MethodRule:
    """Which keys may call a method, and whether it may book something. No scopes: it needs no signature.

    `keeps`: the signed request itself is kept, so its handler is given it as it came.
    """

    scopes: frozenset[KeyScope]
    books: bool = False
    keeps: bool = False


METHOD_RULES: dict[str, MethodRule] = {
    "/tallystick.v1.NetworkService/GetNetwork": MethodRule(frozenset()),
    "/tallystick.v1.PointsService/IssuePoints": MethodRule(TILL, books=True),
    "/tallystick.v1.PointsService/RedeemPoints": MethodRule(TILL, books=True),
    "/tallystick.v1.PointsService/ReverseEntry": MethodRule(TILL, books=True),
    "/tallystick.v1.PointsService/SubmitBatch": MethodRule(TILL, books=True),
    "/tallystick.v1.PointsService/GetEntry": MethodRule(TILL | OFFICE),
    "/tallystick.v1.MemberService/EnrolMember": MethodRule(TILL, books=True),
    "/tallystick.v1.MemberService/ConfirmMember": MethodRule(TILL | OFFICE, books=True),
    "/tallystick.v1.MemberService/AddIdentifier": MethodRule(TILL | OFFICE, books=True),
    "/tallystick.v1.MemberService/RemoveIdentifier": MethodRule(TILL | OFFICE, books=True),
    "/tallystick.v1.MemberService/TransferPoints": MethodRule(TILL, books=True),
    "/tallystick.v1.MemberService/DonatePoints": MethodRule(TILL, books=True),
    "/tallystick.v1.MemberService/PauseSpending": MethodRule(TILL | OFFICE, books=True),
    "/tallystick.v1.MemberService/ResumeSpending": MethodRule(OFFICE, books=True),
    "/tallystick.v1.MemberService/MergeMembers": MethodRule(OFFICE, books=True),
    "/tallystick.v1.MemberService/EraseMember": MethodRule(OFFICE, books=True),
    "/tallystick.v1.MemberService/LookUpMember": MethodRule(TILL | OFFICE),
    "/tallystick.v1.MemberService/GetBalance": MethodRule(TILL | OFFICE),
    "/tallystick.v1.MemberService/ListLots": MethodRule(TILL | OFFICE),
    "/tallystick.v1.MemberService/ListEntries": MethodRule(TILL | OFFICE),
    "/tallystick.v1.MemberService/ExportMember": MethodRule(OFFICE),
    "/tallystick.v1.TillService/Quote": MethodRule(TILL),
    "/tallystick.v1.TillService/PlaceHold": MethodRule(TILL, books=True),
    "/tallystick.v1.TillService/VoidHold": MethodRule(TILL, books=True),
    "/tallystick.v1.TillService/Checkout": MethodRule(TILL, books=True),
    "/tallystick.v1.TillService/Refund": MethodRule(TILL, books=True),
    "/tallystick.v1.TillService/ClaimReceipt": MethodRule(TILL, books=True),
    "/tallystick.v1.OfflineService/SubmitOffline": MethodRule(TILL, books=True),
    "/tallystick.v1.OfflineService/GetTerminal": MethodRule(TILL),
    "/tallystick.v1.PartnerService/GetPartner": MethodRule(TILL | OFFICE),
    "/tallystick.v1.StatementService/ListWindows": MethodRule(OFFICE),
    "/tallystick.v1.StatementService/GetStatement": MethodRule(OFFICE),
    "/tallystick.v1.StatementService/ListStatementLines": MethodRule(OFFICE),
    "/tallystick.v1.ReconciliationService/UploadPartnerRecord": MethodRule(OFFICE, books=True, keeps=True),
    "/tallystick.v1.ReconciliationService/ListPartnerRecords": MethodRule(OFFICE),
    "/tallystick.v1.ReconciliationService/AcknowledgeStatement": MethodRule(OFFICE, books=True, keeps=True),
    "/tallystick.v1.ReconciliationService/ListAcknowledgements": MethodRule(OFFICE),
    "/tallystick.v1.ReconciliationService/OpenDispute": MethodRule(OFFICE, books=True, keeps=True),
    "/tallystick.v1.ReconciliationService/AnswerDispute": MethodRule(OFFICE, books=True, keeps=True),
    "/tallystick.v1.ReconciliationService/ListDisputes": MethodRule(OFFICE),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The partner and the key that signed the call, and the call's deadline on the monotonic clock, in seconds."""

    partner_id: str
    key_id: str
    deadline: float


current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""Set by the doorkeeper in the call's own task, read by the servicer."""

current_request: ContextVar[SignedRequest] = ContextVar("current_request")
"""As it was received and proven; set by the doorkeeper for the methods that keep it."""

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

call_metadata: ContextVar[Metadata] = ContextVar("call_metadata")
"""Of the call, in its own task: found when the call comes in, read by the handler."""
