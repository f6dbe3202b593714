"""Keeps the books in a process of its own, so that deciding and saving do not take the interpreter from the event loop.

Two sides of one pipe. The gateway's writer hands over batches and waits, without the interpreter's lock; the other process
decides, saves, commits, signs the receipts, and answers. It holds nothing that the database does not: if it ends, nobody
knows whether the batch under way was committed, callers hear that the store is unavailable and repeat with the same key, and
the next batch starts it anew. It ends when the pipe is closed, so it never outlives its gateway, whatever ended that.
"""

import json
import logging
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from gateway.config import Config
from gateway.domain.command import Command
from gateway.domain.errors import BooksBroken, TallystickError
from gateway.ledger.clerk import Routed
from gateway.ledger.figures import BatchTimes, WatchTimes
from gateway.ledger.keeper import BooksFailed
from gateway.parcels import pack, unpack
from gateway.storage.errors import StoreUnavailable

END_S_MAX = 10  # for the batch under way, once the pipe is closed

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class KeeperApart:
    """The gateway's side: the Keeping of a lane. Belongs to one thread at a time. `clock` gives unix milliseconds."""

    config: Config
    clock: Callable[[], int]
    watch: WatchTimes | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)
    _pipe: "Connection[Any, Any] | None" = field(default=None, init=False, repr=False)

    @property
    def process_id(self) -> int | None:
        """Of the other process, while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Starts the process, and waits until it is ready. Raises what keeps it from keeping the books."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "gateway.apart", str(theirs.fileno())]
            # A group of its own: an interrupt at the terminal is for the gateway, which lets batches finish.
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), process_group=0)
        self._pipe = Connection(ours.detach())
        self._ask((self.config, self.clock()))

    def __call__(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Routed]:
        """One result a command, after COMMIT. Raises StoreError, or BooksFailed."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self.start()
        results: Sequence[Routed]
        results, times = self._ask((self.clock(), list(commands), tuple(lanes)))
        if self.watch is not None:
            for batch in times:
                self.watch(batch)
        return results

    def close(self) -> None:
        """Lets the process finish and end."""
        pipe, self._pipe = self._pipe, None
        process, self._process = self._process, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            try:
                process.wait(END_S_MAX)
            except subprocess.TimeoutExpired:
                _log.error("the process that keeps the books did not end: killed")
                process.kill()
                process.wait()

    def _ask(self, question: object) -> Any:
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(pack(question))
            answer = unpack(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            self.close()
            raise StoreUnavailable("the process that keeps the books ended; the next batch starts it anew") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def keep_books(pipe: "Connection[Any, Any]") -> None:
    """The other side: until the pipe is closed."""
    from gateway.keeping import make_keeper, make_signer
    from gateway.process_tuning import spare_the_collector
    from gateway.services.directory import Directory
    from gateway.storage.engine import open_existing, reading

    config, now_ms = unpack(pipe.recv_bytes())
    now = _Now(now_ms)
    times: list[BatchTimes] = []
    try:
        limits = config.gateway
        engine = open_existing(
            config.database_url, lock_wait_ms_max=limits.lock_wait_ms_max, statement_ms_max=limits.deadline_ms_max
        )
        with reading(engine) as connection:
            directory = Directory(connection)
        signer = make_signer(config, directory, now_ms=now_ms, note=now.note)
    except Exception as error:  # noqa: BLE001 - the gateway says it
        pipe.send_bytes(pack(_portable(error)))
        return
    keeper = make_keeper(engine, directory, signer, clock=now, watch=times.append)
    pipe.send_bytes(pack(None))
    spare_the_collector()
    while True:
        now.at_ms, commands, lanes = unpack(pipe.recv_bytes())
        times.clear()
        try:
            results = keeper(commands, lanes)
        except Exception as error:  # noqa: BLE001 - the boundary of a batch; the gateway's writer handles it
            pipe.send_bytes(pack(_portable(error)))
        else:
            pipe.send_bytes(pack((results, times)))


@dataclass
class _Now:
    """The gateway's clock, as it sent it with the batch."""

    at_ms: int

    def __call__(self) -> int:
        return self.at_ms

    def note(self, text: str) -> None:
        line = {"at_ms": self.at_ms, "level": "notice", "text": text}
        sys.stderr.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stderr.flush()


def _portable(error: Exception) -> Exception:
    """What the pipe can carry: our own errors as they are, a bug as its traceback."""
    if isinstance(error, TallystickError) and not isinstance(error, BooksBroken):
        return error
    return BooksFailed("".join(traceback.format_exception(error)))


def main(descriptor: int) -> None:
    """Keeps the books for the gateway at the other end of the descriptor, which is a socket."""
    # Whoever ends the gateway ends this process through the pipe, once the batch under way is committed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        keep_books(Connection(descriptor))
    except (EOFError, OSError):
        logging.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
