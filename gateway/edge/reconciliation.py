# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""Handlers of ReconciliationService: convert, call, convert."""

from gateway.domain.dispute import Dispute
from gateway.domain.ids import OPERATOR
from gateway.domain.intake import Acknowledgement, PartnerRecord
from gateway.domain.outcome import Reason, Refusal
from gateway.edge import intake as sent
from gateway.edge.caller import current_caller, current_request
from gateway.edge.pages import PageTokens
from gateway.edge.refused import CallRejected, Rejected, Violation
from gateway.edge.servicers import PAGE, PAGE_MAX, Services, check, found
from gateway.edge.validate import OUT_OF_RANGE, Fields
from gateway.services.intake import IntakeService, Standing
from tallystick.v1 import reconciliation_pb2 as pb
from tallystick.v1 import reconciliation_pb2_grpc

_DEADLINE = Violation("deadline", OUT_OF_RANGE, "1 to 60 days after the network's date")
_ANSWER = Violation("answer", "UNSUPPORTED", "WITHDRAW of whoever opened it, ACCEPT or CONTEST of the respondent")


class ReconciliationServicer(reconciliation_pb2_grpc.ReconciliationServiceServicer):
    """What partners send about settlement."""

    def __init__(self, services: Services, intake: IntakeService, pages: PageTokens) -> None:
        self._services = services
        self._intake = intake
        self._pages = pages

    async def UploadPartnerRecord(
        self, request: pb.UploadPartnerRecordRequest, context: object
    ) -> pb.UploadPartnerRecordResponse:
        """Keeps a chunk."""
        signed, fields = current_request.get(), Fields(b"")
        chunk = sent.chunk_sent(request, signed.message, fields)
        check(fields)
        record = found(await self._intake.take_chunk(_partner_id(), chunk, signed, now_ms=self._services.clock()))
        return pb.UploadPartnerRecordResponse(record=_record_message(record))

    async def ListPartnerRecords(self, request: pb.ListPartnerRecordsRequest, context: object) -> pb.ListPartnerRecordsResponse:
        """The caller's records, newest first."""
        size, question, place = self._page("ListPartnerRecords", request.page_size, request.page_token)
        page = await self._intake.records(_partner_id(), before=_times(place), limit=size + 1)
        token = self._next([one.started_at_ms for one in page], size, place, question)
        return pb.ListPartnerRecordsResponse(records=map(_record_message, page[:size]), next_page_token=token)

    async def AcknowledgeStatement(
        self, request: pb.AcknowledgeStatementRequest, context: object
    ) -> pb.AcknowledgeStatementResponse:
        """Keeps that a statement is right."""
        signed, fields = current_request.get(), Fields(b"")
        asked = sent.statement_acknowledged(request, signed.message, fields)
        check(fields)
        made = found(await self._intake.acknowledge(_partner_id(), asked, signed, now_ms=self._services.clock()))
        return pb.AcknowledgeStatementResponse(acknowledgement=_acknowledgement_message(made))

    async def ListAcknowledgements(
        self, request: pb.ListAcknowledgementsRequest, context: object
    ) -> pb.ListAcknowledgementsResponse:
        """The caller's acknowledgements, newest window first."""
        size, question, place = self._page("ListAcknowledgements", request.page_size, request.page_token)
        page = await self._intake.acknowledgements(_partner_id(), before=place[0] if place else None, limit=size + 1)
        token = self._pages.make((page[size - 1].window_id,), *question) if len(page) > size else ""
        return pb.ListAcknowledgementsResponse(acknowledgements=map(_acknowledgement_message, page[:size]), next_page_token=token)

    async def OpenDispute(self, request: pb.OpenDisputeRequest, context: object) -> pb.OpenDisputeResponse:
        """Opens a dispute."""
        signed, fields = current_request.get(), Fields(b"")
        asked = sent.dispute_opened(request, signed.message, fields)
        check(fields)
        opened = await self._intake.open_dispute(_partner_id(), asked, signed, now_ms=self._services.clock())
        return pb.OpenDisputeResponse(dispute=_dispute_message(_accepted(opened, _DEADLINE), _partner_id()))

    async def AnswerDispute(self, request: pb.AnswerDisputeRequest, context: object) -> pb.AnswerDisputeResponse:
        """Answers a dispute."""
        signed, fields = current_request.get(), Fields(b"")
        asked = sent.dispute_answered(request, signed.message, fields)
        check(fields)
        answered = await self._intake.answer_dispute(_partner_id(), asked, signed, now_ms=self._services.clock())
        return pb.AnswerDisputeResponse(dispute=_dispute_message(_accepted(answered, _ANSWER), _partner_id()))

    async def ListDisputes(self, request: pb.ListDisputesRequest, context: object) -> pb.ListDisputesResponse:
        """The caller's disputes, newest first."""
        size, question, place = self._page("ListDisputes", request.page_size, request.page_token)
        page = await self._intake.disputes(_partner_id(), before=_times(place), limit=size + 1)
        token = self._next([one.opened_at_ms for one, _ in page], size, place, question)
        partner_id = _partner_id()
        return pb.ListDisputesResponse(disputes=[_dispute_message(one, partner_id) for one in page[:size]], next_page_token=token)

    def _page(self, method: str, asked: int, token: str) -> tuple[int, tuple[str, str], tuple[int, ...] | None]:
        fields = Fields(b"")
        size = fields.page_size(asked, default=PAGE, size_max=PAGE_MAX)
        check(fields)
        question = (method, _partner_id())
        return size, question, self._pages.read(token, *question)

    def _next(self, times: list[int], size: int, place: tuple[int, ...] | None, question: tuple[str, str]) -> str:
        """Goes on at the time of the page's last one, behind those of the same time that were shown."""
        if len(times) <= size:
            return ""
        last = times[size - 1]
        shown = times[:size].count(last) + (place[1] if place and place[0] == last else 0)
        return self._pages.make((last, shown), *question)


