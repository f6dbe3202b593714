"""Builds the grpc.aio server: its options, its services, TLS. Plaintext is taken on loopback alone, and only when asked for."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.domain.errors import InvalidValue
from gateway.edge.caller import call_metadata
from gateway.edge.doorkeeper import Doorkeeper, Handler
from gateway.edge.member_servicer import MemberServicer
from gateway.edge.offline import OfflineServicer
from gateway.edge.pages import PageTokens
from gateway.edge.reconciliation import ReconciliationServicer
from gateway.edge.servicers import NetworkServicer, PartnerServicer, PointsServicer, Services, StatementServicer
from gateway.edge.servicers_till import TillServicer
from gateway.edge.tls import ServerCertificate
from gateway.listen import host_and_port, is_loopback
from gateway.services.intake import IntakeService
from gateway.services.offline import OfflineService
from tallystick.v1 import (
    member_pb2_grpc,
    network_pb2_grpc,
    offline_pb2_grpc,
    partner_pb2_grpc,
    points_pb2_grpc,
    reconciliation_pb2_grpc,
    statement_pb2_grpc,
    till_pb2_grpc,
)

MESSAGE_BYTES_MAX = 256 * 1024  # also of what a compressed message unpacks to
METADATA_BYTES_MAX = 16 * 1024
WATCHERS_S_MAX = 0.5  # to hear that the gateway stops
QUIET_S = 0.05  # without a call, after which a draining server stops listening

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 100),
    # On by default, and it would count calls that are answered but not yet freed: a caller well within its 100 streams then
    # gets some of them reset.
    ("grpc.http.overload_protection", 0),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    ("grpc.server_handshake_timeout_ms", 3_000),
    # A read begins with 256 bytes by default; what a signed call sends is a kilobyte.
    ("grpc.experimental.tcp_min_read_chunk_size", 8 * 1024),
    ("grpc.so_reuseport", 0),  # two gateways on one port by mistake would share its calls at random
)

_NAMES = (
    "NetworkService", "PointsService", "TillService", "MemberService", "OfflineService", "PartnerService", "StatementService",
    "ReconciliationService",
)  # fmt: skip
SERVICES = tuple(f"tallystick.v1.{name}" for name in _NAMES)


class Server:
    """The listening server. `start` answers the address with the real port; `stop` lets calls finish."""

    def __init__(
        self,
        services: Services,
        offline: OfflineService,
        intake: IntakeService,
        doorkeeper: Doorkeeper,
        *,
        reflects: bool,
        shares_port: bool = False,
    ) -> None:
        """`reflects`: tells anybody which services there are. `shares_port`: other processes are to listen there too."""
        self._doorkeeper = doorkeeper
        options = dict(OPTIONS) | {"grpc.so_reuseport": int(shares_port)}
        self._server = aio.server(options=tuple(options.items()))
        self._health = health.aio.HealthServicer()
        pages = PageTokens(services.pepper)
        registry: Any = _Registry(doorkeeper)
        network_pb2_grpc.add_NetworkServiceServicer_to_server(NetworkServicer(services), registry)
        points_pb2_grpc.add_PointsServiceServicer_to_server(PointsServicer(services), registry)
        till_pb2_grpc.add_TillServiceServicer_to_server(TillServicer(services), registry)
        member_pb2_grpc.add_MemberServiceServicer_to_server(MemberServicer(services, pages), registry)
        offline_pb2_grpc.add_OfflineServiceServicer_to_server(OfflineServicer(services, offline), registry)
        partner_pb2_grpc.add_PartnerServiceServicer_to_server(PartnerServicer(services), registry)
        statement_pb2_grpc.add_StatementServiceServicer_to_server(StatementServicer(services, pages), registry)
        reconciliation = ReconciliationServicer(services, intake, pages)
        reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server(reconciliation, registry)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, registry)
        if reflects:
            reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), registry)
        self._server.add_generic_rpc_handlers((registry,))

    async def start(self, listen: str, tls: ServerCertificate | None) -> str:
        """Listens on "host:port" (port 0: any). Raises InvalidValue if it cannot, or for plaintext beyond loopback."""
        host, _ = host_and_port(listen)
        if tls is None and not is_loopback(host):
            raise InvalidValue(f"{listen}: without TLS the gateway listens on loopback alone; name a certificate")
        try:
            bound = self._add_port(listen, tls)
        except RuntimeError:
            raise InvalidValue(f"{listen}: cannot listen there; is another gateway running?") from None
        await self._server.start()
        await self.report(is_serving=True)
        return f"{host}:{bound}"

    async def report(self, *, is_serving: bool) -> None:
        """Tells whoever asks for the health, unless the server is stopping: then it is not serving, whatever else is."""
        if not self._doorkeeper.is_draining:
            states = health_pb2.HealthCheckResponse
            await self._report(states.SERVING if is_serving else states.NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Reports NOT_SERVING, refuses new bookings, and gives the calls that run `grace_s` seconds to finish.

        gRPC cancels calls that it holds but has not yet handed over, so it is told to stop once no more of them come.
        """
        self._doorkeeper.is_draining = True
        await self._report(health_pb2.HealthCheckResponse.NOT_SERVING)
        loop = asyncio.get_running_loop()
        stop_at = loop.time() + grace_s
        while True:
            seen = self._doorkeeper.calls
            await asyncio.sleep(min(QUIET_S, grace_s))
            is_quiet = self._doorkeeper.calls == seen and not self._doorkeeper.running
            if is_quiet or loop.time() > stop_at - grace_s / 2:
                break
        left_s = max(stop_at - loop.time(), 0)
        # Watchers of the health never end by themselves, and nobody is to wait for them.
        await self._server.stop(left_s if self._doorkeeper.running else min(left_s, WATCHERS_S_MAX))

    def _add_port(self, listen: str, tls: ServerCertificate | None) -> int:
        if tls is None:
            return self._server.add_insecure_port(listen)
        return self._server.add_secure_port(listen, tls.credentials())

    async def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        names: Sequence[str] = ("", *SERVICES)
        for name in names:
            await self._health.set(name, status)


class _Registry(grpc.GenericRpcHandler):
    """Where generated code registers its handlers: one table of all methods.

    For each method that is registered with it by itself grpc.aio keeps a task, and before every call, of whatever method, it
    waits anew on all of them; with our methods that costs more than the rest of the call's way through grpc. Interceptors and
    further tables cost less, but each of them something a call.
    """

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper
        self._handlers: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, _handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Not wanted: the same methods come one by one as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Takes the methods of a service."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            self._handlers[method] = self._doorkeeper.guarded(method, handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a method; called in the call's own task."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is not None:
            call_metadata.set(handler_call_details.invocation_metadata or ())  # the context would make the tuple once more
        return handler
