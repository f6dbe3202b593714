"""From a line of a statement to the entries behind it, and to the signed requests behind those. Streamed: bounded memory.

A request is known by its fingerprint and by the key that signed it; what the network answered is the receipt, which holds both.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from gateway.domain.entry import EntryKind
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import Adjustment
from gateway.domain.statement import NO_RECEIPT_SHA256, REDEMPTION, RESTORATION, StatementLine, event_id, line_id
from gateway.domain.units import INT64_MAX
from gateway.storage.rules import load_adjustments
from gateway.storage.statements import load_statement, load_statement_lines
from gateway.storage.tables import entries, head_of, outcomes
from gateway.storage.tables_settlement import statement_lines
from settlement.obligation import Obligation, line_key
from settlement.store import load_obligations

_LINES_PER_READ = 1_000
_BETWEEN_PARTNERS = frozenset({REDEMPTION, RESTORATION})


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The request that an entry was booked for, and the receipt that answered it. Nobody asks for an expiry: no receipt then."""

    entry_id: str
    kind: EntryKind
    lane: int
    sequence: int
    partner_id: str
    business_date: str
    booked_at_ms: int
    key_id: str
    idempotency_key: str
    fingerprint: bytes
    receipt_sha256: bytes
    receipt_key_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event behind a line: what it is called, the line of the one who booked it, and the entries in it, oldest first."""

    name: str
    line: StatementLine
    requests: tuple[SignedRequest, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A line of who owes whom. `adjustment` is what is behind one that is no traffic's."""

    window_id: int
    line: Obligation
    adjustment: Adjustment | None

    @property
    def reader(self) -> str:
        """The partner whose card prices it, and whose statement lists every event behind it."""
        if self.line.kind in _BETWEEN_PARTNERS:
            return _redeemer(self.line)
        return self.line.payee_id if self.line.payer_id == OPERATOR else self.line.payer_id


def find_summary(connection: Connection, name: str) -> Summary:
    """The line of that name, such as 1-abcdefghijklmnop. Raises InvalidValue."""
    window_id = _number(name.split("-", maxsplit=1)[0], name)
    for line in load_obligations(connection, window_id):
        if line_id(window_id, *line_key(line)) == name:
            behind = {one.adjustment_id: one for one in load_adjustments(connection, window_id)} if line.reference else {}
            return Summary(window_id, line, behind.get(line.reference))
    raise InvalidValue(f"there is no line {name}: statements name theirs, and the events behind them")


def find_event(connection: Connection, name: str) -> Event:
    """The event of that name, such as 1/bravo/17. Raises InvalidValue; BooksBroken where its entry or receipt is another one."""
    window, _, rest = name.partition("/")
    partner_id, _, number = rest.partition("/")
    window_id, line_number = _number(window, name), _number(number, name)
    if load_statement(connection, window_id, partner_id) is None:
        raise InvalidValue(f"{name}: {partner_id} has no published statement of window {window_id}")
    found = load_statement_lines(connection, window_id, partner_id, after=line_number - 1, limit=1)
    if not found or found[0].line_number != line_number:
        raise InvalidValue(f"{name}: the statement has no event of that number")
    return _event(connection, window_id, partner_id, found[0])


def events_of(connection: Connection, summary: Summary) -> Iterator[Event]:
    """All events behind a line, in the order of the books; at the end, raises BooksBroken unless they come to what it says."""
    line, window_id = summary.line, summary.window_id
    points = amount_micros = count = after = 0
    while line.points and (
        found := load_statement_lines(connection, window_id, summary.reader, after=after, limit=_LINES_PER_READ)
    ):
        for one in found:
            if _is_of(one, line):
                sign = 1 if one.kind == line.kind else -1
                count += 1
                points += sign * one.points
                amount_micros += sign * one.amount_micros
                yield _event(connection, window_id, summary.reader, one)
        after = found[-1].line_number
    # Of a price with more decimals than a millionth, each event is off by half a millionth at most.
    if line.points and (points != line.points or abs(amount_micros - line.amount_micros) > count):
        raise BooksBroken(
            f"line {line_id(window_id, *line_key(line))} says {line.points} points and {line.amount_micros} millionths, "
            f"and the events behind it come to {points} and {amount_micros}"
        )


def _is_of(one: StatementLine, line: Obligation) -> bool:
    if {one.payer_id, one.payee_id} != {line.payer_id, line.payee_id} or one.rate_card_version != line.rate_card_version:
        return False
    if line.kind in _BETWEEN_PARTNERS:
        return one.kind in _BETWEEN_PARTNERS and _redeemer(one) == _redeemer(line)
    return one.kind == line.kind


def _redeemer(line: StatementLine | Obligation) -> str:
    return line.payee_id if line.kind == REDEMPTION else line.payer_id


def _event(connection: Connection, window_id: int, partner_id: str, line: StatementLine) -> Event:
    """Told by the partner's own entry, and, where that is only the issue of the points, by the redeemer's as well."""
    found = [_request(connection, line.own_entry_id)]
    if line.kind in _BETWEEN_PARTNERS and partner_id != _redeemer(line):
        found.append(_request(connection, _entry_of_redeemer(connection, window_id, line)))
    answered = found[-1]
    if line.receipt_sha256 not in (NO_RECEIPT_SHA256, answered.receipt_sha256):
        raise BooksBroken(
            f"{event_id(window_id, partner_id, line.line_number)}: the receipt of {answered.entry_id} is another one"
        )
    return Event(event_id(window_id, partner_id, line.line_number), line, tuple(found))


def _entry_of_redeemer(connection: Connection, window_id: int, line: StatementLine) -> str:
    wanted = statement_lines.c
    query = select(wanted.own_entry_id).where(
        wanted.window_id == window_id,
        wanted.partner_id == _redeemer(line),
        wanted.line_number.between(1, INT64_MAX),
        wanted.receipt_sha256 == line.receipt_sha256,
    )
    entry_id = connection.execute(query.limit(1)).scalar()
    if entry_id is None:
        raise BooksBroken(f"no line of {_redeemer(line)} has the receipt {line.receipt_sha256.hex()}")
    return str(entry_id)


def _request(connection: Connection, entry_id: str) -> SignedRequest:
    query = (
        select(entries, outcomes.c.receipt, outcomes.c.receipt_key_id)
        .join(outcomes, outcomes.c.entry_id == head_of(entries), isouter=True)
        .where(entries.c.entry_id == entry_id)
    )
    row: Any = connection.execute(query).one_or_none()
    if row is None:
        raise BooksBroken(f"entry {entry_id} stands in a statement, and is missing")
    return SignedRequest(
        entry_id=entry_id,
        kind=EntryKind(row.kind),
        lane=row.lane,
        sequence=row.sequence,
        partner_id=row.partner_id,
        business_date=row.business_date,
        booked_at_ms=row.booked_at_ms,
        key_id=row.key_id,
        idempotency_key=row.idempotency_key,
        fingerprint=row.fingerprint,
        receipt_sha256=hashlib.sha256(row.receipt).digest() if row.receipt is not None else NO_RECEIPT_SHA256,
        receipt_key_id=row.receipt_key_id or "",
    )


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= _DIGITS_MAX):
        raise InvalidValue(
            f"line {name!r}: must be as a statement names it, such as 1-abcdefghijklmnop, or 1/bravo/17 for an event"
        )
    return int(text)


_DIGITS_MAX = 9
