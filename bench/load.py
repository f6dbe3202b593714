"""The load generator: a process of its own, so that what it costs is not charged to the server that it drives.

    python -m bench.load PLAN ANSWERS

Requests were serialized and signed before; here they are sent, timed and kept. Judging the answers comes later.
"""

import asyncio
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc import aio

from bench.plan import Answers, Plan

TIMEOUT_S = 20


class _Driver:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._answers = Answers(bodies=[None] * len(plan.requests))
        self._channels = [_channel(plan) for _ in range(plan.channels)]
        self._calls: list[Callable[..., Any]] = [channel.unary_unary(plan.method) for channel in self._channels]

    async def run(self) -> Answers:
        plan = self._plan
        for channel in self._channels:
            await channel.channel_ready()
        await self._closed_loop(iter(range(plan.warm_up)))
        self._answers.latencies_ns.clear()
        indexes = iter(range(plan.warm_up, len(plan.requests)))
        started_ns = time.perf_counter_ns()
        await (self._open_loop(indexes) if plan.rate_per_s else self._closed_loop(indexes))
        self._answers.elapsed_ns = time.perf_counter_ns() - started_ns
        for channel in self._channels:
            await channel.close()
        return self._answers

    async def _closed_loop(self, indexes: Iterator[int]) -> None:
        async def work(call: Callable[..., Any]) -> None:
            for index in indexes:
                await self._send(call, index, time.perf_counter_ns())

        await asyncio.gather(*(work(self._calls[number % len(self._calls)]) for number in range(self._plan.concurrency)))

    async def _open_loop(self, indexes: Iterator[int]) -> None:
        interval_ns = 1_000_000_000 // self._plan.rate_per_s
        due_ns = time.perf_counter_ns()
        tasks = []
        for index in indexes:
            due_ns += interval_ns
            await asyncio.sleep(max(due_ns - time.perf_counter_ns(), 0) / 1_000_000_000)
            # Counted from when it was due, so that a server that stalls cannot hide it.
            tasks.append(asyncio.create_task(self._send(self._calls[index % len(self._calls)], index, due_ns)))
        await asyncio.gather(*tasks)

    async def _send(self, call: Callable[..., Any], index: int, since_ns: int) -> None:
        body, metadata = self._plan.requests[index]
        try:
            self._answers.bodies[index] = await call(body, metadata=metadata, timeout=TIMEOUT_S)
        except aio.AioRpcError as error:
            self._answers.failure = self._answers.failure or f"{error.code().name}: {error.details()}"
        self._answers.latencies_ns.append(time.perf_counter_ns() - since_ns)


def _channel(plan: Plan) -> aio.Channel:
    # A pool of its own: else all channels to one address share one connection.
    options = (("grpc.use_local_subchannel_pool", 1),)
    if plan.certificate is None:
        return aio.insecure_channel(plan.address, options=options)
    return aio.secure_channel(plan.address, grpc.ssl_channel_credentials(plan.certificate), options=options)


async def _drive(plan: Plan) -> Answers:
    return await _Driver(plan).run()


if __name__ == "__main__":
    _plan: Plan = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps(uvloop.run(_drive(_plan))))
