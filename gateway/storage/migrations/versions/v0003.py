"""till: holds, checkouts, refunds that wait, claimed receipts; what else an entry commits to. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# New columns by table, each with what rows that stand get; and the checks whose words change.
_COLUMNS = {
    "entries": (("head_entry_id", "VARCHAR(40)", "''"), ("facts", "VARCHAR(16384)", "''")),
    "lots": (("held_points", "BIGINT", "0"),),
    "members": (("held_points", "BIGINT", "0"),),
    "postings": (),
}
_CHECKS = {
    "entries": (("kind", "kind BETWEEN 1 AND 8", "kind BETWEEN 1 AND 21"),),
    "lots": (("held", None, "held_points BETWEEN 0 AND open_points"),),
    "members": (("held", None, "held_points BETWEEN 0 AND open_points"),),
    "postings": (("kind", "kind BETWEEN 1 AND 11", "kind BETWEEN 1 AND 13"),),
}


def upgrade() -> None:
    """From 0002 to 0003."""
    for table in _COLUMNS:
        if op.get_bind().dialect.name == "sqlite":
            _change_on_sqlite(table)
        else:
            _change_on_postgresql(table)
    _create_tables()


def _change_on_sqlite(table: str) -> None:
    """SQLite cannot change a constraint of a table that stands: a new one is made by the old one's own words, and filled."""
    ask = "SELECT sql FROM sqlite_master WHERE type = :type AND tbl_name = :name AND sql IS NOT NULL"
    connection = op.get_bind()
    (created,) = connection.scalars(sa.text(ask), {"type": "table", "name": table})
    indexes = connection.scalars(sa.text(ask), {"type": "index", "name": table}).all()
    columns = ", ".join(row.name for row in connection.execute(sa.text(f"PRAGMA table_info({table})")))
    new = "".join(f"{name} {kind} NOT NULL, \n\t" for name, kind, _ in _COLUMNS[table])
    for name, before, after in _CHECKS[table]:
        if before is None:
            new_check = f"CONSTRAINT ck_{table}_{name} CHECK ({after}), \n\t"
            created = created.replace(f"CONSTRAINT pk_{table}", f"{new_check}CONSTRAINT pk_{table}", 1)
        else:
            created = created.replace(before, after, 1)
    created = created.replace("CONSTRAINT", f"{new}CONSTRAINT", 1)
    values = "".join(f", {value}" for _, _, value in _COLUMNS[table])
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0002")
    op.execute(created)
    op.execute(f"INSERT INTO {table} SELECT {columns}{values} FROM {table}_0002")  # noqa: S608 - our own names
    op.execute(f"DROP TABLE {table}_0002")
    for index in indexes:
        op.execute(index)


def _change_on_postgresql(table: str) -> None:
    for name, kind, value in _COLUMNS[table]:
        collation = ' COLLATE "C"' if kind.startswith("VARCHAR") else ""
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{collation} NOT NULL DEFAULT {value}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")
    for name, before, after in _CHECKS[table]:
        if before is not None:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, after)


def _create_tables() -> None:
    _create_holds()
    op.create_table(
        "checkouts",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("unit", _chars(48), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("earning", sa.BigInteger(), nullable=False),
        sa.Column("redeem_entry_id", _chars(40), nullable=False),
        sa.Column("issue_entry_id", _chars(40), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.Column("returned_earning", sa.BigInteger(), nullable=False),
        sa.Column("returned_lines", _chars(16384), nullable=False),
        sa.CheckConstraint("earning BETWEEN 0 AND total", name=op.f("ck_checkouts_earning")),
        sa.CheckConstraint("returned BETWEEN 0 AND total", name=op.f("ck_checkouts_returned")),
        sa.CheckConstraint("returned_earning BETWEEN 0 AND earning", name=op.f("ck_checkouts_returned_earning")),
        sa.PrimaryKeyConstraint("entry_id", "bucket", name=op.f("pk_checkouts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parked_refunds",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.Column("checkout_id", _chars(40), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("is_open", sa.Integer(), nullable=False),
        sa.CheckConstraint("is_open IN (0, 1)", name=op.f("ck_parked_refunds_is_open")),
        sa.PrimaryKeyConstraint("entry_id", "bucket", name=op.f("pk_parked_refunds")),
        sqlite_with_rowid=False,
    )
    _create_open_index("ix_parked_refunds_open", "parked_refunds", ["checkout_id"], where="is_open = 1")
    op.create_table(
        "sales",
        sa.Column("sale_id", _chars(40), nullable=False),
        sa.Column("entry_id", _chars(40), nullable=False),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_sales")),
        sqlite_with_rowid=False,
    )


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("hold_id", _chars(40), nullable=False),
        sa.Column("member_id", _chars(64), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("business_date", _chars(10), nullable=False),
        sa.Column("rate_card_version", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("ended_by", _chars(40), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_holds_points")),
        sa.CheckConstraint("state IN ('OPEN', 'CAPTURED', 'VOIDED', 'LAPSED')", name=op.f("ck_holds_state")),
        sa.CheckConstraint("(state = 'OPEN') = (ended_by = '')", name=op.f("ck_holds_ended_once")),
        sa.PrimaryKeyConstraint("hold_id", "bucket", name=op.f("pk_holds")),
        sqlite_with_rowid=False,
    )
    _create_open_index("ix_holds_open", "holds", ["member_id"], where="state = 'OPEN'")
    _create_open_index("ix_holds_due", "holds", ["expires_at_ms", "hold_id"], where="state = 'OPEN'")


def _create_open_index(name: str, table: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
