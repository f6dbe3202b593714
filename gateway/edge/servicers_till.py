# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""The till's calls: thin handlers."""

from collections.abc import Sequence
from typing import TypedDict

from gateway.edge import convert_till
from gateway.edge.caller import current_caller
from gateway.edge.lines import language_of, receipt_lines
from gateway.edge.servicers import Services, check, found
from gateway.edge.validate import Fields
from gateway.edge.views import quote_message
from tallystick.v1 import till_pb2, till_pb2_grpc, types_pb2


class _Paper(TypedDict):
    """What the answers of all commands have beside the proof."""

    receipt_lines: list[str]
    warnings: Sequence[types_pb2.Warning.ValueType]


class TillServicer(till_pb2_grpc.TillServiceServicer):
    """One checkout in few calls."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def Quote(self, request: till_pb2.QuoteRequest, context: object) -> till_pb2.QuoteResponse:
        """What a checkout would do."""
        fields = Fields(self._services.pepper)
        member = fields.member(request.member)
        total, eligible = convert_till.basket(request, fields)
        offer_id = fields.offer_id(request.offer_id)
        check(fields)
        now_ms, caller = self._services.clock(), current_caller.get()
        quote = await self._services.reading.quote(
            caller.partner_id, caller.key_id, member, total, eligible=eligible, offer_id=offer_id, now_ms=now_ms
        )
        return quote_message(found(quote), now_ms=now_ms)

    async def PlaceHold(self, request: till_pb2.PlaceHoldRequest, context: object) -> till_pb2.PlaceHoldResponse:
        """Sets points aside."""
        answer = await self._services.book(request)
        return till_pb2.PlaceHoldResponse(answer=answer, **_paper(answer, request.language))

    async def VoidHold(self, request: till_pb2.VoidHoldRequest, context: object) -> till_pb2.VoidHoldResponse:
        """Lets a hold go."""
        answer = await self._services.book(request)
        return till_pb2.VoidHoldResponse(answer=answer, **_paper(answer, request.language))

    async def Checkout(self, request: till_pb2.CheckoutRequest, context: object) -> till_pb2.CheckoutResponse:
        """Books a basket."""
        answer = await self._services.book(request)
        return till_pb2.CheckoutResponse(answer=answer, **_paper(answer, request.language))

    async def Refund(self, request: till_pb2.RefundRequest, context: object) -> till_pb2.RefundResponse:
        """Takes goods of a checkout back."""
        answer = await self._services.book(request)
        return till_pb2.RefundResponse(answer=answer, **_paper(answer, request.language))

    async def ClaimReceipt(self, request: till_pb2.ClaimReceiptRequest, context: object) -> till_pb2.ClaimReceiptResponse:
        """Points for a purchase whose card had been forgotten."""
        answer = await self._services.book(request)
        return till_pb2.ClaimReceiptResponse(answer=answer, **_paper(answer, request.language))


def _paper(answer: types_pb2.Answer, language: str) -> _Paper:
    """By the stored receipt alone, the member's language included: a repeat of the command gets the same."""
    receipt = types_pb2.Receipt.FromString(answer.receipt.receipt)
    return {"receipt_lines": receipt_lines(receipt, language_of(language, receipt.language)), "warnings": receipt.warnings}
