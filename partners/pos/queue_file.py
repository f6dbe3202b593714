"""The file of an offline queue: SQLite, each change on the disk before it is believed. Knows nothing of gateways."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.events import GENESIS_HASH, Event
from partners.pos.answers import Booked, Happened
from partners.pos.errors import QueueError

FORM = "1"
LOCK_S_MAX = 10  # for another process that has the file

_TABLES = """\
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
  counter INTEGER PRIMARY KEY,
  idempotency_key TEXT NOT NULL UNIQUE,
  key_id TEXT NOT NULL,
  occurred_at_ms INTEGER NOT NULL,
  previous_hash BLOB NOT NULL,
  command BLOB NOT NULL,
  signature BLOB NOT NULL,
  event_hash BLOB NOT NULL,
  outcome TEXT,
  details TEXT,
  warnings TEXT,
  signed_receipt BLOB
);
CREATE INDEX IF NOT EXISTS events_waiting ON events (counter) WHERE outcome IS NULL;
"""
_EVENT = "counter, idempotency_key, key_id, occurred_at_ms, previous_hash, command, signature, event_hash"
_ANSWER = "outcome, details, warnings, signed_receipt"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """`outcome` is BOOKED or a reason; `signed_receipt` the serialized message, empty if a refusal has none."""

    outcome: str
    details: Mapping[str, str]
    warnings: tuple[tuple[str, str], ...]
    signed_receipt: bytes


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event as it lies in the file; `answer` is None while it waits."""

    event: Event
    idempotency_key: str
    event_hash: bytes
    answer: KeptAnswer | None


@dataclass(frozen=True, slots=True)
class End:
    """The end of the chain in the file."""

    counter: int = 0
    event_hash: bytes = GENESIS_HASH
    occurred_at_ms: int = 0


