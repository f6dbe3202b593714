"""The load generator: a process of its own, so that what it costs is not charged to the server that it drives.

    python -m bench.load PLAN ANSWERS

Requests were serialized and signed before; here they are sent, timed and kept. Judging the answers comes later.
"""

import asyncio
import gc
import pickle
import selectors
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench.plan import Answers, Plan
from bench.wire import Connection, connect, prepare

TIMEOUT_S = 20


class _Driver:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._prepared = [prepare(request) for request in plan.requests]
        self._answers = Answers(bodies=[None] * len(plan.requests))
        self._since_ns = [0] * len(plan.requests)
        self._connections: list[Connection] = []
        self._left = 0  # calls that are not answered yet
        self._done = asyncio.Event()
        self._indexes: Iterator[int] = iter(())
        self._sent_by: dict[int, Connection] = {}

    async def run(self) -> Answers:
        plan = self._plan
        for _ in range(plan.channels):
            connection = await connect(
                plan.address, path=plan.method, timeout_s=TIMEOUT_S, certificate=plan.certificate, answered=self._answered
            )
            self._connections.append(connection)
        await self._closed_loop(range(plan.warm_up))
        self._answers.latencies_ns.clear()
        gc.collect()
        gc.freeze()
        timed = range(plan.warm_up, len(plan.requests))
        started_ns = time.perf_counter_ns()
        await (self._open_loop(timed) if plan.rate_per_s else self._closed_loop(timed))
        self._answers.elapsed_ns = time.perf_counter_ns() - started_ns
        for connection in self._connections:
            connection.close()
        return self._answers

    async def _closed_loop(self, calls: range) -> None:
        """Each answer makes room for the next call, on the same connection."""
        self._indexes = iter(calls)
        self._left = len(calls)
        for number in range(self._plan.concurrency):
            self._send_next(self._connections[number % len(self._connections)])
        await self._all_answered()

    async def _open_loop(self, calls: range) -> None:
        interval_ns = 1_000_000_000 // self._plan.rate_per_s
        due_ns = time.perf_counter_ns()
        self._left = len(calls)
        for index in calls:
            due_ns += interval_ns
            await asyncio.sleep(max(due_ns - time.perf_counter_ns(), 0) / 1_000_000_000)
            # Counted from when it was due, so that a server that stalls cannot hide it; nor can we.
            self._answers.late_ns.append(time.perf_counter_ns() - due_ns)
            self._since_ns[index] = due_ns
            self._connections[index % len(self._connections)].call(index, self._prepared[index])
        await self._all_answered()

    async def _all_answered(self) -> None:
        if self._left:
            self._done.clear()
            await self._done.wait()

    def _send_next(self, connection: Connection) -> None:
        index = next(self._indexes, None)
        if index is not None:
            self._sent_by[index] = connection
            self._since_ns[index] = time.perf_counter_ns()
            connection.call(index, self._prepared[index])

    def _answered(self, index: int, body: bytes | None, trailers: str) -> None:
        self._answers.latencies_ns.append(time.perf_counter_ns() - self._since_ns[index])
        self._answers.bodies[index] = body
        if body is None:
            self._answers.failure = self._answers.failure or trailers or "no message"
        self._left -= 1
        if not self._left:
            self._done.set()
        connection = self._sent_by.pop(index, None)
        if connection is not None:
            self._send_next(connection)


async def _drive(plan: Plan) -> Answers:
    return await _Driver(plan).run()


def _run(plan: Plan) -> Answers:
    if plan.rate_per_s:
        # What is due by the clock needs a loop that sleeps by microseconds: others count in whole milliseconds.
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            return runner.run(_drive(plan))
    return uvloop.run(_drive(plan))


if __name__ == "__main__":
    _plan: Plan = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps(_run(_plan)))
