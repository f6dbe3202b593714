"""Channels that sign what they send. They wrap a channel, so generated stubs stay as they are.

A client interceptor sees the message and not its bytes, and protobuf may serialize a message in several ways; so the
wrapped channel is given no serializer: the bytes are made here, signed, and sent as they are. A signing channel is a
thin view: a vendor that hosts many merchants makes one a key over a single connection.
"""

import base64
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import grpc
import grpc.aio

from gateway.domain.ids import check_key_id
from gateway.domain.signing import RequestHeader, request_string

Clock = Callable[[], int]
"""Unix milliseconds."""

NonceSource = Callable[[], bytes]
"""16 random bytes, other ones at each call."""

Metadata = tuple[tuple[str, str | bytes], ...]

_Metadata = Iterable[Any] | None
_Q = TypeVar("_Q")
_A = TypeVar("_A")


def random_nonce() -> bytes:
    """From the machine's secure source."""
    return secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key's id, and what makes 64 signature bytes with it: `PrivateKey.sign`, or a call to a security module."""

    key_id: str
    sign: Callable[[bytes], bytes]

    def __post_init__(self) -> None:
        """Raises InvalidValue for a malformed key id."""
        check_key_id(self.key_id)

    @property
    def partner_id(self) -> str:
        """The partner that the key belongs to."""
        return self.key_id.split("/")[0]


@dataclass(frozen=True, slots=True)
class Signing:
    """All that a signature takes besides the message."""

    audience: str
    signer: Signer
    clock: Clock
    nonce: NonceSource = random_nonce

    def header(self) -> RequestHeader:
        """A new one, for one request."""
        nonce = base64.urlsafe_b64encode(self.nonce()).rstrip(b"=").decode()
        return RequestHeader(self.signer.key_id, f"{self.clock():013d}", nonce)

    def metadata(self, method: str, body: bytes) -> Metadata:
        """What travels beside `body` to the full path `method`."""
        header = self.header()
        return signed_metadata(
            header, self.signer.sign(request_string(audience=self.audience, method=method, header=header, body=body))
        )


def signed_metadata(header: RequestHeader, signature: bytes) -> Metadata:
    """The four parameters."""
    return (
        ("tally-key-id", header.key_id),
        ("tally-created", header.created),
        ("tally-nonce", header.nonce),
        ("tally-sig-bin", signature),
    )


class SigningChannel(grpc.Channel):
    """Signs each unary call over another channel, which it does not own: closing is the owner's business."""

    def __init__(self, channel: grpc.Channel, signing: Signing) -> None:
        self._channel = channel
        self._signing = signing

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[_Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], _A] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002 - the signature is grpc's
    ) -> "grpc.UnaryUnaryMultiCallable[_Q, _A]":
        """As generated stubs call it."""
        inner: grpc.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            method, request_serializer=None, response_deserializer=response_deserializer
        )
        return _SignedCall(inner, method, request_serializer, self._signing)

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False) -> None:  # noqa: FBT001, FBT002 - grpc's
        """As the wrapped channel."""
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """As the wrapped channel."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Closes the wrapped channel."""
        self._channel.close()

    def unary_stream(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    def stream_unary(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    def stream_stream(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    def __enter__(self) -> Self:
        """Closes at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        """Closes."""
        self.close()
        return None


class AsyncSigningChannel(grpc.aio.Channel):
    """The same over a channel of grpc.aio."""

    def __init__(self, channel: grpc.aio.Channel, signing: Signing) -> None:
        self._channel = channel
        self._signing = signing

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[_Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], _A] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002 - the signature is grpc's
    ) -> "grpc.aio.UnaryUnaryMultiCallable[_Q, _A]":
        """As generated stubs call it."""
        inner: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            method, request_serializer=None, response_deserializer=response_deserializer
        )
        return _AsyncSignedCall(inner, method, request_serializer, self._signing)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - grpc's
        """As the wrapped channel."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As the wrapped channel."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As the wrapped channel."""
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Closes the wrapped channel."""
        await self._channel.close(grace)

    def unary_stream(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    def stream_unary(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    def stream_stream(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refused."""
        _refuse_streams()

    async def __aenter__(self) -> Self:
        """Closes at the end."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Closes."""
        await self.close()
        return None


class _SignedCall(grpc.UnaryUnaryMultiCallable):  # type: ignore[type-arg]  # no generic class at run time
    def __init__(
        self,
        inner: "grpc.UnaryUnaryMultiCallable[Any, Any]",
        method: str,
        serialize: Callable[[Any], bytes] | None,
        signing: Signing,
    ) -> None:
        self._inner = inner
        self._method = method
        self._serialize = serialize
        self._signing = signing

    def __call__(self, request: Any, timeout: float | None = None, metadata: _Metadata = None, *args: Any, **options: Any) -> Any:
        body, signed = _sign(request, self._serialize, self._method, self._signing)
        return self._inner(body, timeout, (*(metadata or ()), *signed), *args, **options)

    def with_call(
        self, request: Any, timeout: float | None = None, metadata: _Metadata = None, *args: Any, **options: Any
    ) -> Any:
        body, signed = _sign(request, self._serialize, self._method, self._signing)
        return self._inner.with_call(body, timeout, (*(metadata or ()), *signed), *args, **options)

    def future(self, request: Any, timeout: float | None = None, metadata: _Metadata = None, *args: Any, **options: Any) -> Any:
        body, signed = _sign(request, self._serialize, self._method, self._signing)
        return self._inner.future(body, timeout, (*(metadata or ()), *signed), *args, **options)


class _AsyncSignedCall(grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    def __init__(
        self,
        inner: "grpc.aio.UnaryUnaryMultiCallable[Any, Any]",
        method: str,
        serialize: Callable[[Any], bytes] | None,
        signing: Signing,
    ) -> None:
        self._inner = inner
        self._method = method
        self._serialize = serialize
        self._signing = signing

    def __call__(self, request: Any, *, timeout: float | None = None, metadata: _Metadata = None, **options: Any) -> Any:
        body, signed = _sign(request, self._serialize, self._method, self._signing)
        return self._inner(body, timeout=timeout, metadata=(*(metadata or ()), *signed), **options)


def _sign(request: Any, serialize: Callable[[Any], bytes] | None, method: str, signing: Signing) -> tuple[bytes, Metadata]:
    body: bytes = request if serialize is None else serialize(request)
    return body, signing.metadata(method, body)


def _refuse_streams() -> NoReturn:
    raise NotImplementedError("the network has no streaming calls, so no way to sign them is defined")
