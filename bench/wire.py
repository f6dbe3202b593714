"""A gRPC client's side of one HTTP/2 connection, as cheap as Python lets it be: what drives a server must not starve it.

It sends unary calls that are ready to go, and hands back the bytes of their answers. Headers are written once, with the table
that HTTP/2 has for those that repeat; those of answers are not read: a call is answered when its stream ends with a message.
"""

import asyncio
import base64
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

from bench.plan import Request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
_HEADER = struct.Struct(">IBI")  # of a frame: size and kind, flags, stream
_HEADER_BYTES = 9
_MAX_STREAMS, _INITIAL_WINDOW, _MAX_FRAME = 3, 4, 5  # settings
_WINDOW_MAX = 2**31 - 1
_WINDOW_AT_FIRST = 65_535
_STATIC_ENTRIES = 61  # of HPACK; entries of our own follow
_PREFIX_FULL, _MORE = 0x7F, 0x80
_PREFIX = struct.Struct(">BI")  # of a gRPC message: not compressed, size

Prepared = tuple[bytes, bytes]
"""A call's own headers as they are sent, and its message."""

Answered = Callable[[int, bytes | None, str], None]
"""Called with a call's number, and the bytes of its answer, or None and what is known of the failure."""


def prepare(request: Request) -> Prepared:
    """Writes what differs from call to call, so that sending costs little."""
    body, metadata = request
    return b"".join(_literal(name, _text(name, value)) for name, value in metadata), _PREFIX.pack(0, len(body)) + body


