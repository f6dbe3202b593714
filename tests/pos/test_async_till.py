"""The asynchronous till: the same behaviour, with many calls at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio
import pytest

from partners.pos.answers import Booked
from partners.pos.attempts import RetryPolicy
from partners.pos.channel import Signer
from partners.pos.errors import NoAnswer, Refused
from partners.pos.requests import amount, card, issue, redeem
from partners.pos.till import AsyncTill
from tests.pos.conftest import KEY_ID
from tests.pos.small_gateway import AUDIENCE, NOW_MS, Refusal, SmallGateway

ALICE = card("ALICE-1")
_T = TypeVar("_T")


def run(gateway: SmallGateway, use: Callable[[AsyncTill], Awaitable[_T]]) -> _T:
    """Uses a till in a loop of its own, with Alice as a member; pauses take no time."""
    key = gateway.new_key(KEY_ID)

    async def pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    async def session() -> _T:
        till = AsyncTill(
            grpc.aio.insecure_channel(gateway.target),
            Signer(KEY_ID, key.sign),
            audience=AUDIENCE,
            now=lambda: NOW_MS,
            policy=RetryPolicy(attempts_max=3),
            sleep=pause,
        )
        async with till:
            await till.enrol("ALICE-1", key="enrol-alice")
            return await use(till)

    return asyncio.run(session())


def test_many_sales_at_once_are_each_booked_once(gateway: SmallGateway) -> None:
    """Some answers are lost; each key still has one receipt."""

    async def use(till: AsyncTill) -> tuple[list[Booked], int]:
        gateway.answers_to_lose = 2
        keys = [f"sale-{n}" for n in range(10)] * 2
        booked = await asyncio.gather(*(till.issue(ALICE, amount("3.00 EUR"), key=key) for key in keys))
        return list(booked), (await till.balance(ALICE)).balance_points

    booked, balance = run(gateway, use)

    assert balance == 30
    assert len({one.signed_receipt.SerializeToString() for one in booked}) == 10


def test_a_refusal_has_its_receipt_and_can_be_asked_for(gateway: SmallGateway) -> None:
    """By the key of the command."""

    async def use(till: AsyncTill) -> list[str]:
        reasons = []
        for call in (till.redeem(ALICE, 5, key="r-1"), till.get_entry(key="r-1")):
            with pytest.raises(Refused) as caught:
                await call
            assert caught.value.facts.receipt is not None
            reasons.append(caught.value.reason)
        return reasons

    assert run(gateway, use) == ["INSUFFICIENT_POINTS"] * 2


def test_a_batch_and_its_parts_are_verified(gateway: SmallGateway) -> None:
    """One answer a command."""

    async def use(till: AsyncTill) -> list[str]:
        answers = await till.submit_batch([issue(ALICE, amount("3.00 EUR"), key="b-1"), redeem(ALICE, 9, key="b-2")])
        return [type(answer).__name__ for answer in answers]

    assert run(gateway, use) == ["Booked", "Refused"]


def test_attempts_are_bounded(gateway: SmallGateway) -> None:
    """Three, as the policy says."""

    async def use(till: AsyncTill) -> None:
        gateway.faults.extend(Refusal(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", retry_ms=1) for _ in range(3))
        await till.issue(ALICE, amount("3.00 EUR"), key="sale-1")

    with pytest.raises(NoAnswer, match="after 3 attempts"):
        run(gateway, use)
