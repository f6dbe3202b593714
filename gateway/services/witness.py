"""Notes what tills under conformance are answered. Of all other partners it notes nothing, and costs one look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.domain.command import Command
from gateway.domain.outcome import Refusal
from gateway.domain.receipt import Result
from gateway.storage.conformance import BOOKED, CATCH_UP, REPLAYED, ConformanceEvent


@dataclass(frozen=True, slots=True)
class Witness:
    """`watched`: partners under conformance as of now. `record` keeps an event; `clock` gives unix milliseconds."""

    watched: Callable[[], Mapping[str, int]]
    record: Callable[[ConformanceEvent], None]
    clock: Callable[[], int]

    def saw(self, command: Command, result: Result) -> None:
        """A command and its answer, which has been committed."""
        if command.partner_id in self.watched():
            self.record(
                ConformanceEvent(
                    partner_id=command.partner_id,
                    at_ms=self.clock(),
                    key_id=command.key_id,
                    method=CATCH_UP if command.event is not None else command.METHOD,
                    entry_id=command.entry_id,
                    outcome=_outcome(result),
                )
            )


def _outcome(result: Result) -> str:
    refusal = result if isinstance(result, Refusal) else result.refusal
    if refusal is not None:
        return refusal.reason.name
    assert not isinstance(result, Refusal)
    return REPLAYED if result.is_replayed else BOOKED
