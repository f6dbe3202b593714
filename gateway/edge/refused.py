"""A call that is not carried out: the refusal, and what only the edge knows about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that cannot be accepted: its path, a word that programs read, and what would be accepted."""

    field: str
    word: str
    expected: str = ""

    @property
    def description(self) -> str:
        """For people: "OUT_OF_RANGE: 1 to 500"."""
        return f"{self.word}: {self.expected}" if self.expected else self.word


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command or a call that is refused: for its shape, by the rules, or for good (then `answer` has a receipt)."""

    refusal: Refusal
    violations: tuple[Violation, ...] = ()
    answer: Answer | None = None


class CallRejected(Exception):
    """Ends a call with a status. Raised by servicers, answered by the doorkeeper; never leaves the edge."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.refusal.reason.name)
        self.rejected = rejected


def reject(reason: Reason, details: Mapping[str, str] | None = None, violations: tuple[Violation, ...] = ()) -> CallRejected:
    """What to raise to end a call."""
    return CallRejected(Rejected(Refusal(reason, details or {}), violations))
