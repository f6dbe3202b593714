"""What a process that serves for long tells Python's garbage collector."""

import gc

GARBAGE_BEFORE_LOOKING = 20_000  # new objects


def spare_the_collector() -> None:
    """What stands by now stays to the end, and a call leaves almost nothing in circles: look seldom, and not at all of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_BEFORE_LOOKING)
