"""The till: typed calls that are signed, repeated where that is safe, and believed only with a receipt that verifies.

Both tills raise Refused (with the verified receipt of a remembered refusal), NoAnswer and ReceiptError; after NoAnswer
call again with the same key. `Till` blocks, `AsyncTill` has the same calls for grpc.aio.
"""

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.answers import Booked, Desk, receipts_in
from partners.pos.attempts import Clock, RetryPolicy, Spread
from partners.pos.channel import AsyncSigningChannel, NonceSource, Signer, SigningChannel, random_nonce
from partners.pos.errors import ReceiptError, Refused
from partners.pos.failures import Failure, failure_of
from partners.pos.requests import BOOKINGS, GET_NETWORK, Booking, Method
from tallystick.v1 import member_pb2, network_pb2, points_pb2, types_pb2

_P = ParamSpec("_P")
_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)


def _book(make: Callable[_P, Booking]) -> "Callable[Concatenate[Till, _P], Booked]":
    @functools.wraps(make)
    def book(self: "Till", /, *args: _P.args, **kwargs: _P.kwargs) -> Booked:
        return self.book(make(*args, **kwargs))

    return book


def _book_async(make: Callable[_P, Booking]) -> "Callable[Concatenate[AsyncTill, _P], Awaitable[Booked]]":
    @functools.wraps(make)
    async def book(self: "AsyncTill", /, *args: _P.args, **kwargs: _P.kwargs) -> Booked:
        return await self.book(make(*args, **kwargs))

    return book


