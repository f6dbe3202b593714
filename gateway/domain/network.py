"""What is fixed when a network is created, and the keys that sign its receipts."""

import enum
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

from gateway.domain.errors import InvalidValue

_AUDIENCE = re.compile(r"[a-z0-9.-]{1,100}:[a-z0-9-]{1,20}")


class SettlementModel(enum.StrEnum):
    """Who owes whom when points move. All three read the same entries."""

    AT_REDEMPTION = "at_redemption"
    AT_ISSUANCE = "at_issuance"
    AT_PAR = "at_par"


@dataclass(frozen=True, slots=True)
class Network:
    """The network. `audience` is the second line of every signed string; `lanes` is how many sequences run side by side.

    `settlement_model` is what it was founded with; which model a window has, its settlement rules say.
    """

    audience: str
    currency: str
    time_zone: ZoneInfo
    settlement_model: SettlementModel
    lanes: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """A public Ed25519 key (32 raw bytes) that signs receipts; life in unix milliseconds, None while it is in use."""

    key_id: str
    public_key: bytes
    valid_from_ms: int
    valid_until_ms: int | None

    def is_valid_at(self, at_ms: int) -> bool:
        """Whether a receipt that was booked then may carry its signature."""
        return self.valid_from_ms <= at_ms and (self.valid_until_ms is None or at_ms <= self.valid_until_ms)


def key_in_force(keys: Sequence[ReceiptKey], at_ms: int) -> ReceiptKey:
    """The newest key of that time; before the first one there is none older. `keys`: all of them, oldest first."""
    return next((key for key in reversed(keys) if key.valid_from_ms <= at_ms), keys[0])


def check_audience(text: str) -> str:
    """Returns the audience; raises InvalidValue if it is not of its form."""
    if _AUDIENCE.fullmatch(text) is None:
        raise InvalidValue(f"audience {text!r}: must be a name and an environment, such as coalition.example:prod")
    return text


def check_time_zone(text: str) -> str:
    """Returns the name; raises InvalidValue unless the time zone database has it."""
    if text not in _time_zones():
        raise InvalidValue(f"time zone {text!r}: must be a name of the IANA database such as Europe/Berlin")
    return text


@functools.cache
def _time_zones() -> frozenset[str]:
    # Looking for them takes 10 ms: too long for each of a thousand applications.
    return frozenset(available_timezones())
