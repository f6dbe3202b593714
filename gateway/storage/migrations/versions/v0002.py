"""lanes: how many are in force, by window, and how far the refusals had come. Frozen once published."""

import sqlalchemy as sa
from alembic import op

from gateway.storage.errors import SchemaOutdated

revision = "0002"
down_revision = "0001"

_LANES = "(SELECT lanes FROM networks)"


def upgrade() -> None:
    """From 0001 to 0002. Raises SchemaOutdated where a window was closed: its hash cannot be made to cover what it did not."""
    closed = op.get_bind().scalar(sa.text("SELECT count(*) FROM windows WHERE state <> 'OPEN'"))
    if closed:
        raise SchemaOutdated(
            f"{closed} settlement windows were closed by a version before the first release, without a note of their lanes: "
            "found a new network with 'tallystick network create'"
        )
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()


def _on_sqlite() -> None:
    # SQLite cannot add a constraint to a table that stands.
    for name in ("heads", "windows", "window_ranges"):
        op.rename_table(name, f"{name}_0001")
    op.drop_index("uq_windows_one_open")
    op.create_table(
        "heads",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_commit_ms", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("refusals", sa.BigInteger(), nullable=False),
        sa.Column("refusals_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lanes", sa.Integer(), nullable=False),
        sa.CheckConstraint("last_sequence >= 0 AND refusals >= 0", name=op.f("ck_heads_counts")),
        sa.CheckConstraint("lane >= 0 AND lanes >= 1", name=op.f("ck_heads_lanes")),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_heads")),
    )
    op.create_table(
        "windows",
        sa.Column("window_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("cut_off_date", _chars(10), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("window_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lanes", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('OPEN', 'CLOSED', 'NETTED', 'CONFIRMED', 'SETTLED', 'DISPUTED')", name=op.f("ck_windows_state")
        ),
        sa.CheckConstraint("window_id >= 1", name=op.f("ck_windows_window_id")),
        sa.CheckConstraint("lanes >= 1", name=op.f("ck_windows_lanes")),
        sa.PrimaryKeyConstraint("window_id", name=op.f("pk_windows")),
    )
    op.create_index("uq_windows_one_open", "windows", ["state"], unique=True, sqlite_where=sa.text("state = 'OPEN'"))
    op.create_table(
        "window_ranges",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("refusals", sa.BigInteger(), nullable=False),
        sa.Column("refusals_hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("last_sequence >= first_sequence - 1", name=op.f("ck_window_ranges_range")),
        sa.CheckConstraint("refusals >= 0", name=op.f("ck_window_ranges_refusals")),
        sa.PrimaryKeyConstraint("window_id", "lane", name=op.f("pk_window_ranges")),
    )
    for name in ("heads", "windows"):
        op.execute(f"INSERT INTO {name} SELECT {name}_0001.*, {_LANES} FROM {name}_0001")  # noqa: S608 - our own names
    for name in ("heads", "windows", "window_ranges"):
        op.drop_table(f"{name}_0001")


def _on_postgresql() -> None:
    for name in ("heads", "windows"):
        op.add_column(name, sa.Column("lanes", sa.Integer(), nullable=True))
        op.execute(f"UPDATE {name} SET lanes = {_LANES}")  # noqa: S608 - our own names
        op.alter_column(name, "lanes", nullable=False)
    op.create_check_constraint(op.f("ck_heads_lanes"), "heads", "lane >= 0 AND lanes >= 1")
    op.create_check_constraint(op.f("ck_windows_lanes"), "windows", "lanes >= 1")
    op.add_column("window_ranges", sa.Column("refusals", sa.BigInteger(), nullable=False))
    op.add_column("window_ranges", sa.Column("refusals_hash", sa.LargeBinary(length=32), nullable=False))
    op.create_check_constraint(op.f("ck_window_ranges_refusals"), "window_ranges", "refusals >= 0")


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
