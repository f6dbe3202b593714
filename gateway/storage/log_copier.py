"""Copies SQLite's log back into its file, beside whoever commits: within a commit it would hold up all who wait for that one.

Nothing depends on it: a log that is not copied back only grows, and from `LATE_PAGES` on whoever commits copies it after all.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import CHECKPOINT_PAGES, on_driver

COPY_EVERY = 300  # commands; 12 MB of log or so
TRIES_MAX = 5  # to reach the log's end, which moves while others commit; only from there on it is written over
LATE_PAGES = 16_000  # 64 MB of log

_log = logging.getLogger(__name__)


class LogCopier:
    """One thread with a connection of its own. `wrote` is told of commits by the thread whose connection it took over."""

    def __init__(self, engine: Engine) -> None:
        """Starts the thread."""
        self._engine = engine
        self._written = 0
        self._due = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._work, name="tallystick-log-copier", daemon=True)
        self._thread.start()

    def take_over(self, connection: Connection) -> None:
        """Commits of the connection copy nothing back any more, unless the log has become very long."""
        _set_pages(connection, LATE_PAGES)

    def wrote(self, commands: int) -> None:
        """So many commands were committed."""
        self._written += commands
        if self._written >= COPY_EVERY:
            self._written = 0
            self._due.set()

    def give_back(self, connection: Connection) -> None:
        """Commits of the connection copy back as all others do."""
        _set_pages(connection, CHECKPOINT_PAGES)

    def close(self) -> None:
        """Copies what there is, and ends the thread."""
        self._is_ending = True
        self._due.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            try:
                self._copy()
            except DBAPIError:
                _log.exception("SQLite's log was not copied back; it is tried again")
            if self._is_ending:
                return

    def _copy(self) -> None:
        with self._engine.connect() as connection, on_driver(connection, "PRAGMA wal_checkpoint") as driver:
            for _ in range(TRIES_MAX):
                is_busy, pages, copied = driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if is_busy or copied == pages:
                    return


@contextmanager
def copied_beside(connection: Connection) -> Iterator[Callable[[int], None]]:
    """For a job that commits much: gives what to tell of its commits, by what they wrote. Nothing to do on PostgreSQL."""
    if connection.dialect.name != "sqlite":
        yield lambda _commands: None
        return
    copier = LogCopier(connection.engine)
    copier.take_over(connection)
    try:
        yield copier.wrote
    finally:
        copier.close()
        if not connection.invalidated:
            copier.give_back(connection)


def _set_pages(connection: Connection, pages: int) -> None:
    with on_driver(connection, "PRAGMA wal_autocheckpoint") as driver:
        driver.execute(f"PRAGMA wal_autocheckpoint={pages}")
