"""Vectors of events: a chain of three that two tills sign, each in its algorithm, and each way of breaking it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.domain.events import GENESIS_HASH, Event
from gateway.domain.signing import Algorithm
from partners.pos import requests
from tallystick.v1 import points_pb2, types_pb2
from tests.vectors.keys import VectorKey
from tests.vectors.request_cases import AUDIENCE, BODY, CREATED, TILL_1, TILL_2, VALID, Vector

BROKEN = "FRAME_SIGNATURE_INVALID"
KEYS = (TILL_1, TILL_2)
HAPPENED_MS = int(CREATED) - 3_600_000

COMMANDS = tuple(
    command.SerializeToString(deterministic=True)
    for command in (
        points_pb2.Command(enrol=requests.enrol("4000-1234", key="till-1:2026-07-25:000041")),
        points_pb2.Command(issue=points_pb2.IssuePointsRequest.FromString(BODY)),
        points_pb2.Command(
            reverse=points_pb2.ReverseEntryRequest(
                idempotency_key="till-1:2026-07-25:000043",
                original_idempotency_key="till-1:2026-07-25:000042",
                eligible=types_pb2.Amount(unit="EUR", minor_units=500),
            )
        ),
    )
)

Lines = Callable[[bytes], bytes]


def event_vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    return [vector for key in KEYS for vector in (*_chain(key), *_broken(key))]


def chain_of(key: VectorKey) -> list[Event]:
    """An enrolment, a sale, and a part of it that comes back; a second apart."""
    chain: list[Event] = []
    previous = GENESIS_HASH
    for number, command in enumerate(COMMANDS):
        event = Event(
            key_id=key.key_id,
            counter=number + 1,
            occurred_at_ms=HAPPENED_MS + 1_000 * number,
            previous_hash=previous,
            command=command,
        )
        chain.append(replace(event, signature=key.sign(event.signed_string(AUDIENCE))))
        previous = chain[-1].hash(AUDIENCE)
    return chain


def _vector(name: str, shows: str, key: VectorKey, event: Event, before: bytes, expected: str = BROKEN) -> Vector:
    return {
        "name": f"{key.algorithm.value.split('-')[0]}-{name}",
        "shows": shows,
        "algorithm": key.algorithm.value,
        "public_key_hex": key.public_key.hex(),
        "audience": AUDIENCE,
        "key_id": event.key_id,
        "counter": event.counter,
        "occurred_at_ms": event.occurred_at_ms,
        "hash_before_hex": before.hex(),
        "previous_hash_hex": event.previous_hash.hex(),
        "command_hex": event.command.hex(),
        "signed_string": event.signed_string(AUDIENCE).decode(),
        "signature_hex": event.signature.hex(),
        "event_hash_hex": event.hash(AUDIENCE).hex(),
        "expected": expected,
    }


def _chain(key: VectorKey) -> Iterator[Vector]:
    names = (
        ("first", "the first event of a terminal: the hash before it is zeros"),
        ("second", "a sale, chained to the enrolment before"),
        ("third", "a part of the sale comes back"),
    )
    before = GENESIS_HASH
    for (name, shows), event in zip(names, chain_of(key), strict=True):
        yield _vector(name, shows, key, event, before, VALID)
        before = event.hash(AUDIENCE)


def _broken(key: VectorKey) -> Iterator[Vector]:
    first, second, third = chain_of(key)
    before = first.hash(AUDIENCE)
    lines = second.signed_string(AUDIENCE)
    other = KEYS[1 - KEYS.index(key)]
    touched: list[tuple[str, str, Event]] = [
        ("command-changed", "the amount was raised after the event was signed", replace(second, command=third.command)),
        ("time-changed", "the event was dated back", replace(second, occurred_at_ms=second.occurred_at_ms - 1)),
        ("counter-changed", "the event was moved along the chain", replace(second, counter=3)),
        ("key-id-changed", "the event was given to another till", replace(second, key_id=other.key_id)),
        (
            "no-signature-in-hash",
            "chained to the lines before, without their signature",
            _without_signature(key, second),
        ),
        ("dropped", "chained to an event that was left out", _signed(key, replace(third, counter=2))),
    ]
    for name, shows, event in touched:
        yield _vector(name, shows, key, event, before)
    signed: list[tuple[str, str, bytes]] = [
        ("other-purpose", "a request's purpose in the first line", lines.replace(b"TS1-EVENT", b"TS1-REQUEST")),
        ("other-audience", "signed for another network", lines.replace(b":test\n", b":prod\n")),
        ("crlf", "signed with lines ended by CR LF", lines.replace(b"\n", b"\r\n")),
        ("no-final-lf", "signed with no LF after the last line", lines[:-1]),
        ("upper-case-hex", "signed with hashes in upper-case hex", _upper_hex(lines)),
    ]
    for name, shows, message in signed:
        yield _vector(name, shows, key, replace(second, signature=key.sign(message)), before)
    nobody = VectorKey("nobody", key.key_id, key.algorithm)
    yield _vector("other-key", "signed by somebody else", key, replace(second, signature=nobody.sign(lines)), before)
    if key.algorithm is Algorithm.P256:
        r, s = second.signature[:32], second.signature[32:]
        swapped = replace(second, signature=s + r)
        yield _vector("s-before-r", "r and s were swapped", key, swapped, before)


def _signed(key: VectorKey, event: Event) -> Event:
    return replace(event, signature=key.sign(event.signed_string(AUDIENCE)))


def _without_signature(key: VectorKey, second: Event) -> Event:
    first = chain_of(key)[0]
    return _signed(key, replace(second, previous_hash=replace(first, signature=b"").hash(AUDIENCE)))


def _upper_hex(lines: bytes) -> bytes:
    parts = lines.split(b"\n")
    return b"\n".join(part.upper() if len(part) == 64 else part for part in parts)
