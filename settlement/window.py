"""When a window closes. Pure."""

from gateway.domain.window import Window


def is_same_cut_off(*, latest: Window | None, network_date: str, open_entries: int) -> bool:
    """Whether a run would only repeat the latest cut-off: nothing came since, and it is the same date or an earlier one.

    Otherwise the open window closes: on a later date also when it is empty, with what each window costs.
    """
    return latest is not None and open_entries == 0 and network_date <= latest.cut_off_date


def is_another_night(*, completed: Window, network_date: str) -> bool:
    """Whether a run that first had to complete a window goes on to close the next: only on a later date of the network."""
    return network_date > completed.cut_off_date
