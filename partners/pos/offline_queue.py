"""The offline queue: what a till sells while the gateway is out of reach, signed when it happens, and caught up later.

    queue = OfflineQueue.open("till-1.queue", "pos.toml")
    queue.append(requests.issue(member, amount("42.50 EUR"), key="sale-0001"))
    queue.drain(till)

An event is on the disk before `append` returns. `drain` sends what has no answer, oldest first, and keeps each answer before
it goes on; it may be interrupted anywhere, and run again. One file a terminal, and only one: of two copies of it the second is
refused, and the terminal is frozen. Each of the two notices at its next `drain` that it is not alone, before it sends anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gateway.domain.events import EVENTS_MAX, Event, offline_refusal, terminal_of
from partners.pos.answers import Booked, Happened
from partners.pos.attempts import system_clock
from partners.pos.channel import Signer
from partners.pos.errors import NotOffline, QueueDiverged, QueueError, QueueFull
from partners.pos.profile import FILE_NAME as PROFILE_NAME
from partners.pos.profile import Profile
from partners.pos.queue_file import End, QueuedEvent, QueueFile
from partners.pos.requests import GET_TERMINAL, Booking, one_of_batch
from tallystick.v1 import offline_pb2

if TYPE_CHECKING:
    from partners.pos.till import AsyncTill, Till

QUEUE_MAX = 100_000  # events that wait: some weeks of a till
KEPT_MAX = 10_000  # events with their answers, should the gateway have to ask for them again
CALL_BYTES_MAX = 200_000  # of the 256 KiB that the gateway takes

SIGNED, QUEUED, SENT, KEPT = "signed", "queued", "sent", "kept"

Reached = Callable[[str], None]
"""Told of each step that is done: SIGNED, QUEUED; SENT, KEPT."""


@dataclass(frozen=True, slots=True)
class Queued:
    """An event that is on the disk. `is_new`: it was not queued before under this key."""

    counter: int
    idempotency_key: str
    occurred_at_ms: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did. `warned`: booked in spite of a cap or a suspension; `waiting`: still without an answer."""

    booked: int = 0
    refused: int = 0
    warned: int = 0
    waiting: int = 0

    def and_then(self, happened: Sequence[Happened], waiting: int) -> "Drained":
        """With what a further call brought."""
        booked = sum(isinstance(one.outcome, Booked) for one in happened)
        return Drained(
            self.booked + booked,
            self.refused + len(happened) - booked,
            self.warned + sum(bool(one.warnings) for one in happened),
            waiting,
        )


Each = Callable[[Happened], None]
"""Called with what became of an event, once it is kept."""


def _ignore(_happened: object) -> None:
    """Nothing more to do."""


