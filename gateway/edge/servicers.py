# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""Thin handlers: convert, call, convert. Who calls is known when they run, and has signed what they get."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.domain.command import Command
from gateway.domain.ids import entry_id
from gateway.domain.network import ReceiptKey
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Result
from gateway.edge import convert
from gateway.edge.caller import current_caller
from gateway.edge.pages import PageTokens
from gateway.edge.refused import CallRejected, Rejected, reject
from gateway.edge.validate import REQUIRED, Fields
from gateway.edge.views import limits_message, line_message, partner_message, rate_card_message, window_message
from gateway.services.directory import Directory
from gateway.services.points import CommandPath
from gateway.services.reading import ReadingService
from gateway.services.receipts import ReceiptSigner
from tallystick.v1 import (
    network_pb2,
    network_pb2_grpc,
    partner_pb2,
    partner_pb2_grpc,
    points_pb2,
    points_pb2_grpc,
    statement_pb2,
    statement_pb2_grpc,
    types_pb2,
)

BATCH_MAX = 500  # commands under one signature
PAGE, PAGE_MAX = 50, 200
LINES_PAGE, LINES_PAGE_MAX = 100, 500
_SLICE = 25  # commands of a batch that are worked on before other calls get their turn

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the servicers call. `pepper` is the secret of the hashes of identifiers; `clock` gives unix milliseconds."""

    directory: Directory
    points: CommandPath
    reading: ReadingService
    signer: ReceiptSigner
    receipt_keys: Callable[[], Sequence[ReceiptKey]]
    pepper: bytes
    clock: Callable[[], int]

    def signed(self, answer: Answer) -> types_pb2.Answer:
        """The message of an answer, with the network's signature."""
        signature = answer.signature or self.signer.sign(answer.receipt, answer.receipt_key_id)
        return convert.answer_message(answer, signature, now_ms=self.clock())

    async def book(self, message: convert.CommandMessage) -> types_pb2.Answer:
        """Carries out a single command. Raises CallRejected unless it was booked."""
        caller = current_caller.get()
        command = convert.to_command(message, caller, self.pepper)
        if isinstance(command, Rejected):
            raise CallRejected(command)
        result = await self.points.submit(command, deadline=caller.deadline)
        rejected = convert.rejected(result)
        if rejected is not None:
            raise CallRejected(rejected)
        assert isinstance(result, Answer)
        return self.signed(result)


class NetworkServicer(network_pb2_grpc.NetworkServiceServicer):
    """What anybody may know."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def GetNetwork(self, request: network_pb2.GetNetworkRequest, context: object) -> network_pb2.GetNetworkResponse:
        """The audience, the clock, and the receipt keys."""
        return network_pb2.GetNetworkResponse(
            audience=self._services.directory.terms.audience,
            server_time_ms=self._services.clock(),
            receipt_keys=[
                network_pb2.ReceiptKey(
                    key_id=key.key_id,
                    public_key=key.public_key,
                    valid_from_ms=key.valid_from_ms,
                    valid_until_ms=key.valid_until_ms or 0,
                )
                for key in self._services.receipt_keys()
            ],
        )


class PointsServicer(points_pb2_grpc.PointsServiceServicer):
    """Issue, redeem, reverse; one at a time or in a batch."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def IssuePoints(self, request: points_pb2.IssuePointsRequest, context: object) -> points_pb2.IssuePointsResponse:
        """Issues points."""
        return points_pb2.IssuePointsResponse(answer=await self._services.book(request))

    async def RedeemPoints(self, request: points_pb2.RedeemPointsRequest, context: object) -> points_pb2.RedeemPointsResponse:
        """Redeems points."""
        return points_pb2.RedeemPointsResponse(answer=await self._services.book(request))

    async def ReverseEntry(self, request: points_pb2.ReverseEntryRequest, context: object) -> points_pb2.ReverseEntryResponse:
        """Reverses an entry."""
        return points_pb2.ReverseEntryResponse(answer=await self._services.book(request))

    async def GetEntry(self, request: points_pb2.GetEntryRequest, context: object) -> points_pb2.GetEntryResponse:
        """The answer that a command got."""
        caller = current_caller.get()
        fields = Fields(self._services.pepper)
        match request.WhichOneof("by"):
            case "entry_id":
                wanted = fields.entry_id(request.entry_id)
            case "idempotency_key":
                wanted = entry_id(caller.partner_id, fields.idempotency_key(request.idempotency_key))
            case _:
                fields.wrong("entry_id", REQUIRED, "entry_id or idempotency_key")
                wanted = ""
        check(fields)
        answer = found(await self._services.reading.answer(caller.partner_id, wanted))
        return points_pb2.GetEntryResponse(answer=self._services.signed(answer))

    async def SubmitBatch(self, request: points_pb2.SubmitBatchRequest, context: object) -> points_pb2.SubmitBatchResponse:
        """Carries out several commands, each by itself."""
        services, caller = self._services, current_caller.get()
        if len(request.commands) > BATCH_MAX:
            raise reject(Reason.BATCH_TOO_LARGE, {"max": str(BATCH_MAX)})
        if not request.commands:
            fields = Fields(services.pepper)
            fields.wrong("commands", REQUIRED, f"1 to {BATCH_MAX}")
            check(fields)
        asked: list[Command | Rejected] = []
        for index, message in enumerate(request.commands, start=1):
            asked.append(convert.batched_command(message, caller, services.pepper))
            await let_others(index)
        commands = [command for command in asked if isinstance(command, Command)]
        results = iter(await services.points.submit_batch(commands, deadline=caller.deadline) if commands else ())
        outcomes: list[Result | Rejected] = [item if isinstance(item, Rejected) else next(results) for item in asked]
        answers = []
        for index, outcome in enumerate(outcomes, start=1):
            answers.append(convert.command_answer(outcome, signed=services.signed))
            await let_others(index)
        return points_pb2.SubmitBatchResponse(answers=answers)