class Connection(asyncio.Protocol):
    """Calls of one method over one connection. `ready` is done when the server has said how many it takes at a time."""

    def __init__(self, *, path: str, authority: str, scheme: str, timeout_s: int, answered: Answered) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answered = answered
        fixed = ((":path", path), (":authority", authority), ("te", "trailers"), ("content-type", "application/grpc"))
        self._fixed = (*fixed, ("user-agent", "tallystick-bench"), ("grpc-timeout", f"{timeout_s}S"))
        self._pseudo = b"\x83" + (b"\x87" if scheme == "https" else b"\x86")  # :method POST, :scheme
        self._table = b""  # the fixed headers again, once the server has them in its table
        self._next_stream = 1
        self._open: dict[int, tuple[int, list[bytes]]] = {}  # by stream: the call's number, and what came of its answer
        self._waiting: deque[tuple[int, bytes, bytes]] = deque()  # calls beyond what the server takes at a time
        self._unsent: deque[tuple[int, bytes]] = deque()  # by stream: message bytes that the windows do not allow yet
        self._windows: dict[int, int] = {}  # of streams in `_unsent`
        self._window = _WINDOW_AT_FIRST
        self._stream_window, self._frame_max, self._streams_max = _WINDOW_AT_FIRST, 16_384, 100
        self._received = b""
        self._out: list[bytes] = []
        self._is_reading = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello, and lets the server send as much as it likes."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not say so
        settings = struct.pack(">HI", _INITIAL_WINDOW, _WINDOW_MAX)
        grant = struct.pack(">I", _WINDOW_MAX - _WINDOW_AT_FIRST)
        self._transport.write(PREFACE + _frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, grant))

    def call(self, number: int, prepared: Prepared) -> None:
        """Sends a call, or keeps it until the server takes another one."""
        if len(self._open) < self._streams_max:
            self._send(number, *prepared)
            self.flush()
        else:
            self._waiting.append((number, *prepared))

    def flush(self) -> None:
        """Writes what has gathered, unless more is about to come."""
        if self._out and not self._is_reading:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def data_received(self, data: bytes) -> None:
        """Reads whole frames; what they let us send goes out in one piece."""
        received = self._received + data if self._received else data
        at, end = 0, len(received)
        self._is_reading = True
        while end - at >= _HEADER_BYTES:
            size_and_kind, flags, stream = _HEADER.unpack_from(received, at)
            size = size_and_kind >> 8
            if end - at < _HEADER_BYTES + size:
                break
            self._frame(size_and_kind & 0xFF, flags, stream, received[at + _HEADER_BYTES : at + _HEADER_BYTES + size])
            at += _HEADER_BYTES + size
        self._received = received[at:]
        self._is_reading = False
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever is open has failed."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"no HTTP/2 there: {exc}"))
        for stream in list(self._open):
            self._end(stream, f"the connection was lost: {exc}")

    def close(self) -> None:
        """Ends it."""
        self._transport.close()

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._open[stream][1].append(payload)
            if flags & END_STREAM:
                self._end(stream, "")
        elif kind == HEADERS:
            if flags & END_STREAM:
                self._end(stream, _readable(payload))
        elif kind == WINDOW_UPDATE:
            self._granted(stream, int.from_bytes(payload, "big"))
        elif kind == PING and not flags & ACK:
            self._out.append(_frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self._set(payload)
        elif kind == RST_STREAM and stream in self._open:
            self._end(stream, f"reset with code {int.from_bytes(payload, 'big')}")

    def _send(self, number: int, block: bytes, message: bytes) -> None:
        stream = self._next_stream
        self._next_stream += 2
        self._open[stream] = (number, [])
        if self._table:
            headers = self._pseudo + self._table + block
        else:
            headers = self._pseudo + b"".join(_literal(name, value, first=b"\x40") for name, value in self._fixed) + block
            newest = _STATIC_ENTRIES + len(self._fixed)
            self._table = bytes(0x80 | (newest - place) for place in range(len(self._fixed)))
        self._out.append(_frame(HEADERS, END_HEADERS, stream, headers))
        if not self._unsent and len(message) <= min(self._window, self._stream_window, self._frame_max):
            self._window -= len(message)
            self._out.append(_frame(DATA, END_STREAM, stream, message))
        else:
            self._windows[stream] = self._stream_window
            self._unsent.append((stream, message))
            self._send_unsent()

    def _send_unsent(self) -> None:
        """As much as the windows allow, in the order of the calls."""
        while self._unsent:
            stream, message = self._unsent[0]
            size = min(len(message), self._window, self._windows[stream], self._frame_max)
            if size <= 0:
                return
            self._window -= size
            self._windows[stream] -= size
            is_last = size == len(message)
            self._out.append(_frame(DATA, END_STREAM if is_last else 0, stream, message[:size]))
            if is_last:
                self._unsent.popleft()
                del self._windows[stream]
            else:
                self._unsent[0] = (stream, message[size:])

    def _granted(self, stream: int, size: int) -> None:
        if stream == 0:
            self._window += size
        elif stream in self._windows:
            self._windows[stream] += size
        self._send_unsent()

    def _set(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW:
                for stream in self._windows:
                    self._windows[stream] += value - self._stream_window
                self._stream_window = value
            elif name == _MAX_FRAME:
                self._frame_max = value
            elif name == _MAX_STREAMS:
                self._streams_max = value
        self._out.append(_frame(SETTINGS, ACK, 0, b""))
        self._send_unsent()
        if not self.ready.done():
            self.ready.set_result(None)

    def _end(self, stream: int, trailers: str) -> None:
        number, pieces = self._open.pop(stream)
        message = b"".join(pieces)[_PREFIX.size :] if pieces else None
        if self._waiting:
            self._send(*self._waiting.popleft())
        self._answered(number, message, trailers)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def _literal(name: str, value: str, *, first: bytes = b"\x00") -> bytes:
    """A header as it stands; with `first` 0x40, the server is to keep it in its table."""
    return first + _length(name) + name.encode("ascii") + _length(value) + value.encode("ascii")


def _length(text: str) -> bytes:
    """HPACK's integer with a prefix of seven bits, for texts without Huffman's code."""
    size = len(text)
    if size < _PREFIX_FULL:
        return bytes((size,))
    size -= _PREFIX_FULL
    written = [_PREFIX_FULL]
    while size > _PREFIX_FULL:
        written.append(size & _PREFIX_FULL | _MORE)
        size >>= 7
    return bytes((*written, size))


def _text(name: str, value: str | bytes) -> str:
    if name.endswith("-bin"):
        assert isinstance(value, bytes)
        return base64.b64encode(value).decode("ascii").rstrip("=")
    assert isinstance(value, str)
    return value


def _readable(block: bytes) -> str:
    """What can be read of headers without decoding them: servers write texts of their own as they are."""
    return "".join(letter if letter.isprintable() and letter.isascii() else " " for letter in block.decode("latin-1"))


async def connect(address: str, *, path: str, timeout_s: int, certificate: bytes | None, answered: Answered) -> Connection:
    """A connection that is ready for calls of the method at `path`; with the certificate of an authority, over TLS."""
    host, _, port = address.rpartition(":")
    scheme = "http" if certificate is None else "https"
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(path=path, authority=address, scheme=scheme, timeout_s=timeout_s, answered=answered),
        host,
        int(port),
        ssl=_tls(certificate) if certificate is not None else None,
    )
    await connection.ready
    return connection


def _tls(certificate: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=certificate.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    return context
