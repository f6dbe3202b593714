"""The events behind a statement, as values. Settlement makes them, the store keeps them, the gateway serves them."""

from dataclasses import dataclass

REDEMPTION = "redemption"
RESTORATION = "restoration"


@dataclass(frozen=True, slots=True)
class StatementLine:
    """Points of one lot at one redeemer. Exact amount in micros of a minor unit; rounded once, in the summary line.

    `own_entry_id`: to an issuer the entry that issued the points, to a redeemer its redemption or the reversal of it.
    """

    line_number: int
    kind: str
    payer_id: str
    payee_id: str
    points: int
    amount_micros: int
    currency: str
    business_date: str
    rate_card_version: int
    own_entry_id: str
    receipt_sha256: bytes


@dataclass(frozen=True, slots=True)
class PublishedStatement:
    """A partner's statement of a window: canonical JSON, its SHA-256, and how many lines stand behind it."""

    window_id: int
    partner_id: str
    statement: bytes
    sha256: bytes
    lines: int
