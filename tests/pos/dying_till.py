"""A till in a process of its own that dies by SIGKILL at a step of its offline queue.

    python -m tests.pos.dying_till PROFILE QUEUE STEP NTH append NOW_MS SALES
    python -m tests.pos.dying_till PROFILE QUEUE STEP NTH drain

At the nth time that it reaches the step. It ends with 0 if it never does.
"""

import os
import signal
import sys
from pathlib import Path

from partners.pos.offline_queue import OfflineQueue
from partners.pos.profile import Profile
from partners.pos.till import Till
from tests.pos.outages import sale


class Death:
    """Comes at the nth time."""

    def __init__(self, step: str, nth: int) -> None:
        self._step = step
        self._left = nth

    def __call__(self, step: str) -> None:
        """As the queue reaches steps."""
        self._left -= step == self._step
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(profile_file: str, queue_file: str, step: str, nth: str, what: str, *rest: str) -> None:
    """One life."""
    profile = Profile.load(profile_file)
    now_ms = int(rest[0]) if rest else 0
    queue = OfflineQueue(
        Path(queue_file), profile.signer(), audience=profile.audience, now=lambda: now_ms, reached=Death(step, int(nth))
    )
    if what == "append":
        for number in range(int(rest[1])):
            queue.append(sale(number, cents=100))
    else:
        with Till.open(profile) as till:
            queue.drain(till)


if __name__ == "__main__":
    main(*sys.argv[1:])
