"""Parcels between the two processes of a gateway: what comes out is what went in."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.command import AmountAsked, Command, MemberRef
from gateway.domain.lanes import Misrouted
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer
from gateway.ledger.figures import BatchTimes
from gateway.parcels import pack, unpack
from gateway.storage.errors import StoreContention
from tests.domain.test_command import GOLDEN

ANSWER = Answer(b"receipt", "r1", signature=b"s" * 64, lanes=(0, 2))


@pytest.mark.parametrize("command", [case.values[0] for case in GOLDEN], ids=[str(case.id) for case in GOLDEN])
def test_a_command_arrives_as_it_was_sent(command: Command) -> None:
    """Of every kind that has a fingerprint of record, what was left out included."""
    arrived = unpack(pack([command, command]))

    assert arrived == [command, command]
    assert arrived[0].fingerprint() == command.fingerprint()


@pytest.mark.parametrize(
    "value",
    [
        ANSWER,
        replace(ANSWER, refusal=Refusal(Reason.INSUFFICIENT_POINTS), is_replayed=True),
        Refusal(Reason.NET_DEBIT_CAP_EXCEEDED, {"issuer_id": "acme"}),
        Misrouted((1, 3), 4),
        BatchTimes(lane=0, commands=2, lock_wait_ns=1, commit_ns=2, whole_ns=3),
        MemberRef(card_hash="ab" * 32),
        AmountAsked("EUR", 5),
        (None, [1, "two", b"three"], {"four": 4.5}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_arrives_as_it_was_sent(value: Any) -> None:
    """Answers, refusals, and whatever else crosses."""
    assert unpack(pack(value)) == value


def test_what_is_frozen_arrives_frozen() -> None:
    """A parcel makes values without asking them, and no other kind of values."""
    arrived = unpack(pack(ANSWER))

    with pytest.raises(AttributeError):
        arrived.receipt = b"another"
    assert type(arrived) is Answer


def test_an_error_arrives_with_what_it_says() -> None:
    """The other side raises it."""
    arrived = unpack(pack(StoreContention("40001")))

    assert (type(arrived), str(arrived)) == (StoreContention, "40001")
