"""What a result was measured on. A number without its machine says nothing."""

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import version
from pathlib import Path

PROBES = 300


def describe(folder: Path) -> dict[str, str]:
    """Processor, versions, how busy the machine is, and what a durable commit costs in `folder`."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "sqlite": sqlite3.sqlite_version,
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
        "commit of one row, synchronous=FULL": _commit(folder),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit(folder: Path) -> str:
    """What the disk alone takes, which no durable answer can be quicker than."""
    connection = sqlite3.connect(folder / "probe.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE probes (number INTEGER PRIMARY KEY)")
    took = []
    for number in range(PROBES):
        started_ns = time.perf_counter_ns()
        connection.execute("INSERT INTO probes VALUES (?)", (number,))
        took.append(time.perf_counter_ns() - started_ns)
    connection.close()
    p50, p99 = (quantile / 1_000 for quantile in (statistics.median(took), statistics.quantiles(took, n=100)[98]))
    return f"p50 {p50:,.0f} us, p99 {p99:,.0f} us ({PROBES} commits)"
