"""Carries out one batch after the other on a connection of its own: what a writer's thread runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gateway.domain.command import Command
from gateway.domain.lanes import Misrouted
from gateway.domain.receipt import Result
from gateway.ledger.batch import BatchSettings, run_batch
from gateway.storage.errors import translate
from gateway.storage.log_copier import LogCopier


class BooksFailed(Exception):
    """A bug, in the process that keeps the books; says its traceback."""


@dataclass(eq=False)
class Keeper:
    """Belongs to one thread. `clock` gives unix milliseconds."""

    engine: Engine
    settings: BatchSettings
    clock: Callable[[], int]
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _log_copier: LogCopier | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Connects. Raises StoreError."""
        self._connect()

    def __call__(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Result | Misrouted]:
        """One result a command, after COMMIT. Raises StoreError; then nothing was written."""
        connection = self._connect()
        try:
            results = run_batch(connection, commands, lanes=lanes, now_ms=self.clock(), settings=self.settings)
            if self._log_copier is not None:
                self._log_copier.wrote(len(commands))
            return results
        finally:
            if connection.invalidated:
                self.close()

    def close(self) -> None:
        """Gives the connection back; the next batch takes another."""
        connection, self._connection = self._connection, None
        copier, self._log_copier = self._log_copier, None
        if copier is not None:
            copier.close()
        if connection is not None:
            if copier is not None and not connection.invalidated:
                copier.give_back(connection)
            connection.close()

    def _connect(self) -> Connection:
        if self._connection is not None:
            return self._connection
        try:
            self._connection = self.engine.connect()
            if self.engine.dialect.name == "sqlite":
                self._log_copier = LogCopier(self.engine)
                self._log_copier.take_over(self._connection)
        except DBAPIError as error:
            raise translate(error) from error
        return self._connection
