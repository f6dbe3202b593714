"""How the examples in other languages are built and run: by the ordinary clients of their worlds, once for each state of sources.

What is built stays beside the sources, where git does not see it, and is built anew when they or the protos have changed.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.shared import ROOT

EXAMPLES = ROOT / "examples"
BUILD_S_MAX = 540
RUN_S_MAX = 120
# What Maven, npm and dotnet say when there is no network. Everything else that goes wrong is a fault of ours.
_NO_NETWORK = re.compile(
    r"Unknown host|UnknownHostException|Network is unreachable|No route to host|Connection refused|Connection timed out"
    r"|Connect timed out|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ETIMEDOUT|NU1301"
)


@dataclass(frozen=True, slots=True)
class Example:
    """A till in another language. `programs` must be on the machine; `build` and `run` are command lines.

    The first program tells its version by `version`, and must be of `oldest` or newer.
    """

    name: str
    programs: tuple[str, ...]
    version: str
    oldest: int
    builds: tuple[str, ...]
    build: tuple[str, ...]
    run: tuple[str, ...]
    packages: str

    @property
    def folder(self) -> Path:
        """Where its sources are."""
        return EXAMPLES / self.name

    @property
    def missing(self) -> str:
        """Why it cannot be built here; empty if it can."""
        if self.lacking is None:
            return ""
        return f"examples/{self.name} IS NEITHER BUILT NOR RUN: {self.lacking}; install {self.packages}"

    @property
    def lacking(self) -> str | None:
        """Which tool is not there, or too old."""
        lacking = [name for name in self.programs if shutil.which(name) is None]
        if lacking:
            return f"no {' and no '.join(lacking)}"
        found = _version(self.programs[0], self.version)
        return None if found >= self.oldest else f"{self.programs[0]} is of {found}"

    def built(self) -> "Built":
        """Ready to run. Skips, with the reason, where its tools or the network are missing; fails if it does not build."""
        if self.missing:
            pytest.skip(self.missing)
        stamp = self.folder / self.builds[0] / ".built-from"
        with _alone(self.folder):
            state = self._state()
            if not stamp.exists() or stamp.read_text("ascii") != state:
                self._build()
                stamp.write_text(state, "ascii")
        return Built(self)

    def _build(self) -> None:
        ended = subprocess.run(
            self.build,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=BUILD_S_MAX,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = ended.stdout + ended.stderr
        if ended.returncode and _NO_NETWORK.search(said):
            pytest.skip(f"examples/{self.name} IS NEITHER BUILT NOR RUN: {self.build[0]} cannot reach its registry")
        assert ended.returncode == 0, said

    def _state(self) -> str:
        """A hash of all that it is built from."""
        digest = hashlib.sha256()
        sources = [
            file for file in self.folder.rglob("*") if file.is_file() and file.suffix != ".md" and not self._is_built(file)
        ]
        for file in sorted([*sources, *(ROOT / "protos").rglob("*.proto")]):
            digest.update(f"{file.relative_to(ROOT)}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()

    def _is_built(self, file: Path) -> bool:
        return file.relative_to(self.folder).parts[0] in (*self.builds, ".lock")


@dataclass(frozen=True, slots=True)
class Built:
    """An example that can be run."""

    example: Example

    def command(self, *words: str | Path) -> list[str]:
        """Its command line."""
        return [*(word.format(folder=self.example.folder) for word in self.example.run), *map(str, words)]

    def ended(self, folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Runs it in a folder, to its end."""
        return subprocess.run(self.command(*words), cwd=folder, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)

    def done(self, folder: Path, *words: str | Path) -> str:
        """The same; what it printed, if all went well."""
        ended = self.ended(folder, *words)
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout


JAVA = Example(
    name="java",
    programs=("javac", "mvn"),
    version="-version",
    oldest=17,
    builds=("target",),
    build=("mvn", "--batch-mode", "--quiet", "--strict-checksums", "package"),
    run=("java", "-XX:TieredStopAtLevel=1", "-jar", "{folder}/target/till.jar"),
    packages="a JDK of 17 or newer, and Maven",
)
NODE = Example(
    name="node",
    programs=("node", "npm"),
    version="--version",
    oldest=18,
    builds=("node_modules",),
    build=("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"),
    run=("node", "{folder}/main.js"),
    packages="Node.js 18 or newer, and npm",
)
CSHARP = Example(
    name="csharp",
    programs=("dotnet",),
    version="--version",
    oldest=8,
    builds=("bin", "obj"),
    build=("dotnet", "build", "--configuration", "Release", "--output", "bin", "--nologo"),
    run=("dotnet", "{folder}/bin/till.dll"),
    packages="the .NET SDK 8 or newer",
)


def describe() -> str:
    """For the header of a test run: which examples can be built, or loudly that some cannot."""
    return "; ".join(one.missing or f"examples/{one.name} is run" for one in (JAVA, NODE, CSHARP))


@functools.cache
def _version(program: str, option: str) -> int:
    ended = subprocess.run([program, option], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r"\d+", ended.stdout + ended.stderr)
    return int(found[0]) if found else 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One test process builds, the others wait for it."""
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
