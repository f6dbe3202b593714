"""A durable PostgreSQL for a run, and what pgbench makes of it: the measure for what the books cost there."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres import USER, PostgresServer

# What PostgreSQL comes with, except for memory: what is measured must survive a power cut.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}
CLIENTS, SCALE = 32, 10


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of the run's own. Raises FileNotFoundError where there are no programs."""
    with PostgresServer(DURABLE) as server:
        yield server


def pgbench_tps(server: PostgresServer, seconds: int) -> float:
    """Transactions a second of pgbench's TPC-B-like script, prepared, with 32 clients."""
    database = "pgbench"
    _run(server, "psql", "-q", "-d", "postgres", "-c", f"CREATE DATABASE {database}")
    _run(server, "pgbench", "-i", "-q", "-s", str(SCALE), database)
    said = _run(server, "pgbench", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), database)
    _run(server, "psql", "-q", "-d", "postgres", "-c", f"DROP DATABASE {database}")
    found = re.search(r"tps = ([0-9.]+)", said)
    if found is None:
        raise RuntimeError(f"pgbench said no rate: {said}")
    return float(found.group(1))


def _run(server: PostgresServer, program: str, *words: str) -> str:
    where = ("-h", str(server.folder), "-p", str(server.port), "-U", USER)
    ended = subprocess.run([server.programs / program, *where, *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{program}: {ended.stderr}")
    return ended.stdout
