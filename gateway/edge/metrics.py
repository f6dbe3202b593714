"""What a gateway counts and what the database says, as Prometheus reads it; made when somebody asks, on a port of its own.

Counting happens elsewhere, in plain integers: gateway.edge.requestlog, gateway.ledger.figures, gateway.storage.figures.
"""

import math
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.domain.errors import InvalidValue
from gateway.domain.units import MICROS
from gateway.edge import series
from gateway.edge.requestlog import RequestFigures
from gateway.edge.series import Series
from gateway.edge.storewatch import Look
from gateway.ledger.figures import BatchFigures, Histogram, LaneFigures

PORT_MAX = 65_535
REQUEST_S_MAX = 5  # for whoever asks to say what it wants
STALE_MS = 30_000  # after which the last look at the store says nothing of now
_DAY_MS = 86_400_000
_US, _NS = 1_000_000, 1_000_000_000  # of a second

Row = tuple[Sequence[str], float]


@dataclass(frozen=True, slots=True)
class GatewayCollector(Collector):
    """What this process counted. `running` answers how many calls are in progress."""

    requests: RequestFigures
    batches: BatchFigures
    running: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """All series that need a gateway."""
        methods = [(path.rpartition("/")[2], figures) for path, figures in self.requests.by_method.items() if figures.answers]
        yield _family(
            series.REQUESTS,
            [((name, *answer), count) for name, figures in methods for answer, count in figures.answers.copy().items()],
        )
        yield _histogram(series.REQUEST_SECONDS, [((name,), figures.took_us.copy()) for name, figures in methods], _US)
        yield _family(series.RUNNING, [((), self.running())])
        batches = self.batches
        yield _family(series.COMMANDS, _by_name(batches.outcomes()))
        yield _family(series.REPLAYS, _by_name(batches.replays()))
        yield _family(series.KEY_CONFLICTS, _by_name(batches.conflicts()))
        lanes = [(str(lane), figures) for lane, figures in batches.lanes()]
        for shown, histogram_of, parts in _OF_LANES:
            yield _histogram(shown, [((lane,), histogram_of(figures)) for lane, figures in lanes], parts)
        now_s = time.monotonic()
        queues = [(str(lane), queue()) for lane, queue in sorted(batches.queues.items())]
        yield _family(series.QUEUE_COMMANDS, [((lane,), state.commands) for lane, state in queues])
        yield _family(
            series.QUEUE_OLDEST_SECONDS,
            [((lane,), 0 if state.oldest_since_s is None else now_s - state.oldest_since_s) for lane, state in queues],
        )


@dataclass(frozen=True, slots=True)
class StoreCollector(Collector):
    """What the database said when it was last looked at. `clock` gives unix milliseconds."""

    last_look: Callable[[], Look]
    clock: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """All series that can be read from the database; only whether it answers, until it did for the first time."""
        look, now_ms = self.last_look(), self.clock()
        is_up = look.is_up and now_ms - look.at_ms < STALE_MS
        yield _family(series.BUILD, [((version("tallystick"),), 1)])
        yield _family(series.STORE_UP, [((), int(is_up))])
        if look.figures is not None:
            yield from _store_families(look, now_ms)


def make_registry(*collectors: Collector) -> CollectorRegistry:
    """The collectors' series, and those of the process itself: memory, processor time, open files."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def exposition(*collectors: Collector) -> str:
    """The collectors' series as text."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


