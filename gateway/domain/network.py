"""What is fixed when a network is created, and the keys that sign its receipts."""

import enum
from dataclasses import dataclass
from zoneinfo import ZoneInfo


class SettlementModel(enum.StrEnum):
    """Who owes whom when points move. All three read the same entries."""

    AT_REDEMPTION = "at_redemption"
    AT_ISSUANCE = "at_issuance"
    AT_PAR = "at_par"


@dataclass(frozen=True, slots=True)
class Network:
    """The network. `audience` is the second line of every signed string; `lanes` is how many sequences run side by side."""

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
