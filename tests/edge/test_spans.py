"""Spans as a collector gets them: from a running gateway, by OTLP."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from gateway.domain.errors import InvalidValue
from partners.pos.requests import ISSUE
from tests.edge.running import Caller, RunningGateway, issue_request, refusal
from tests.given import GivenNetwork

pytest.importorskip("opentelemetry.sdk", reason="the extra 'tracing' is not installed")
pytest.importorskip("opentelemetry.exporter.otlp", reason="the extra 'tracing' is not installed")

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Collector:
    """Keeps what it is sent."""

    requests: list[Any] = field(default_factory=list)
    endpoint: str = ""

    def export(self, request: Any, _context: object) -> Any:
        """As the OTLP service has it."""
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Any]:
        """In the order in which the calls were answered."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resources(self) -> dict[str, str]:
        """Who says to have made them."""
        return {
            pair.key: pair.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for pair in resource.resource.attributes
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    """On loopback."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    collector = Collector()
    handler = grpc.unary_unary_rpc_method_handler(
        collector.export,
        request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
        response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    service = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None)


def attributes(span: Any) -> dict[str, Any]:
    """By name."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def test_each_call_is_a_span_that_tells_what_the_log_tells(network: GivenNetwork, collector: Collector) -> None:
    """Of a booking, and of a refusal, which is no fault of ours; they are sent before the gateway has stopped."""
    with RunningGateway(network, traces_endpoint=collector.endpoint) as running:
        caller = Caller(running, "acme", network.keys["acme"])
        member = caller.enrol("CARD-1")
        caller.issue(member, 1_000, "k1")
        refusal(lambda: caller.issue(member, 2_000, "k1"))

    spans = collector.spans()
    assert [span.name.rpartition("/")[2] for span in spans] == ["EnrolMember", "IssuePoints", "IssuePoints"]
    assert attributes(spans[2]) == {
        "rpc.system": "grpc",
        "rpc.service": "tallystick.v1.PointsService",
        "rpc.method": "IssuePoints",
        "rpc.grpc.status_code": grpc.StatusCode.ALREADY_EXISTS.value[0],
        "tallystick.partner": "acme",
        "tallystick.terminal": "till-1",
        "tallystick.reason": "IDEMPOTENCY_KEY_REUSED",
    }
    assert [span.status.code for span in spans] == [0, 0, 0]
    assert all(0 < span.end_time_unix_nano - span.start_time_unix_nano < 20 * 10**9 for span in spans)
    assert collector.resources()["service.name"] == "tallystick-gateway"


def test_a_span_tells_no_member_no_key_and_no_message(network: GivenNetwork, collector: Collector) -> None:
    """Whatever the collector does with it."""
    with RunningGateway(network, traces_endpoint=collector.endpoint) as running:
        caller = Caller(running, "acme", network.keys["acme"])
        member = caller.enrol("CARD-1")
        caller.issue(member, 1_000, "some-key", receipt_number="bon-77")

    sent = b"".join(request.SerializeToString() for request in collector.requests)
    assert [word for word in (member, "some-key", "CARD-1", "bon-77") if word.encode() in sent] == []


@pytest.mark.parametrize(
    ("traceparent", "trace", "parent"),
    [(f"00-{TRACE}-{PARENT}-01", TRACE, PARENT), ("nonsense", None, "")],
)
def test_a_call_belongs_to_the_trace_that_its_caller_names(
    network: GivenNetwork, collector: Collector, traceparent: str, trace: str | None, parent: str
) -> None:
    """If it names one; otherwise it begins one of its own."""
    with RunningGateway(network, traces_endpoint=collector.endpoint) as running:
        caller = Caller(running, "acme", network.keys["acme"])
        body = issue_request("m-unknown", 100, "k1").SerializeToString()
        metadata = (*caller.metadata(ISSUE.path, body), ("traceparent", traceparent))
        refusal(lambda: caller.send(ISSUE.path, body, metadata))

    (span,) = collector.spans()
    assert span.parent_span_id.hex() == parent
    assert len(span.trace_id) == 16
    assert trace is None or span.trace_id.hex() == trace


def test_a_trace_that_its_caller_does_not_keep_is_not_sent(network: GivenNetwork, collector: Collector) -> None:
    """The flag says so."""
    with RunningGateway(network, traces_endpoint=collector.endpoint) as running:
        caller = Caller(running, "acme", network.keys["acme"])
        body = issue_request("m-unknown", 100, "k1").SerializeToString()
        metadata = (*caller.metadata(ISSUE.path, body), ("traceparent", f"00-{TRACE}-{PARENT}-00"))
        refusal(lambda: caller.send(ISSUE.path, body, metadata))

    assert collector.spans() == []


def test_without_the_extra_the_gateway_says_how_to_install_it(network: GivenNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not start and then tell nobody."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.delitem(sys.modules, "gateway.edge.spans", raising=False)

    with (
        pytest.raises(InvalidValue, match=r"tallystick\[tracing\]"),
        RunningGateway(network, traces_endpoint="http://127.0.0.1:1"),
    ):
        pass
