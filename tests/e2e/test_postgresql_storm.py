"""Two gateways over one PostgreSQL in a storm: gateways and database killed, connections cut; nothing lost, doubled or torn."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.e2e.after_a_storm import check_all
from tests.e2e.processes import GatewayProcess, gateway_process, live_network
from tests.e2e.storm import Storm
from tests.patience import patience_s
from tests.postgres import PostgresServer

FAULTS = 8
SEED = int(os.environ.get("TALLYSTICK_SEED", "1787"))
HEALTH_S_MAX = 30
_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass
class StormOverTwo(Storm):
    """Tills call the two gateways by turns; the faults come in turn, too."""

    server: PostgresServer = field(kw_only=True)
    url: str = field(kw_only=True)
    other: GatewayProcess = field(kw_only=True)

    def __post_init__(self) -> None:
        """With the second gateway beside the first."""
        super().__post_init__()
        self._gateways = (self.gateway, self.other)
        self._opened = 0
        self._faults = 0

    def _channel(self) -> grpc.aio.Channel:
        first = self.gateway
        self.gateway = self._gateways[self._opened % 2]
        self._opened += 1
        try:
            return super()._channel()
        finally:
            self.gateway = first

    async def _kill(self) -> None:
        """In turn: a gateway, the database's sessions, the other gateway, the database itself."""
        faults: tuple[Callable[[], None], ...] = (
            lambda: self._kill_gateway(self.gateway),
            lambda: self.server.cut_connections(self.url),
            lambda: self._kill_gateway(self.other),
            self._kill_database,
        )
        until = self.figures["answers"] + self.rng.randint(20, 60)
        async with self._answered:
            await self._answered.wait_for(lambda: self.figures["answers"] >= until)
        fault = faults[self._faults % len(faults)]
        self._faults += 1
        await asyncio.to_thread(fault)
        for gateway in self._gateways:
            await asyncio.to_thread(wait_for_health, gateway, is_serving=True)

    def _kill_gateway(self, gateway: GatewayProcess) -> None:
        gateway.kill()
        gateway.start()

    def _kill_database(self) -> None:
        self.server.stop(kill=True)
        for gateway in self._gateways:
            wait_for_health(gateway, is_serving=False)
        self.server.start()


def wait_for_health(gateway: GatewayProcess, *, is_serving: bool) -> None:
    """Until the gateway says so of itself."""
    credentials = grpc.ssl_channel_credentials(gateway.ca_file.read_bytes())
    give_up_at = time.monotonic() + patience_s(HEALTH_S_MAX)
    with grpc.secure_channel(gateway.address, credentials) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, health_pb2.HealthCheckResponse] = channel.unary_unary(
            _HEALTH, response_deserializer=health_pb2.HealthCheckResponse.FromString
        )
        while (check(b"", timeout=patience_s(HEALTH_S_MAX), wait_for_ready=True).status == _SERVING) != is_serving:
            assert time.monotonic() < give_up_at, f"the health of {gateway.address} does not turn"
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_storm_over_two_gateways_and_their_database_leaves_one_receipt_a_key(tmp_path: Path) -> None:
    """Races for members, keys and points at both, and every kind of end. $TALLYSTICK_SEED draws another."""
    with PostgresServer() as server:
        url = server.new_database()
        network = live_network(tmp_path / "net", "acme", "globex", url=url)
        with gateway_process(network.folder, "one") as one, gateway_process(network.folder, "two") as two:
            storm = StormOverTwo(network, one, SEED, server=server, url=url, other=two)
            asyncio.run(storm.rage(FAULTS))
        print(f"seed {SEED}: {dict(storm.figures)}, {len(storm.acknowledged)} keys acknowledged")  # noqa: T201 - a failure shows it

        assert (one.starts, two.starts) == (1 + FAULTS // 4, 1 + FAULTS // 4)
        assert min(storm.figures[word] for word in ("arrives", "lost", "cut", "without answer")) > 0
        check_all(storm)
        network.engine.dispose()
