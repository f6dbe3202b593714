"""What a gateway looks at every second: directory, certificate, receipt keys, whether the store is reached."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.errors import DomainError
from gateway.edge.doorkeeper import Doorkeeper
from gateway.edge.server import Server
from gateway.edge.tls import ServerCertificate
from gateway.ledger.clerk import Chore
from gateway.services.collected import Collected
from gateway.services.reach import StoreReach
from gateway.services.reading import ReadingService
from gateway.services.receipts import ReceiptSigner
from gateway.storage.errors import StoreError

REFRESH_S_MAX = 5.0  # a store that takes longer to tell of the directory is not reached


@dataclass(kw_only=True, eq=False)
class Housekeeping:
    """Belongs to one event loop. `note` takes a sentence for the operator; `add_chore` hands work to the writer."""

    reading: ReadingService
    notes: Sequence[Collected[Any]]
    signer: ReceiptSigner
    reach: StoreReach
    add_chore: Callable[[Chore], None]
    certificate: ServerCertificate | None
    doorkeeper: Doorkeeper
    server: Server
    note: Callable[[str], None]
    _is_healthy: bool = True
    _refresh: asyncio.Task[None] | None = field(default=None, repr=False)

    async def keep(self, every_ms: int) -> None:
        """For as long as the gateway runs."""
        while True:
            await asyncio.sleep(every_ms / 1_000)
            self.doorkeeper.give_up_waiting()
            await self.look_around()

    async def look_around(self) -> None:
        """Notices what has changed, has notes written, and tells the health. What may pass is tried again."""
        if self.certificate is not None:
            self.certificate.look()
        if await self._refresh_directory():
            self.signer.look()
            for collected in self.notes:
                collected.flush()
            self.add_chore(self.reach.probe)
        await self._tell_health()

    async def _refresh_directory(self) -> bool:
        """Whether the store told of it."""
        self._refresh = self._refresh or asyncio.create_task(self.reading.refresh_directory())
        await asyncio.wait({self._refresh}, timeout=REFRESH_S_MAX)
        if not self._refresh.done():
            self.reach.lost(f"no answer in {REFRESH_S_MAX:.0f} s")
            return False
        refresh, self._refresh = self._refresh, None
        try:
            refresh.result()
        except StoreError as error:
            self.reach.lost(error)
            return False
        except DomainError as error:
            self.note(f"the directory cannot be read: {error!r}")
        return True

    async def _tell_health(self) -> None:
        is_healthy = self.reach.is_reached
        if is_healthy != self._is_healthy:
            self._is_healthy = is_healthy
            self.note("the store is reached again" if is_healthy else f"the store is not reached: {self.reach.cause}")
            await self.server.report(is_serving=is_healthy)
