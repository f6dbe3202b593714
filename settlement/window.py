"""When a window closes, and which state may follow which. Pure."""

from gateway.domain.errors import InvalidValue
from gateway.domain.window import Window, WindowState

# The one table of transitions. A dispute that is resolved leads back to NETTED: what remains is confirmed anew.
TRANSITIONS: dict[WindowState, frozenset[WindowState]] = {
    WindowState.OPEN: frozenset({WindowState.CLOSED}),
    WindowState.CLOSED: frozenset({WindowState.NETTED}),
    WindowState.NETTED: frozenset({WindowState.CONFIRMED, WindowState.DISPUTED}),
    WindowState.CONFIRMED: frozenset({WindowState.SETTLED, WindowState.DISPUTED}),
    WindowState.DISPUTED: frozenset({WindowState.NETTED}),
    WindowState.SETTLED: frozenset(),
}


def changes_state(*, present: WindowState, target: WindowState) -> bool:
    """Whether the step to `target` changes anything: the same state again does not. Raises InvalidValue if it is not allowed."""
    if present is target:
        return False
    if target not in TRANSITIONS[present]:
        allowed = ", ".join(sorted(TRANSITIONS[present])) or "nothing"
        raise InvalidValue(f"a window that is {present} cannot become {target}; only {allowed} may follow")
    return True


def is_same_cut_off(*, latest: Window | None, at_ms: int, open_entries: int) -> bool:
    """Whether a run at this instant would only repeat the latest cut-off: nothing came since, and no time has passed.

    Otherwise the open window closes, also when it is empty.
    """
    return latest is not None and open_entries == 0 and at_ms <= latest.closed_at_ms


def is_another_night(*, completed: Window, network_date: str) -> bool:
    """Whether a run that first had to complete a window goes on to close the next: only on a later date of the network."""
    return network_date > completed.cut_off_date
