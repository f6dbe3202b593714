"""What a till does, call by call, written once for both tills. Sends nothing and waits for nothing itself.

Each function is a generator of steps: it yields what is to be sent or waited for, and is given what came of it. `Till`
performs a step and blocks, `AsyncTill` awaits it; what to repeat, to learn and to believe is decided here.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from google.protobuf.message import Message

from partners.pos import requests, requests_members, requests_office
from partners.pos.answers import Booked, Desk, Happened, receipts_in
from partners.pos.errors import ReceiptError, Refused
from partners.pos.failures import Failure
from partners.pos.requests import BOOKINGS, GET_NETWORK, Booking, Method
from tallystick.v1 import network_pb2, offline_pb2, reconciliation_pb2, statement_pb2, types_pb2


@dataclass(frozen=True, slots=True)
class Send:
    """Send it once; answer the message that came, or the Failure."""

    method: Method[Any, Any]
    request: Message
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Let so much time pass before the next attempt."""

    delay_ms: int


_P = ParamSpec("_P")
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)

Steps = Generator[Send | Wait, Any, _T]
"""What to do, one after the other, until it returns what came of all."""


def booking(make: Callable[_P, Booking]) -> Callable[Concatenate[Desk, _P], Steps[Booked]]:
    """Makes a command as `make` does, and books it."""

    @functools.wraps(make)
    def steps(desk: Desk, /, *args: _P.args, **kwargs: _P.kwargs) -> Steps[Booked]:
        return book(desk, make(*args, **kwargs))

    return _signed_like(make, steps)


def book(desk: Desk, command: Booking) -> Steps[Booked]:
    """Sends a command of `partners.pos.requests`; the named methods make one and send it."""
    method, _ = BOOKINGS[type(command)]
    response: Any = yield from call(desk, method, command)
    yield from _learn_for(desk, response.answer.receipt)
    lines = getattr(response, "receipt_lines", ())  # of TillService alone
    return desk.booked(response.answer, command.idempotency_key, receipt_lines=lines)


def submit_batch(desk: Desk, commands: Sequence[Booking]) -> Steps[list[Booked | Refused]]:
    """Up to 500 commands under one signature: one answer each, in their order. A refusal is a value here."""
    response = yield from call(desk, requests.SUBMIT_BATCH, requests.batch(list(commands)))
    if len(response.answers) != len(commands):
        raise ReceiptError(f"{len(commands)} commands were sent, {len(response.answers)} answers came")
    for signed in receipts_in(response.answers):
        yield from _learn_for(desk, signed)
    return [desk.in_batch(answer, one.idempotency_key) for answer, one in zip(response.answers, commands, strict=True)]


def submit_offline(desk: Desk, events: Sequence[offline_pb2.Event], keys: Sequence[str]) -> Steps[list[Happened]]:
    """Up to 500 events of this terminal, and the idempotency keys in them: one answer each. `OfflineQueue.drain` calls it."""
    response = yield from call(desk, requests.SUBMIT_OFFLINE, offline_pb2.SubmitOfflineRequest(events=events))
    if [answer.counter for answer in response.answers] != [event.counter for event in events]:
        raise ReceiptError("the answers are not those to the events that were sent")
    for signed in receipts_in(answer.answer for answer in response.answers):
        yield from _learn_for(desk, signed)
    return [desk.happened(answer, key) for answer, key in zip(response.answers, keys, strict=True)]


def get_entry(desk: Desk, *, entry_id: str = "", key: str = "") -> Steps[Booked]:
    """The answer that a command got; raises Refused with its receipt if it was a refusal, without one if there is none."""
    response = yield from call(desk, requests.GET_ENTRY, requests.entry_query(entry_id=entry_id, key=key))
    yield from _learn_for(desk, response.answer.receipt)
    return desk.booked(response.answer, key or None)


def asking(make: Callable[_P, _Q], method: Method[_Q, _A]) -> Callable[Concatenate[Desk, _P], Steps[_A]]:
    """Makes a question as `make` does, and asks it."""

    @functools.wraps(make)
    def steps(desk: Desk, /, *args: _P.args, **kwargs: _P.kwargs) -> Steps[_A]:
        return call(desk, method, make(*args, **kwargs))

    return _signed_like(make, steps)


def listing(make: Callable[_P, _Q], method: Method[_Q, _A]) -> Callable[Concatenate[Desk, _P], Steps[_A]]:
    """Makes a question that is answered by pages as `make` does, and asks for all of them."""

    @functools.wraps(make)
    def steps(desk: Desk, /, *args: _P.args, **kwargs: _P.kwargs) -> Steps[_A]:
        return pages(desk, method, make(*args, **kwargs))

    return _signed_like(make, steps)


