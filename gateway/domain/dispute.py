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
from gateway.domain.units import MICROS, div_half_even

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

GIVING_BACK = frozenset({DisputeState.ACCEPTED, DisputeState.CORRECTED, DisputeState.WRITTEN_OFF})
"""Ends that say that the line was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """About a line of the opener's statement of a window: what was left of its points when it was opened, at the line's price.

    `amount`: what that is of the obligation that the line is part of, in minor units (`share`). `payer_id` owes `payee_id` the
    line; one of them opened the dispute, and the other, the respondent, answers until the end of the network's date `deadline`.
    Silence accepts. No two of a window are opened in the same millisecond.
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
    is_loss: bool = False
    """Whether it is what the network bears in place of the payer."""


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


def share(owed_micros: int, before_micros: int, micros: int) -> int:
    """What a part of an obligation is, in minor units, when `before_micros` of it went before: rounded half to even, once.

    Cumulative: parts that are the whole together are what the whole is rounded to, in whatever order, and none is beyond it.
    """
    rest = div_half_even(owed_micros - before_micros, MICROS)
    return rest - div_half_even(owed_micros - before_micros - micros, MICROS)


def check_correction(amount: int, *, most: int) -> None:
    """Raises InvalidValue unless a correction gives back something of what can go back; of nothing, nothing."""
    least = min(1, most)
    if not least <= amount <= most:
        raise InvalidValue(f"a correction gives back {least} to {most} minor units, not {amount}")


def owed_at_end(dispute: Dispute, state: DisputeState, amount: int) -> list[Owed]:
    """What is owed anew when a dispute ends in a state, beside the line, which stays as it was published and is paid.

    Accepted and corrected: the payee gives `amount` back. Written off: it does, and the operator bears the payee's loss.
    Upheld and withdrawn: nothing. Raises InvalidValue for more than was disputed.
    """
    back = amount if state in GIVING_BACK else 0
    if not 0 <= back <= dispute.amount:
        raise InvalidValue(f"dispute {dispute.dispute_id} is about {dispute.amount} minor units, of which {back} cannot go back")
    owed = [Owed(dispute.payee_id, dispute.payer_id, back, _is_loss(state, dispute.payee_id))]
    if state is DisputeState.WRITTEN_OFF:
        owed.append(Owed(OPERATOR, dispute.payee_id, back, _is_loss(state, OPERATOR)))
    return [one for one in owed if one.amount and one.payer_id != one.payee_id]


def _is_loss(state: DisputeState, payer_id: str) -> bool:
    return state is DisputeState.WRITTEN_OFF and payer_id == OPERATOR


def steps_between() -> Iterator[tuple[str, str]]:
    """Each state with one that may follow it, by name, in order; "" goes before the first."""
    yield "", DisputeState.OPEN.value
    for present, following in TRANSITIONS.items():
        yield from ((present.value, target.value) for target in sorted(following))
