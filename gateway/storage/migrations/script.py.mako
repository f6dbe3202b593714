"""${message}. Frozen once published; a change of tables is a new version."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """From ${down_revision or "an empty database"} to ${up_revision}."""
    ${upgrades}
