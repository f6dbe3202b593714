"""The events behind a statement, as values. Settlement makes them, the store keeps them, the gateway serves them."""

import base64
import hashlib
from dataclasses import dataclass

from gateway.domain.canonical import canonical

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

_ID_CHARACTERS = 16


def line_id(window_id: int, payer_id: str, payee_id: str, kind: str, rate_card_version: int, reference: str) -> str:
    """What a line of who owes whom is called, on both sides' statements: its window, and a hash of what it is known by there."""
    named = canonical(["TS1-LINE", window_id, payer_id, payee_id, kind, rate_card_version, reference])
    return f"{window_id}-{base64.b32encode(hashlib.sha256(named).digest()).decode().lower()[:_ID_CHARACTERS]}"


def event_id(window_id: int, partner_id: str, line_number: int) -> str:
    """What an event behind a partner's statement is called."""
    return f"{window_id}/{partner_id}/{line_number}"


NO_RECEIPT_SHA256 = bytes(32)
"""In place of a receipt's hash in the line of an expiry, which nobody asked for."""


LINE_COLUMNS = (
    "line_number",
    "kind",
    "payer_id",
    "payee_id",
    "points",
    "amount_micros",
    "currency",
    "business_date",
    "rate_card_version",
    "own_entry_id",
    "receipt_sha256",
)
LINES_HEADER = ",".join(LINE_COLUMNS) + "\n"
"""The file of events behind a statement, which a partner hashes to check it."""


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


def line_text(line: StatementLine) -> str:
    """One line of the file of events. No value can need quotes, so any language writes the same bytes."""
    return (
        f"{line.line_number},{line.kind},{line.payer_id},{line.payee_id},{line.points},{line.amount_micros},{line.currency},"
        f"{line.business_date},{line.rate_card_version},{line.own_entry_id},{line.receipt_sha256.hex()}\n"
    )
