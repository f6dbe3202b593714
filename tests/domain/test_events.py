"""Chains of events: whatever is done to one shows, and what continues it is told from what repeats or contradicts it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import SignatureError
from gateway.domain.events import (
    GENESIS_HASH,
    Conflict,
    Event,
    Terminal,
    VerifyEvent,
    join_chain,
    prove_events,
    terminal_of,
)
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.signing import PrivateKey, load_verifier

AUDIENCE = "coalition.example:test"
TERMINAL = "acme/till-1"
NOW_MS = 1_784_980_800_000
KEY = PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

Touch = Callable[[list[Event]], list[Event]]


def verifier(*, counting: list[int] | None = None) -> VerifyEvent:
    """Of the one key; `counting` gets the counters that it was asked about."""
    verify = load_verifier(KEY.algorithm, KEY.public_bytes())

    def judge(event: Event, signed: bytes) -> None:
        if counting is not None:
            counting.append(event.counter)
        verify(event.signature, signed)

    return judge


def chain(
    commands: Sequence[bytes], *, after: Terminal | None = None, key_id: str = f"{TERMINAL}/1", step_ms: int = 1_000
) -> list[Event]:
    """Events with these commands, behind where the terminal stands."""
    end = after or Terminal(terminal_id=TERMINAL)
    made: list[Event] = []
    previous, happened_ms = end.last_hash, end.last_occurred_at_ms or NOW_MS - 1_000_000
    for number, command in enumerate(commands):
        happened_ms += step_ms
        event = Event(
            key_id=key_id,
            counter=end.last_counter + 1 + number,
            occurred_at_ms=happened_ms,
            previous_hash=previous,
            command=command,
        )
        made.append(replace(event, signature=KEY.sign(event.signed_string(AUDIENCE))))
        previous = made[-1].hash(AUDIENCE)
    return made


def proved(events: Sequence[Event], verify: VerifyEvent | None = None) -> list[bytes] | Refusal:
    """As the gateway proves a batch."""
    return prove_events(events, audience=AUDIENCE, terminal_id=TERMINAL, now_ms=NOW_MS, verify=verify or verifier())


def hashes_of(events: Sequence[Event]) -> list[bytes]:
    """Of events that hold."""
    return [event.hash(AUDIENCE) for event in events]


def ended(events: Sequence[Event], **changes: Any) -> Terminal:
    """The terminal behind these events, all carried out."""
    last = events[-1]
    terminal = Terminal(
        terminal_id=TERMINAL,
        last_counter=last.counter,
        last_hash=last.hash(AUDIENCE),
        last_occurred_at_ms=last.occurred_at_ms,
        carried_out=last.counter,
    )
    return replace(terminal, **changes)


def joined(terminal: Terminal, kept: Sequence[Event], events: Sequence[Event]) -> int | Refusal | Conflict:
    """Joins events to a terminal that keeps others."""
    known = {event.counter: event.hash(AUDIENCE) for event in kept}
    return join_chain(terminal, known, events, hashes_of(events))


COMMANDS = st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=8)


@given(COMMANDS)
def test_a_chain_holds_by_one_signature(commands: list[bytes]) -> None:
    """The last one speaks for all before it."""
    events = chain(commands)
    asked: list[int] = []
    hashes = proved(events, verifier(counting=asked))

    assert hashes == hashes_of(events)
    assert asked == [len(commands)]


@given(COMMANDS, st.data())
def test_whatever_is_changed_in_a_chain_shows(commands: list[bytes], data: st.DataObject) -> None:
    """Any field of any event, by any other value; also a signature that is not verified itself."""
    events = chain(commands)
    index = data.draw(st.integers(0, len(events) - 1))
    event = events[index]
    changed = data.draw(
        st.sampled_from(
            [
                replace(event, command=event.command + b"x"),
                replace(event, command=event.command[:-1] + bytes([event.command[-1] ^ 1])),
                replace(event, occurred_at_ms=event.occurred_at_ms + 1),
                replace(event, previous_hash=bytes([event.previous_hash[0] ^ 1]) + event.previous_hash[1:]),
                replace(event, key_id=f"{TERMINAL}/2"),
                replace(event, key_id="acme/till-2/1"),
                replace(event, signature=event.signature[:-1] + bytes([event.signature[-1] ^ 1])),
            ]
        )
    )
    refused = proved([*events[:index], changed, *events[index + 1 :]])

    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.FRAME_SIGNATURE_INVALID


@given(COMMANDS, st.data())
def test_events_that_are_left_out_or_swapped_show(commands: list[bytes], data: st.DataObject) -> None:
    """As a gap where the counters tell, as a broken link where they were mended."""
    events = chain([*commands, b"end"])
    index = data.draw(st.integers(0, len(events) - 2))
    rest = events[:index] + events[index + 1 :]
    mended = [replace(event, counter=number) for number, event in enumerate(rest, events[0].counter)]
    swapped = [*events[:index], events[index + 1], events[index], *events[index + 2 :]]
    left_out, swap = proved(rest), proved(swapped)

    assert isinstance(left_out, Refusal) if index else left_out == hashes_of(rest)
    assert not index or (isinstance(left_out, Refusal) and left_out.reason is Reason.EVENT_GAP)
    assert isinstance(swap, Refusal)
    assert isinstance(proved(mended), Refusal)


def test_each_key_of_a_batch_must_sign_its_last_event() -> None:
    """A terminal that changed its key."""
    old = chain([b"a", b"b"])
    new = chain([b"c", b"d"], after=ended(old), key_id=f"{TERMINAL}/2")
    asked: list[int] = []

    assert isinstance(proved([*old, *new], verifier(counting=asked)), list)
    assert asked == [2, 4]


def test_a_signature_that_does_not_hold_names_its_event() -> None:
    """So that a till knows where its chain breaks."""
    events = chain([b"a", b"b"])

    def refuse(_event: Event, _signed: bytes) -> None:
        raise SignatureError("no")

    assert proved(events, refuse) == Refusal(Reason.FRAME_SIGNATURE_INVALID, {"counter": "2"})


@pytest.mark.parametrize(("step_ms", "reason"), [(0, None), (-1, Reason.EVENT_TIME_NOT_MONOTONIC)])
def test_time_may_stand_still_in_a_chain_and_not_run_backwards(step_ms: int, reason: Reason | None) -> None:
    """Two sales of one millisecond happen."""
    outcome = proved(chain([b"a", b"b"], step_ms=step_ms))

    assert (outcome.reason if isinstance(outcome, Refusal) else None) is reason


@pytest.mark.parametrize(("ahead_ms", "reason"), [(30_000, None), (30_001, Reason.EVENT_TIME_IN_FUTURE)])
def test_a_clock_may_run_ahead_as_far_as_that_of_a_request(ahead_ms: int, reason: Reason | None) -> None:
    """Both sides of the limit."""
    outcome = proved(chain([b"a"], after=Terminal(terminal_id=TERMINAL, last_occurred_at_ms=NOW_MS + ahead_ms), step_ms=0))

    assert (outcome.reason if isinstance(outcome, Refusal) else None) is reason


@given(COMMANDS, COMMANDS, st.data())
def test_a_batch_continues_repeats_or_both(first: list[bytes], then: list[bytes], data: st.DataObject) -> None:
    """Wherever it begins within what the gateway has: so many are known, the others are new."""
    kept = chain(first)
    new = chain(then, after=ended(kept))
    begin = data.draw(st.integers(0, len(kept)))
    end = data.draw(st.integers(begin + 1, len(kept) + len(new)))
    batch = [*kept, *new][begin:end]

    assert joined(ended(kept), kept, batch) == max(min(len(kept), end) - begin, 0)


@given(COMMANDS, st.data())
def test_another_content_of_any_counter_is_a_conflict(commands: list[bytes], data: st.DataObject) -> None:
    """Two histories that part somewhere: the first event that differs is found."""
    kept = chain(commands)
    parted = data.draw(st.integers(0, len(kept) - 1))
    before = ended(kept[:parted]) if parted else Terminal(terminal_id=TERMINAL)
    other = chain([b"other"] + [b"more"] * data.draw(st.integers(0, 3)), after=before)
    begin = data.draw(st.integers(0, parted))

    assert joined(ended(kept), kept, [*kept[begin:parted], *other]) == Conflict(parted - begin)


def test_a_new_event_must_hang_on_the_last_one() -> None:
    """Else the terminal has another past than the gateway knows."""
    kept = chain([b"a", b"b"])
    twin = ended(chain([b"a", b"other"]))

    assert joined(ended(kept), kept, chain([b"c"], after=twin)) == Refusal(Reason.FRAME_SIGNATURE_INVALID, {"counter": "3"})


def test_a_new_event_must_not_happen_before_the_last_one() -> None:
    """Across calls as within one."""
    kept = chain([b"a", b"b"])
    earlier = chain([b"c"], after=ended(kept), step_ms=-1)

    assert joined(ended(kept), kept, earlier) == Refusal(Reason.EVENT_TIME_NOT_MONOTONIC, {"counter": "3"})


def test_what_was_not_carried_out_must_come_again_first() -> None:
    """The gateway died behind the events: it has them, and nobody knows whether they were booked."""
    kept = chain([b"a", b"b", b"c"])
    new = chain([b"d"], after=ended(kept))
    terminal = ended(kept, carried_out=1)

    assert joined(terminal, kept, new) == Refusal(Reason.EVENT_GAP, {"expected": "2"})
    assert joined(terminal, kept, [*kept[1:], *new]) == 2


def test_a_frozen_terminal_is_refused_before_anything_else() -> None:
    """Until as many conflicts are released as there are."""
    kept = chain([b"a"])
    gap = chain([b"c"], after=replace(ended(kept), last_counter=5))

    assert joined(ended(kept, conflicts=2, released=1), kept, gap) == Refusal(Reason.TERMINAL_FROZEN)
    assert joined(ended(kept, conflicts=2, released=2), kept, kept) == 1


def test_a_terminal_is_the_first_two_parts_of_its_keys() -> None:
    """So that it outlives them."""
    assert terminal_of("acme/till-1/2026a") == "acme/till-1"
    assert chain([b"a"])[0].terminal_id == TERMINAL
    assert len(GENESIS_HASH) == 32
