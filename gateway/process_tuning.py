"""What a process that serves for long sets for itself, by measure; docs/performance.md has the figures."""

import gc
import os

GARBAGE_BEFORE_LOOKING = 20_000  # new objects
_EXPERIMENTS = "GRPC_EXPERIMENTS"
_OWN_POLLING = "-event_engine_listener"


def spare_the_collector() -> None:
    """What stands by now stays to the end, and a call leaves almost nothing in circles: look seldom, and not at all of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_BEFORE_LOOKING)


def let_grpc_poll_itself() -> None:
    """To be called before grpc is imported: the thread that waits for calls then reads the sockets itself.

    By default gRPC hands what arrives from thread to thread, which costs a call a fifth of its way through gRPC. The name is
    gRPC's own, and given up with a line in the log where a later version does not know it. An operator's setting stands.
    """
    os.environ.setdefault(_EXPERIMENTS, _OWN_POLLING)
