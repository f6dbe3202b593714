# ruff: noqa: N802, ARG002 - the names and arguments are those of the generated base classes
"""Catching up: the shape of events and of the commands in them, and the handlers of OfflineService."""

from google.protobuf.message import DecodeError

from gateway.domain.command import Command, EventMark
from gateway.domain.errors import InvalidValue
from gateway.domain.events import EVENTS_MAX, Event, offline_refusal, terminal_of
from gateway.domain.ids import check_key_id
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.domain.signing import SIGNATURE_BYTES
from gateway.edge import convert
from gateway.edge.caller import Caller, current_caller
from gateway.edge.refused import CallRejected, Rejected, Violation, reject
from gateway.edge.servicers import Services, let_others
from gateway.edge.validate import INVALID_FORMAT, OUT_OF_RANGE, REQUIRED, Fields, unknown_fields
from gateway.services.offline import Carried, OfflineService, Presented
from tallystick.v1 import errors_pb2, offline_pb2, offline_pb2_grpc, points_pb2

_HASH_BYTES = 32
_COUNTER_MAX = 2**63 - 1


class OfflineServicer(offline_pb2_grpc.OfflineServiceServicer):
    """What tills did without a connection."""

    def __init__(self, services: Services, offline: OfflineService) -> None:
        self._services = services
        self._offline = offline

    async def SubmitOffline(
        self, request: offline_pb2.SubmitOfflineRequest, context: object
    ) -> offline_pb2.SubmitOfflineResponse:
        """Carries out the commands of events, oldest first."""
        services, caller = self._services, current_caller.get()
        if len(request.events) > EVENTS_MAX:
            raise reject(Reason.BATCH_TOO_LARGE, {"max": str(EVENTS_MAX)})
        _check_shape(request, Fields(services.pepper))
        presented: list[Presented] = []
        rejected: list[Rejected | None] = []
        for index, message in enumerate(request.events):
            one, refused = _present(message, index, caller, services.pepper)
            presented.append(one)
            rejected.append(refused)
            await let_others(index)
        terminal_id = terminal_of(caller.key_id)
        carried = await self._offline.submit(terminal_id, presented, deadline=caller.deadline, now_ms=services.clock())
        if isinstance(carried, Refusal):
            raise CallRejected(Rejected(carried, _violations(carried, request)))
        answers = []
        for index, (event, became, refused) in enumerate(zip(request.events, carried, rejected, strict=True)):
            answers.append(_answer(event.counter, became, refused or became.result, services))
            await let_others(index)
        return offline_pb2.SubmitOfflineResponse(answers=answers, server_time_ms=services.clock())

    async def GetTerminal(self, request: offline_pb2.GetTerminalRequest, context: object) -> offline_pb2.GetTerminalResponse:
        """How far the gateway is."""
        terminal = await self._offline.terminal(terminal_of(current_caller.get().key_id))
        return offline_pb2.GetTerminalResponse(
            terminal_id=terminal.terminal_id,
            last_counter=terminal.last_counter,
            last_hash=terminal.last_hash,
            carried_out_counter=terminal.carried_out,
            frozen=terminal.is_frozen,
            server_time_ms=self._services.clock(),
        )


def _check_shape(request: offline_pb2.SubmitOfflineRequest, fields: Fields) -> None:
    """What every event must have. Raises CallRejected."""
    if not request.events:
        fields.wrong("events", REQUIRED, f"1 to {EVENTS_MAX}")
    for index, event in enumerate(request.events):
        at = f"events[{index}]"
        if not 1 <= event.counter <= _COUNTER_MAX:
            fields.wrong(f"{at}.counter", OUT_OF_RANGE, "1 or more")
        try:
            check_key_id(event.key_id)
        except InvalidValue:
            fields.wrong(f"{at}.key_id", INVALID_FORMAT if event.key_id else REQUIRED, "partner/terminal/key")
        fields.occurred_at_ms(event.occurred_at_ms, f"{at}.occurred_at_ms")
        if len(event.previous_hash) != _HASH_BYTES:
            fields.wrong(f"{at}.previous_hash", INVALID_FORMAT, f"{_HASH_BYTES} bytes")
        if len(event.signature) != SIGNATURE_BYTES:
            fields.wrong(f"{at}.signature", INVALID_FORMAT, f"{SIGNATURE_BYTES} bytes")
        if not event.command:
            fields.wrong(f"{at}.command", REQUIRED)
    if fields.violations:
        raise reject(Reason.INVALID_FIELDS, violations=tuple(fields.violations))


def _present(message: offline_pb2.Event, index: int, caller: Caller, pepper: bytes) -> tuple[Presented, Rejected | None]:
    """The event and its command, or what is wrong with the command. Raises CallRejected for fields of a newer till's."""
    event = Event(
        key_id=message.key_id,
        counter=message.counter,
        occurred_at_ms=message.occurred_at_ms,
        previous_hash=message.previous_hash,
        command=message.command,
        signature=message.signature,
    )
    asked = _command(message, index, caller, pepper)
    if isinstance(asked, Rejected):
        return Presented(event, None, asked.refusal), asked
    return Presented(event, asked), None


def _command(message: offline_pb2.Event, index: int, caller: Caller, pepper: bytes) -> Command | Rejected:
    try:
        command = points_pb2.Command.FromString(message.command)
    except DecodeError:
        return Rejected(Refusal(Reason.MALFORMED_MESSAGE), (Violation("command", "MALFORMED"),))
    unknown = unknown_fields(command, message.command)
    if unknown:
        # Not for good: a gateway that is newer will know them.
        found = tuple(Violation(f"events[{index}].command.{one.field}", one.word, one.expected) for one in unknown)
        raise reject(Reason.UNKNOWN_FIELDS, {"counter": str(message.counter)}, found)
    field = command.WhichOneof("command")
    not_allowed = offline_refusal(field, command.checkout.WhichOneof("payment")) if field is not None else None
    if not_allowed is not None:
        return Rejected(not_allowed)
    mark = EventMark(terminal_of(caller.key_id), message.counter, message.occurred_at_ms)
    signer = Caller(caller.partner_id, message.key_id, caller.deadline)
    return convert.batched_command(command, signer, pepper, event=mark)


def _violations(refusal: Refusal, request: offline_pb2.SubmitOfflineRequest) -> tuple[Violation, ...]:
    """Which event a refusal is about, where it is about a time."""
    if refusal.reason not in (Reason.EVENT_TIME_IN_FUTURE, Reason.EVENT_TIME_NOT_MONOTONIC) or "counter" not in refusal.details:
        return ()
    index = int(refusal.details["counter"]) - request.events[0].counter
    expected = "not after the gateway's time" if refusal.reason is Reason.EVENT_TIME_IN_FUTURE else "not before the event before"
    return (Violation(f"events[{index}].occurred_at_ms", OUT_OF_RANGE, expected),)


def _answer(counter: int, carried: Carried, outcome: Result | Rejected, services: Services) -> offline_pb2.EventAnswer:
    return offline_pb2.EventAnswer(
        counter=counter,
        answer=convert.command_answer(outcome, signed=services.signed),
        warnings=[
            offline_pb2.EventWarning(reason=errors_pb2.ErrorReason.ValueType(one.reason), partner_id=one.partner_id)
            for one in carried.warnings
        ],
    )
