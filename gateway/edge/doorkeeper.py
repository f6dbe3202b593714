"""What every call passes: one message in time, a proven signature over its raw bytes, limits, a log line, a safe last resort.

Each method is answered by a handler that takes a stream of requests, although the method is unary: only so
can it refuse a call that sends no message, or none in time. The caller sees no difference.
"""

import asyncio
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import aio

from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer
from gateway.edge.caller import METHOD_RULES, Caller, MethodRule, call_metadata, current_caller, current_request
from gateway.edge.limits import RateLimit
from gateway.edge.refused import CallRejected, Rejected, Violation, reject
from gateway.edge.requestlog import RequestLine, RequestLog
from gateway.edge.signatures import Received, SignatureGate, read_header
from gateway.edge.status import rich_status, trailers
from gateway.edge.validate import unknown_fields
from gateway.storage.errors import StoreContention, StoreError, StoreUnavailable
from tallystick.v1 import types_pb2

if TYPE_CHECKING:  # generic for the type checker only
    Context: TypeAlias = aio.ServicerContext[Any, Any]
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Context, Handler = aio.ServicerContext, grpc.RpcMethodHandler

_GIVEN_UP = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Of one call, and of one partner."""

    body_timeout_ms: int
    deadline_ms_max: int
    partner_calls_per_s_max: int


class Doorkeeper:
    """Guards the methods of Tallystick's services; lets those of health and reflection pass."""

    def __init__(
        self,
        gate: SignatureGate,
        *,
        limits: CallLimits,
        log: RequestLog,
        clock: Callable[[], int],
        sign_answer: Callable[[Answer], types_pb2.Answer],
    ) -> None:
        """`clock` gives unix milliseconds; `sign_answer` makes the signed answer that a remembered refusal carries."""
        self.is_draining = False
        self.calls = 0  # so far
        self.running = 0  # now
        self._gate = gate
        self._limits = limits
        self._quota = RateLimit(per_s=limits.partner_calls_per_s_max)
        self._log = log
        self._clock = clock
        self._sign_answer = sign_answer
        self._waiting: dict[asyncio.Task[Any], float] = {}  # for their message, since when

    def guarded(self, method: str, original: Handler) -> Handler:
        """The handler of a method of ours, guarded; that of any other as it is."""
        rule = METHOD_RULES.get(method)
        return original if rule is None else self._guard(method, rule, original)

    def _guard(self, method: str, rule: MethodRule, original: Any) -> Handler:
        async def handle(_messages: object, context: Context) -> Any:
            started_ns = time.monotonic_ns()
            line = RequestLine(method)
            self.calls += 1
            self.running += 1
            try:
                request = await self._admit(context, line, rule, original.request_deserializer)
                return await original.unary_unary(request, context)
            except CallRejected as rejection:
                return await self._refuse(context, line, rejection.rejected)
            except asyncio.CancelledError:
                line.status = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - the last resort: grpc would send the exception's text to the caller
                return await self._refuse(context, line, self._unforeseen(error, method))
            finally:
                self.running -= 1
                took_us = (time.monotonic_ns() - started_ns) // 1_000
                self._log.request(line, at_ms=self._clock(), took_us=took_us)

        return grpc.stream_unary_rpc_method_handler(handle, response_serializer=original.response_serializer)

    async def _admit(
        self, context: Context, line: RequestLine, rule: MethodRule, deserialize: Callable[[bytes], Message]
    ) -> Message:
        """The message of a call that may go on. Raises CallRejected, in the order of the checks below."""
        signed = read_header(call_metadata.get()) if rule.scopes else None
        body = await self._first_message(context)
        line.request_bytes = len(body)
        now_s = time.monotonic()
        if signed is not None:
            received = Received(line.method, body, context.peer, self._clock(), now_s)
            key = self._gate.prove(signed, received)
            line.partner, line.terminal, _ = key.key_id.split("/")
            if not rule.scopes & key.scopes:
                raise reject(Reason.METHOD_NOT_ALLOWED_FOR_KEY, {"key_id": key.key_id})
            if not self._quota.allows(key.partner_id, now_s):
                raise reject(Reason.RATE_LIMITED, {"scope": "partner"})
            deadline = now_s + self._seconds_left(context, rule)
            current_caller.set(Caller(key.partner_id, key.key_id, deadline))
            if rule.keeps:
                current_request.set(signed.request(line.method, body))
        return _parsed(body, deserialize)

    async def _first_message(self, context: Context) -> bytes:
        """The bytes of the call's message. A second one is never read, so nothing can come of it."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = time.monotonic()
        try:
            body = await context.read()
        except asyncio.CancelledError:
            if self._waiting[task] != _GIVEN_UP:
                raise
            task.uncancel()
            raise reject(Reason.BODY_TIMEOUT) from None
        finally:
            del self._waiting[task]
        if body is aio.EOF:
            raise reject(Reason.MESSAGE_COUNT)
        assert isinstance(body, bytes)
        return body

    def give_up_waiting(self) -> None:
        """Ends the calls whose message has not come in time. To be called now and then: a timer a call would cost more."""
        latest_s = time.monotonic() - self._limits.body_timeout_ms / 1_000
        for task, since_s in list(self._waiting.items()):
            if _GIVEN_UP < since_s <= latest_s:
                self._waiting[task] = _GIVEN_UP
                task.cancel()

    def _seconds_left(self, context: Context, rule: MethodRule) -> float:
        remaining_s = context.time_remaining()
        if rule.books:
            if self.is_draining:
                raise reject(Reason.DRAINING)
            if remaining_s is None:
                raise reject(Reason.DEADLINE_REQUIRED)
        longest_s = self._limits.deadline_ms_max / 1_000
        return longest_s if remaining_s is None else min(remaining_s, longest_s)

    def _unforeseen(self, error: Exception, method: str) -> Rejected:
        if isinstance(error, StoreContention):
            return reject(Reason.REQUEST_IN_PROGRESS).rejected
        if isinstance(error, StoreUnavailable):  # the health says so, and the log says it once
            return reject(Reason.STORE_UNAVAILABLE).rejected
        error_id = secrets.token_hex(8)
        text = "".join(traceback.format_exception(error))
        self._log.error(at_ms=self._clock(), error_id=error_id, method=method, traceback=text)
        if isinstance(error, StoreError):
            return reject(Reason.STORE_UNAVAILABLE).rejected
        return reject(Reason.INTERNAL, {"error_id": error_id}).rejected

    async def _refuse(self, context: Context, line: RequestLine, rejected: Rejected) -> NoReturn:
        answer = self._sign_answer(rejected.answer) if rejected.answer is not None else None
        code, sentence, details = rich_status(rejected.refusal, violations=rejected.violations, answer=answer)
        line.status, line.reason = code.name, rejected.refusal.reason.name
        await context.abort(code, sentence, trailers(rejected.refusal.reason, details))


def _parsed(body: bytes, deserialize: Callable[[bytes], Message]) -> Message:
    try:
        message = deserialize(body)
    except DecodeError:
        raise reject(Reason.MALFORMED_MESSAGE, violations=(Violation("$", "MALFORMED"),)) from None
    unknown = unknown_fields(message, body)
    if unknown:
        raise reject(Reason.UNKNOWN_FIELDS, violations=unknown)
    return message
