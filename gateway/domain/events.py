"""Events of a terminal without a connection: signed when they happened, each chained to the one before it.

The hash of an event covers its signed string and its signature, and the next event's string holds that hash: so the last
signature of a chain speaks for all of it. Whoever signs one counter twice shows that two copies of a terminal are at work.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.domain.errors import SignatureError
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.signing import CREATED_AHEAD_MS_MAX, event_string

ALLOWED_OFFLINE: Mapping[str, bool] = MappingProxyType(
    {
        "issue": True,
        "redeem": False,  # nobody knows what is left of the points
        "reverse": True,
        "enrol": True,
        "transfer": False,
        "checkout": True,  # in money; what points pay of it needs the gateway's word
        "refund": True,
        "donate": False,
        "claim": False,  # somebody may have the points of the receipt already
    }
)
"""By the field of the protos' `Command`: whether it may happen while the gateway is out of reach. A test compares."""

NEVER_BOOKED = frozenset({Reason.MALFORMED_MESSAGE, Reason.INVALID_FIELDS, Reason.PARTNER_MISMATCH, Reason.OFFLINE_NOT_ALLOWED})
"""What an event's command may be refused with for its shape, before the books see it: kept with the event, for ever."""

EVENTS_MAX = 500  # in one call
GENESIS_HASH = bytes(32)  # what the first event of a terminal is chained to


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a terminal signed. `command` are the bytes of a message as they were signed; counters begin at 1."""

    key_id: str
    counter: int
    occurred_at_ms: int
    previous_hash: bytes
    command: bytes
    signature: bytes = b""

    @property
    def terminal_id(self) -> str:
        """The first two parts of the key's id: a terminal may change its key, and stays who it is."""
        return terminal_of(self.key_id)

    def signed_string(self, audience: str) -> bytes:
        """The eight lines that the terminal signs."""
        return event_string(
            audience=audience,
            key_id=self.key_id,
            counter=self.counter,
            occurred_at_ms=self.occurred_at_ms,
            previous_hash=self.previous_hash,
            command=self.command,
        )

    def hash(self, audience: str) -> bytes:
        """What the next event is chained to (32 bytes)."""
        return hashlib.sha256(self.signed_string(audience) + self.signature).digest()


VerifyEvent = Callable[[Event, bytes], None]
"""verify(event, signed string): returns None or raises SignatureError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Where a terminal's chain stands. `carried_out`: up to this counter each event was booked, or refused for good.

    `conflicts`: events kept because their counter had another content; `released`: how many of these an operator knew of
    when the terminal was last released.
    """

    terminal_id: str
    last_counter: int = 0
    last_hash: bytes = GENESIS_HASH
    last_occurred_at_ms: int = 0
    carried_out: int = 0
    conflicts: int = 0
    released: int = 0

    @property
    def is_frozen(self) -> bool:
        """Nothing more is taken from it until an operator releases it."""
        return self.conflicts > self.released


@dataclass(frozen=True, slots=True)
class Conflict:
    """An event whose counter has another content already: the index in its batch."""

    index: int


def offline_refusal(command: str, payment: str | None) -> Refusal | None:
    """Why a command may not happen offline. `command`: its field in the protos; `payment`: the field by which points pay."""
    if not ALLOWED_OFFLINE.get(command, False):
        return Refusal(Reason.OFFLINE_NOT_ALLOWED, {"command": command})
    if payment is not None:
        return Refusal(Reason.OFFLINE_NOT_ALLOWED, {"command": command, "payment": payment})
    return None


def terminal_of(key_id: str) -> str:
    """partner/terminal of partner/terminal/key."""
    return key_id.rpartition("/")[0]


def prove_events(
    events: Sequence[Event], *, audience: str, terminal_id: str, now_ms: int, verify: VerifyEvent
) -> list[bytes] | Refusal:
    """The hash of each event, once the batch is a chain of this terminal's that ends in a signature that holds.

    Refusals in order: EVENT_GAP, FRAME_SIGNATURE_INVALID, EVENT_TIME_NOT_MONOTONIC, EVENT_TIME_IN_FUTURE.
    """
    for index, event in enumerate(events[1:], 1):
        expected = events[0].counter + index
        if event.counter != expected:
            return Refusal(Reason.EVENT_GAP, {"expected": str(expected)})
    hashes: list[bytes] = []
    for index, event in enumerate(events):
        if event.terminal_id != terminal_id or (index and event.previous_hash != hashes[-1]):
            return _invalid(event)
        hashes.append(event.hash(audience))
    for event in _last_of_each_key(events):
        try:
            verify(event, event.signed_string(audience))
        except SignatureError:
            return _invalid(event)
    return _wrong_time(events, now_ms) or hashes


def join_chain(
    terminal: Terminal, known: Mapping[int, bytes], events: Sequence[Event], hashes: Sequence[bytes]
) -> int | Refusal | Conflict:
    """How many of the events the chain has already; the others continue it. `known`: hashes by counter, as they are kept.

    In order: TERMINAL_FROZEN, EVENT_GAP, a conflict, FRAME_SIGNATURE_INVALID, EVENT_TIME_NOT_MONOTONIC.
    """
    if terminal.is_frozen:
        return Refusal(Reason.TERMINAL_FROZEN)
    first = events[0]
    if first.counter > terminal.carried_out + 1:
        return Refusal(Reason.EVENT_GAP, {"expected": str(terminal.carried_out + 1)})
    for index, event in enumerate(events):
        if event.counter > terminal.last_counter:
            break
        if known[event.counter] != hashes[index]:
            return Conflict(index)
    if first.counter > terminal.last_counter:
        if first.previous_hash != terminal.last_hash:
            return _invalid(first)
        if first.occurred_at_ms < terminal.last_occurred_at_ms:
            return Refusal(Reason.EVENT_TIME_NOT_MONOTONIC, {"counter": str(first.counter)})
    return min(terminal.last_counter - first.counter + 1, len(events))


def _wrong_time(events: Sequence[Event], now_ms: int) -> Refusal | None:
    for before, event in itertools.pairwise(events):
        if event.occurred_at_ms < before.occurred_at_ms:
            return Refusal(Reason.EVENT_TIME_NOT_MONOTONIC, {"counter": str(event.counter)})
    for event in events:
        if event.occurred_at_ms > now_ms + CREATED_AHEAD_MS_MAX:
            return Refusal(Reason.EVENT_TIME_IN_FUTURE, {"counter": str(event.counter), "server_time_ms": str(now_ms)})
    return None


def _last_of_each_key(events: Sequence[Event]) -> Iterator[Event]:
    """Each key speaks for the events before its last one; mostly there is one key."""
    for event, following in zip(events, [*events[1:], None], strict=True):
        if following is None or following.key_id != event.key_id:
            yield event


def _invalid(event: Event) -> Refusal:
    return Refusal(Reason.FRAME_SIGNATURE_INVALID, {"counter": str(event.counter)})
