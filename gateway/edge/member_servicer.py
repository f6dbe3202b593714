# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""Members: who they are, what they have, and what becomes of them. Thin handlers, as those of `servicers`."""

from gateway.domain.command import MemberRef
from gateway.domain.entry import EntryKind
from gateway.edge.caller import current_caller
from gateway.edge.pages import PageTokens
from gateway.edge.servicers import PAGE, PAGE_MAX, Services, check, found
from gateway.edge.validate import UNSUPPORTED, Fields
from gateway.edge.views import balance_message, identifier_message, lot_message, standing_message
from gateway.services.exporting import date_number, date_text, export_page
from gateway.storage.journal import EntryFilter, Place
from gateway.storage.member_reads import load_open_lots
from tallystick.v1 import member_pb2, member_pb2_grpc, types_pb2

_KINDS = frozenset(kind.value for kind in EntryKind)


class MemberServicer(member_pb2_grpc.MemberServiceServicer):
    """Members, their identifiers, their balances and their entries."""

    def __init__(self, services: Services, pages: PageTokens) -> None:
        self._services = services
        self._pages = pages

    async def EnrolMember(self, request: member_pb2.EnrolMemberRequest, context: object) -> member_pb2.EnrolMemberResponse:
        """Enrols a member under an identifier."""
        return member_pb2.EnrolMemberResponse(answer=await self._services.book(request))

    async def ConfirmMember(self, request: member_pb2.ConfirmMemberRequest, context: object) -> member_pb2.ConfirmMemberResponse:
        """Confirms a provisional member, or changes the language."""
        return member_pb2.ConfirmMemberResponse(answer=await self._services.book(request))

    async def AddIdentifier(self, request: member_pb2.AddIdentifierRequest, context: object) -> member_pb2.AddIdentifierResponse:
        """One more identifier."""
        return member_pb2.AddIdentifierResponse(answer=await self._services.book(request))

    async def RemoveIdentifier(
        self, request: member_pb2.RemoveIdentifierRequest, context: object
    ) -> member_pb2.RemoveIdentifierResponse:
        """One identifier less."""
        return member_pb2.RemoveIdentifierResponse(answer=await self._services.book(request))

    async def TransferPoints(
        self, request: member_pb2.TransferPointsRequest, context: object
    ) -> member_pb2.TransferPointsResponse:
        """Moves points to another member."""
        return member_pb2.TransferPointsResponse(answer=await self._services.book(request))

    async def DonatePoints(self, request: member_pb2.DonatePointsRequest, context: object) -> member_pb2.DonatePointsResponse:
        """Gives points to a charity."""
        return member_pb2.DonatePointsResponse(answer=await self._services.book(request))

    async def PauseSpending(self, request: member_pb2.PauseSpendingRequest, context: object) -> member_pb2.PauseSpendingResponse:
        """Stops that points are taken."""
        return member_pb2.PauseSpendingResponse(answer=await self._services.book(request))

    async def ResumeSpending(
        self, request: member_pb2.ResumeSpendingRequest, context: object
    ) -> member_pb2.ResumeSpendingResponse:
        """Ends that."""
        return member_pb2.ResumeSpendingResponse(answer=await self._services.book(request))

    async def MergeMembers(self, request: member_pb2.MergeMembersRequest, context: object) -> member_pb2.MergeMembersResponse:
        """Makes one member of two."""
        return member_pb2.MergeMembersResponse(answer=await self._services.book(request))

    async def EraseMember(self, request: member_pb2.EraseMemberRequest, context: object) -> member_pb2.EraseMemberResponse:
        """Erases who a member is."""
        return member_pb2.EraseMemberResponse(answer=await self._services.book(request))

    async def LookUpMember(self, request: member_pb2.LookUpMemberRequest, context: object) -> member_pb2.LookUpMemberResponse:
        """Who somebody is."""
        member, now_ms = self._member(request.member), self._services.clock()
        partner_id = current_caller.get().partner_id
        record, standing = found(await self._services.reading.look_up(partner_id, member, now_ms=now_ms))
        return member_pb2.LookUpMemberResponse(
            member_id=record.member_id,
            status=member_pb2.MemberStatus.Value(f"MEMBER_STATUS_{record.status.name}"),
            spending_paused=record.is_paused,
            language=record.language,
            identifiers=[identifier_message(known) for known in record.identifiers],
            former_member_ids=record.former_ids,
            balance_points=standing.balance_points,
            standing=standing_message(standing),
            server_time_ms=now_ms,
        )

    async def GetBalance(self, request: member_pb2.GetBalanceRequest, context: object) -> member_pb2.GetBalanceResponse:
        """A member's points."""
        member, now_ms = self._member(request.member), self._services.clock()
        standing = await self._services.reading.standing(current_caller.get().partner_id, member, now_ms=now_ms)
        return balance_message(found(standing), now_ms=now_ms)

    async def ListLots(self, request: member_pb2.ListLotsRequest, context: object) -> member_pb2.ListLotsResponse:
        """A member's open lots."""
        caller, now_ms = current_caller.get(), self._services.clock()
        fields = Fields(self._services.pepper)
        member = fields.member(request.member)
        size = fields.page_size(request.page_size, default=PAGE, size_max=PAGE_MAX)
        check(fields)
        question = ("ListLots", caller.partner_id, *_named(member))
        expiry, arrival = self._pages.read(request.page_token, *question) or (0, 0)
        after = (date_text(expiry), arrival)
        lots = found(
            await self._services.reading.of_member(
                member,
                lambda connection, member_id: load_open_lots(connection, member_id, after=after, limit=size + 1),
                now_ms=now_ms,
            )
        )
        standing = found(await self._services.reading.standing(caller.partner_id, member, now_ms=now_ms))
        last = lots[size - 1] if len(lots) > size else None
        return member_pb2.ListLotsResponse(
            lots=[lot_message(lot) for lot in lots[:size]],
            next_page_token=self._pages.make((date_number(last.expires_on), last.arrival), *question) if last else "",
            balance_points=standing.balance_points,
        )

    async def ListEntries(self, request: member_pb2.ListEntriesRequest, context: object) -> member_pb2.ListEntriesResponse:
        """The caller's own entries of a member."""
        caller = current_caller.get()
        fields = Fields(self._services.pepper)
        member = fields.member(request.member)
        size = fields.page_size(request.page_size, default=PAGE, size_max=PAGE_MAX)
        wanted = _filter(request, fields)
        check(fields)
        narrowed = (*(kind.name for kind in wanted.kinds), wanted.first_business_date, wanted.last_business_date)
        question = ("ListEntries", caller.partner_id, *_named(member), *narrowed, wanted.receipt_number)
        after = Place(*(self._pages.read(request.page_token, *question) or (0, 0, 0)))
        page = found(
            await self._services.reading.entries(
                caller.partner_id, member, wanted=wanted, after=after, limit=size + 1, now_ms=self._services.clock()
            )
        )
        last = page[size - 1].place if len(page) > size else None
        return member_pb2.ListEntriesResponse(
            receipts=[self._services.signed(placed.answer).receipt for placed in page[:size]],
            next_page_token=self._pages.make((last.window_id, last.sequence, last.lane), *question) if last else "",
        )

    async def ExportMember(self, request: member_pb2.ExportMemberRequest, context: object) -> member_pb2.ExportMemberResponse:
        """What is stored about a member."""
        caller = current_caller.get()
        member = self._member(request.member)
        question = ("ExportMember", caller.partner_id, *_named(member))
        where = self._pages.read(request.page_token, *question)
        page = found(
            await self._services.reading.of_member(
                member,
                lambda connection, member_id: export_page(connection, member_id, caller.partner_id, where),
                now_ms=self._services.clock(),
            )
        )
        following = self._pages.make(page.following, *question) if page.following is not None else ""
        return member_pb2.ExportMemberResponse(document=page.document, next_page_token=following)

    def _member(self, asked: types_pb2.MemberRef) -> MemberRef:
        fields = Fields(self._services.pepper)
        member = fields.member(asked)
        check(fields)
        return member


def _filter(request: member_pb2.ListEntriesRequest, fields: Fields) -> EntryFilter:
    for index, kind in enumerate(request.kinds):
        if kind not in _KINDS:
            fields.wrong(f"kinds[{index}]", UNSUPPORTED, "a kind of entry")
    return EntryFilter(
        kinds=tuple(sorted(EntryKind(kind) for kind in set(request.kinds) & _KINDS)),
        first_business_date=fields.date(request.first_business_date, "first_business_date"),
        last_business_date=fields.date(request.last_business_date, "last_business_date"),
        receipt_number=fields.receipt_number(request.receipt_number) or "",
    )


def _named(member: MemberRef) -> tuple[str, str]:
    """What makes a page token belong to one member."""
    return member.member_id or "", member.named_hash or ""
