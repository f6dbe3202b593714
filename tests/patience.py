"""How long a test waits for what must come: so many seconds of a machine that has nothing else to do, more on a busy one.

Only ever for what hangs otherwise; what a test shows is never a matter of time.
"""

import os


def patience_s(quiet_s: float) -> float:
    """Seconds of the clock, by how many programs wait for a core now."""
    waiting, _, _ = os.getloadavg()
    return quiet_s * max(1.0, waiting / (os.cpu_count() or 1))
