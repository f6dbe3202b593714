"""terminals and their events. Frozen once published; a change of tables is a new version."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From 0005 to 0006."""
    op.create_table(
        "terminals",
        sa.Column("terminal_id", _chars(65), nullable=False),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("carried_out", sa.BigInteger(), nullable=False),
        sa.Column("conflicts", sa.Integer(), nullable=False),
        sa.Column("released", sa.Integer(), nullable=False),
        sa.CheckConstraint("carried_out BETWEEN 0 AND last_counter", name=op.f("ck_terminals_counters")),
        sa.CheckConstraint("released BETWEEN 0 AND conflicts", name=op.f("ck_terminals_conflicts")),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_terminals")),
    )
    op.create_table(
        "terminal_events",
        sa.Column("terminal_id", _chars(65), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("command", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.CheckConstraint("counter >= 1", name=op.f("ck_terminal_events_counter")),
        sa.PrimaryKeyConstraint("terminal_id", "counter", name=op.f("pk_terminal_events")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "terminal_conflicts",
        sa.Column("terminal_id", _chars(65), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("command", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "counter", "event_hash", name=op.f("pk_terminal_conflicts")),
    )
    op.create_table(
        "event_warnings",
        sa.Column("terminal_id", _chars(65), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "counter", "ordinal", name=op.f("pk_event_warnings")),
    )


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
