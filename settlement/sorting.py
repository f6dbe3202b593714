"""Sorts more lines than fit into memory: sorted runs in files without a name, merged when they are read."""

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

RUN_LINES = 50_000  # at 150 bytes each with Python's overhead, some 15 MiB


class DiskSorter:
    """Takes texts without line ends, gives them in order of their code points. A context: its files go when it ends.

    Raises OSError where the disk of temporary files is full.
    """

    def __init__(self, *, run_lines: int = RUN_LINES) -> None:
        self._run_lines = run_lines
        self._held: list[str] = []
        self._runs: list[IO[str]] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Whatever happened, nothing stays."""
        self._files.close()

    def add(self, text: str) -> None:
        """Takes one."""
        self._held.append(text)
        if len(self._held) >= self._run_lines:
            self._spill()

    def in_order(self) -> Iterator[str]:
        """All of them, once."""
        self._held.sort()
        yield from heapq.merge(*map(_texts, self._runs), self._held)

    def _spill(self) -> None:
        self._held.sort()
        file = self._files.enter_context(_temporary_file())
        file.writelines(f"{text}\n" for text in self._held)
        file.seek(0)
        self._runs.append(file)
        self._held = []


def _temporary_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")


def _texts(file: IO[str]) -> Iterator[str]:
    return (line[:-1] for line in file)
