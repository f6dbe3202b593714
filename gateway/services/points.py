"""What partners may do with points: hands commands to the ledger. Who the caller is, the edge has proven before."""

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.command import Command
from gateway.domain.receipt import Result
from gateway.ledger.writer import Writer
from gateway.services.witness import Witness


class CommandPath(Protocol):
    """What commands go through, one or several. `deadline` is an instant of `time.monotonic`."""

    async def submit(self, command: Command, *, deadline: float | None) -> Result:
        """Carries out one command."""
        ...

    async def submit_batch(self, commands: Sequence[Command], *, deadline: float | None) -> Sequence[Result]:
        """Carries out several in their order, each by itself."""
        ...


class PointsService:
    """Every command that changes the books goes through here."""

    def __init__(self, writer: Writer, witness: Witness) -> None:
        """Works through the one writer. `witness` sees each command with its answer."""
        self._writer = writer
        self._witness = witness

    async def submit(self, command: Command, *, deadline: float | None) -> Result:
        """Carries out one command; `deadline` is an instant of `time.monotonic`.

        Outcomes: those of the command's rules, and QUEUE_FULL, DRAINING, DEADLINE_PASSED, STORE_UNAVAILABLE.
        """
        (result,) = await self._writer.submit((command,), deadline=deadline)
        self._witness.saw(command, result)
        return result

    async def submit_batch(self, commands: Sequence[Command], *, deadline: float | None) -> Sequence[Result]:
        """Carries out several in their order, each by itself."""
        results = await self._writer.submit(commands, deadline=deadline)
        for command, result in zip(commands, results, strict=True):
            self._witness.saw(command, result)
        return results
