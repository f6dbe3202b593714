"""members: identifiers of several kinds, where a member stands, debts that move on with a merge. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# Who was enrolled before has an enrolment that names its card in its fingerprint alone.
_ENROLMENT = "(SELECT entry_id FROM entries WHERE entries.member_id = member_identifiers.member_id AND entries.kind = 1)"

# New columns by table, each with what rows that stand get: members are confirmed, in no language; cards show nothing.
_COLUMNS = {
    "members": (
        ("status", "INTEGER", "1"),
        ("is_paused", "INTEGER", "0"),
        ("language", "VARCHAR(2)", "''"),
        ("merged_into", "VARCHAR(64)", "''"),
    ),
    "member_identifiers": (
        ("tail", "VARCHAR(4)", "''"),
        ("valid_until_ms", "BIGINT", "0"),
        ("entry_id", "VARCHAR(40)", "''"),
        ("used_by", "VARCHAR(40)", "''"),
    ),
    "postings": (),
}
# Checks that are new, or whose words change.
_CHECKS = {
    "members": (
        ("status", None, "status BETWEEN 1 AND 4 AND is_paused BETWEEN 0 AND 1"),
        ("merged", None, "(status = 4) = (merged_into <> '')"),
    ),
    "member_identifiers": (
        ("kind", None, "kind IN ('card', 'phone', 'email', 'qr', 'token')"),
        ("token", None, "kind = 'token' OR (valid_until_ms = 0 AND used_by = '')"),
    ),
    "postings": (("kind", "kind BETWEEN 1 AND 13", "kind BETWEEN 1 AND 15"),),
}


def upgrade() -> None:
    """From 0003 to 0005."""
    for table in _COLUMNS:
        if op.get_bind().dialect.name == "sqlite":
            _change_on_sqlite(table)
        else:
            _change_on_postgresql(table)
    op.execute(f"UPDATE member_identifiers SET entry_id = {_ENROLMENT}")  # noqa: S608 - our own names
    merged = sa.text("merged_into <> ''")
    op.create_index("ix_members_merged", "members", ["merged_into"], sqlite_where=merged, postgresql_where=merged)
    op.create_index("ix_member_identifiers_member", "member_identifiers", ["member_id"])


def _change_on_sqlite(table: str) -> None:
    """SQLite cannot change a constraint of a table that stands: a new one is made by the old one's own words, and filled."""
    connection = op.get_bind()
    words = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    created: str = connection.scalars(words, {"name": table}).one()
    columns = ", ".join(row.name for row in connection.execute(sa.text(f"PRAGMA table_info({table})")))
    new = "".join(f"{name} {kind} NOT NULL, \n\t" for name, kind, _ in _COLUMNS[table])
    for name, before, after in _CHECKS[table]:
        if before is None:
            new += f"CONSTRAINT ck_{table}_{name} CHECK ({after}), \n\t"
        else:
            created = created.replace(before, after, 1)
    values = "".join(f", {value}" for _, _, value in _COLUMNS[table])
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0003")
    op.execute(created.replace("CONSTRAINT", f"{new}CONSTRAINT", 1))
    op.execute(f"INSERT INTO {table} SELECT {columns}{values} FROM {table}_0003")  # noqa: S608 - our own names
    op.execute(f"DROP TABLE {table}_0003")


def _change_on_postgresql(table: str) -> None:
    for name, kind, value in _COLUMNS[table]:
        collation = ' COLLATE "C"' if kind.startswith("VARCHAR") else ""
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{collation} NOT NULL DEFAULT {value}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")
    for name, before, after in _CHECKS[table]:
        if before is not None:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, after)
