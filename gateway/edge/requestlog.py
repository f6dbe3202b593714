"""One JSON line a request, and one an unforeseen error. Never keys, never member data, never a message.

Lines are written in blocks, a few times a second: a write a request would cost more than what the line says. The same
place counts requests, in plain integers that are made into series only when somebody looks.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ledger.figures import Histogram

FLUSH_S = 0.2
LINES_MAX = 1_000  # written at once when so many wait
OTHER = "other"
TOOK_BOUNDS_US = (
    *(250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000),
)


@dataclass(slots=True)
class RequestLine:
    """What is logged of a request; filled in while it is served. `status` is a gRPC status code by name."""

    method: str
    partner: str = ""
    terminal: str = ""
    status: str = "OK"
    reason: str = ""
    request_bytes: int = 0


@dataclass(slots=True)
class MethodFigures:
    """Of one method: calls by (status, reason), and how long they took, in microseconds."""

    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    took_us: Histogram = field(default_factory=lambda: Histogram(TOOK_BOUNDS_US))


class RequestFigures:
    """Counts requests. As many series as there are methods, statuses and reasons of ours, whatever callers send."""

    def __init__(self, methods: Iterable[str]) -> None:
        """`methods` are full paths; whatever else is called counts as `other`."""
        self.by_method = {method: MethodFigures() for method in (*methods, OTHER)}

    def count(self, line: RequestLine, took_us: int) -> None:
        """Counts a request that was answered. Runs in each call: half a microsecond."""
        figures = self.by_method.get(line.method) or self.by_method[OTHER]
        answer = (line.status, line.reason)
        figures.answers[answer] = figures.answers.get(answer, 0) + 1
        figures.took_us.add(took_us)


class SpanMaker(Protocol):
    """gateway.edge.spans, which is there only where it is installed and wanted."""

    def add(self, line: RequestLine, *, at_ms: int, took_us: int) -> None:
        """Makes a span of a call that was answered."""
        ...

    def close(self) -> None:
        """Sends what waits."""
        ...


class RequestLog:
    """Collects lines and writes them, and counts. Belongs to one event loop."""

    def __init__(self, write: Callable[[str], object], *, figures: RequestFigures | None = None) -> None:
        """`write` takes text of whole lines. `spans`, if set, makes one of each request."""
        self.spans: SpanMaker | None = None
        self._write = write
        self._figures = figures
        self._lines: list[str] = []

    def request(self, line: RequestLine, *, at_ms: int, took_us: int) -> None:
        """Logs a request that was answered."""
        if self._figures is not None:
            self._figures.count(line, took_us)
        if self.spans is not None:
            self.spans.add(line, at_ms=at_ms, took_us=took_us)
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

    def close(self) -> None:
        """Writes and sends what waits; may take seconds where spans go to a collector that is down."""
        self.flush()
        if self.spans is not None:
            self.spans.close()

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self.flush()
        elif len(self._lines) == 1:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