class OfflineQueue:
    """The queue of the signer's terminal. All methods raise QueueError, with a sentence that says what to do."""

    def __init__(
        self,
        path: Path,
        signer: Signer,
        *,
        audience: str,
        now: Callable[[], int] = system_clock,
        queue_max: int = QUEUE_MAX,
        kept_max: int = KEPT_MAX,
        reached: Reached = _ignore,
    ) -> None:
        """Opens the file, or makes it. `now` gives unix milliseconds; `reached` is for tests that kill."""
        self.terminal_id = terminal_of(signer.key_id)
        self._signer = signer
        self._audience = audience
        self._now = now
        self._queue_max = queue_max
        self._kept_max = max(kept_max, 1)  # the chain goes on behind the last one
        self._reached = reached
        self._file = QueueFile(path, audience=audience, terminal_id=self.terminal_id)

    @classmethod
    def open(
        cls, path: Path | str, profile: Profile | Path | str = PROFILE_NAME, *, now: Callable[[], int] = system_clock
    ) -> Self:
        """The queue of a profile's terminal, in a file of its own. Raises ProfileError, QueueError."""
        profile = profile if isinstance(profile, Profile) else Profile.load(profile)
        return cls(Path(path), profile.signer(), audience=profile.audience, now=now)

    def append(self, command: Booking) -> Queued:
        """Signs the command as an event of now, and returns when it is on the disk. The same key again queues nothing new.

        A clock that was set back does not make the chain run backwards: the event then has the time of the one before.
        Raises NotOffline, QueueFull; QueueError if the key stands for another command.
        """
        carried = one_of_batch(command)
        refused = offline_refusal(carried.WhichOneof("command") or "", carried.checkout.WhichOneof("payment"))
        if refused is not None:
            asked = " by ".join(refused.details.values())
            raise NotOffline(f"{asked} needs the gateway's word when it happens, and cannot be queued: try it when it is back")
        content = carried.SerializeToString(deterministic=True)
        with self._file.writing():
            known = self._file.by_key(command.idempotency_key)
            if known is not None:
                if known.event.command != content:
                    raise QueueError(f"the key {known.idempotency_key!r} stands for another command in the queue: use a new key")
                return _queued(known, is_new=False)
            if self._file.waiting() >= self._queue_max:
                raise QueueFull(f"{self._queue_max} events wait in {self._file.path}, and no more are taken: drain it")
            end = self._file.end()
            event = Event(
                key_id=self._signer.key_id,
                counter=end.counter + 1,
                occurred_at_ms=max(self._now(), end.occurred_at_ms),
                previous_hash=end.event_hash,
                command=content,
            )
            event = replace(event, signature=self._signer.sign(event.signed_string(self._audience)))
            self._reached(SIGNED)
            event_hash = event.hash(self._audience)
            self._file.add(event, idempotency_key=command.idempotency_key, event_hash=event_hash)
        self._reached(QUEUED)
        return Queued(event.counter, command.idempotency_key, event.occurred_at_ms)

    def drain(self, till: "Till", *, each: Each = _ignore) -> Drained:
        """Sends what waits, oldest first, until nothing does. May be interrupted anywhere, and run again.

        Raises QueueDiverged before anything is sent; NoAnswer, Refused and ReceiptError as any call: what was answered by then
        is kept, the rest waits.
        """
        self._compare(till.call(GET_TERMINAL, offline_pb2.GetTerminalRequest()))
        drained = Drained(waiting=self.waiting())
        while events := self._next():
            happened = till.submit_offline([message_of(one.event) for one in events], [one.idempotency_key for one in events])
            drained = self._keep(happened, drained, each)
        return drained

    async def drain_async(self, till: "AsyncTill", *, each: Each = _ignore) -> Drained:
        """The same over grpc.aio; the file is read and written in the event loop, some milliseconds at a time."""
        self._compare(await till.call(GET_TERMINAL, offline_pb2.GetTerminalRequest()))
        drained = Drained(waiting=self.waiting())
        while events := self._next():
            happened = await till.submit_offline(
                [message_of(one.event) for one in events], [one.idempotency_key for one in events]
            )
            drained = self._keep(happened, drained, each)
        return drained

    def waiting(self) -> int:
        """How many events have no answer yet."""
        with self._file.reading():
            return self._file.waiting()

    def events(self, *, after: int = 0, limit: int = 1_000) -> list[QueuedEvent]:
        """What the file keeps, by counter: all that wait, and the newest that were answered, with their answers."""
        with self._file.reading():
            return self._file.events(after=after, limit=limit)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _compare(self, terminal: offline_pb2.GetTerminalResponse) -> None:
        """Whether the file is the terminal's newest, before anything is sent."""
        with self._file.writing():
            end = self._file.end()
            if terminal.last_counter > end.counter:
                if self._file.kept_from():
                    raise QueueDiverged(
                        f"{self._file.path} ends at event {end.counter}, and the gateway has {self.terminal_id} up to "
                        f"{terminal.last_counter}: the file is an old copy. {_ADVICE}"
                    )
                # Nothing was ever signed here: the file is new, and the terminal is not.
                self._file.adopt(End(terminal.last_counter, terminal.last_hash, 0))
                return
            self._check_hash(terminal)
            answered_to = self._file.answered_to()
            if answered_to > terminal.carried_out_counter:
                if self._file.kept_from() > terminal.carried_out_counter + 1:
                    raise QueueDiverged(
                        f"the gateway was restored from a backup and needs {self.terminal_id} from event "
                        f"{terminal.carried_out_counter + 1} on; {self._file.path} keeps only what came from "
                        f"{self._file.kept_from()} on. {_ADVICE}"
                    )
                self._file.reopen(terminal.carried_out_counter)

    def _check_hash(self, terminal: offline_pb2.GetTerminalResponse) -> None:
        ours = self._file.hash_at(terminal.last_counter) if terminal.last_counter else terminal.last_hash
        if ours is not None and ours != terminal.last_hash:
            raise QueueDiverged(
                f"event {terminal.last_counter} of {self._file.path} is not the one that the gateway has of {self.terminal_id}: "
                f"the file was restored from an old copy, or there are two of it. {_ADVICE}"
            )

    def _next(self) -> list[QueuedEvent]:
        """As many of the oldest as one call takes."""
        with self._file.reading():
            found = self._file.next_events(EVENTS_MAX)
        size, count = 0, 0
        for one in found:
            size += message_of(one.event).ByteSize() + 4
            if count and size > CALL_BYTES_MAX:
                break
            count += 1
        return found[:count]

    def _keep(self, happened: Sequence[Happened], drained: Drained, each: Each) -> Drained:
        self._reached(SENT)
        with self._file.writing():
            self._file.keep_answers(happened)
            self._file.forget(self._kept_max)
            waiting = self._file.waiting()
        self._reached(KEPT)
        for one in happened:
            each(one)
        return drained.and_then(happened, waiting)


def message_of(event: Event) -> offline_pb2.Event:
    """As it goes over the wire."""
    return offline_pb2.Event(
        counter=event.counter,
        key_id=event.key_id,
        occurred_at_ms=event.occurred_at_ms,
        previous_hash=event.previous_hash,
        command=event.command,
        signature=event.signature,
    )


_ADVICE = (
    "Nothing was sent. Have a key made for a new terminal, and queue there what has no answer here ('tallystick pos queue "
    "show'), each under its own idempotency key: what was booked already is not booked again."
)


def _queued(known: QueuedEvent, *, is_new: bool) -> Queued:
    return Queued(known.event.counter, known.idempotency_key, known.event.occurred_at_ms, is_new)
