"""What partners may do with points: hands commands to the ledger. Who the caller is, the edge has proven before."""

from collections.abc import Sequence

from gateway.domain.command import Command
from gateway.domain.receipt import Result
from gateway.ledger.writer import Writer


class PointsService:
    """Every command that changes the books goes through here."""

    def __init__(self, writer: Writer) -> None:
        """Works through the one writer."""
        self._writer = writer

    async def submit(self, command: Command, *, deadline: float | None) -> Result:
        """Carries out one command; `deadline` is an instant of `time.monotonic`.

        Outcomes: those of the command's rules, and QUEUE_FULL, DRAINING, DEADLINE_PASSED, STORE_UNAVAILABLE.
        """
        return (await self._writer.submit((command,), deadline=deadline))[0]

    async def submit_batch(self, commands: Sequence[Command], *, deadline: float | None) -> Sequence[Result]:
        """Carries out several in their order, each by itself."""
        return await self._writer.submit(commands, deadline=deadline)