class Till:
    """A till over a channel, which it closes. Clock, nonces, waiting and chance are arguments, for tests."""

    def __init__(
        self,
        channel: grpc.Channel,
        signer: Signer,
        *,
        audience: str,
        now: Callable[[], int] = system_clock,
        nonce: NonceSource = random_nonce,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        sleep: Callable[[float], None] = time.sleep,
        spread: Spread = random.randrange,
    ) -> None:
        self._desk = Desk(signer, audience=audience, clock=Clock(now), nonce=nonce, policy=policy, spread=spread)
        self._channel = channel
        self._signing_channel = SigningChannel(channel, self._desk.signing())
        self._sleep = sleep
        self.counts = self._desk.counts

    issue = _book(requests.issue)
    redeem = _book(requests.redeem)
    reverse = _book(requests.reverse)
    enrol = _book(requests.enrol)
    transfer = _book(requests.transfer)

    def book(self, command: Booking) -> Booked:
        """Sends a command of `partners.pos.requests`; the named methods above make one and send it."""
        method, _ = BOOKINGS[type(command)]
        answer: types_pb2.Answer = self.call(method, command).answer
        self._learn_for(answer.receipt)
        return self._desk.booked(answer, command.idempotency_key)

    def submit_batch(self, commands: Sequence[Booking]) -> list[Booked | Refused]:
        """Up to 500 commands under one signature: one answer each, in their order. A refusal is a value here."""
        response = self.call(requests.SUBMIT_BATCH, requests.batch(list(commands)))
        _check_count(response, commands)
        for signed in receipts_in(response):
            self._learn_for(signed)
        return [self._desk.in_batch(answer, command) for answer, command in zip(response.answers, commands, strict=True)]

    def get_entry(self, *, entry_id: str = "", key: str = "") -> Booked:
        """The answer that a command got; raises Refused with its receipt if it was a refusal, without one if there is none."""
        response = self.call(requests.GET_ENTRY, requests.entry_query(entry_id=entry_id, key=key))
        self._learn_for(response.answer.receipt)
        return self._desk.booked(response.answer, key or None)

    def balance(self, who: types_pb2.MemberRef) -> member_pb2.GetBalanceResponse:
        """The member's points. Raises Refused: MEMBER_NOT_FOUND."""
        return self.call(requests.GET_BALANCE, member_pb2.GetBalanceRequest(member=who))

    def call(self, method: Method[_Q, _A], request: _Q) -> _A:
        """Any signed call: sent again where that is safe, its answer as it came."""
        if self._desk.must_learn():
            self.learn()
        return self._send(method, self._signing_channel, request)

    def learn(self) -> network_pb2.GetNetworkResponse:
        """Asks for the network's receipt keys and time; done by itself before the first call."""
        network = self._send(GET_NETWORK, self._channel, network_pb2.GetNetworkRequest())
        self._desk.learn(network)
        return network

    def verify(self, signed: types_pb2.SignedReceipt) -> types_pb2.Receipt:
        """The content of a receipt of this partner's. Raises ReceiptError."""
        self._learn_for(signed)
        return self._desk.verify(signed)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Closes at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes."""
        self.close()

    def _learn_for(self, signed: types_pb2.SignedReceipt) -> None:
        if self._desk.must_learn(signed):
            self.learn()

    def _send(self, method: Method[_Q, _A], channel: grpc.Channel, request: _Q) -> _A:
        attempts = self._desk.attempts()
        call = method.on(channel)
        while True:
            try:
                answer: _A = call(request, timeout=self._desk.policy.timeout_ms / 1000)
            except grpc.RpcError as error:
                failure = failure_of(error)
            else:
                return answer
            delay_ms = attempts.delay_ms_after(failure)
            if delay_ms is None:
                if failure.answer is not None:
                    self._learn_for(failure.answer.receipt)
                raise self._desk.refused(failure, _key_of(request))
            self.counts.retries += 1
            self._sleep(delay_ms / 1000)


class AsyncTill:
    """The same till for grpc.aio; many calls may run at once."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        signer: Signer,
        *,
        audience: str,
        now: Callable[[], int] = system_clock,
        nonce: NonceSource = random_nonce,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Spread = random.randrange,
    ) -> None:
        self._desk = Desk(signer, audience=audience, clock=Clock(now), nonce=nonce, policy=policy, spread=spread)
        self._channel = channel
        self._signing_channel = AsyncSigningChannel(channel, self._desk.signing())
        self._sleep = sleep
        self._calls: dict[str, Callable[..., Any]] = {}
        self.counts = self._desk.counts

    issue = _book_async(requests.issue)
    redeem = _book_async(requests.redeem)
    reverse = _book_async(requests.reverse)
    enrol = _book_async(requests.enrol)
    transfer = _book_async(requests.transfer)

    async def book(self, command: Booking) -> Booked:
        """Sends a command of `partners.pos.requests`; the named methods above make one and send it."""
        method, _ = BOOKINGS[type(command)]
        answer: types_pb2.Answer = (await self.call(method, command)).answer
        await self._learn_for(answer.receipt)
        return self._desk.booked(answer, command.idempotency_key)

    async def submit_batch(self, commands: Sequence[Booking]) -> list[Booked | Refused]:
        """Up to 500 commands under one signature: one answer each, in their order. A refusal is a value here."""
        response = await self.call(requests.SUBMIT_BATCH, requests.batch(list(commands)))
        _check_count(response, commands)
        for signed in receipts_in(response):
            await self._learn_for(signed)
        return [self._desk.in_batch(answer, command) for answer, command in zip(response.answers, commands, strict=True)]

    async def get_entry(self, *, entry_id: str = "", key: str = "") -> Booked:
        """The answer that a command got; raises Refused with its receipt if it was a refusal, without one if there is none."""
        response = await self.call(requests.GET_ENTRY, requests.entry_query(entry_id=entry_id, key=key))
        await self._learn_for(response.answer.receipt)
        return self._desk.booked(response.answer, key or None)

    async def balance(self, who: types_pb2.MemberRef) -> member_pb2.GetBalanceResponse:
        """The member's points. Raises Refused: MEMBER_NOT_FOUND."""
        return await self.call(requests.GET_BALANCE, member_pb2.GetBalanceRequest(member=who))

    async def call(self, method: Method[_Q, _A], request: _Q) -> _A:
        """Any signed call: sent again where that is safe, its answer as it came."""
        if self._desk.must_learn():
            await self.learn()
        return await self._send(method, self._signing_channel, request)

    async def learn(self) -> network_pb2.GetNetworkResponse:
        """Asks for the network's receipt keys and time; done by itself before the first call."""
        network = await self._send(GET_NETWORK, self._channel, network_pb2.GetNetworkRequest())
        self._desk.learn(network)
        return network

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Closes at the end."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes."""
        await self.close()

    async def _learn_for(self, signed: types_pb2.SignedReceipt) -> None:
        if self._desk.must_learn(signed):
            await self.learn()

    async def _send(self, method: Method[_Q, _A], channel: grpc.aio.Channel, request: _Q) -> _A:
        attempts = self._desk.attempts()
        call = self._calls.get(method.path)
        if call is None:
            call = self._calls[method.path] = method.on(channel)
        while True:
            try:
                answer: _A = await call(request, timeout=self._desk.policy.timeout_ms / 1000)
            except grpc.RpcError as error:
                failure = failure_of(error)
            else:
                return answer
            delay_ms = attempts.delay_ms_after(failure)
            if delay_ms is None:
                await self._raise(failure, _key_of(request))
            self.counts.retries += 1
            await self._sleep((delay_ms or 0) / 1000)

    async def _raise(self, failure: Failure, idempotency_key: str | None) -> None:
        if failure.answer is not None:
            await self._learn_for(failure.answer.receipt)
        raise self._desk.refused(failure, idempotency_key)


def _key_of(request: Message) -> str | None:
    return request.idempotency_key if isinstance(request, Booking) else None


def _check_count(response: points_pb2.SubmitBatchResponse, commands: Sequence[Booking]) -> None:
    if len(response.answers) != len(commands):
        raise ReceiptError(f"{len(commands)} commands were sent, {len(response.answers)} answers came")