def entries(desk: Desk, /, who: types_pb2.MemberRef, **filters: Any) -> Steps[list[types_pb2.Receipt]]:
    """The partner's own entries of a member, verified, oldest first; filters as in `requests_members.entries`."""
    listed = yield from pages(desk, requests.LIST_ENTRIES, requests_members.entries(who, **filters))
    found: list[types_pb2.Receipt] = []
    for signed in listed.receipts:
        found.append((yield from verify(desk, signed)))  # noqa: PERF401 - a generator cannot yield out of a comprehension
    return found


def export(desk: Desk, who: types_pb2.MemberRef) -> Steps[list[bytes]]:
    """What is stored about a member, as documents in canonical JSON; needs a key with the scope `office`."""
    found: list[bytes] = []
    token = ""
    while True:
        page = yield from call(desk, requests.EXPORT, requests_members.export(who, page_token=token))
        found.append(page.document)
        token = page.next_page_token
        if not token:
            return found


def upload_record(
    desk: Desk, content: bytes, *, window_id: int = 0, business_date: str = ""
) -> Steps[reconciliation_pb2.PartnerRecord]:
    """Sends the partner's own record of a window or of a business date, chunk by chunk; needs a key of the scope `office`.

    Safe to repeat, also where it stopped half-way: chunks that the gateway has are not kept twice.
    """
    digest, record = hashlib.sha256(content).digest(), reconciliation_pb2.PartnerRecord()
    of: dict[str, Any] = {"sha256": digest, "total_bytes": len(content), "window_id": window_id, "business_date": business_date}
    requests_office.chunks_of(len(content))
    for number, part in enumerate(requests_office.parts_of(content), 1):
        sent = requests_office.chunk(part, number=number, **of)
        record = (yield from call(desk, requests.UPLOAD_RECORD, sent)).record
    if record.sha256 != digest or not record.completed_at_ms:
        raise ReceiptError(f"the gateway has {record.received_chunks} of {record.chunks} chunks: send the record again")
    return record


def verify(desk: Desk, signed: types_pb2.SignedReceipt) -> Steps[types_pb2.Receipt]:
    """The content of a receipt of this partner's. Raises ReceiptError."""
    yield from _learn_for(desk, signed)
    return desk.verify(signed)


def statement(desk: Desk, window_id: int) -> Steps[statement_pb2.GetStatementResponse]:
    """The partner's own statement of a window. Raises ReceiptError unless the network signed it."""
    answer = yield from call(desk, requests.GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=window_id))
    if desk.must_learn(answer.receipt_key_id):
        yield from learn(desk)
    desk.verify_statement(answer)
    return answer


def call(desk: Desk, method: Method[_Q, _A], request: _Q) -> Steps[_A]:
    """Any signed call: sent again where that is safe, its answer as it came."""
    if desk.must_learn():
        yield from learn(desk)
    return (yield from _send(desk, method, request))


def pages(desk: Desk, method: Method[_Q, _A], request: _Q) -> Steps[_A]:
    """A call that answers by pages, all of them as one answer."""
    asked: Any = type(request)()
    asked.CopyFrom(request)
    answer: Any = yield from call(desk, method, asked)
    while answer.next_page_token:
        asked.page_token = answer.next_page_token
        answer.next_page_token = ""
        answer.MergeFrom((yield from call(desk, method, asked)))
    whole: _A = answer
    return whole


def learn(desk: Desk) -> Steps[network_pb2.GetNetworkResponse]:
    """Asks for the network's receipt keys and time; done by itself before the first call."""
    network = yield from _send(desk, GET_NETWORK, network_pb2.GetNetworkRequest())
    desk.learn(network)
    return network


def _signed_like(make: Callable[..., Any], steps: _F) -> _F:
    """With the arguments of `make` after the desk, so that `help(Till.checkout)` shows them."""
    desk = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.Signature([desk, *inspect.signature(make).parameters.values()])
    steps.__signature__ = signature  # type: ignore[attr-defined]  # where inspect looks first
    return steps


def _learn_for(desk: Desk, signed: types_pb2.SignedReceipt) -> Steps[None]:
    if desk.must_learn(signed.key_id):
        yield from learn(desk)


def _send(desk: Desk, method: Method[_Q, _A], request: _Q) -> Steps[_A]:
    policy = desk.policy_of(method)
    attempts = desk.attempts(policy)
    step = Send(method, request, policy.timeout_ms)
    while True:
        came = yield step
        if not isinstance(came, Failure):
            answer: _A = came
            return answer
        delay_ms = attempts.delay_ms_after(came)
        if delay_ms is None:
            if came.answer is not None:
                yield from _learn_for(desk, came.answer.receipt)
            raise desk.refused(came, request.idempotency_key if isinstance(request, Booking) else None)
        desk.counts.retries += 1
        yield Wait(delay_ms)
