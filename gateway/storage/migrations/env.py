"""Run by alembic for each upgrade: hands it the caller's open transaction. Opens none of its own."""

from alembic import context

from gateway.storage import tables_directory, tables_settlement, tables_terminals, tables_till
from gateway.storage.tables import metadata

_ = tables_directory, tables_settlement, tables_terminals, tables_till  # imported for the tables that they add to the metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
