"""One round of each kind: prepare, drive, prove. What is timed is only the drive."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.network import BenchNetwork, Traffic
from bench.plan import Answers, Plan
from bench.processes import Running, drive
from bench.proof import Proof

WARM_UP = 200
SAMPLE = 100
BATCHES_AT_ONCE = 8
PREPARED_AT_ONCE = 2  # what is not timed must not meet a deadline on a busy machine


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a server answered commands. `cpu_us`: processor time of the server's processes for each."""

    per_s: float
    cpu_us: float
    commands_per_commit: float = 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls took, from the moment at which they were due; of that, how late the load generator itself was."""

    p50_us: int
    p99_us: int
    late_p99_us: int


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

    def book(self, traffic: Traffic) -> None:
        """Books what a measurement needs to be there. Raises Void."""
        answers = drive(self._plan(self.gateway, traffic, concurrency=PREPARED_AT_ONCE), self.folder)
        self.proof.tie_out(traffic, answers.bodies)

    def sizes(self) -> Sizes:
        """Of IssuePoints, by a few calls. Raises Void."""
        traffic = self.network.issues(SAMPLE)
        answers = drive(self._plan(self.gateway, traffic, concurrency=SAMPLE), self.folder)
        self.proof.tie_out(traffic, answers.bodies)
        return Sizes(
            _median(len(body) for body, _ in traffic.requests),
            _median(sum(len(name) + len(value) for name, value in metadata) for _, metadata in traffic.requests),
            _median(len(body or b"") for body in answers.bodies),
        )

    def echo_rate(self, echo: Running, calls: int, concurrency: int) -> Rate:
        """Of an echo, by the same requests as the gateway gets."""
        plan = self._plan(echo, self.network.issues(WARM_UP + calls), warm_up=WARM_UP, concurrency=concurrency)
        return self._timed(plan, echo)[1]

    def unary_rate(self, traffic: Traffic, concurrency: int, *, warm_up: int = WARM_UP) -> Rate:
        """Of single calls; the first are for warming up. Raises Void."""
        return self._rate(traffic, warm_up=warm_up, concurrency=concurrency)

    def batch_rate(self, traffic: Traffic) -> Rate:
        """Commands a second through SubmitBatch; the first batch is for warming up. Raises Void."""
        return self._rate(traffic, warm_up=1, concurrency=BATCHES_AT_ONCE)

    def latency(self, server: Running, rate_per_s: int, seconds: int) -> Latency:
        """At a steady rate of calls. Raises Void."""
        traffic = self.network.issues(rate_per_s * seconds)
        plan = replace(self._plan(server, traffic, concurrency=1), rate_per_s=rate_per_s)
        answers = drive(plan, self.folder)
        if server is self.gateway:
            self.proof.tie_out(traffic, answers.bodies)
        took_ns = answers.latencies_ns
        return Latency(percentile_us(took_ns, 50), percentile_us(took_ns, 99), percentile_us(answers.late_ns, 99))

    def _rate(self, traffic: Traffic, *, warm_up: int, concurrency: int) -> Rate:
        plan = self._plan(self.gateway, traffic, warm_up=warm_up, concurrency=concurrency)
        answers, rate = self._timed(plan, self.gateway)
        booked = self.proof.tie_out(traffic, answers.bodies)
        size = traffic.commands_a_request
        return Rate(rate.per_s * size, rate.cpu_us / size, booked.entries / booked.commits)

    def _plan(self, server: Running, traffic: Traffic, *, warm_up: int = 0, concurrency: int) -> Plan:
        return Plan(
            address=server.address,
            method=traffic.method.path,
            requests=traffic.requests,
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
