"""limits: of the network and of partners, what a day has seen, points that wait. Frozen once published."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_LIMITS = (
    "minimum_points",
    "multiple_points",
    "entry_points_max",
    "member_day_issued_max",
    "member_day_redeemed_max",
    "terminal_day_issued_max",
    "terminal_day_redeemed_max",
)
# New columns by table, each with what rows that stand get.
_COLUMNS = {
    "holds": (("key_id", "VARCHAR(100)", "''"),),
    "lots": (("usable_from", "VARCHAR(10)", "''"),),
    "network_terms": (
        ("usable_after_days", "INTEGER", "0"),
        ("claim_days_max", "INTEGER", "30"),
        *((name, "BIGINT", "0") for name in _LIMITS),
    ),
}
# By business date, member and key: points issued, and points redeemed or set aside. What ends a hold counts where it began.
_DAYS = sa.text("""
SELECT e.bucket, e.lane, e.member_id,
       COALESCE(h.partner_id, e.partner_id), COALESCE(h.key_id, e.key_id), COALESCE(h.business_date, e.business_date),
       moved.issued, moved.redeemed
FROM (
    SELECT entry_id, SUM(CASE kind WHEN 1 THEN points ELSE 0 END) AS issued,
           SUM(CASE kind WHEN 2 THEN points WHEN 12 THEN points WHEN 13 THEN -points ELSE 0 END) AS redeemed
    FROM postings GROUP BY entry_id
) moved
JOIN entries e ON e.entry_id = moved.entry_id
LEFT JOIN entries h ON h.entry_id = e.original_entry_id AND h.kind = 9 AND e.original_entry_id <> ''
WHERE moved.issued <> 0 OR moved.redeemed <> 0
""")


def upgrade() -> None:
    """From 0003 to 0004."""
    for table in _COLUMNS:
        if op.get_bind().dialect.name == "sqlite":
            _add_on_sqlite(table)
        else:
            _add_on_postgresql(table)
    op.execute("UPDATE holds SET key_id = (SELECT entries.key_id FROM entries WHERE entries.entry_id = holds.hold_id)")
    _create_tables()
    _fill_days()


def _add_on_sqlite(table: str) -> None:
    """SQLite cannot add a column that has no default: a new table is made by the old one's own words, and filled."""
    ask = "SELECT sql FROM sqlite_master WHERE type = :type AND tbl_name = :name AND sql IS NOT NULL"
    connection = op.get_bind()
    (created,) = connection.scalars(sa.text(ask), {"type": "table", "name": table})
    indexes = connection.scalars(sa.text(ask), {"type": "index", "name": table}).all()
    columns = ", ".join(row.name for row in connection.execute(sa.text(f"PRAGMA table_info({table})")))
    new = "".join(f"{name} {kind} NOT NULL, \n\t" for name, kind, _ in _COLUMNS[table])
    values = "".join(f", {value}" for _, _, value in _COLUMNS[table])
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0003")
    op.execute(created.replace("CONSTRAINT", f"{new}CONSTRAINT", 1))
    op.execute(f"INSERT INTO {table} SELECT {columns}{values} FROM {table}_0003")  # noqa: S608 - our own names
    op.execute(f"DROP TABLE {table}_0003")
    for index in indexes:
        op.execute(index)


def _add_on_postgresql(table: str) -> None:
    for name, kind, value in _COLUMNS[table]:
        collation = ' COLLATE "C"' if kind.startswith("VARCHAR") else ""
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{collation} NOT NULL DEFAULT {value}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")


def _create_tables() -> None:
    op.create_table(
        "partner_limits",
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", _chars(10), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _LIMITS),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_partner_limits_version")),
        sa.PrimaryKeyConstraint("partner_id", "version", name=op.f("pk_partner_limits")),
    )
    op.create_table(
        "member_days",
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("member_day", _chars(80), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.Column("issued_points", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("issued_points >= 0", name=op.f("ck_member_days_issued")),
        sa.PrimaryKeyConstraint("member_day", "partner_id", "bucket", name=op.f("pk_member_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "terminal_days",
        sa.Column("terminal_day", _chars(120), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("issued_points", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("issued_points >= 0", name=op.f("ck_terminal_days_issued")),
        sa.PrimaryKeyConstraint("terminal_day", "lane", name=op.f("pk_terminal_days")),
        sqlite_with_rowid=False,
    )


def _fill_days() -> None:
    """From all entries that stand: a day's count begins with the day."""
    of_members: dict[tuple[Any, ...], list[int]] = {}
    of_terminals: dict[tuple[Any, ...], list[int]] = {}
    for bucket, lane, member_id, partner_id, key_id, business_date, issued, redeemed in op.get_bind().execute(_DAYS):
        terminal = key_id.rpartition("/")[0]
        for counts, key in (
            (of_members, (bucket, f"{member_id}/{business_date}", partner_id)),
            (of_terminals, (f"{terminal}/{business_date}", lane)),
        ):
            count = counts.setdefault(key, [0, 0])
            count[0] += int(issued)
            count[1] += int(redeemed)
    for table, keys, counts in (
        ("member_days", ("bucket", "member_day", "partner_id"), of_members),
        ("terminal_days", ("terminal_day", "lane"), of_terminals),
    ):
        rows = list(_rows(keys, counts))
        if rows:
            names = (*keys, "issued_points", "redeemed_points")
            op.bulk_insert(sa.table(table, *(sa.column(name) for name in names)), rows)


def _rows(keys: tuple[str, ...], counts: dict[tuple[Any, ...], list[int]]) -> Iterator[dict[str, Any]]:
    for key, (issued, redeemed) in counts.items():
        yield {**dict(zip(keys, key, strict=True)), "issued_points": issued, "redeemed_points": redeemed}


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
