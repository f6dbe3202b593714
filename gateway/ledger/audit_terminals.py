"""The audit of terminals: every chain recomputed from the events that are kept, up to a signature that holds.

An event that was changed, removed or slipped in breaks the chain; what the gateway itself noted of it is compared with the books.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from gateway.domain.derivation import derive
from gateway.domain.errors import SignatureError
from gateway.domain.events import GENESIS_HASH, NEVER_BOOKED, Event, Terminal
from gateway.domain.outcome import OVERRIDDEN
from gateway.domain.partner import PartnerKey
from gateway.domain.signing import load_verifier
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference, Failures
from gateway.storage import audit_terminals as stored
from gateway.storage.directory import load_keys

EVENTS_PER_READ = 5_000

EntryOfEvent = Callable[[str, bytes], str]
"""See `ReceiptForm.entry_of_event`."""


def prove_terminals(
    connection: Connection,
    failures: Failures,
    facts: Facts,
    *,
    entry_of_event: EntryOfEvent | None,
) -> int:
    """All terminals; answers how many events they have sent. Without `entry_of_event` it is not asked what the commands book."""
    released, keys = derive(facts.decisions).released, load_keys(connection)
    count = 0
    known: set[str] = set()
    for row in stored.terminal_rows(connection):
        terminal = Terminal(**row._asdict())
        where = f"terminal {terminal.terminal_id}"
        failures.compare(where, [("rows", 1, 1 + (terminal.terminal_id in known))])
        known.add(terminal.terminal_id)
        with failures.reading(where):
            _Chain(connection, failures, facts.network.audience, keys, terminal, entry_of_event).prove()
            failures.compare(where, [("conflicts that were released", released.get(terminal.terminal_id, 0), terminal.released)])
        count += terminal.last_counter
    for terminal_id in sorted(released.keys() - known):
        failures.add(f"terminal {terminal_id}", "row", expected="one that was released", found="none")
    failures.compare("terminals", [(f"{name} of no terminal", [], strays) for name, strays in stored.strays(connection)])
    failures.compare("terminal_events", [("events", count, stored.event_count(connection))])
    with failures.reading("event_warnings"):
        _prove_warnings(connection, failures, facts.zones.keys())
    return count


class _Chain:
    """One terminal's events, from the first."""

    def __init__(
        self,
        connection: Connection,
        failures: Failures,
        audience: str,
        keys: Mapping[str, PartnerKey],
        terminal: Terminal,
        entry_of_event: EntryOfEvent | None,
    ) -> None:
        self._connection = connection
        self._failures = failures
        self._audience = audience
        self._keys = keys
        self._terminal = terminal
        self._entry_of_event = entry_of_event

    def prove(self) -> None:
        terminal = self._terminal
        previous_hash, previous_ms, last = GENESIS_HASH, 0, None
        for first in range(1, terminal.last_counter + 1, EVENTS_PER_READ):
            rows = stored.events_between(
                self._connection, terminal.terminal_id, first, min(first + EVENTS_PER_READ - 1, terminal.last_counter)
            )
            for expected, row in enumerate(rows, first):
                event = _event(row, previous_hash)
                self._failures.compare(
                    f"event {row.counter} of {terminal.terminal_id}", self._differences(event, row, expected, previous_ms)
                )
                previous_hash, previous_ms, last = row.event_hash, row.occurred_at_ms, event
            self._prove_answers(rows)
        conflicts = stored.conflicts_of(self._connection, terminal.terminal_id)
        self._failures.compare(
            f"terminal {terminal.terminal_id}",
            [
                ("hash of the last event", previous_hash, terminal.last_hash),
                ("time of the last event", previous_ms, terminal.last_occurred_at_ms),
                ("carried out beyond the last event", False, terminal.carried_out > terminal.last_counter),
                ("conflicts", len({(row.counter, row.event_hash) for row in conflicts}), terminal.conflicts),
                ("conflicts that stand twice", len(conflicts), terminal.conflicts),
            ],
        )
        if last is not None:
            self._verify(last, f"the last event of {terminal.terminal_id}")
        for row in conflicts:
            self._prove_conflict(row)

    def _differences(self, event: Event, row: Any, expected: int, previous_ms: int) -> Iterator[Difference]:
        yield "counter", expected, row.counter
        yield "terminal of its key", self._terminal.terminal_id, event.terminal_id
        yield "hash", event.hash(self._audience), row.event_hash
        yield "time runs back", False, row.occurred_at_ms < previous_ms
        yield "reason why it never went to the books", True, row.refused == 0 or row.refused in NEVER_BOOKED
        if self._entry_of_event is not None:
            asked = self._entry_of_event(event.terminal_id.partition("/")[0], row.command)
            yield "entry", "" if row.refused else asked, row.entry_id

    def _prove_answers(self, rows: Sequence[Any]) -> None:
        """What was carried out has its answer in the books."""
        due = {row.entry_id: row.counter for row in rows if row.refused == 0 and row.counter <= self._terminal.carried_out}
        for lost in sorted(due.keys() - stored.answered(self._connection, due.keys())):
            where = f"event {due[lost]} of {self._terminal.terminal_id}"
            self._failures.add(where, "answer", expected=f"a booking or a refusal of {lost}", found="none")

    def _prove_conflict(self, row: Any) -> None:
        where = f"conflict of event {row.counter} of {self._terminal.terminal_id}"
        event = _event(row, row.previous_hash)
        kept = stored.events_between(self._connection, self._terminal.terminal_id, row.counter, row.counter)
        self._failures.compare(
            where,
            [
                ("terminal of its key", self._terminal.terminal_id, event.terminal_id),
                ("hash", event.hash(self._audience), row.event_hash),
                ("another content than the event's", True, [one.event_hash for one in kept] != [row.event_hash] and bool(kept)),
            ],
        )
        self._verify(event, where)

    def _verify(self, event: Event, where: str) -> None:
        key = self._keys.get(event.key_id)
        if key is None:
            self._failures.add(where, "key", expected="one of the partner's", found=event.key_id)
            return
        try:
            load_verifier(key.algorithm, key.public_key)(event.signature, event.signed_string(self._audience))
        except SignatureError as error:
            self._failures.add(where, "signature", expected="one that holds", found=error.cause)


def _prove_warnings(connection: Connection, failures: Failures, partners: Collection[str]) -> None:
    """Each belongs to an event that was booked, and says what may be overridden."""
    before: Any = None
    for row in stored.warning_rows(connection):
        goes_on = before is not None and (before.terminal_id, before.counter) == (row.terminal_id, row.counter)
        failures.compare(
            f"warning {row.ordinal} of event {row.counter} of {row.terminal_id}",
            [
                ("ordinal", before.ordinal + 1 if goes_on else 0, row.ordinal),
                ("entry", row.event_entry_id, row.entry_id),
                ("time of booking", row.entry_booked_at_ms, row.booked_at_ms),
                ("reason that an event overrides", True, row.reason in OVERRIDDEN),
                ("a partner of the network", True, row.partner_id in partners),
            ],
        )
        before = row


def _event(row: Any, previous_hash: bytes) -> Event:
    return Event(
        key_id=row.key_id,
        counter=row.counter,
        occurred_at_ms=row.occurred_at_ms,
        previous_hash=previous_hash,
        command=row.command,
        signature=row.signature,
    )
