"""Runs of the night: in this process, and as a user starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine

from gateway.domain.window import Window
from settlement.nightly import Night, run_night
from settlement.sealing import open_sealer
from tests.given import at, keys_dir
from tests.patience import patience_s
from tests.settlement.given import Shop, issue, redeem, reverse

MIDNIGHT = "2026-06-30T23:59:59+02:00"
MIDNIGHT_MS = at("2026-06-30", "23:59:59")
NEXT_MIDNIGHT_MS = at("2026-07-01", "23:59:59")


def make_night(engine: Engine, out_dir: Path, *, at_ms: int = MIDNIGHT_MS) -> Night:
    """A night whose log of steps is dated by its own instant."""
    return Night(
        engine=engine,
        out_dir=out_dir,
        sealer=open_sealer(engine, keys_dir(engine)),
        at_ms=at_ms,
        clock=lambda: at_ms,
        progress=lambda _text: None,
        after_step=lambda _step: None,
    )


def run(engine: Engine, out_dir: Path, *, at_ms: int = MIDNIGHT_MS) -> Window | None:
    """One run."""
    return run_night(make_night(engine, out_dir, at_ms=at_ms))


def two_nights(engine: Engine, out_dir: Path) -> Engine:
    """The month, netted; then a second window, with an entry of the date of the first cut-off, and debt; the third is open."""
    run(engine, out_dir)
    shop = Shop(engine)
    shop.book(issue("n1", "alpha", "m2", 80_00), now_ms=MIDNIGHT_MS + 500)
    shop.book(redeem("n2", "bravo", "m2", 160), now_ms=at("2026-07-01", "09:00"))
    shop.book(reverse("n3", "alpha", "n1"), now_ms=at("2026-07-01", "10:00"))
    run(engine, out_dir, at_ms=NEXT_MIDNIGHT_MS)
    shop.book(issue("n4", "alpha", "m1", 50_00), now_ms=at("2026-07-02"))
    return engine


_PROGRAM = "from gateway.cli import main; main(sys.argv[1:])"
_DYING = """
import os, signal
class Dying:
    def __init__(self, out):
        self.out = out
    def write(self, text):
        self.out.write(text)
        if {phrase!r} in text:
            os.kill(os.getpid(), signal.SIGKILL)
    def flush(self):
        self.out.flush()
sys.stderr = Dying(sys.stderr)
"""
_SMALL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"


def start(folder: Path, *words: str, before: str = "") -> "subprocess.Popen[str]":
    """Starts `tallystick …` on the network in a folder, as a process of its own; `before` is run in it first."""
    program = f"import sys\n{before}{_PROGRAM}"
    return subprocess.Popen(
        [sys.executable, "-c", program, "--config", str(folder / "tallystick.toml"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    )


def finish(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `tallystick …`."""
    process = start(folder, *words)
    out, err = process.communicate(timeout=patience_s(120))
    return process.returncode, out, err


def finish_with_a_full_disk(folder: Path, *words: str, size: int) -> tuple[int, str, str]:
    """The same, where no file may grow beyond so many bytes. For networks whose database is another program's."""
    process = start(folder, *words, before=_SMALL.format(size=size))
    out, err = process.communicate(timeout=patience_s(120))
    return process.returncode, out, err


def kill_when_it_says(folder: Path, phrase: str, *words: str) -> None:
    """Starts `tallystick …`, which ends by SIGKILL as soon as it says this of its progress."""
    process = start(folder, *words, before=_DYING.format(phrase=phrase))
    out, err = process.communicate(timeout=patience_s(120))
    assert process.returncode == -signal.SIGKILL, (out, err)


def kill_after(folder: Path, step: str) -> None:
    """Starts a night, and kills it with SIGKILL once a step is committed."""
    process = start(folder, "settlement", "nightly", "--at", MIDNIGHT, "--pause-after", step)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line == f"paused after {step}\n":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, lines


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
