"""The processes of a run: the two servers, each by itself, and the load generator."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.plan import Answers, Plan

READY_S_MAX = 60
_STAT_UTIME, _STAT_STIME = 11, 12  # fields after the command's name


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    name: str
    address: str
    process: "subprocess.Popen[str]"

    def cpu_s(self) -> float:
        """Processor time that it and the processes it started have used so far; zero where the machine does not tell."""
        return sum(_cpu_s(pid) for pid in _family(self.process.pid))

    def resident_bytes(self) -> int:
        """Memory that it and the processes it started hold now; zero where the machine does not tell."""
        return sum(_resident_bytes(pid) for pid in _family(self.process.pid))


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text("ascii").split()]
    return [pid, *(descendant for child in children for descendant in _family(child))]


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_STAT_UTIME]) + int(fields[_STAT_STIME])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


@contextmanager
def gateway(folder: Path, *, is_plaintext: bool, workers: int = 1) -> Iterator[Running]:
    """`tallystick serve` on the network in `folder`; its log lines go to a file there."""
    ready = folder / "ready"
    command = [sys.executable, "-m", "gateway", "--config", str(folder / "tallystick.toml"), "serve"]
    command += ["--listen", "127.0.0.1:0", "--ready-file", str(ready), *(["--plaintext"] if is_plaintext else [])]
    command += ["--workers", str(workers)]
    with (folder / "requests.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=log)
        with _ended(process):
            give_up_at = time.monotonic() + READY_S_MAX
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError(f"the gateway did not start: see {log.name}")
                time.sleep(0.02)
            yield Running("gateway", ready.read_text("utf-8").strip(), process)


@contextmanager
def echo(answer_bytes: int, *, tls: Path | None, is_tuned: bool = False) -> Iterator[Running]:
    """The bare server; answers `answer_bytes` bytes. `is_tuned`: with the gateway's loop and options, and without messages."""
    words = [str(answer_bytes), *([str(tls)] if tls is not None else []), *(["--tuned"] if is_tuned else [])]
    command = [sys.executable, "-m", "bench.echo", *words]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    with _ended(process):
        assert process.stdout is not None
        yield Running("echo", process.stdout.readline().strip(), process)


def drive(plan: Plan, folder: Path) -> Answers:
    """Runs the load generator. Raises RuntimeError if a call failed: such a round is void."""
    written, read = folder / "plan", folder / "answers"
    written.write_bytes(pickle.dumps(plan))
    subprocess.run([sys.executable, "-m", "bench.load", str(written), str(read)], check=True)
    answers: Answers = pickle.loads(read.read_bytes())
    if answers.failure:
        raise RuntimeError(f"void, a call failed: {answers.failure}")
    return answers


@contextmanager
def _ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()
