"""expiry: overdue lots are met by member, so that those of one member expire together. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """From 0009 to 0010."""
    is_open = sa.text("open_points > 0")
    op.drop_index("ix_lots_expiry", "lots")
    op.create_index(
        "ix_lots_expiry", "lots", ["expires_on", "member_id", "lot_id"], sqlite_where=is_open, postgresql_where=is_open
    )
