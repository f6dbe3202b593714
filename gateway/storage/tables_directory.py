"""Tables of who takes part and on what terms: small, read as a whole, never in the hot path."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, PrimaryKeyConstraint, Table

from gateway.domain.limits import LIMIT_NAMES
from gateway.storage.columns import chars
from gateway.storage.tables import metadata


def _limits() -> list[Column[int]]:
    """In points; 0 for no limit."""
    return [Column(name, BigInteger, nullable=False) for name in LIMIT_NAMES]


# One row. `directory_version` grows with each change below, so that running gateways notice.
networks = Table(
    "networks",
    metadata,
    Column("network_id", Integer, nullable=False, autoincrement=False),
    Column("audience", chars(128), nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("time_zone", chars(64), nullable=False),
    Column("settlement_model", chars(16), nullable=False),
    Column("lanes", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("directory_version", BigInteger, nullable=False),
    PrimaryKeyConstraint("network_id"),
    CheckConstraint("network_id = 1", name="one_row"),
)

receipt_keys = Table(
    "receipt_keys",
    metadata,
    Column("key_id", chars(64), nullable=False),
    Column("public_key", LargeBinary(32), nullable=False),
    Column("valid_from_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=True),
    PrimaryKeyConstraint("key_id"),
)

operators = Table(
    "operators",
    metadata,
    Column("operator_id", chars(32), nullable=False),
    Column("name", chars(100), nullable=False),
    Column("algorithm", chars(32), nullable=False),
    Column("public_key", LargeBinary(65), nullable=False),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("operator_id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", chars(20), nullable=False),
    Column("kind", chars(32), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("state", chars(16), nullable=False),
    Column("proposer_id", chars(32), nullable=False),
    Column("proposed_at_ms", BigInteger, nullable=False),
    Column("proposal_signature", LargeBinary(64), nullable=False),
    Column("approver_id", chars(32), nullable=True),
    Column("approved_at_ms", BigInteger, nullable=True),
    Column("approval_signature", LargeBinary(64), nullable=True),
    PrimaryKeyConstraint("decision_id"),
    CheckConstraint("state IN ('PROPOSED', 'APPLIED', 'STALE')", name="state"),
)

partners = Table(
    "partners",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("legal_name", chars(200), nullable=False),
    Column("status", chars(16), nullable=False),
    Column("settlement_currency", chars(3), nullable=False),
    Column("time_zone", chars(64), nullable=False),
    Column("net_debit_cap", BigInteger, nullable=True),
    Column("application", LargeBinary, nullable=False),  # canonical JSON, as signed by the proof of possession
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("partner_id"),
    CheckConstraint("status IN ('APPLIED', 'REHEARSING', 'ACTIVE', 'SUSPENDED', 'CLOSED')", name="status"),
    CheckConstraint("net_debit_cap >= 0", name="net_debit_cap"),
)

partner_keys = Table(
    "partner_keys",
    metadata,
    Column("key_id", chars(100), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("algorithm", chars(32), nullable=False),
    Column("public_key", LargeBinary(65), nullable=False),
    Column("scopes", chars(64), nullable=False),  # joined by a space
    Column("valid_from_ms", BigInteger, nullable=False),
    Column("retired_at_ms", BigInteger, nullable=True),
    Column("revoked_at_ms", BigInteger, nullable=True),
    PrimaryKeyConstraint("key_id"),
)

rate_cards = Table(
    "rate_cards",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_from", chars(10), nullable=False),
    Column("issue_price_micros", BigInteger, nullable=False),
    Column("face_value_micros", BigInteger, nullable=False),
    Column("reimbursement_rate_micros", BigInteger, nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("partner_id", "version"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("issue_price_micros >= 0 AND face_value_micros > 0 AND reimbursement_rate_micros >= 0", name="prices"),
)

issue_rates = Table(
    "issue_rates",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("unit", chars(48), nullable=False),
    Column("numerator", BigInteger, nullable=False),
    Column("denominator", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner_id", "version", "unit"),
    CheckConstraint("numerator >= 0 AND denominator > 0", name="fraction"),
)

network_terms = Table(
    "network_terms",
    metadata,
    Column("version", Integer, nullable=False, autoincrement=False),
    Column("effective_from", chars(10), nullable=False),
    Column("expiry_rule", chars(40), nullable=False),
    Column("debt_policy", chars(16), nullable=False),
    Column("late_days_max", Integer, nullable=False),
    Column("redemption_element_micros", BigInteger, nullable=False),
    Column("breakage_rebate_share", chars(20), nullable=False),
    Column("par_value_micros", BigInteger, nullable=False),
    Column("decision_id", chars(20), nullable=False),  # empty for version 1, which creates the network
    Column("usable_after_days", Integer, nullable=False),
    Column("claim_days_max", Integer, nullable=False),
    *_limits(),
    PrimaryKeyConstraint("version"),
    CheckConstraint("version >= 1 AND late_days_max >= 0", name="version"),
)

# A partner's own limits, by version; the network's stand in its terms.
partner_limits = Table(
    "partner_limits",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_from", chars(10), nullable=False),
    *_limits(),
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("partner_id", "version"),
    CheckConstraint("version >= 1", name="version"),
)

offers = Table(
    "offers",
    metadata,
    Column("offer_id", chars(64), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("first_date", chars(10), nullable=False),
    Column("last_date", chars(10), nullable=False),
    Column("bonus_points", BigInteger, nullable=False),
    Column("minimum_amount", BigInteger, nullable=False),
    Column("unit", chars(48), nullable=False),
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("offer_id"),
    CheckConstraint("bonus_points > 0 AND minimum_amount >= 0", name="points"),
)

# A funder is charged for a bonus only with its own signed consent to the offer's document.
offer_shares = Table(
    "offer_shares",
    metadata,
    Column("offer_id", chars(64), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("position", Integer, nullable=False),
    Column("share", chars(20), nullable=False),
    Column("consent_key_id", chars(100), nullable=False),
    Column("consent_signature", LargeBinary(64), nullable=False),
    PrimaryKeyConstraint("offer_id", "partner_id"),
)

# Whose till is judged by what the gateway sees of it, and since when: the last run of each partner. No part of the ledger.
conformance_runs = Table(
    "conformance_runs",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=True),  # null while the run is open
    PrimaryKeyConstraint("partner_id"),
    CheckConstraint("ended_at_ms >= started_at_ms", name="ended"),
)

# What the gateway answered to a partner while a run of its was open. Bounded: the first of each run are kept.
conformance_events = Table(
    "conformance_events",
    metadata,
    Column("event_id", chars(40), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("method", chars(40), nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("outcome", chars(40), nullable=False),
    PrimaryKeyConstraint("partner_id", "event_id"),
)

# The true causes behind SIGNATURE_INVALID, for the operator. Bounded: the newest per partner are kept.
signature_failures = Table(
    "signature_failures",
    metadata,
    Column("failure_id", chars(40), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("method", chars(100), nullable=False),
    Column("peer", chars(100), nullable=False),
    Column("cause", chars(300), nullable=False),
    Column("signed_string", chars(600), nullable=False),
    PrimaryKeyConstraint("partner_id", "failure_id"),
)
