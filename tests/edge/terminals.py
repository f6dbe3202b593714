"""A terminal that signs events byte by byte, so that it can do wrong; `tests.edge.running` for what has no connection."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.domain.events import GENESIS_HASH, Event
from partners.pos.offline_queue import message_of
from partners.pos.requests import GET_TERMINAL, SUBMIT_OFFLINE, Booking, one_of_batch
from tallystick.v1 import errors_pb2, offline_pb2, points_pb2, types_pb2
from tests.edge.running import Caller, issue_request
from tests.given import AUDIENCE


@dataclass
class Terminal:
    """The end of a chain that a caller's key signs. `at_ms`: when the next event happens."""

    caller: Caller
    at_ms: int
    counter: int = 0
    last_hash: bytes = GENESIS_HASH
    made: list[Event] = field(default_factory=list)

    def event(self, command: Booking | points_pb2.Command | bytes, **wrong: Any) -> Event:
        """The next event; `wrong` replaces fields before it is signed. The chain goes on behind it."""
        if not isinstance(command, bytes):
            carried = command if isinstance(command, points_pb2.Command) else one_of_batch(command)
            command = carried.SerializeToString(deterministic=True)
        event = Event(
            key_id=self.caller.key_id,
            counter=self.counter + 1,
            occurred_at_ms=self.at_ms,
            previous_hash=self.last_hash,
            command=command,
        )
        event = self.sign(replace(event, **wrong))
        self.counter, self.last_hash = event.counter, event.hash(AUDIENCE)
        self.made.append(event)
        return event

    def sign(self, event: Event) -> Event:
        """The same event with a signature that holds."""
        return replace(event, signature=self.caller.key.sign(event.signed_string(AUDIENCE)))

    def sales(self, member_id: str, *cents: int, key: str) -> list[Event]:
        """Events of sales, under keys that begin with `key`."""
        return [self.event(issue_request(member_id, amount, f"{key}-{number}")) for number, amount in enumerate(cents)]

    def twin(self) -> "Terminal":
        """A copy that goes on by itself."""
        return replace(self, made=list(self.made))

    def send(self, events: Sequence[Event]) -> list[offline_pb2.EventAnswer]:
        """Sends events as they are."""
        request = offline_pb2.SubmitOfflineRequest(events=[message_of(event) for event in events])
        return list(self.caller.call(SUBMIT_OFFLINE, request).answers)

    def ask(self) -> offline_pb2.GetTerminalResponse:
        """How far the gateway is."""
        answer: offline_pb2.GetTerminalResponse = self.caller.call(GET_TERMINAL, offline_pb2.GetTerminalRequest())
        return answer


def outcome(answer: offline_pb2.EventAnswer) -> str:
    """BOOKED, or the reason of the refusal."""
    if answer.answer.HasField("booked"):
        return "BOOKED"
    return errors_pb2.ErrorReason.Name(answer.answer.refused.reason).removeprefix("ERROR_REASON_")


def outcomes(answers: Sequence[offline_pb2.EventAnswer]) -> list[str]:
    """Of each."""
    return [outcome(answer) for answer in answers]


def signed_receipt(answer: offline_pb2.EventAnswer) -> types_pb2.SignedReceipt:
    """Of a booking, or of a refusal that is remembered."""
    booked = answer.answer.booked if answer.answer.HasField("booked") else answer.answer.refused.answer
    return booked.receipt


def receipt(answer: offline_pb2.EventAnswer) -> types_pb2.Receipt:
    """What its receipt says."""
    return types_pb2.Receipt.FromString(signed_receipt(answer).receipt)
