"""A span a call for OpenTelemetry, made from the request's log line once it is answered: nothing more is told than there.

Needs the extra `tracing`. Whoever calls may name the trace that the call belongs to, by `traceparent` in its metadata.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

import grpc

from gateway.domain.errors import InvalidValue
from gateway.edge.caller import call_metadata
from gateway.edge.requestlog import RequestLine

try:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise InvalidValue(
        "gateway.traces_endpoint is set, but OpenTelemetry is not installed: pip install 'tallystick[tracing]'"
    ) from None

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

SERVICE = "tallystick-gateway"
_PARENT = TraceContextTextMapPropagator()
# As OpenTelemetry's conventions have it: what a server answers for faults of its own.
_OUR_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


class Spans:
    """Makes spans, and hands them to a processor. `$OTEL_…` variables say how many are kept, and more about the machine."""

    def __init__(self, processor: "SpanProcessor") -> None:
        """The processor sends or keeps what it is given, and holds up no call."""
        release = version("tallystick")
        resource = Resource.create({"service.name": SERVICE, "service.version": release})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("tallystick", release)

    def add(self, line: RequestLine, *, at_ms: int, took_us: int) -> None:
        """A call that was answered at `at_ms`. To be called in the call's own task."""
        path = line.method.lstrip("/")
        service, _, method = path.rpartition("/")
        ended_ns = at_ms * 1_000_000
        span = self._tracer.start_span(
            path,
            context=_PARENT.extract({name: value for name, value in call_metadata.get() if isinstance(value, str)}),
            kind=SpanKind.SERVER,
            start_time=ended_ns - took_us * 1_000,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.grpc.status_code": grpc.StatusCode[line.status].value[0],
                "tallystick.partner": line.partner,
                "tallystick.terminal": line.terminal,
                "tallystick.reason": line.reason,
            },
        )
        if line.status in _OUR_FAULTS:
            span.set_status(Status(StatusCode.ERROR, line.reason))
        span.end(end_time=ended_ns)

    def close(self) -> None:
        """Sends what waits; takes as long as the processor allows itself."""
        self._provider.shutdown()


def sent_to(endpoint: str) -> Spans:
    """Spans that go by OTLP over gRPC to a collector, such as http://127.0.0.1:4317, in a thread of their own."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return Spans(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
