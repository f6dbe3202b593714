"""What a gateway notes beside its answers: collected on the event loop, written by the writer between two batches."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import writing_on
from gateway.storage.errors import translate

PENDING_MAX = 1_000  # under a flood the newest are kept

_T = TypeVar("_T")
_T_contra = TypeVar("_T_contra", contravariant=True)


class Save(Protocol[_T_contra]):
    """Writes notes in their order; `after` says how many this gateway has saved before."""

    def __call__(self, connection: Connection, notes: Sequence[_T_contra], /, *, after: int) -> None:
        """Within a transaction of the caller's."""
        ...


class Collected(Generic[_T]):
    """A bounded list of notes that are not yet written. `hand_over` gives the writer a chore; one at a time."""

    def __init__(
        self, hand_over: Callable[[Callable[[Connection], None]], None], save: Save[_T], *, pending_max: int = PENDING_MAX
    ) -> None:
        """Starts empty."""
        self._hand_over = hand_over
        self._save = save
        self._pending: deque[_T] = deque(maxlen=pending_max)
        self._is_handed_over = False
        self._saved = 0

    def record(self, note: _T) -> None:
        """Keeps a note; it is written by `flush`."""
        self._pending.append(note)

    def flush(self) -> None:
        """Has what is pending written, unless the writer is still at it. Called now and then, not for each note."""
        if self._pending and not self._is_handed_over:
            self._is_handed_over = True
            self._hand_over(self._write)

    def _write(self, connection: Connection) -> None:
        notes = [self._pending.popleft() for _ in range(len(self._pending))]
        self._is_handed_over = False
        try:
            with writing_on(connection):
                self._save(connection, notes, after=self._saved)
            self._saved += len(notes)
        except DBAPIError as error:
            raise translate(error) from error
