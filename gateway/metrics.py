"""Ties what is counted to where it is shown; nothing is counted, looked at or loaded while `gateway.metrics_listen` is empty."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config import Config
from gateway.edge.caller import METHOD_RULES
from gateway.edge.requestlog import RequestFigures
from gateway.edge.storewatch import StoreWatch
from gateway.ledger.figures import BatchFigures
from gateway.services.reading import ReadingService

if TYPE_CHECKING:
    from gateway.edge.metrics import MetricsServer


class Metrics:
    """Of one gateway process. Made before what it watches; `requests` and `batches` are handed to whoever counts."""

    def __init__(self, config: Config, *, clock: Callable[[], int], worker: int = 0) -> None:
        """`worker`: its number among several on one port, from 1; 0 if it is the only one."""
        self._listen = config.gateway.metrics_listen
        self._certificate = config.path(config.gateway.tls_certificate)
        self._clock = clock
        self._worker = worker
        self._watch: StoreWatch | None = None
        self._looking: asyncio.Task[None] | None = None
        self._server: MetricsServer | None = None
        self.requests = RequestFigures(METHOD_RULES) if self._listen else None
        self.batches = BatchFigures() if self._listen else None

    async def start(self, reading: ReadingService, *, running: Callable[[], int], is_plaintext: bool) -> str:
        """Listens, and returns the URL; "" if it is off. `running`: calls in progress. Raises InvalidValue."""
        if self.requests is None or self.batches is None:
            return ""
        # A fifth of a second to load: only for who wants it.
        from gateway.edge.metrics import GatewayCollector, MetricsServer, StoreCollector, make_registry

        watch = self._watch = StoreWatch(reading, clock=self._clock, certificate=None if is_plaintext else self._certificate)
        registry = make_registry(
            GatewayCollector(self.requests, self.batches, running), StoreCollector(lambda: watch.last, self._clock)
        )
        server = MetricsServer(registry)
        url = server.start(self._listen, worker=self._worker)
        self._server = server
        self._looking = asyncio.create_task(watch.keep_looking())
        return url

    async def look(self) -> None:
        """Looks at the database now, not only every few seconds."""
        if self._watch is not None:
            await self._watch.look()

    async def stop(self) -> None:
        """Shows nothing more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
