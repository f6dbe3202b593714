"""When a window closes. Pure."""

from gateway.domain.window import Window


def is_same_cut_off(*, latest: Window | None, at_ms: int, open_entries: int) -> bool:
    """Whether a run at this instant would only repeat the latest cut-off: nothing came since, and no time has passed.

    Otherwise the open window closes, also when it is empty.
    """
    return latest is not None and open_entries == 0 and at_ms <= latest.closed_at_ms


def is_another_night(*, completed: Window, network_date: str) -> bool:
    """Whether a run that first had to complete a window goes on to close the next: only on a later date of the network."""
    return network_date > completed.cut_off_date
