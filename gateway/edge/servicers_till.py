# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""The till's calls: thin handlers."""

from gateway.edge import convert_till
from gateway.edge.caller import current_caller
from gateway.edge.servicers import Services, check, found
from gateway.edge.validate import Fields
from gateway.edge.views import quote_message
from tallystick.v1 import till_pb2, till_pb2_grpc


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
        now_ms = self._services.clock()
        quote = await self._services.reading.quote(
            current_caller.get().partner_id, member, total, eligible=eligible, offer_id=offer_id, now_ms=now_ms
        )
        return quote_message(found(quote), now_ms=now_ms)

    async def PlaceHold(self, request: till_pb2.PlaceHoldRequest, context: object) -> till_pb2.PlaceHoldResponse:
        """Sets points aside."""
        return till_pb2.PlaceHoldResponse(answer=await self._services.book(request))

    async def VoidHold(self, request: till_pb2.VoidHoldRequest, context: object) -> till_pb2.VoidHoldResponse:
        """Lets a hold go."""
        return till_pb2.VoidHoldResponse(answer=await self._services.book(request))

    async def Checkout(self, request: till_pb2.CheckoutRequest, context: object) -> till_pb2.CheckoutResponse:
        """Books a basket."""
        return till_pb2.CheckoutResponse(answer=await self._services.book(request))

    async def Refund(self, request: till_pb2.RefundRequest, context: object) -> till_pb2.RefundResponse:
        """Takes goods of a checkout back."""
        return till_pb2.RefundResponse(answer=await self._services.book(request))

    async def ClaimReceipt(self, request: till_pb2.ClaimReceiptRequest, context: object) -> till_pb2.ClaimReceiptResponse:
        """Points for a purchase whose card had been forgotten."""
        return till_pb2.ClaimReceiptResponse(answer=await self._services.book(request))
