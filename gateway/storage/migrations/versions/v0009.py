"""reconciliation and disputes: what partners send about settlement, and what became of it. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_FOLLOWS = (
    "previous_state || '>' || state IN ('>OPEN', 'OPEN>ACCEPTED', 'OPEN>CONTESTED', 'OPEN>CORRECTED', 'OPEN>UPHELD', "
    "'OPEN>WITHDRAWN', 'OPEN>WRITTEN_OFF', 'CONTESTED>CORRECTED', 'CONTESTED>UPHELD', 'CONTESTED>WITHDRAWN', "
    "'CONTESTED>WRITTEN_OFF')"
)


def upgrade() -> None:
    """From 0008 to 0009."""
    op.create_table(
        "intake",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("intake_id", _chars(80), nullable=False),
        sa.Column("method", _chars(100), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("created", _chars(13), nullable=False),
        sa.Column("nonce", _chars(22), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("content_at", sa.Integer(), nullable=False),
        sa.Column("content_bytes", sa.Integer(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("content_at >= 0 AND content_bytes >= 0", name=op.f("ck_intake_content")),
        sa.PrimaryKeyConstraint("partner_id", "intake_id", name=op.f("pk_intake")),
    )
    op.create_table(
        "partner_records",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("record_id", _chars(40), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("completed_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "completed_at_ms = 0 OR (received = chunks AND received_bytes = bytes)",
            name=op.f("ck_partner_records_completed"),
        ),
        sa.CheckConstraint(
            "received BETWEEN 0 AND chunks AND received_bytes BETWEEN 0 AND bytes",
            name=op.f("ck_partner_records_received"),
        ),
        sa.CheckConstraint("(window_id = 0) <> (business_date = '')", name=op.f("ck_partner_records_scope")),
        sa.PrimaryKeyConstraint("partner_id", "record_id", name=op.f("pk_partner_records")),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("statement_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "window_id", name=op.f("pk_acknowledgements")),
    )
    op.create_table(
        "disputes",
        sa.Column("dispute_id", _chars(40), nullable=False),
        sa.Column("opener_id", _chars(32), nullable=False),
        sa.Column("respondent_id", _chars(32), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("line_number", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("receipt_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", _chars(24), nullable=False),
        sa.Column("payer_id", _chars(32), nullable=False),
        sa.Column("payee_id", _chars(32), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", _chars(24), nullable=False),
        sa.Column("evidence", _chars(200), nullable=False),
        sa.Column("deadline", _chars(10), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("previous_state", _chars(16), nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.CheckConstraint("points > 0 AND amount_micros >= 0 AND amount >= 0", name=op.f("ck_disputes_amount")),
        sa.CheckConstraint(
            "reason IN ('UNKNOWN_ENTRY', 'DUPLICATE', 'AMOUNT_DIFFERS', 'WRONG_DATE', 'OTHER')",
            name=op.f("ck_disputes_reason"),
        ),
        sa.CheckConstraint(_FOLLOWS, name=op.f("ck_disputes_state")),
        sa.CheckConstraint("payer_id <> payee_id AND opener_id <> respondent_id", name=op.f("ck_disputes_two_parties")),
        sa.PrimaryKeyConstraint("dispute_id", name=op.f("pk_disputes")),
    )
    op.create_index("ix_disputes_opener", "disputes", ["opener_id", "dispute_id"])
    op.create_index("ix_disputes_respondent", "disputes", ["respondent_id", "dispute_id"])
    op.create_index("ix_disputes_window", "disputes", ["window_id"])
    op.create_table(
        "dispute_steps",
        sa.Column("dispute_id", _chars(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("previous_state", _chars(16), nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("made_by", _chars(100), nullable=False),
        sa.Column("note", _chars(300), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("number >= 1 AND amount >= 0", name=op.f("ck_dispute_steps_number")),
        sa.CheckConstraint(_FOLLOWS, name=op.f("ck_dispute_steps_state")),
        sa.PrimaryKeyConstraint("dispute_id", "number", name=op.f("pk_dispute_steps")),
    )
    op.create_table(
        "reconciliations",
        sa.Column("run_id", _chars(40), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("record_id", _chars(40), nullable=False),
        sa.Column("file_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("file_lines", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("matched", sa.BigInteger(), nullable=False),
        sa.Column("missing_here", sa.BigInteger(), nullable=False),
        sa.Column("missing_at_partner", sa.BigInteger(), nullable=False),
        sa.Column("amount_differs", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("result_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "matched >= 0 AND missing_here >= 0 AND missing_at_partner >= 0 AND amount_differs >= 0 AND duplicate >= 0 "
            "AND late >= 0",
            name=op.f("ck_reconciliations_counts"),
        ),
        sa.CheckConstraint("(window_id = 0) <> (business_date = '')", name=op.f("ck_reconciliations_scope")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_reconciliations")),
    )
    op.create_index("ix_reconciliations_partner", "reconciliations", ["partner_id", "window_id"])


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
