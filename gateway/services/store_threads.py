"""Work on the store that must not hold up the event loop: a few threads, one transaction each piece of work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import reading, writing
from gateway.storage.errors import translate

_T = TypeVar("_T")


class StoreThreads:
    """Belongs to one event loop. What it is asked for raises StoreError where the store does not answer."""

    def __init__(self, engine: Engine, threads_max: int, *, name: str) -> None:
        """Takes turns with the writer on the engine. `name` is what the threads are called after."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix=f"tallystick-{name}")

    async def read(self, question: Callable[[Connection], _T]) -> _T:
        """Answers a question, by one state of the books."""
        return await self._run(lambda: self._read(question))

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Answers after COMMIT."""
        return await self._run(lambda: self._write(work))

    def close(self) -> None:
        """Waits for what runs, and ends the threads."""
        self._threads.shutdown()

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _read(self, question: Callable[[Connection], _T]) -> _T:
        try:
            with reading(self._engine) as connection:
                return question(connection)
        except DBAPIError as error:
            raise translate(error) from error

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        try:
            with writing(self._engine) as connection:
                return work(connection)
        except DBAPIError as error:
            raise translate(error) from error
