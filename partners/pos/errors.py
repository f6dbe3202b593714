"""What a till has to reckon with.

PosError
├── ProfileError     a profile, key or input file cannot be used; the message says what to do
├── ReceiptError     an answer does not verify, or answers something else than was asked: do not hand out anything
├── Refused          the gateway understood the command and did not carry it out; repeating it will not help
├── NoAnswer         every attempt failed on the way: the outcome is unknown, send the same key again
└── QueueError       the offline queue cannot be read or written; the message says what to do
    ├── QueueFull         as many events wait as the queue was made for: nothing more is taken
    ├── NotOffline        the command needs the gateway's word when it happens
    └── QueueDiverged     the file is not the terminal's newest: an old copy, or one of two; nothing was sent
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from partners.pos import cashier
from tallystick.v1 import types_pb2


class PosError(Exception):
    """Root of the tree."""

    def cashier_text(self, language: str = cashier.LANGUAGE) -> str:
        """What the cashier should read: up to three lines of at most 40 characters."""
        return cashier.cashier_text(self._text, language)

    _text = cashier.OTHER


class ProfileError(PosError):
    """A profile, key or input file cannot be used."""


class ReceiptError(PosError):
    """An answer does not verify under the network's keys, or answers something else than was asked."""

    _text = "RECEIPT_INVALID"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a refusal says besides its reason. `receipt` is verified; None unless the refusal is remembered."""

    details: Mapping[str, str] = field(default_factory=dict)
    field_violations: Sequence[tuple[str, str]] = ()
    signed_receipt: types_pb2.SignedReceipt | None = None
    receipt: types_pb2.Receipt | None = None


class Refused(PosError):
    """The gateway understood the command and did not carry it out. `reason` is a name of `ErrorReason` without its prefix."""

    def __init__(self, reason: str, facts: Facts) -> None:
        self.reason = reason
        self.facts = facts
        told = [f"{name}={value}" for name, value in sorted(facts.details.items())]
        told += [f"{path}: {what}" for path, what in facts.field_violations]
        super().__init__(f"{reason} ({'; '.join(told)})" if told else reason)
        self._text = reason


class NoAnswer(PosError):
    """Every attempt failed on the way. The command may have been booked: send the same idempotency key again."""

    _text = "NO_ANSWER"

    def __init__(self, attempts: int, last: str) -> None:
        self.attempts = attempts
        super().__init__(f"no answer after {attempts} attempts, the last one: {last}; send the same idempotency key again")


class QueueError(PosError):
    """The offline queue cannot be read or written."""


class QueueFull(QueueError):
    """As many events wait as the queue was made for."""


class NotOffline(QueueError):
    """The command needs the gateway's word when it happens."""


class QueueDiverged(QueueError):
    """The file is not the terminal's newest: to send its events would show two contents of one counter, and freeze it."""