class PartnerServicer(partner_pb2_grpc.PartnerServiceServicer):
    """A partner's own record and terms."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def GetPartner(self, request: partner_pb2.GetPartnerRequest, context: object) -> partner_pb2.GetPartnerResponse:
        """The caller's own record, with all rate cards and limits."""
        terms = self._services.directory.terms
        partner_id = current_caller.get().partner_id
        return partner_pb2.GetPartnerResponse(
            partner=partner_message(terms.partners[partner_id]),
            rate_cards=[rate_card_message(card) for card in terms.cards.get(partner_id, ())],
            limits=[limits_message(own.effective_from, own.limits) for own in terms.partner_limits.get(partner_id, ())],
            network_limits=[limits_message(one.effective_from, one.limits) for one in terms.network],
        )


class StatementServicer(statement_pb2_grpc.StatementServiceServicer):
    """A partner's own statements, once they are published."""

    def __init__(self, services: Services, pages: PageTokens) -> None:
        self._services = services
        self._pages = pages

    async def ListWindows(self, request: statement_pb2.ListWindowsRequest, context: object) -> statement_pb2.ListWindowsResponse:
        """Windows in which the caller has a statement, newest first."""
        partner_id = current_caller.get().partner_id
        fields = Fields(self._services.pepper)
        size = fields.page_size(request.page_size, default=PAGE, size_max=PAGE_MAX)
        check(fields)
        question = ("ListWindows", partner_id)
        place = self._pages.read(request.page_token, *question)
        page = await self._services.reading.windows(partner_id, before=place[0] if place else None, limit=size + 1)
        has_more = len(page) > size
        return statement_pb2.ListWindowsResponse(
            windows=[window_message(window) for window in page[:size]],
            next_page_token=self._pages.make((page[size - 1].window_id,), *question) if has_more else "",
        )

    async def GetStatement(
        self, request: statement_pb2.GetStatementRequest, context: object
    ) -> statement_pb2.GetStatementResponse:
        """The caller's statement of a window."""
        fields = Fields(self._services.pepper)
        window_id = fields.window_id(request.window_id)
        check(fields)
        its_own = found(await self._services.reading.statement(current_caller.get().partner_id, window_id))
        statement, window = its_own.statement, its_own.window
        key_id, signature = self._services.signer.sign_statement(statement.statement, closed_at_ms=window.closed_at_ms)
        return statement_pb2.GetStatementResponse(
            window=window_message(window),
            statement=statement.statement,
            sha256=statement.sha256,
            signature=signature,
            receipt_key_id=key_id,
        )

    async def ListStatementLines(
        self, request: statement_pb2.ListStatementLinesRequest, context: object
    ) -> statement_pb2.ListStatementLinesResponse:
        """The events behind a statement."""
        partner_id = current_caller.get().partner_id
        fields = Fields(self._services.pepper)
        window_id = fields.window_id(request.window_id)
        size = fields.page_size(request.page_size, default=LINES_PAGE, size_max=LINES_PAGE_MAX)
        check(fields)
        question = ("ListStatementLines", partner_id, str(window_id))
        place = self._pages.read(request.page_token, *question)
        after = place[0] if place else 0
        page = found(await self._services.reading.statement_lines(partner_id, window_id, after=after, limit=size + 1))
        has_more = len(page) > size
        return statement_pb2.ListStatementLinesResponse(
            lines=[line_message(line) for line in page[:size]],
            next_page_token=self._pages.make((page[size - 1].line_number,), *question) if has_more else "",
        )


def check(fields: Fields) -> None:
    """Raises CallRejected if a field is wrong."""
    if fields.violations:
        raise reject(Reason.INVALID_FIELDS, violations=tuple(fields.violations))


def found(result: _T | Refusal) -> _T:
    """The answer to a question. Raises CallRejected for a refusal."""
    if isinstance(result, Refusal):
        raise CallRejected(Rejected(result))
    return result


async def let_others(index: int) -> None:
    """Between the commands of a batch, now and then: whoever calls meanwhile gets a turn."""
    if index % _SLICE == 0:
        await asyncio.sleep(0)
