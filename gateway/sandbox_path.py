"""What a sandbox puts around the path of commands: brings members back to the table's state, and stages the rest.

Only the sandbox's command wires it. Whatever is booked is booked by the same writer, under the same rules, as anywhere.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from gateway.domain.command import (
    AmountAsked,
    Checkout,
    ClaimReceipt,
    Command,
    Donate,
    Enrol,
    Erase,
    Issue,
    MemberRef,
    Merge,
    Pause,
    PlaceHold,
    Redeem,
    RemoveIdentifier,
    Resume,
    Reverse,
    VoidHold,
    entry_named,
    member_refs,
)
from gateway.domain.errors import InvalidValue
from gateway.domain.identifiers import IdentifierKind, identifier_hash
from gateway.domain.ids import entry_id
from gateway.domain.limits import DayLimit
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.domain.terms import date_at, day_ends_at_ms
from gateway.edge.signatures import out_of_window
from gateway.sandbox import CURRENCY, HOUSE, MEMBERS, PLENTY, TERMINAL, TIME_ZONE, MemberCase, Stage
from gateway.services.points import CommandPath
from gateway.services.reading import ReadingService
from gateway.storage.journal import load_member_of_entry

SLOW_S = 3
ATTEMPTS_MAX = 10_000  # keys whose first attempt is remembered; older ones would be refused once more
NO_CARD = 1_000_000  # a rate card version that nobody has


class SandboxPath:
    """The path of commands in a sandbox. Belongs to one event loop."""

    def __init__(
        self,
        path: CommandPath,
        reading: ReadingService,
        *,
        pepper: bytes,
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`path` books. `pepper` is the secret of card hashes; `clock` gives unix milliseconds, `sleep` takes seconds."""
        self._path = path
        self._reading = reading
        self._clock = clock
        self._sleep = sleep
        self._by_id = {case.member_id: case for case in MEMBERS}
        self._by_card = {identifier_hash(pepper, IdentifierKind.CARD, case.card).hex(): case for case in MEMBERS}
        self._tried: OrderedDict[str, None] = OrderedDict()

    async def prepare(self) -> None:
        """Enrols the members that are not there, and gives them what the table says; safe to repeat.

        Raises InvalidValue if the books refuse it.
        """
        for case in MEMBERS:
            key = case.enrolment_key
            (card,) = (hashed for hashed, one in self._by_card.items() if one is case)
            await self._book(Enrol(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=key, card_hash=card))
            await self._bring_back(case)

    async def submit(self, command: Command, *, deadline: float | None) -> Result:
        """As the path does, with what the table says of the member around it."""
        case = await self._case(command)
        if case is None:
            return await self._path.submit(command, deadline=deadline)
        if isinstance(command, _UNDOING):
            return Refusal(Reason.MEMBER_NOT_FOUND)  # it belongs to all vendors, and nobody could give it back
        if any(self._case_of(ref) is case for ref in member_refs(command)):
            await self._bring_back(case)
        is_first = self._is_first(command)
        refusal = self._staged_refusal(case, command, is_first=is_first)
        if refusal is not None:
            return refusal
        match case.stage:
            case Stage.SLOW:
                await self._sleep(SLOW_S)
            case Stage.HOLD_ENDED:
                await self._end_hold(command)
            case Stage.CARD_STALE:
                command = _with_another_card(command)
        result = await self._path.submit(command, deadline=deadline)
        if is_first and case.stage is Stage.NO_ANSWER:
            await self._sleep(max((deadline or 0) - time.monotonic(), 0))
        if is_first and case.stage in (Stage.ANSWER_LOST, Stage.NO_ANSWER):
            return Refusal(Reason.STORE_UNAVAILABLE)
        return result

    async def submit_batch(self, commands: Sequence[Command], *, deadline: float | None) -> Sequence[Result]:
        """One after the other: each may be staged by itself."""
        return [await self.submit(command, deadline=deadline) for command in commands]

    async def _case(self, command: Command) -> MemberCase | None:
        for ref in member_refs(command):
            case = self._case_of(ref)
            if case is not None:
                return case
        named = entry_named(command)
        if named is None:
            return None
        found = await self._reading.look(lambda connection: load_member_of_entry(connection, named))
        return self._by_id.get(found or "")

    def _case_of(self, ref: MemberRef) -> MemberCase | None:
        return self._by_id.get(ref.member_id or "") or self._by_card.get(ref.card_hash or "")

    def _is_first(self, command: Command) -> bool:
        if command.entry_id in self._tried:
            return False
        self._tried[command.entry_id] = None
        if len(self._tried) > ATTEMPTS_MAX:
            self._tried.popitem(last=False)
        return True

    def _staged_refusal(self, case: MemberCase, command: Command, *, is_first: bool) -> Refusal | None:
        """With its facts. An event has happened: no limit of a day refuses it, and its time was judged with its call."""
        if case.refuses is not None and isinstance(command, _WITHIN_LIMITS) and command.event is None:
            return DayLimit(PLENTY, PLENTY, self._midnight_ms()).refused(case.refuses)
        match case.refuses_once if is_first else None:
            case None:
                return None
            case Reason.SIGNATURE_TIME_OUT_OF_WINDOW as reason:
                return Refusal(reason, out_of_window(self._clock())) if command.event is None else None
            case reason:
                return Refusal(reason, {"error_id": secrets.token_hex(8)} if reason is Reason.INTERNAL else {})

    def _midnight_ms(self) -> int:
        zone = ZoneInfo(TIME_ZONE)
        return day_ends_at_ms(date_at(self._clock(), zone), zone)

    async def _end_hold(self, command: Command) -> None:
        """What would take the hold finds it ended: voided, for the sandbox cannot make time pass."""
        hold_id = command.hold_id if isinstance(command, Checkout | VoidHold) else None
        if hold_id is not None:
            key = f"sandbox/end/{hold_id}"
            ends = VoidHold(partner_id=command.partner_id, key_id=command.key_id, idempotency_key=key, hold_id=hold_id)
            await self._path.submit(ends, deadline=None)  # it may be over already

    async def _bring_back(self, case: MemberCase) -> None:
        """Gives and takes, as the house, until the member has what the table says."""
        found = await self._reading.look_up(HOUSE, MemberRef(member_id=case.member_id), now_ms=self._clock())
        if isinstance(found, Refusal):
            raise InvalidValue(f"{case.card}: {found.reason.name}: the sandbox's books lack the member")
        record, standing = found
        if record.is_paused is not case.is_paused:
            await self._book(_set_pause(case, standing.version))
        for command in _steps(case, points=standing.available_points, debt=standing.debt_points, version=standing.version):
            await self._book(command)

    async def _book(self, command: Command) -> None:
        result = await self._path.submit(command, deadline=None)
        refused = result if isinstance(result, Refusal) else result.refusal
        if refused is not None:
            raise InvalidValue(f"{command.idempotency_key}: {refused.reason.name}: the sandbox's books refuse what it needs")


