"""A gateway without a wire, in a process of its own, that dies by SIGKILL at a step of taking a terminal's events.

    python -m tests.e2e.dying_offline NETWORK_FOLDER STEP PICKLE NOW_MS

PICKLE holds what was presented, a list of `Presented`. It ends with 0 if it never reaches the step.
"""

import asyncio
import os
import pickle
import signal
import sys
import time
from pathlib import Path

from gateway.config import load_config
from gateway.keeping import make_keeper, make_signer
from gateway.ledger.writer import Writer
from gateway.services.directory import Directory
from gateway.services.offline import OfflineService, Presented
from gateway.services.points import PointsService
from gateway.services.witness import Witness
from gateway.storage.engine import open_existing, reading


async def main(folder: str, step: str, presented: list[Presented], now_ms: str) -> None:
    """One call."""
    config = load_config(Path(folder) / "tallystick.toml", {})
    engine = open_existing(config.database_url)
    with reading(engine) as connection:
        directory = Directory(connection)

    def clock() -> int:
        return int(now_ms)

    signer = make_signer(config, directory, now_ms=clock(), note=sys.stderr.write)
    writer = Writer(
        engine=engine,
        new_keeping=lambda: make_keeper(engine, directory, signer, clock=clock, watch=None),
        queue_max=1_000,
        batch_max=500,
    )
    await writer.start()

    def die(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    nobody = Witness(dict, lambda _event: None, clock)
    service = OfflineService(engine, directory, PointsService(writer, nobody), note=print, reached=die)
    await service.submit(presented[0].event.terminal_id, presented, deadline=time.monotonic() + 60, now_ms=clock())
    service.close()
    await writer.stop()
    engine.dispose()


if __name__ == "__main__":
    _folder, _step, _file, _now_ms = sys.argv[1:]
    asyncio.run(main(_folder, _step, pickle.loads(Path(_file).read_bytes()), _now_ms))
