"""What the night makes of disputes: silence accepts, what has ended is owed anew, and only disputed amounts are held out.

All of it in one transaction, safe to repeat: what is done already changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from gateway.domain.dispute import LIVE, Dispute, DisputeState
from gateway.domain.settlement import Schedule
from gateway.domain.window import Window, WindowState
from gateway.ending_disputes import adjustments_of
from gateway.storage.disputed_events import Event, amount_left, event_of
from gateway.storage.disputes import (
    disputed_amounts,
    held_amounts,
    load_dispute,
    load_disputes,
    load_steps,
    lock_window,
    move_dispute,
)
from gateway.storage.rules import adjustment_exists, insert_adjustments, load_rules
from gateway.storage.windows import load_window, move_window
from settlement import store

MADE_BY = "disputes"
DEADLINE = "deadline"
_OPEN_TO_CHANGE = (WindowState.NETTED, WindowState.DISPUTED)


@dataclass(slots=True)
class Taken:
    """Disputes that nobody answered in time, lines that ends have made, and windows whose payments were made anew."""

    accepted: list[str] = field(default_factory=list)
    adjustments: list[str] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)


def overdue_events(connection: Connection, network_date: str) -> dict[str, Event]:
    """What the disputes are about that the deadline accepts, by dispute: to be found before anybody is held up by it."""
    return {
        one.dispute_id: event_of(connection, one) for one in load_disputes(connection, is_live=True) if _is_due(one, network_date)
    }


def take_disputes(connection: Connection, *, audience: str, network_date: str, now_ms: int, events: Mapping[str, Event]) -> Taken:
    """Takes disputes into the settlement. `events`: those that are found already. The caller's transaction must write."""
    taken = Taken()
    _accept_by_deadline(connection, taken, network_date, now_ms, events)
    _owe_anew(connection, taken)
    _hold_out(connection, taken, audience, now_ms)
    return taken


def _is_due(dispute: Dispute, network_date: str) -> bool:
    return dispute.state is DisputeState.OPEN and dispute.deadline < network_date


def _accept_by_deadline(
    connection: Connection, taken: Taken, network_date: str, now_ms: int, events: Mapping[str, Event]
) -> None:
    for found in load_disputes(connection, is_live=True):
        dispute = load_dispute(connection, found.dispute_id, for_update=True)  # its opener may withdraw it meanwhile
        if dispute is not None and _is_due(dispute, network_date):
            back = amount_left(connection, dispute, events.get(dispute.dispute_id))
            move_dispute(connection, dispute, DisputeState.ACCEPTED, at_ms=now_ms, made_by=DEADLINE, amount=back)
            taken.accepted.append(dispute.dispute_id)


def _owe_anew(connection: Connection, taken: Taken) -> None:
    """What operators end makes its lines at once; what the respondent or the deadline accepts waits for this."""
    for dispute in load_disputes(connection):
        if dispute.state in LIVE:
            continue
        last = load_steps(connection, [dispute.dispute_id])[-1]
        made = adjustments_of(
            dispute, last.state, amount=last.amount, decision_id=last.decision_id, note=last.note if last.decision_id else ""
        )
        new = [one for one in made if not adjustment_exists(connection, one.adjustment_id)]
        insert_adjustments(connection, new)
        taken.adjustments += [one.adjustment_id for one in new]


def _hold_out(connection: Connection, taken: Taken, audience: str, now_ms: int) -> None:
    """Makes payments anew of windows whose disputed amounts changed, and of all later ones, which took what those left."""
    differs = False
    for windows in _changeable_runs(connection):
        last = windows[-1]
        has_changed = held_amounts(connection, last.window_id) != disputed_amounts(connection, last.window_id)
        differs = differs or has_changed
        if not differs:
            continue
        if last.state is WindowState.NETTED and has_changed:
            move_window(connection, last, WindowState.DISPUTED, at_ms=now_ms, made_by=MADE_BY)
        store.make_run(connection, audience=audience, windows=windows)
        present = load_window(connection, last.window_id)
        assert present is not None, "it is locked"
        move_window(connection, present, WindowState.NETTED, at_ms=now_ms, made_by=MADE_BY)
        taken.windows.append(last.window_id)


def _changeable_runs(connection: Connection) -> list[Sequence[Window]]:
    """The windows of each payment run that was made with its window and is not confirmed, oldest first.

    They are locked, so that nobody confirms what is made anew.
    """
    rules = load_rules(connection)
    found: list[Sequence[Window]] = []
    for first, last in store.load_runs(connection):
        windows = _windows(connection, first, last)
        by_window = all(rules[window.rules_version].schedule is Schedule.WINDOW for window in windows)
        if not by_window or any(window.state not in _OPEN_TO_CHANGE for window in windows):
            continue
        for window in windows:
            lock_window(connection, window.window_id)
        windows = _windows(connection, first, last)
        if all(window.state in _OPEN_TO_CHANGE for window in windows):
            found.append(windows)
    return found


def _windows(connection: Connection, first: int, last: int) -> Sequence[Window]:
    return [window for number in range(first, last + 1) if (window := load_window(connection, number)) is not None]