_HOUSE_KEY = f"{HOUSE}/{TERMINAL}"
_UNDOING = Merge | Erase | RemoveIdentifier
_WITHIN_LIMITS = Issue | Redeem | PlaceHold | Checkout | ClaimReceipt | Donate


def _with_another_card(command: Command) -> Command:
    if isinstance(command, Issue | Redeem | PlaceHold | Checkout) and command.rate_card_version is not None:
        return replace(command, rate_card_version=NO_CARD)
    return command


def _steps(case: MemberCase, *, points: int, debt: int, version: int) -> Iterator[Command]:
    """What brings a member back; nothing where it has about what it should. `version` makes the keys new."""
    if case.debt:
        if points:
            yield _take(case, points, f"{version}/points")
        if debt > case.debt:
            yield _give(case, debt - case.debt, f"{version}/pay")
        elif debt < case.debt // 2:  # rounded down: about half is near enough
            # What is issued pays the debt there is, the rest is redeemed; taken back, all of it is owed.
            yield _give(case, case.debt, f"{version}/issue")
            yield _take(case, case.debt - debt, f"{version}/redeem")
            yield _take_back(case, f"{version}/reverse", original=f"{version}/issue")
    elif debt:
        yield _give(case, debt + case.points, f"{version}/pay")
    elif not case.points and points:
        yield _take(case, points, f"{version}/points")
    elif points < case.points // 2:  # rounded down: about half is near enough
        yield _give(case, case.points, f"{version}/points")


def _set_pause(case: MemberCase, version: int) -> Pause | Resume:
    member = MemberRef(member_id=case.member_id)
    if case.is_paused:
        return Pause(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=_key(case, f"{version}/pause"), member=member)
    return Resume(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=_key(case, f"{version}/resume"), member=member)


def _give(case: MemberCase, points: int, key: str) -> Issue:
    """The house issues a point for a cent."""
    member, amount = MemberRef(member_id=case.member_id), AmountAsked(CURRENCY, points)
    return Issue(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=_key(case, key), member=member, eligible=amount)


def _take(case: MemberCase, points: int, key: str) -> Redeem:
    member = MemberRef(member_id=case.member_id)
    return Redeem(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=_key(case, key), member=member, points=points)


def _take_back(case: MemberCase, key: str, *, original: str) -> Reverse:
    wanted = entry_id(HOUSE, _key(case, original))
    return Reverse(partner_id=HOUSE, key_id=_HOUSE_KEY, idempotency_key=_key(case, key), original_entry_id=wanted)


def _key(case: MemberCase, key: str) -> str:
    return f"sandbox/{case.card}/{key}"
