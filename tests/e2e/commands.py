"""The operator's commands, run in the process at the network's time; what they print is kept."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from gateway.cli import main
from tests.given import GivenNetwork


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command line answered."""

    code: int
    out: str
    err: str


def run_command(network: GivenNetwork, *words: str | Path) -> Ran:
    """Runs `tallystick` with these words against a network."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["--config", str(network.folder / "tallystick.toml"), *map(str, words)], clock=network.clock)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
    return Ran(code, out.getvalue(), err.getvalue())


def done(ran: Ran) -> Ran:
    """The same, if it was not refused."""
    assert ran.code == 0, ran.err or ran.out
    return ran
