"""Just enough HTTP/2 to send what no gRPC library would send: frames by hand, over loopback without TLS."""

import socket
import struct
import time
from dataclasses import dataclass
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ENHANCE_YOUR_CALM = 11
_WAIT_S_MAX = 10


@dataclass(frozen=True)
class Frame:
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class RawConnection:
    """A connection that has said hello. Headers are sent as plain literals, so that nothing needs a table."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_WAIT_S_MAX)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> None:
        """Sends a frame."""
        self._socket.sendall(struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload)

    def headers(self, path: str, stream: int, *pairs: tuple[str, str], flags: int = END_HEADERS) -> None:
        """Opens a call, with further metadata, in the spelling of the wire."""
        fixed = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("te", "trailers"))
        block = b"".join(_literal(*pair) for pair in (*fixed, ("content-type", "application/grpc"), *pairs))
        self.send(HEADERS, block, flags=flags, stream=stream)

    def until(self, *, kind: int, stream: int = 0, flags: int = 0) -> Frame:
        """The next frame of this kind that has these flags; others are passed over. Raises EOFError."""
        give_up_at = time.monotonic() + _WAIT_S_MAX
        while time.monotonic() < give_up_at:
            frame = self._read()
            if (frame.kind, frame.stream) == (kind, stream) and frame.flags & flags == flags:
                return frame
        raise TimeoutError(f"no frame of kind {kind}")

    def _read(self) -> Frame:
        head = self._exactly(9)
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        return Frame(kind, flags, stream, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._socket.recv(size - len(found))
            if not piece:
                raise EOFError("the connection was closed")
            found += piece
        return found


def _literal(name: str, value: str) -> bytes:
    return b"\x00" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    content = text.encode()
    assert len(content) < 127, "longer texts need more than one byte of length"
    return bytes((len(content),)) + content
