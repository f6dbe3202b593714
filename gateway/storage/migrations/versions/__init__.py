"""Versions of the schema. A published one is never edited; a change of tables is a new version (`make migration`)."""
