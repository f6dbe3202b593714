"""Several gateway processes on one port: starts them, starts anew whoever dies, ends them together.

A worker is a command line. It says by a line on standard output that it listens, drains on SIGTERM, and drains too when
its standard input ends: so no worker outlives a supervisor that was killed. The supervisor knows nothing of grpc, which
must not be forked.
"""

import asyncio
import json
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

from gateway.domain.errors import InvalidValue

RESTART_S, RESTART_S_MAX = 0.5, 15.0  # before a worker is started anew: doubled each time that it does not last
LASTS_S = 60.0
_CLEAN_ENDS = (0, -signal.SIGTERM)  # the second: told to stop before it could listen


class Supervisor:
    """Keeps `count` processes of one command line at work."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        end_s_max: float,
        clock: Callable[[], int],
        write_log: Callable[[str], object],
    ) -> None:
        """Starts nothing yet. `end_s_max`: what a worker that is told to stop may take; `write_log` takes whole lines."""
        self._command = command
        self._count = count
        self._end_s_max = end_s_max
        self._clock = clock
        self._write_log = write_log
        self._workers: dict[int, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event, *, say: Callable[[], object]) -> bool:
        """Until `stop` is set; `say` is called once all listen. Answers whether all came to a clean end.

        Raises InvalidValue if one ends before it listens.
        """
        stopping, starting = asyncio.create_task(stop.wait()), asyncio.create_task(self._start())
        try:
            await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                say()
                await stopping
        finally:
            tasks = (stopping, starting, *self._keepers)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            is_clean = await self._stop()
        return is_clean

    async def _start(self) -> None:
        """Waits until all listen. Raises InvalidValue if one ends instead: it has said why on standard error."""
        # One first: what it refuses, all would refuse, each with the same sentence.
        await self._start_one(1)
        await asyncio.gather(*(self._start_one(number) for number in range(2, self._count + 1)))
        self._keepers = [asyncio.create_task(self._keep(number)) for number in self._workers]

    async def _stop(self) -> bool:
        """Tells all to drain, and waits; who takes too long is killed."""
        running = [worker for worker in self._workers.values() if worker.returncode is None]
        for worker in running:
            worker.terminate()
        ends = asyncio.gather(*(worker.wait() for worker in running))
        try:
            codes = await asyncio.wait_for(asyncio.shield(ends), self._end_s_max)
        except TimeoutError:
            for worker in running:
                if worker.returncode is None:
                    self._note("error", "killed", worker, after_ms=int(self._end_s_max * 1_000))
                    worker.kill()
            codes = await ends
        return all(code in _CLEAN_ENDS for code in codes)

    async def _start_one(self, number: int) -> None:
        worker = await self._spawn(number)
        if not await _listens(worker):
            raise InvalidValue(f"worker {number} did not start (exit code {await worker.wait()})")

    async def _spawn(self, number: int) -> Process:
        # A process of its own, not a fork of this one.
        worker = await asyncio.create_subprocess_exec(*self._command, "--worker", str(number), stdin=PIPE, stdout=PIPE)
        self._workers[number] = worker
        return worker

    async def _keep(self, number: int) -> None:
        pause_s, since_s = RESTART_S, time.monotonic()
        while True:
            worker = self._workers[number]
            code = await worker.wait()
            pause_s = RESTART_S if time.monotonic() - since_s > LASTS_S else pause_s
            self._note("error", "worker ended", worker, worker=number, exit_code=code, again_in_ms=int(pause_s * 1_000))
            await asyncio.sleep(pause_s)
            pause_s, since_s = min(2 * pause_s, RESTART_S_MAX), time.monotonic()
            worker = await self._spawn(number)
            if await _listens(worker):
                since_s = time.monotonic()  # on a busy machine it takes long to start, which is no sign that it lasts
                self._note("info", "worker listens", worker, worker=number)

    def _note(self, level: str, event: str, process: Process, /, **facts: int) -> None:
        line = {"at_ms": self._clock(), "level": level, "event": event, "pid": process.pid, **facts}
        self._write_log(json.dumps(line, separators=(",", ":")) + "\n")


async def _listens(worker: Process) -> bool:
    assert worker.stdout is not None
    return bool(await worker.stdout.readline())  # nothing: it ended
