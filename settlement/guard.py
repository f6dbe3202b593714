"""One night at a time: a lock that ends with the process that holds it, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from gateway.domain.errors import InvalidValue

_LOCK_NUMBER = 0x7461_6C6C_7974_0001  # "tallyt", 1: PostgreSQL's advisory locks are known by a number


class NightAtWork(InvalidValue):
    """Another run holds the database's settlement lock."""


_BUSY = "another settlement run is at work on this database; wait for it to end"


@contextmanager
def only_run(engine: Engine) -> Iterator[None]:
    """Holds the database's settlement lock. Raises NightAtWork if another process has it.

    On SQLite it is a lock on an empty file beside the database, on PostgreSQL an advisory lock of a session.
    """
    guard = _locked_file if engine.dialect.name == "sqlite" else _advisory_lock
    with guard(engine):
        yield


@contextmanager
def _locked_file(engine: Engine) -> Iterator[None]:
    path = Path(f"{engine.url.database}-settlement.lock")
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NightAtWork(_BUSY) from None
        yield


@contextmanager
def _advisory_lock(engine: Engine) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": _LOCK_NUMBER}).scalar_one():
            raise NightAtWork(_BUSY)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _LOCK_NUMBER})
