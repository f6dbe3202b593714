"""A gateway in the process, on a real port with real SQLite, and a caller that signs byte by byte, so that it can do wrong.

with RunningGateway(network) as gateway:
    caller = Caller(gateway, "acme", network.keys["acme"])
    answer = caller.call(ISSUE, message)
    seen = refusal(lambda: caller.call(ISSUE, other))
"""

import asyncio
import base64
import secrets
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.app import App
from gateway.config import load_config
from gateway.dev_ca import make_certificates, write_certificates
from gateway.domain.signing import PrivateKey, RequestHeader, request_string
from partners.pos.requests import ENROL, GET_BALANCE, GET_PARTNER, ISSUE, REDEEM, Method
from tallystick.v1 import member_pb2, partner_pb2, points_pb2, types_pb2
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork
from tests.patience import patience_s

CALL_S_MAX = 20
Pairs = tuple[tuple[str, str | bytes], ...]

_T = TypeVar("_T")


class RunningGateway:
    """Runs an App in a thread of its own. `limits` override the configuration's."""

    def __init__(
        self,
        network: GivenNetwork,
        *,
        is_plaintext: bool = True,
        reflects: bool = False,
        listen: str = "127.0.0.1:0",
        keeps_books_apart: bool = False,
        **limits: Any,
    ) -> None:
        config = load_config(network.folder / "tallystick.toml", {})
        if not is_plaintext:
            write_certificates(network.folder / "tls", make_certificates(network.now_ms))
        self.network = network
        self.log: list[str] = []
        self.app = App(
            replace(config, gateway=replace(config.gateway, **limits)),
            clock=network.clock,
            write_log=self.log.append,
            listen=listen,
            is_plaintext=is_plaintext,
            reflects=reflects,
            keeps_books_apart=keeps_books_apart,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.run(self.app.start())
        except BaseException:
            self._end()
            raise
        self.channel = grpc.insecure_channel(self.address)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.app.address

    def stop(self) -> None:
        """Drains; safe to repeat."""
        if self._thread.is_alive():
            self.run(self.app.stop())
            self._end()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Runs a coroutine in the gateway's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(patience_s(CALL_S_MAX))

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(patience_s(CALL_S_MAX))
        self._loop.close()


@dataclass
class Caller:
    """A partner's key, and what it signs. Fields may be set to something wrong."""

    gateway: RunningGateway
    partner_id: str
    key: PrivateKey
    key_id: str = ""
    audience: str = AUDIENCE
    created: str = ""
    channel: grpc.Channel | None = None

    def __post_init__(self) -> None:
        """The key that `given` made, unless another is named."""
        self.key_id = self.key_id or f"{self.partner_id}/{KEY_SUFFIX}"

    def header(self) -> RequestHeader:
        """A header of now, with a new nonce."""
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        return RequestHeader(self.key_id, self.created or f"{self.gateway.network.now_ms:013d}", nonce)

    def metadata(self, path: str, body: bytes, header: RequestHeader | None = None, signature: bytes | None = None) -> Pairs:
        """The four parameters of a signed request."""
        header = header or self.header()
        string = request_string(audience=self.audience, method=path, header=header, body=body)
        return (
            ("tally-key-id", header.key_id),
            ("tally-created", header.created),
            ("tally-nonce", header.nonce),
            ("tally-sig-bin", self.key.sign(string) if signature is None else signature),
        )

    def send(self, path: str, body: bytes, metadata: Pairs | None, *, timeout: float | None = CALL_S_MAX) -> bytes:
        """Sends bytes as they are."""
        return bare_call(self.channel or self.gateway.channel, path)(body, metadata=metadata, timeout=timeout)

    def call(self, method: Method[Any, Any], message: Message, *, timeout: float | None = CALL_S_MAX) -> Any:
        """Signs and sends a message."""
        body = message.SerializeToString()
        return method.answer.FromString(self.send(method.path, body, self.metadata(method.path, body), timeout=timeout))

    def enrol(self, card: str) -> str:
        """A member under the card; answers its id."""
        asked = member_pb2.EnrolMemberRequest(idempotency_key=f"enrol-{secrets.token_hex(8)}", card_number=card)
        return receipt_of(self.call(ENROL, asked).answer).member_id

    def issue(self, member_id: str, cents: int, key: str, **fields: Any) -> types_pb2.Answer:
        """Issues points on an amount in EUR."""
        answer: types_pb2.Answer = self.call(ISSUE, issue_request(member_id, cents, key, **fields)).answer
        return answer

    def redeem(self, member_id: str, points: int, key: str) -> types_pb2.Answer:
        """Redeems points."""
        member = types_pb2.MemberRef(member_id=member_id)
        asked = points_pb2.RedeemPointsRequest(idempotency_key=key, member=member, points=points)
        answer: types_pb2.Answer = self.call(REDEEM, asked).answer
        return answer

    def is_taken(self) -> bool:
        """Whether a call with this key gets through."""
        try:
            self.call(GET_PARTNER, partner_pb2.GetPartnerRequest())
        except grpc.RpcError:
            return False
        return True

    def balance(self, member_id: str) -> int:
        """The member's points."""
        asked = member_pb2.GetBalanceRequest(member=types_pb2.MemberRef(member_id=member_id))
        points: int = self.call(GET_BALANCE, asked).balance_points
        return points


@dataclass(frozen=True)
class Seen:
    """What a caller sees of a refusal."""

    code: grpc.StatusCode
    text: str
    reason: str
    facts: dict[str, str]
    violations: dict[str, str]
    retry_ms: int | None
    answer: types_pb2.Answer | None


def bare_call(channel: grpc.Channel, path: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    """A call of bytes, as they are."""
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return call


def issue_request(member_id: str, cents: int, key: str, **fields: Any) -> points_pb2.IssuePointsRequest:
    """A request that is right as it is."""
    return points_pb2.IssuePointsRequest(
        idempotency_key=key,
        member=types_pb2.MemberRef(member_id=member_id),
        eligible=types_pb2.Amount(unit="EUR", minor_units=cents),
        **fields,
    )


def receipt_of(answer: types_pb2.Answer) -> types_pb2.Receipt:
    """What the receipt says."""
    return types_pb2.Receipt.FromString(answer.receipt.receipt)


def refusal(call: Callable[[], object]) -> Seen:
    """What the call is refused with; fails if it is not."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return seen(error)
    raise AssertionError(f"was not refused: {answer!r}")


def seen(error: Any) -> Seen:
    """Reads a refusal; where a rich status is there, it must agree with the plain one."""
    trailing = dict(error.trailing_metadata() or ())
    packed = trailing.get("grpc-status-details-bin")
    status = status_pb2.Status.FromString(packed) if packed else status_pb2.Status()
    assert not packed or (status.code, status.message) == (error.code().value[0], error.details())
    assert len(packed or b"") < 4096
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    answer = types_pb2.Answer()
    found = {id(message): any(detail.Unpack(message) for detail in status.details) for message in (info, bad, retry, answer)}
    return Seen(
        code=error.code(),
        text=error.details(),
        reason=info.reason,
        facts=dict(info.metadata),
        violations={violation.field: violation.description for violation in bad.field_violations},
        retry_ms=retry.retry_delay.ToMilliseconds() if found[id(retry)] else None,
        answer=answer if found[id(answer)] else None,
    )
