"""Looks at the store every few seconds, on a reading thread, and keeps what it saw. Never on the writer's connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from sqlalchemy import Connection

from gateway.domain.errors import DomainError
from gateway.services.reading import ReadingService
from gateway.storage.errors import StoreError
from gateway.storage.figures import StoreFigures, load_figures

LOOK_S = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at `read_at_ms`, and whether the store answered at `at_ms`; nothing yet at first."""

    at_ms: int = 0
    is_up: bool = False
    read_at_ms: int = 0
    figures: StoreFigures | None = None
    certificate_until_ms: int | None = None


class StoreWatch:
    """`last` is what it saw. `certificate` is the file of the served chain, None without TLS."""

    def __init__(self, reading: ReadingService, *, clock: Callable[[], int], certificate: Path | None) -> None:
        """`clock` gives unix milliseconds."""
        self.last = Look()
        self._reading = reading
        self._clock = clock
        self._certificate = certificate

    async def keep_looking(self) -> None:
        """For as long as the gateway runs."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Looks once. A store that does not answer is a fact to show, and what was seen before stays."""
        try:
            self.last = await self._reading.look(lambda connection: look_at(connection, self._certificate, at_ms=self._clock()))
        except (StoreError, DomainError):
            self.last = replace(self.last, at_ms=self._clock(), is_up=False)


def look_at(connection: Connection, certificate: Path | None, *, at_ms: int) -> Look:
    """One look. Raises BooksBroken."""
    figures = load_figures(connection)
    return Look(at_ms, is_up=True, read_at_ms=at_ms, figures=figures, certificate_until_ms=_ends(certificate))


def _ends(certificate: Path | None) -> int | None:
    """When the first of a chain's certificates ends, in unix milliseconds. None if there is no readable chain."""
    if certificate is None:
        return None
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return min(int(link.not_valid_after_utc.timestamp()) * 1_000 for link in chain)
