"""Runs the checkers of the environment that runs the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import ROOT

BIN = Path(sys.executable).parent


def check(*command: str) -> None:
    """Fails with what the tool has to say, and with the command that says it again."""
    # A suite that was started by make must not hand make's own variables on.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(command).replace(f"{ROOT}/", "")
        pytest.fail(f"{shown}\n{done.stdout}{done.stderr}", pytrace=False)
