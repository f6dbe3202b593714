"""the first schema. Frozen once published; a change of tables is a new version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """From an empty database to 0001."""
    op.create_table(
        "debts",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("issuer_id", _chars(32), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("cause_lot_id", _chars(48), nullable=False),
        sa.Column("arrival", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("open_points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("open_points BETWEEN 0 AND points", name=op.f("ck_debts_within_debt")),
        sa.PrimaryKeyConstraint("entry_id", "ordinal", "bucket", name=op.f("pk_debts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_debts_open",
        "debts",
        ["member_id"],
        unique=False,
        sqlite_where=sa.text("open_points > 0"),
        postgresql_where=sa.text("open_points > 0"),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.Column("kind", _chars(32), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("proposer_id", _chars(32), nullable=False),
        sa.Column("proposed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("proposal_signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("approver_id", _chars(32), nullable=True),
        sa.Column("approved_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("approval_signature", sa.LargeBinary(length=64), nullable=True),
        sa.CheckConstraint("state IN ('PROPOSED', 'APPLIED', 'STALE')", name=op.f("ck_decisions_state")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "entries",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("idempotency_key", _chars(64), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("unit", _chars(48), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("original_entry_id", _chars(40), nullable=False),
        sa.Column("offer_id", _chars(64), nullable=False),
        sa.Column("receipt_number", _chars(64), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("kind BETWEEN 1 AND 8", name=op.f("ck_entries_kind")),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_entries_sequence")),
        sa.PrimaryKeyConstraint("entry_id", "bucket", name=op.f("pk_entries")),
    )
    op.create_index("ix_entries_lane_sequence", "entries", ["lane", "sequence"], unique=False)
    op.create_index("ix_entries_member", "entries", ["member_id", "sequence"], unique=False)
    op.create_index(
        "ix_entries_original",
        "entries",
        ["original_entry_id"],
        unique=False,
        sqlite_where=sa.text("original_entry_id <> ''"),
        postgresql_where=sa.text("original_entry_id <> ''"),
    )
    op.create_table(
        "heads",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_commit_ms", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("refusals", sa.BigInteger(), nullable=False),
        sa.Column("refusals_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("last_sequence >= 0 AND refusals >= 0", name=op.f("ck_heads_counts")),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_heads")),
    )
    op.create_table(
        "instructions",
        sa.Column("instruction_id", _chars(64), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("form", _chars(24), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("debtor_id", _chars(32), nullable=False),
        sa.Column("creditor_id", _chars(32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_instructions_amount")),
        sa.CheckConstraint("debtor_id <> creditor_id", name=op.f("ck_instructions_two_parties")),
        sa.PrimaryKeyConstraint("instruction_id", name=op.f("pk_instructions")),
    )
    op.create_table(
        "issue_rates",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("unit", _chars(48), nullable=False),
        sa.Column("numerator", sa.BigInteger(), nullable=False),
        sa.Column("denominator", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("numerator >= 0 AND denominator > 0", name=op.f("ck_issue_rates_fraction")),
        sa.PrimaryKeyConstraint("partner_id", "version", "unit", name=op.f("pk_issue_rates")),
    )
    op.create_table(
        "lots",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("lot_id", _chars(48), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("issuer_id", _chars(32), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("expires_on", _chars(10), nullable=False),
        sa.Column("arrival", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("open_points", sa.BigInteger(), nullable=False),
        sa.Column("expired_points", sa.BigInteger(), nullable=False),
        sa.Column("origin_entry_id", _chars(40), nullable=False),
        sa.CheckConstraint(
            "open_points >= 0 AND expired_points >= 0 AND open_points + expired_points <= points",
            name=op.f("ck_lots_within_issue"),
        ),
        sa.PrimaryKeyConstraint("lot_id", "bucket", name=op.f("pk_lots")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_lots_expiry",
        "lots",
        ["expires_on", "lot_id"],
        unique=False,
        sqlite_where=sa.text("open_points > 0"),
        postgresql_where=sa.text("open_points > 0"),
    )
    op.create_index(
        "ix_lots_open",
        "lots",
        ["member_id"],
        unique=False,
        sqlite_where=sa.text("open_points > 0"),
        postgresql_where=sa.text("open_points > 0"),
    )
    op.create_table(
        "member_identifiers",
        sa.Column("identifier_hash", _chars(64), nullable=False),
        sa.Column("kind", _chars(16), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.PrimaryKeyConstraint("identifier_hash", name=op.f("pk_member_identifiers")),
    )
    op.create_table(
        "members",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("enrolled_by", _chars(32), nullable=False),
        sa.Column("open_points", sa.BigInteger(), nullable=False),
        sa.Column("debt_points", sa.BigInteger(), nullable=False),
        sa.Column("next_arrival", sa.Integer(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("open_points >= 0 AND debt_points >= 0", name=op.f("ck_members_not_negative")),
        sa.PrimaryKeyConstraint("member_id", "bucket", name=op.f("pk_members")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "net_positions",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("party_id", _chars(32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("window_id", "currency", "party_id", name=op.f("pk_net_positions")),
    )
    op.create_table(
        "network_terms",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("effective_from", _chars(10), nullable=False),
        sa.Column("expiry_rule", _chars(40), nullable=False),
        sa.Column("debt_policy", _chars(16), nullable=False),
        sa.Column("late_days_max", sa.Integer(), nullable=False),
        sa.Column("redemption_element_micros", sa.BigInteger(), nullable=False),
        sa.Column("breakage_rebate_share", _chars(20), nullable=False),
        sa.Column("par_value_micros", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("version >= 1 AND late_days_max >= 0", name=op.f("ck_network_terms_version")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_network_terms")),
    )
    op.create_table(
        "networks",
        sa.Column("network_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("audience", _chars(128), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("time_zone", _chars(64), nullable=False),
        sa.Column("settlement_model", _chars(16), nullable=False),
        sa.Column("lanes", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("directory_version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("network_id = 1", name=op.f("ck_networks_one_row")),
        sa.PrimaryKeyConstraint("network_id", name=op.f("pk_networks")),
    )
    op.create_table(
        "obligations",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("payer_id", _chars(32), nullable=False),
        sa.Column("payee_id", _chars(32), nullable=False),
        sa.Column("kind", _chars(24), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points >= 0 AND amount >= 0", name=op.f("ck_obligations_not_negative")),
        sa.PrimaryKeyConstraint("window_id", "payer_id", "payee_id", "kind", "rate_card_version", name=op.f("pk_obligations")),
    )
    op.create_table(
        "offer_shares",
        sa.Column("offer_id", _chars(64), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("share", _chars(20), nullable=False),
        sa.Column("consent_key_id", _chars(100), nullable=False),
        sa.Column("consent_signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("offer_id", "partner_id", name=op.f("pk_offer_shares")),
    )
    op.create_table(
        "offers",
        sa.Column("offer_id", _chars(64), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("first_date", _chars(10), nullable=False),
        sa.Column("last_date", _chars(10), nullable=False),
        sa.Column("bonus_points", sa.BigInteger(), nullable=False),
        sa.Column("minimum_amount", sa.BigInteger(), nullable=False),
        sa.Column("unit", _chars(48), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("bonus_points > 0 AND minimum_amount >= 0", name=op.f("ck_offers_points")),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_offers")),
    )
    op.create_table(
        "operators",
        sa.Column("operator_id", _chars(32), nullable=False),
        sa.Column("name", _chars(100), nullable=False),
        sa.Column("algorithm", _chars(32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operators")),
    )
    op.create_table(
        "outcomes",
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("idempotency_key", _chars(64), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_key_id", _chars(64), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_outcomes")),
    )
    op.create_table(
        "partner_keys",
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("algorithm", _chars(32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("scopes", _chars(64), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_partner_keys")),
    )
    op.create_table(
        "partners",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("legal_name", _chars(200), nullable=False),
        sa.Column("status", _chars(16), nullable=False),
        sa.Column("settlement_currency", _chars(3), nullable=False),
        sa.Column("time_zone", _chars(64), nullable=False),
        sa.Column("net_debit_cap", sa.BigInteger(), nullable=True),
        sa.Column("application", sa.LargeBinary(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("status IN ('APPLIED', 'ACTIVE', 'SUSPENDED', 'CLOSED')", name=op.f("ck_partners_status")),
        sa.CheckConstraint("net_debit_cap >= 0", name=op.f("ck_partners_net_debit_cap")),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_partners")),
    )
    op.create_table(
        "positions",
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("open_value_micros", sa.BigInteger(), nullable=False),
        sa.Column("net_debit_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "open_value_micros BETWEEN -9223372036854775807 AND 9223372036854775807"
            " AND net_debit_micros BETWEEN -9223372036854775807 AND 9223372036854775807",
            name=op.f("ck_positions_in_64_bits"),
        ),
        sa.PrimaryKeyConstraint("lane", "partner_id", "currency", name=op.f("pk_positions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "postings",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("lot_id", _chars(48), nullable=False),
        sa.Column("issuer_id", _chars(32), nullable=False),
        sa.Column("counterparty_id", _chars(32), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("cause_lot_id", _chars(48), nullable=False),
        sa.CheckConstraint("kind BETWEEN 1 AND 11", name=op.f("ck_postings_kind")),
        sa.CheckConstraint("points > 0", name=op.f("ck_postings_points")),
        sa.PrimaryKeyConstraint("entry_id", "ordinal", "bucket", name=op.f("pk_postings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "proofs",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("refusals", sa.BigInteger(), nullable=False),
        sa.Column("refusals_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("proven_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_proofs")),
    )
    op.create_table(
        "rate_cards",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", _chars(10), nullable=False),
        sa.Column("issue_price_micros", sa.BigInteger(), nullable=False),
        sa.Column("face_value_micros", sa.BigInteger(), nullable=False),
        sa.Column("reimbursement_rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint(
            "issue_price_micros >= 0 AND face_value_micros > 0 AND reimbursement_rate_micros >= 0",
            name=op.f("ck_rate_cards_prices"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_rate_cards_version")),
        sa.PrimaryKeyConstraint("partner_id", "version", name=op.f("pk_rate_cards")),
    )
    op.create_table(
        "receipt_keys",
        sa.Column("key_id", _chars(64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_receipt_keys")),
    )
    op.create_table(
        "refusals",
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("idempotency_key", _chars(64), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.Column("refused_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_key_id", _chars(64), nullable=False),
        sa.Column("refusal_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_refusals_number")),
        sa.PrimaryKeyConstraint("entry_id", "fingerprint", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_lane_number", "refusals", ["lane", "number"], unique=False)
    op.create_table(
        "settlement_steps",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("step", _chars(24), nullable=False),
        sa.Column("done_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("window_id", "step", name=op.f("pk_settlement_steps")),
    )
    op.create_table(
        "signature_failures",
        sa.Column("failure_id", _chars(40), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("method", _chars(100), nullable=False),
        sa.Column("peer", _chars(100), nullable=False),
        sa.Column("cause", _chars(300), nullable=False),
        sa.Column("signed_string", _chars(600), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "failure_id", name=op.f("pk_signature_failures")),
    )
    op.create_table(
        "statement_lines",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("line_number", sa.BigInteger(), nullable=False),
        sa.Column("kind", _chars(16), nullable=False),
        sa.Column("payer_id", _chars(32), nullable=False),
        sa.Column("payee_id", _chars(32), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("own_entry_id", _chars(40), nullable=False),
        sa.Column("receipt_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("window_id", "partner_id", "line_number", name=op.f("pk_statement_lines")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statements",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("window_id", "partner_id", name=op.f("pk_statements")),
    )
    op.create_table(
        "totals",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("issuer_id", _chars(32), nullable=False),
        sa.Column("counterparty_id", _chars(32), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("postings", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0 AND postings > 0", name=op.f("ck_totals_positive")),
        sa.PrimaryKeyConstraint(
            "window_id", "lane", "issuer_id", "counterparty_id", "rate_card_version", "kind", name=op.f("pk_totals")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "window_ranges",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("last_sequence >= first_sequence - 1", name=op.f("ck_window_ranges_range")),
        sa.PrimaryKeyConstraint("window_id", "lane", name=op.f("pk_window_ranges")),
    )
    op.create_table(
        "windows",
        sa.Column("window_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("cut_off_date", _chars(10), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("window_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint(
            "state IN ('OPEN', 'CLOSED', 'NETTED', 'CONFIRMED', 'SETTLED', 'DISPUTED')", name=op.f("ck_windows_state")
        ),
        sa.CheckConstraint("window_id >= 1", name=op.f("ck_windows_window_id")),
        sa.PrimaryKeyConstraint("window_id", name=op.f("pk_windows")),
    )
    op.create_index(
        "uq_windows_one_open",
        "windows",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'OPEN'"),
        postgresql_where=sa.text("state = 'OPEN'"),
    )
