"""How much a job that runs beside traffic writes at once: sized by the time that its writes take, not by a number of rows."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.domain.units import div_floor

AIM_NS = 15_000_000  # of a write: a gateway on the same SQLite file waits for it, and a slow disk must not make it 50 ms
_ROWS_MIN, _ROWS_MAX = 10, 2_000
# Longer than anybody's pause between two attempts at SQLite's lock (`storage.engine`): whoever waits, gets it.
_REST_S = 0.0025


@dataclass(slots=True)
class Pace:
    """`rows` is how many the next write should have. Begins low, and grows by half at most from one write to the next."""

    rows: int = 50
    writes: int = 0
    longest_ns: int = 0

    def took(self, rows: int, took_ns: int) -> None:
        """A write of so many rows held its lock for so long."""
        self.writes += 1
        self.longest_ns = max(self.longest_ns, took_ns)
        if rows < self.rows and took_ns < AIM_NS:
            return  # a few rows cost more each: they say nothing of many
        fitting = div_floor(rows * AIM_NS, max(took_ns, 1))
        self.rows = max(_ROWS_MIN, min(fitting, self.rows + div_floor(self.rows, 2), _ROWS_MAX))

    def rest(self, connection: Connection) -> None:
        """Lets others go first. PostgreSQL gives a lock to whoever has waited longest anyway."""
        if connection.dialect.name == "sqlite":
            time.sleep(_REST_S)
