"""value dates: when a bank booked a payment; and how many lines of a record could not be read. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """From 0010 to 0011. No column keeps a default: whoever writes a row says all of it."""
    if op.get_bind().dialect.name == "sqlite":
        _add_on_sqlite("payments", "value_date VARCHAR(10) NOT NULL", "''")
        _add_on_sqlite("partner_records", "bad_lines BIGINT NOT NULL", "0")
        is_paid = sa.text("event = 'paid'")
        op.create_index("uq_payments_bank_ref", "payments", ["instruction_id", "bank_ref"], unique=True, sqlite_where=is_paid)
        return
    op.add_column("payments", sa.Column("value_date", sa.String(10, collation="C"), nullable=False, server_default=""))
    op.add_column("partner_records", sa.Column("bad_lines", sa.BigInteger(), nullable=False, server_default="0"))
    op.alter_column("payments", "value_date", server_default=None)
    op.alter_column("partner_records", "bad_lines", server_default=None)


def _add_on_sqlite(table: str, column: str, value: str) -> None:
    """SQLite adds no column that must have a value and has no default: a new table is made by the old one's own words."""
    created = str(
        op.get_bind().scalar(sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"), {"name": table})
    )
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0010")
    op.execute(created.replace("CONSTRAINT", f"{column}, \n\tCONSTRAINT", 1))
    op.execute(f"INSERT INTO {table} SELECT *, {value} FROM {table}_0010")  # noqa: S608 - our own words
    op.execute(f"DROP TABLE {table}_0010")
