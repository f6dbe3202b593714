"""Conformance: whether a vendor's own till does what a till must, judged from what the gateway saw of it. No I/O.

A check is one line of `CHECKS`: what the till is to do, and where the record shows that it did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.domain.canonical import Plain
from gateway.domain.entry import EntryKind
from gateway.domain.signing import OUT_OF_WINDOW
from gateway.storage.conformance import BOOKED, CATCH_UP, REPLAYED, ConformanceEvent
from gateway.storage.failures import SignatureFailure

CORRECTED_WITHIN_MS = 5 * 60_000  # a till that is told the server's time signs anew at once
_ISSUES = frozenset({EntryKind.ISSUE})
_REFUNDS = frozenset({EntryKind.REVERSE_ISSUE, EntryKind.REVERSE_REDEMPTION})


@dataclass(frozen=True, slots=True)
class Record:
    """What the gateway saw of a partner's till since the run began, oldest first.

    `kinds_of` tells, from the receipt of an entry that was booked, what kinds of entries the command has booked.
    """

    started_at_ms: int
    events: Sequence[ConformanceEvent]
    failures: Sequence[SignatureFailure]
    kinds_of: Callable[[str], frozenset[EntryKind]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """An entry that shows it, when the gateway answered (unix milliseconds), and under which key."""

    entry_id: str
    at_ms: int
    key_id: str
    note: str


@dataclass(frozen=True, slots=True)
class Check:
    """`asks` says to the vendor what the till has to do; `find` answers the first evidence that it did."""

    name: str
    asks: str
    find: Callable[[Record], Evidence | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """A check, and its evidence; None: not shown yet."""

    check: Check
    evidence: Evidence | None


def judge(record: Record) -> list[Finding]:
    """Each check, in its order."""
    return [Finding(check, check.find(record)) for check in CHECKS]


def has_passed(findings: Sequence[Finding]) -> bool:
    """Whether nothing is missing."""
    return all(finding.evidence is not None for finding in findings)


def passed_plain(audience: str, started_at_ms: int, findings: Sequence[Finding]) -> dict[str, Plain]:
    """A pass inside a document: where the till rehearsed, since when, and the evidence of each check."""
    checks: list[Plain] = [
        {"check": one.check.name, "entry_id": one.evidence.entry_id, "at_ms": one.evidence.at_ms, "key_id": one.evidence.key_id}
        for one in findings
        if one.evidence is not None
    ]
    return {"audience": audience, "started_at_ms": started_at_ms, "checks": checks}


def _booked(record: Record, methods: frozenset[str], kinds: frozenset[EntryKind], note: str) -> Evidence | None:
    for event in record.events:
        if event.outcome == BOOKED and event.method in methods and kinds & record.kinds_of(event.entry_id):
            return Evidence(event.entry_id, event.at_ms, event.key_id, note)
    return None


def _issued(record: Record) -> Evidence | None:
    return _booked(record, frozenset({"IssuePoints", "Checkout"}), _ISSUES, "booked")


def _repeated(record: Record) -> Evidence | None:
    for event in record.events:
        if event.outcome == REPLAYED:
            return Evidence(event.entry_id, event.at_ms, event.key_id, "answered with the first receipt")
    return None


def _corrected(record: Record) -> Evidence | None:
    for failure in record.failures:
        if OUT_OF_WINDOW in failure.cause:
            for event in _answered(record, failure):
                return Evidence(event.entry_id, event.at_ms, event.key_id, f"{failure.cause}, then signed anew")
    return None


def _answered(record: Record, failure: SignatureFailure) -> Iterator[ConformanceEvent]:
    """What the same key was answered soon after it had been refused."""
    for event in record.events:
        is_soon = failure.at_ms <= event.at_ms <= failure.at_ms + CORRECTED_WITHIN_MS
        if is_soon and event.key_id == failure.key_id and event.outcome in (BOOKED, REPLAYED):
            yield event


def _refunded(record: Record) -> Evidence | None:
    return _booked(record, frozenset({"Refund", "ReverseEntry"}), _REFUNDS, "booked")


def _caught_up(record: Record) -> Evidence | None:
    for event in record.events:
        if event.outcome == BOOKED and event.method == CATCH_UP:
            return Evidence(event.entry_id, event.at_ms, event.key_id, "booked when the connection was back")
    return None


CHECKS: tuple[Check, ...] = (
    Check("signed issue", "book a sale that issues points: Checkout or IssuePoints", _issued),
    Check("repeat", "send a command again with the same key, as after a lost answer", _repeated),
    Check("clock", "set the till's clock five minutes off and book: told the server's time, it signs anew", _corrected),
    Check("refund", "take goods of a sale back: Refund or ReverseEntry", _refunded),
    Check("offline", "sell without a connection, and send what happened by SubmitOffline once there is one", _caught_up),
)
