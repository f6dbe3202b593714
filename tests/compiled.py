"""One cache of compiled SQL for all engines of a test process.

SQLAlchemy keeps what it has compiled with each engine, and most tests open books of their own: compiling a batch's or an audit's
statements anew costs more than carrying them out. Engines share it whose dialects compile alike: of one kind, of one version.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[Any, Any] = LRUCache(3_000)


class Sqlite(SQLiteDialect_pysqlite):
    """Equal to every other one: of one process, so of one library."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sqlite)

    def __hash__(self) -> int:
        return hash(Sqlite)


class Postgresql(PGDialect_psycopg):
    """Equal to those that met a server of the same version."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Postgresql) and self._version == other._version

    def __hash__(self) -> int:
        return hash(self._version)

    @property
    def _version(self) -> object:
        return getattr(self, "server_version_info", None)


def share_what_is_compiled() -> None:
    """From now on, for every engine of this process."""
    registry.register("sqlite", __name__, "Sqlite")
    registry.register("postgresql.psycopg", __name__, "Postgresql")
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_COMPILED)