class QueueFile:
    """One terminal's events. Several threads and processes may use it: what writes does so under the file's lock."""

    def __init__(self, path: Path, *, audience: str, terminal_id: str) -> None:
        """Opens or makes it. Raises QueueError; also for a file of another terminal's or network's."""
        self.path = path
        self._lock = threading.Lock()
        try:
            # Made before SQLite does: what a till sold is nobody else's business.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise QueueError(f"{path}: {error.strerror}; nothing can be queued there") from None
        with self._saying():
            self._connection = sqlite3.connect(path, timeout=LOCK_S_MAX, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_TABLES)
        with self.writing():
            self._check("form", FORM)
            self._check("audience", audience)
            self._check("terminal", terminal_id)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that is on the disk when it ends, or has not been. Raises QueueError."""
        with self._lock, self._saying():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the file. Raises QueueError."""
        with self._lock, self._saying():
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def end(self) -> End:
        """Where the next event goes on."""
        row = self._row("SELECT counter, event_hash, occurred_at_ms FROM events ORDER BY counter DESC LIMIT 1")
        return End(*row) if row is not None else self._base()

    def adopt(self, end: End) -> None:
        """Lets an empty file go on behind what the gateway has of the terminal."""
        self._set("base", json.dumps([end.counter, end.event_hash.hex(), end.occurred_at_ms]))

    def hash_at(self, counter: int) -> bytes | None:
        """The hash of an event; None if the file does not keep it any more."""
        base = self._base()
        if counter == base.counter:
            return base.event_hash
        row = self._row("SELECT event_hash FROM events WHERE counter = ?", counter)
        return None if row is None else bytes(row[0])

    def by_key(self, idempotency_key: str) -> QueuedEvent | None:
        """The event that carries a key."""
        row = self._row(f"SELECT {_EVENT}, {_ANSWER} FROM events WHERE idempotency_key = ?", idempotency_key)  # noqa: S608 - our own names
        return None if row is None else _queued(row)

    def waiting(self) -> int:
        """How many events have no answer."""
        return self._one("SELECT count(*) FROM events WHERE outcome IS NULL")

    def answered_to(self) -> int:
        """The highest counter that has an answer; 0 for none."""
        return self._one("SELECT coalesce(max(counter), 0) FROM events WHERE outcome IS NOT NULL")

    def kept_from(self) -> int:
        """The lowest counter in the file; 0 for none."""
        return self._one("SELECT coalesce(min(counter), 0) FROM events")

    def next_events(self, limit: int) -> list[QueuedEvent]:
        """The oldest that wait."""
        query = f"SELECT {_EVENT}, {_ANSWER} FROM events WHERE outcome IS NULL ORDER BY counter LIMIT ?"  # noqa: S608 - our own names
        return [_queued(row) for row in self._connection.execute(query, (limit,))]

    def events(self, *, after: int, limit: int) -> list[QueuedEvent]:
        """All that are kept, by counter."""
        query = f"SELECT {_EVENT}, {_ANSWER} FROM events WHERE counter > ? ORDER BY counter LIMIT ?"  # noqa: S608 - our own names
        return [_queued(row) for row in self._connection.execute(query, (after, limit))]

    def add(self, event: Event, *, idempotency_key: str, event_hash: bytes) -> None:
        """A new end of the chain."""
        self._connection.execute(
            f"INSERT INTO events ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
            (
                event.counter,
                idempotency_key,
                event.key_id,
                event.occurred_at_ms,
                event.previous_hash,
                event.command,
                event.signature,
                event_hash,
            ),
        )

    def keep_answers(self, happened: Sequence[Happened]) -> None:
        """What became of events."""
        self._connection.executemany(
            "UPDATE events SET outcome = ?, details = ?, warnings = ?, signed_receipt = ? WHERE counter = ?",
            [(*_plain(one), one.counter) for one in happened],
        )

    def reopen(self, after: int) -> None:
        """Events behind a counter wait again: the gateway has lost them."""
        self._connection.execute(
            "UPDATE events SET outcome = NULL, details = NULL, warnings = NULL, signed_receipt = NULL WHERE counter > ?", (after,)
        )

    def forget(self, kept_max: int) -> None:
        """Answered events but the newest ones."""
        oldest = self.answered_to() - kept_max
        self._connection.execute("DELETE FROM events WHERE counter <= ? AND outcome IS NOT NULL", (oldest,))

    def _base(self) -> End:
        row = self._row("SELECT value FROM about WHERE name = 'base'")
        if row is None:
            return End()
        counter, event_hash, occurred_at_ms = json.loads(row[0])
        return End(counter, bytes.fromhex(event_hash), occurred_at_ms)

    def _check(self, name: str, value: str) -> None:
        row = self._row("SELECT value FROM about WHERE name = ?", name)
        if row is None:
            self._set(name, value)
        elif row[0] != value:
            raise QueueError(f"{self.path} is the queue of {name} {row[0]!r}, not of {value!r}: name another file")

    def _set(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)", (name, value))

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row

    def _one(self, query: str) -> int:
        row = self._row(query)
        assert row is not None
        return int(row[0])

    @contextmanager
    def _saying(self) -> Iterator[None]:
        """In our words, and that nothing came of it."""
        try:
            yield
        except sqlite3.Error as error:
            raise QueueError(f"{self.path}: {error}; nothing was changed in it") from None


def _queued(row: Sequence[Any]) -> QueuedEvent:
    counter, idempotency_key, key_id, occurred_at_ms, previous_hash, command, signature, event_hash, outcome, *rest = row
    event = Event(
        key_id=key_id,
        counter=counter,
        occurred_at_ms=occurred_at_ms,
        previous_hash=previous_hash,
        command=command,
        signature=signature,
    )
    answer = None
    if outcome is not None:
        details, warnings, signed_receipt = rest
        pairs = tuple((reason, partner_id) for reason, partner_id in json.loads(warnings))
        answer = KeptAnswer(outcome, json.loads(details), pairs, signed_receipt)
    return QueuedEvent(event, idempotency_key, event_hash, answer)


def _plain(one: Happened) -> tuple[str, str, str, bytes]:
    warnings = json.dumps(one.warnings)
    if isinstance(one.outcome, Booked):
        return "BOOKED", "{}", warnings, one.outcome.signed_receipt.SerializeToString()
    facts = one.outcome.facts
    signed = facts.signed_receipt.SerializeToString() if facts.signed_receipt is not None else b""
    details = dict(facts.details) | dict(facts.field_violations)
    return one.outcome.reason, json.dumps(details), warnings, signed
