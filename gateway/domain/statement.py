"""The events behind a statement, as values. Settlement makes them, the store keeps them, the gateway serves them."""

from dataclasses import dataclass

REDEMPTION = "redemption"
RESTORATION = "restoration"
"""Kinds of lines where issuers owe redeemers: at_redemption."""

ISSUE = "issue"
REVERSE_ISSUE = "reverse_issue"
REDEEM = "redeem"
REVERSE_REDEMPTION = "reverse_redemption"
BREAKAGE_REBATE = "breakage_rebate"
BREAKAGE_UNDONE = "breakage_undone"
"""Kinds of lines between a partner and the network: at_issuance, and the first four at_par."""

FIXED_FEE = "fee_fixed"
ENTRY_FEE = "fee_entry"
"""Kinds of lines that the settlement rules make. Those of adjustments are named as AdjustmentKind says."""

NO_RECEIPT_SHA256 = bytes(32)
"""In place of a receipt's hash in the line of an expiry, which nobody asked for."""


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