class MetricsServer:
    """Answers every HTTP GET with the present values, in threads of its own, so that no call waits for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """`start` listens, `stop` ends it."""
        handler = MetricsHandler.factory(registry)
        # A slow or silent asker holds a thread for so long, and no longer.
        self._handler: type[socketserver.BaseRequestHandler] = type("Handler", (handler,), {"timeout": REQUEST_S_MAX})
        self._server: _HttpServer | None = None

    def start(self, listen: str, *, worker: int = 0) -> str:
        """Listens on "host:port", worker n of several on port + n - 1; port 0: any. Returns the URL. Raises InvalidValue."""
        host, port = _split(listen, worker)
        try:
            self._server = _HttpServer((host, port), self._handler)
        except OSError as error:
            raise InvalidValue(f"gateway.metrics_listen: cannot listen on {host}:{port}: {error.strerror or error}") from None
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="tallystick-metrics", daemon=True).start()
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}/metrics"

    def stop(self) -> None:
        """Stops listening; takes up to a tenth of a second."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _HttpServer(socketserver.ThreadingTCPServer):
    """Not that of http.server, which asks a name server for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


def _split(listen: str, worker: int) -> tuple[str, int]:
    host, _, digits = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    port = int(digits) + max(worker - 1, 0) if digits.isdecimal() and int(digits) else 0
    if not host or not digits.isdecimal() or port > PORT_MAX:
        raise InvalidValue(f"gateway.metrics_listen {listen!r}: must be host:port, such as 127.0.0.1:9464")
    return host, port


_OF_LANES: tuple[tuple[Series, Callable[[LaneFigures], Histogram], int], ...] = (
    (series.BATCH_COMMANDS, lambda lane: lane.commands, 1),
    (series.BATCH_SECONDS, lambda lane: lane.whole, _NS),
    (series.LOCK_WAIT_SECONDS, lambda lane: lane.lock_wait, _NS),
    (series.COMMIT_SECONDS, lambda lane: lane.commit, _NS),
)


def _store_families(look: Look, now_ms: int) -> Iterator[Metric]:
    figures = look.figures
    assert figures is not None
    capped = [(row, row.cap) for row in figures.exposures if row.cap is not None]
    keys = [key for key in figures.receipt_keys if key.valid_until_ms is None or key.valid_until_ms > now_ms]
    yield _family(series.STORE_AGE_SECONDS, [((), (now_ms - look.read_at_ms) / 1_000)])
    yield _family(series.EXPOSURE, [((row.partner_id, row.currency), row.exposure_micros / MICROS) for row in figures.exposures])
    yield _family(series.CAP, [((row.partner_id, row.currency), cap) for row, cap in capped])
    yield _family(series.CAP_USE, [((row.partner_id, row.currency), _use(row.exposure_micros, cap)) for row, cap in capped])
    yield _family(series.ENTRIES, [((), figures.entries)])
    yield _family(series.WINDOW_ID, [((), figures.open_window_id)])
    yield _family(series.WINDOW_AGE_SECONDS, [((), (now_ms - figures.open_since_ms) / 1_000)])
    yield _family(series.WINDOWS, [((state.value,), count) for state, count in figures.windows.items()])
    proven = figures.proven_at_ms
    yield _family(series.AUDIT_AGE_SECONDS, [] if proven is None else [((), (now_ms - proven) / 1_000)])
    yield _family(series.AUDIT_UNPROVEN, [((), figures.unproven_entries)])
    yield _family(series.RECEIPT_KEY_AGE_DAYS, [((key.key_id,), (now_ms - key.valid_from_ms) / _DAY_MS) for key in keys])
    yield _family(series.RECEIPT_KEY_DAYS_LEFT, [((key.key_id,), _days_left(key.valid_until_ms, now_ms)) for key in keys])
    ends = look.certificate_until_ms
    yield _family(series.CERTIFICATE_DAYS_LEFT, [] if ends is None else [((), _days_left(ends, now_ms))])


def _use(exposure_micros: int, cap: int) -> float:
    if cap == 0:
        return math.inf if exposure_micros > 0 else 0
    return exposure_micros / (cap * MICROS)


def _days_left(until_ms: int | None, now_ms: int) -> float:
    return math.inf if until_ms is None else (until_ms - now_ms) / _DAY_MS


def _by_name(counts: dict[str, int]) -> list[Row]:
    return [((name,), count) for name, count in sorted(counts.items())]


def _family(shown: Series, rows: Iterable[Row]) -> Metric:
    kind = CounterMetricFamily if shown.kind == "counter" else GaugeMetricFamily
    family = kind(shown.name, shown.meaning, labels=shown.labels)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _histogram(shown: Series, rows: Iterable[tuple[Sequence[str], Histogram]], parts: int) -> Metric:
    family = HistogramMetricFamily(shown.name, shown.meaning, labels=shown.labels)
    for labels, histogram in rows:
        bounds = [*(str(bound / parts) for bound in histogram.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total / parts)
    return family
