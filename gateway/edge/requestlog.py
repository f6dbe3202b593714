"""One JSON line a request, and one an unforeseen error. Never keys, never member data, never a message.

Lines are written in blocks, a few times a second: a write a request would cost more than what the line says.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

FLUSH_S = 0.2
LINES_MAX = 1_000  # written at once when so many wait


@dataclass(slots=True)
class RequestLine:
    """What is logged of a request; filled in while it is served. `status` is a gRPC status code by name."""

    method: str
    partner: str = ""
    terminal: str = ""
    status: str = "OK"
    reason: str = ""
    request_bytes: int = 0


class RequestLog:
    """Collects lines and writes them. Belongs to one event loop."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` takes text of whole lines."""
        self._write = write
        self._lines: list[str] = []

    def request(self, line: RequestLine, *, at_ms: int, took_us: int) -> None:
        """Logs a request that was answered."""
        # Written by hand, for the encoder would take longer than all checks of the message: no text here can have a
        # character that JSON escapes, being names of ours and segments of a key id.
        self._add(
            f'{{"at_ms":{at_ms},"method":"{line.method}","partner":"{line.partner}","terminal":"{line.terminal}",'
            f'"status":"{line.status}","reason":"{line.reason}","took_us":{took_us},"request_bytes":{line.request_bytes}}}\n'
        )

    def error(self, *, at_ms: int, error_id: str, method: str, traceback: str) -> None:
        """Logs what nobody foresaw, at once. The caller is told the id and nothing else."""
        line = {"at_ms": at_ms, "level": "error", "error_id": error_id, "method": method, "traceback": traceback}
        self._add(json.dumps(line, separators=(",", ":")) + "\n")
        self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        lines, self._lines = self._lines, []
        if lines:
            self._write("".join(lines))

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self.flush()
        elif len(self._lines) == 1:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
