"""One round of each kind: prepare, drive, prove. What is timed is only the drive."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.network import BATCH, BenchNetwork
from bench.plan import Answers, Plan, Request
from bench.processes import Running, drive
from bench.proof import Proof
from partners.pos.requests import ISSUE, SUBMIT_BATCH

WARM_UP = 200
SAMPLE = 100
BATCHES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a server answered. `cpu_us`: processor time of the server's process for each."""

    per_s: float
    cpu_us: float
    commands_per_commit: float = 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls took, from the moment at which they were due."""

    p50_us: int
    p99_us: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a call's messages on the wire, in bytes; medians."""

    request_bytes: int
    metadata_bytes: int
    answer_bytes: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A gateway, what drives it and what judges it. `folder` is for what the processes hand to each other."""

    network: BenchNetwork
    gateway: Running
    proof: Proof
    folder: Path
    certificate: bytes | None

    def enrol(self) -> None:
        """Enrols the members."""
        drive(self._plan(self.gateway, SUBMIT_BATCH.path, self.network.enrolments(), concurrency=1), self.folder)

    def sizes(self) -> Sizes:
        """Of IssuePoints, by a few calls. Raises ReceiptError or Void."""
        prefix, requests = self.network.issues(SAMPLE)
        answers = drive(self._plan(self.gateway, ISSUE.path, requests, concurrency=SAMPLE), self.folder)
        self.proof.single(prefix, answers.bodies)
        return Sizes(
            _median(len(body) for body, _ in requests),
            _median(sum(len(name) + len(value) for name, value in metadata) for _, metadata in requests),
            _median(len(body or b"") for body in answers.bodies),
        )

    def echo_rate(self, echo: Running, calls: int, concurrency: int) -> Rate:
        """Of the bare server, by the same requests as the gateway gets."""
        _, plan = self._issues(echo, calls, concurrency)
        return self._timed(plan, echo)[1]

    def gateway_rate(self, calls: int, concurrency: int) -> Rate:
        """Of unary IssuePoints. Raises Void."""
        prefix, plan = self._issues(self.gateway, calls, concurrency)
        answers, rate = self._timed(plan, self.gateway)
        booked = self.proof.single(prefix, answers.bodies)
        return replace(rate, commands_per_commit=booked.entries / booked.commits)

    def batch_rate(self, batches: int) -> Rate:
        """Commands a second through SubmitBatch. Raises Void."""
        prefix, requests = self.network.batches(batches + 1)
        plan = self._plan(self.gateway, SUBMIT_BATCH.path, requests, warm_up=1, concurrency=BATCHES_AT_ONCE)
        answers, rate = self._timed(plan, self.gateway)
        booked = self.proof.batched(prefix, answers.bodies, size=BATCH)
        return Rate(rate.per_s * BATCH, rate.cpu_us / BATCH, booked.entries / booked.commits)

    def latency(self, server: Running, rate_per_s: int, seconds: int) -> Latency:
        """At a steady rate of calls. Raises Void."""
        prefix, plan = self._issues(server, rate_per_s * seconds, 1)
        answers = drive(replace(plan, rate_per_s=rate_per_s), self.folder)
        if server is self.gateway:
            self.proof.single(prefix, answers.bodies)
        return Latency(percentile_us(answers.latencies_ns, 50), percentile_us(answers.latencies_ns, 99))

    def _issues(self, server: Running, calls: int, concurrency: int) -> tuple[str, Plan]:
        prefix, requests = self.network.issues(WARM_UP + calls)
        return prefix, self._plan(server, ISSUE.path, requests, warm_up=WARM_UP, concurrency=concurrency)

    def _plan(self, server: Running, method: str, requests: Sequence[Request], *, warm_up: int = 0, concurrency: int) -> Plan:
        return Plan(
            address=server.address,
            method=method,
            requests=requests,
            warm_up=warm_up,
            concurrency=concurrency,
            certificate=self.certificate,
        )

    def _timed(self, plan: Plan, server: Running) -> tuple[Answers, Rate]:
        cpu_before_s = server.cpu_s()
        answers = drive(plan, self.folder)
        calls = len(plan.requests)
        cpu_us = (server.cpu_s() - cpu_before_s) * 1_000_000 / calls
        return answers, Rate((calls - plan.warm_up) * 1_000_000_000 / answers.elapsed_ns, cpu_us)


def percentile_us(took_ns: Sequence[int], percent: int) -> int:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(took_ns)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] // 1_000


def _median(sizes: Iterable[int]) -> int:
    return int(statistics.median(sizes))
