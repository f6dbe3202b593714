"""value dates: when a bank booked a payment; and how many lines of a record could not be read. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """From 0010 to 0011."""
    op.add_column("payments", sa.Column("value_date", _chars(10), nullable=False, server_default=""))
    op.add_column("partner_records", sa.Column("bad_lines", sa.BigInteger(), nullable=False, server_default="0"))


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
