"""conformance: partners that rehearse, and what the gateway saw of a till under conformance. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_BEFORE = "status IN ('APPLIED', 'ACTIVE', 'SUSPENDED', 'CLOSED')"
_AFTER = "status IN ('APPLIED', 'REHEARSING', 'ACTIVE', 'SUSPENDED', 'CLOSED')"


def upgrade() -> None:
    """From 0006 to 0007."""
    if op.get_bind().dialect.name == "sqlite":
        _let_rehearse_on_sqlite()
    else:
        op.drop_constraint(op.f("ck_partners_status"), "partners")
        op.create_check_constraint(op.f("ck_partners_status"), "partners", _AFTER)
    op.create_table(
        "conformance_runs",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("ended_at_ms >= started_at_ms", name=op.f("ck_conformance_runs_ended")),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_conformance_runs")),
    )
    op.create_table(
        "conformance_events",
        sa.Column("event_id", _chars(40), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", _chars(100), nullable=False),
        sa.Column("method", _chars(40), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("outcome", _chars(40), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "event_id", name=op.f("pk_conformance_events")),
    )


def _let_rehearse_on_sqlite() -> None:
    """SQLite cannot change a constraint of a table that stands: a new one is made by the old one's own words, and filled."""
    ask = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'partners'"
    created = str(op.get_bind().scalar(sa.text(ask)))
    op.execute("ALTER TABLE partners RENAME TO partners_0005")
    op.execute(created.replace(_BEFORE, _AFTER, 1))
    op.execute("INSERT INTO partners SELECT * FROM partners_0005")
    op.execute("DROP TABLE partners_0005")


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
