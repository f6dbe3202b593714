"""Keeps bad signatures for the operator: collected on the event loop, written by the writer between two batches."""

from collections import deque
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import writing_on
from gateway.storage.errors import translate
from gateway.storage.failures import SignatureFailure, save_signature_failures

PENDING_MAX = 1_000  # of all partners; under a flood the newest are kept


class FailureLog:
    """A bounded list of failures that are not yet written. `hand_over` gives the writer a chore; one at a time."""

    def __init__(self, hand_over: Callable[[Callable[[Connection], None]], None]) -> None:
        """Starts empty."""
        self._hand_over = hand_over
        self._pending: deque[SignatureFailure] = deque(maxlen=PENDING_MAX)
        self._is_handed_over = False
        self._saved = 0

    def record(self, failure: SignatureFailure) -> None:
        """Keeps a failure; it is written by `flush`."""
        self._pending.append(failure)

    def flush(self) -> None:
        """Has what is pending written, unless the writer is still at it. Called now and then, not for each failure."""
        if self._pending and not self._is_handed_over:
            self._is_handed_over = True
            self._hand_over(self._write)

    def _write(self, connection: Connection) -> None:
        failures = [self._pending.popleft() for _ in range(len(self._pending))]
        self._is_handed_over = False
        try:
            with writing_on(connection):
                save_signature_failures(connection, failures, after=self._saved)
            self._saved += len(failures)
        except DBAPIError as error:
            raise translate(error) from error