def _partner_id() -> str:
    return current_caller.get().partner_id


def _times(place: tuple[int, ...] | None) -> tuple[int, int] | None:
    return (place[0], place[1]) if place else None


def _accepted(result: Standing | Refusal, about: Violation) -> Standing:
    """Of the fields, the books can find this one wrong."""
    if isinstance(result, Refusal):
        is_field = result.reason is Reason.INVALID_FIELDS
        raise CallRejected(Rejected(result, (about,) if is_field else ()))
    return result


def _record_message(record: PartnerRecord) -> pb.PartnerRecord:
    return pb.PartnerRecord(
        record_id=record.record_id,
        window_id=record.window_id,
        business_date=record.business_date,
        sha256=record.sha256,
        total_bytes=record.bytes,
        chunks=record.chunks,
        received_chunks=record.received,
        started_at_ms=record.started_at_ms,
        completed_at_ms=record.completed_at_ms,
        bad_lines=record.bad_lines,
    )


def _acknowledgement_message(made: Acknowledgement) -> pb.Acknowledgement:
    return pb.Acknowledgement(
        window_id=made.window_id, statement_sha256=made.statement_sha256, acknowledged_at_ms=made.acknowledged_at_ms
    )


def _dispute_message(standing: Standing, reader_id: str) -> pb.Dispute:
    """To the respondent without what belongs to the opener's statement alone."""
    dispute, steps = standing
    is_openers = dispute.opener_id == reader_id
    return pb.Dispute(
        dispute_id=dispute.dispute_id,
        opener_id=dispute.opener_id,
        respondent_id=dispute.respondent_id,
        window_id=dispute.window_id,
        line_number=dispute.line_number if is_openers else 0,
        entry_id=dispute.entry_id if is_openers else "",
        receipt_sha256=dispute.receipt_sha256,
        payer_id=dispute.payer_id,
        payee_id=dispute.payee_id,
        points=dispute.points,
        amount=dispute.amount,
        currency=dispute.currency,
        reason=pb.DisputeReason.Value(f"DISPUTE_REASON_{dispute.reason.name}"),
        evidence=dispute.evidence,
        deadline=dispute.deadline,
        opened_at_ms=dispute.opened_at_ms,
        state=pb.DisputeState.Value(f"DISPUTE_STATE_{dispute.state.name}"),
        steps=[
            pb.DisputeStep(
                state=pb.DisputeState.Value(f"DISPUTE_STATE_{step.state.name}"),
                at_ms=step.at_ms,
                made_by=_made_by(dispute, step.made_by, is_decided=bool(step.decision_id)),
                note=step.note,
                amount=step.amount,
            )
            for step in steps
        ],
    )


def _made_by(dispute: Dispute, made_by: str, *, is_decided: bool) -> str:
    """Keys and names of operators are nobody else's affair."""
    if is_decided:
        return OPERATOR
    party = made_by.partition("/")[0]
    return party if party in (dispute.opener_id, dispute.respondent_id) else made_by
