"""The till: typed calls that are signed, repeated where that is safe, and believed only with a receipt that verifies.

Both tills raise Refused (with the verified receipt of a remembered refusal), NoAnswer and ReceiptError; after NoAnswer
call again with the same key. `Till` blocks, `AsyncTill` has the same calls for grpc.aio; what they do stands in `calls`.
"""

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from partners.pos import calls, requests, requests_members, requests_office, requests_till
from partners.pos.answers import Desk
from partners.pos.attempts import Clock, RetryPolicy, Spread, system_clock
from partners.pos.calls import Send, Steps
from partners.pos.channel import AsyncSigningChannel, NonceSource, Signer, SigningChannel, random_nonce
from partners.pos.failures import failure_of
from partners.pos.profile import FILE_NAME, Profile
from partners.pos.requests import GET_NETWORK, Method

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)


def _does(steps: Callable[Concatenate[Desk, _P], Steps[_T]]) -> "Callable[Concatenate[Till, _P], _T]":
    @functools.wraps(steps)
    def do(self: "Till", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._perform(steps(self._desk, *args, **kwargs))

    return do


def _awaits(steps: Callable[Concatenate[Desk, _P], Steps[_T]]) -> "Callable[Concatenate[AsyncTill, _P], Coroutine[Any, Any, _T]]":
    @functools.wraps(steps)
    async def do(self: "AsyncTill", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._perform(steps(self._desk, *args, **kwargs))

    return do


class Till:
    """A till over a channel, which it closes. Clock, nonces, waiting and chance are arguments, for tests.

    `policy`: how often and how long to try, for every call [default: what the published service config says of each].
    """

    def __init__(
        self,
        channel: grpc.Channel,
        signer: Signer,
        *,
        audience: str,
        now: Callable[[], int] = system_clock,
        nonce: NonceSource = random_nonce,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        spread: Spread = random.randrange,
    ) -> None:
        self._desk = Desk(signer, audience=audience, clock=Clock(now), nonce=nonce, policy=policy, spread=spread)
        self._channel = channel
        self._signing_channel = SigningChannel(channel, self._desk.signing())
        self._sleep = sleep
        self._calls: dict[str, Callable[..., Any]] = {}
        self.counts = self._desk.counts

    @classmethod
    def open(cls, profile: Profile | Path | str = FILE_NAME, *, policy: RetryPolicy | None = None) -> Self:
        """A till by a profile, or by its file; it connects at its first call. Raises ProfileError."""
        profile = profile if isinstance(profile, Profile) else Profile.load(profile)
        return cls(profile.channel(), profile.signer(), audience=profile.audience, policy=policy)

    issue = _does(calls.booking(requests.issue))
    redeem = _does(calls.booking(requests.redeem))
    reverse = _does(calls.booking(requests.reverse))
    enrol = _does(calls.booking(requests.enrol))
    transfer = _does(calls.booking(requests.transfer))
    quote = _does(calls.asking(requests_till.quote, requests.QUOTE))
    place_hold = _does(calls.booking(requests_till.place_hold))
    void_hold = _does(calls.booking(requests_till.void_hold))
    checkout = _does(calls.booking(requests_till.checkout))
    refund = _does(calls.booking(requests_till.refund))
    claim_receipt = _does(calls.booking(requests_till.claim_receipt))
    confirm = _does(calls.booking(requests_members.confirm))
    add_identifier = _does(calls.booking(requests_members.add_identifier))
    remove_identifier = _does(calls.booking(requests_members.remove_identifier))
    donate = _does(calls.booking(requests_members.donate))
    pause = _does(calls.booking(requests_members.pause))
    resume = _does(calls.booking(requests_members.resume))
    merge = _does(calls.booking(requests_members.merge))
    erase = _does(calls.booking(requests_members.erase))
    look_up = _does(calls.asking(requests_members.look_up, requests.LOOK_UP))
    lots = _does(calls.listing(requests_members.lots, requests.LIST_LOTS))
    entries = _does(calls.entries)
    export = _does(calls.export)
    book = _does(calls.book)
    submit_batch = _does(calls.submit_batch)
    submit_offline = _does(calls.submit_offline)
    get_entry = _does(calls.get_entry)
    balance = _does(calls.asking(requests.balance, requests.GET_BALANCE))
    upload_record = _does(calls.upload_record)
    records = _does(calls.listing(requests_office.records, requests.LIST_RECORDS))
    acknowledge = _does(calls.asking(requests_office.acknowledge, requests.ACKNOWLEDGE))
    acknowledgements = _does(calls.listing(requests_office.acknowledgements, requests.LIST_ACKNOWLEDGEMENTS))
    open_dispute = _does(calls.asking(requests_office.open_dispute, requests.OPEN_DISPUTE))
    answer_dispute = _does(calls.asking(requests_office.answer_dispute, requests.ANSWER_DISPUTE))
    disputes = _does(calls.listing(requests_office.disputes, requests.LIST_DISPUTES))
    statement = _does(calls.statement)
    verify = _does(calls.verify)
    learn = _does(calls.learn)

    def call(self, method: Method[_Q, _A], request: _Q) -> _A:
        """Any signed call: sent again where that is safe, its answer as it came."""
        return self._perform(calls.call(self._desk, method, request))

    def pages(self, method: Method[_Q, _A], request: _Q) -> _A:
        """A call that answers by pages, all of them as one answer."""
        return self._perform(calls.pages(self._desk, method, request))

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Closes at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes."""
        self.close()

    def _perform(self, steps: Steps[_T]) -> _T:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._send(step) if isinstance(step, Send) else self._sleep(step.delay_ms / 1000))
        except StopIteration as done:
            result: _T = done.value
            return result

    def _send(self, step: Send) -> object:
        call = self._calls.get(step.method.path)
        if call is None:
            channel = self._channel if step.method is GET_NETWORK else self._signing_channel
            call = self._calls[step.method.path] = step.method.on(channel)
        try:
            return call(step.request, timeout=step.timeout_ms / 1000)
        except grpc.RpcError as error:
            return failure_of(error)


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
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Spread = random.randrange,
    ) -> None:
        self._desk = Desk(signer, audience=audience, clock=Clock(now), nonce=nonce, policy=policy, spread=spread)
        self._channel = channel
        self._signing_channel = AsyncSigningChannel(channel, self._desk.signing())
        self._sleep = sleep
        self._calls: dict[str, Callable[..., Any]] = {}
        self.counts = self._desk.counts

    @classmethod
    def open(cls, profile: Profile | Path | str = FILE_NAME, *, policy: RetryPolicy | None = None) -> Self:
        """The same for grpc.aio; call it inside the running loop."""
        profile = profile if isinstance(profile, Profile) else Profile.load(profile)
        return cls(profile.async_channel(), profile.signer(), audience=profile.audience, policy=policy)

    issue = _awaits(calls.booking(requests.issue))
    redeem = _awaits(calls.booking(requests.redeem))
    reverse = _awaits(calls.booking(requests.reverse))
    enrol = _awaits(calls.booking(requests.enrol))
    transfer = _awaits(calls.booking(requests.transfer))
    quote = _awaits(calls.asking(requests_till.quote, requests.QUOTE))
    place_hold = _awaits(calls.booking(requests_till.place_hold))
    void_hold = _awaits(calls.booking(requests_till.void_hold))
    checkout = _awaits(calls.booking(requests_till.checkout))
    refund = _awaits(calls.booking(requests_till.refund))
    claim_receipt = _awaits(calls.booking(requests_till.claim_receipt))
    confirm = _awaits(calls.booking(requests_members.confirm))
    add_identifier = _awaits(calls.booking(requests_members.add_identifier))
    remove_identifier = _awaits(calls.booking(requests_members.remove_identifier))
    donate = _awaits(calls.booking(requests_members.donate))
    pause = _awaits(calls.booking(requests_members.pause))
    resume = _awaits(calls.booking(requests_members.resume))
    merge = _awaits(calls.booking(requests_members.merge))
    erase = _awaits(calls.booking(requests_members.erase))
    look_up = _awaits(calls.asking(requests_members.look_up, requests.LOOK_UP))
    lots = _awaits(calls.listing(requests_members.lots, requests.LIST_LOTS))
    entries = _awaits(calls.entries)
    export = _awaits(calls.export)
    book = _awaits(calls.book)
    submit_batch = _awaits(calls.submit_batch)
    submit_offline = _awaits(calls.submit_offline)
    get_entry = _awaits(calls.get_entry)
    balance = _awaits(calls.asking(requests.balance, requests.GET_BALANCE))
    upload_record = _awaits(calls.upload_record)
    records = _awaits(calls.listing(requests_office.records, requests.LIST_RECORDS))
    acknowledge = _awaits(calls.asking(requests_office.acknowledge, requests.ACKNOWLEDGE))
    acknowledgements = _awaits(calls.listing(requests_office.acknowledgements, requests.LIST_ACKNOWLEDGEMENTS))
    open_dispute = _awaits(calls.asking(requests_office.open_dispute, requests.OPEN_DISPUTE))
    answer_dispute = _awaits(calls.asking(requests_office.answer_dispute, requests.ANSWER_DISPUTE))
    disputes = _awaits(calls.listing(requests_office.disputes, requests.LIST_DISPUTES))
    statement = _awaits(calls.statement)
    verify = _awaits(calls.verify)
    learn = _awaits(calls.learn)

    async def call(self, method: Method[_Q, _A], request: _Q) -> _A:
        """Any signed call: sent again where that is safe, its answer as it came."""
        return await self._perform(calls.call(self._desk, method, request))

    async def pages(self, method: Method[_Q, _A], request: _Q) -> _A:
        """A call that answers by pages, all of them as one answer."""
        return await self._perform(calls.pages(self._desk, method, request))

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Closes at the end."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes."""
        await self.close()

    async def _perform(self, steps: Steps[_T]) -> _T:
        try:
            step = next(steps)
            while True:
                step = steps.send(await (self._send(step) if isinstance(step, Send) else self._sleep(step.delay_ms / 1000)))
        except StopIteration as done:
            result: _T = done.value
            return result

    async def _send(self, step: Send) -> object:
        call = self._calls.get(step.method.path)
        if call is None:
            channel = self._channel if step.method is GET_NETWORK else self._signing_channel
            call = self._calls[step.method.path] = step.method.on(channel)
        try:
            return await call(step.request, timeout=step.timeout_ms / 1000)
        except grpc.RpcError as error:
            return failure_of(error)
