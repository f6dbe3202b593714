"""Partners and their keys: who may sign, when, and for what."""

import enum
from dataclasses import dataclass

from gateway.domain.signing import Algorithm


class PartnerStatus(enum.StrEnum):
    """Where a partner stands. Only an active one may issue and redeem; one that rehearses does so in a sandbox."""

    APPLIED = "APPLIED"
    REHEARSING = "REHEARSING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"


PARTNER_TRANSITIONS: dict[PartnerStatus, frozenset[PartnerStatus]] = {
    PartnerStatus.APPLIED: frozenset({PartnerStatus.ACTIVE, PartnerStatus.REHEARSING, PartnerStatus.CLOSED}),
    PartnerStatus.REHEARSING: frozenset({PartnerStatus.ACTIVE, PartnerStatus.CLOSED}),
    PartnerStatus.ACTIVE: frozenset({PartnerStatus.SUSPENDED, PartnerStatus.CLOSED}),
    PartnerStatus.SUSPENDED: frozenset({PartnerStatus.ACTIVE, PartnerStatus.CLOSED}),
    PartnerStatus.CLOSED: frozenset(),
}


class PartnerRole(enum.StrEnum):
    """What a partner applied to do. A charity takes points that members give it, and is paid for them like a redeemer."""

    ISSUER = "issuer"
    REDEEMER = "redeemer"
    CHARITY = "charity"


class KeyScope(enum.StrEnum):
    """What a key may call: a till books, an office reads statements and the partner's own record."""

    TILL = "till"
    OFFICE = "office"


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner as the network knows it. `net_debit_cap` in minor units of the settlement currency; None: no cap.

    `suspended_at_ms`: since when, of one that is suspended.
    """

    partner_id: str
    legal_name: str
    status: PartnerStatus
    settlement_currency: str
    time_zone: str
    net_debit_cap: int | None
    roles: frozenset[PartnerRole]
    suspended_at_ms: int | None = None

    def was_suspended_after(self, at_ms: int) -> bool:
        """Whether the partner is suspended, and was not yet at that time."""
        return self.status is PartnerStatus.SUSPENDED and self.suspended_at_ms is not None and at_ms <= self.suspended_at_ms


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """A public key and its life, in unix milliseconds. `retired_at_ms` ends it in order, `revoked_at_ms` at once."""

    key_id: str
    partner_id: str
    algorithm: Algorithm
    public_key: bytes
    scopes: frozenset[KeyScope]
    valid_from_ms: int
    retired_at_ms: int | None
    revoked_at_ms: int | None

    def unusable_because(self, now_ms: int) -> str | None:
        """Why the key cannot sign at this moment; None if it can."""
        if self.revoked_at_ms is not None:
            return "key revoked"
        if self.retired_at_ms is not None and now_ms >= self.retired_at_ms:
            return "key retired"
        return "key not yet valid" if now_ms < self.valid_from_ms else None
