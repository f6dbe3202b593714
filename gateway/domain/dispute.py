"""Disputes about one line of a statement: their states, who may take which step, and what each end does to the money. Pure.

Only the disputed amount is held out of what is paid. An end changes no line that was published: what it moves is owed anew.
"""

import enum
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR

DEADLINE_DAYS_MIN, DEADLINE_DAYS_MAX = 1, 60
EVIDENCE_MAX = 200
NOTE_MAX = 300


class DisputeReason(enum.StrEnum):
    """What the partner that opens it holds against the line. As `DisputeReason` of the protos, name for name."""

    UNKNOWN_ENTRY = "UNKNOWN_ENTRY"
    DUPLICATE = "DUPLICATE"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    WRONG_DATE = "WRONG_DATE"
    OTHER = "OTHER"


class DisputeState(enum.StrEnum):
    """As `DisputeState` of the protos, name for name."""

    OPEN = "OPEN"
    CONTESTED = "CONTESTED"
    ACCEPTED = "ACCEPTED"
    WITHDRAWN = "WITHDRAWN"
    UPHELD = "UPHELD"
    CORRECTED = "CORRECTED"
    WRITTEN_OFF = "WRITTEN_OFF"


_DECIDED = frozenset({DisputeState.UPHELD, DisputeState.CORRECTED, DisputeState.WRITTEN_OFF})

# The one table of transitions: the store's CHECKs are made of it, and the audit walks along it.
TRANSITIONS: Mapping[DisputeState, frozenset[DisputeState]] = MappingProxyType(
    {
        DisputeState.OPEN: _DECIDED | {DisputeState.CONTESTED, DisputeState.ACCEPTED, DisputeState.WITHDRAWN},
        DisputeState.CONTESTED: _DECIDED | {DisputeState.WITHDRAWN},
        DisputeState.ACCEPTED: frozenset(),
        DisputeState.WITHDRAWN: frozenset(),
        DisputeState.UPHELD: frozenset(),
        DisputeState.CORRECTED: frozenset(),
        DisputeState.WRITTEN_OFF: frozenset(),
    }
)

LIVE = frozenset(state for state, following in TRANSITIONS.items() if following)
"""States in which the amount is held out of what is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """About a line of the opener's statement of a window, as it stood there. `amount`: the line's own, rounded half to even.

    `payer_id` owes `payee_id` the line; one of them opened the dispute, and the other, the respondent, answers until the end of
    the network's date `deadline`. Silence accepts.
    """

    dispute_id: str
    opener_id: str
    respondent_id: str
    window_id: int
    line_number: int
    entry_id: str
    receipt_sha256: bytes
    kind: str
    payer_id: str
    payee_id: str
    currency: str
    points: int
    amount_micros: int
    amount: int
    reason: DisputeReason
    evidence: str
    deadline: str
    opened_at_ms: int
    previous_state: str
    state: DisputeState


@dataclass(frozen=True, slots=True)
class DisputeStep:
    """A dispute came to a state. `made_by`: a key id, "deadline", or operators' ids; `amount`: that is owed back."""

    dispute_id: str
    number: int
    previous_state: str
    state: DisputeState
    at_ms: int
    made_by: str
    note: str
    amount: int
    decision_id: str


@dataclass(frozen=True, slots=True)
class Owed:
    """What the end of a dispute makes one party owe another, in minor units."""

    payer_id: str
    payee_id: str
    amount: int


def dispute_id(opener_id: str, window_id: int, line_number: int) -> str:
    """Of a line of the opener's; derived, so that a repeat finds the same one, and a line has one at the most."""
    parts = "\n".join(("TS1-DISPUTE", opener_id, str(window_id), str(line_number)))
    return "d" + hashlib.sha256(parts.encode()).hexdigest()[:32]


def check_step(present: DisputeState, target: DisputeState) -> None:
    """Raises InvalidValue if a dispute that stands so cannot come there."""
    if target not in TRANSITIONS[present]:
        following = ", ".join(sorted(TRANSITIONS[present])) or "nothing"
        raise InvalidValue(f"a dispute that is {present} cannot become {target}; only {following} may follow")


def check_deadline(deadline: str, *, network_date: str) -> bool:
    """Whether a deadline leaves the respondent at least a day, and nobody's money for more than two months."""
    today = date.fromisoformat(network_date)
    earliest, latest = today + timedelta(DEADLINE_DAYS_MIN), today + timedelta(DEADLINE_DAYS_MAX)
    return earliest.isoformat() <= deadline <= latest.isoformat()


def owed_at_end(dispute: Dispute, state: DisputeState, *, corrected_amount: int = 0) -> list[Owed]:
    """What is owed anew when a dispute ends in a state, beside the line, which stays as it was published and is paid.

    Accepted: the payee gives all of it back. Corrected: what two operators found too much. Written off: all of it, and the
    operator bears the payee's loss. Upheld and withdrawn: nothing. Raises InvalidValue for a correction out of range.
    """
    back = {
        DisputeState.ACCEPTED: dispute.amount,
        DisputeState.WRITTEN_OFF: dispute.amount,
        DisputeState.CORRECTED: corrected_amount,
    }.get(state, 0)
    if state is DisputeState.CORRECTED and not 1 <= corrected_amount <= dispute.amount:
        raise InvalidValue(f"a correction gives back 1 to {dispute.amount} minor units, not {corrected_amount}")
    owed = [Owed(dispute.payee_id, dispute.payer_id, back)]
    if state is DisputeState.WRITTEN_OFF:
        owed.append(Owed(OPERATOR, dispute.payee_id, back))
    return [one for one in owed if one.amount and one.payer_id != one.payee_id]


def steps_between() -> Iterator[tuple[str, str]]:
    """Each state with one that may follow it, by name, in order; "" goes before the first."""
    yield "", DisputeState.OPEN.value
    for present, following in TRANSITIONS.items():
        yield from ((present.value, target.value) for target in sorted(following))
