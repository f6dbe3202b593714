"""The auditor's own tools, that are not ours: hledger and bean-check. Where one is missing, only its tests are skipped.

`.ci/run` installs both: hledger from the distribution, beancount (GPL) into a folder of its own, since it is no part of what is
shipped or built on. $HLEDGER and $BEAN_CHECK name others.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.shared import ROOT

CHECK_S_MAX = 300
_COMMANDS: Mapping[str, tuple[str, ...]] = {"hledger": ("check", "--strict", "-f"), "beancount": ()}
_NAMED_BY = {"hledger": "HLEDGER", "beancount": "BEAN_CHECK"}
_PROGRAMS = {"hledger": "hledger", "beancount": "bean-check"}
_OWN = ROOT / ".tools" / "beancount" / "bin"
_HOW = {
    "hledger": "install the distribution's hledger, or name it by HLEDGER",
    "beancount": "install .ci/beancount.txt into .tools/beancount, as .ci/run does, or name bean-check by BEAN_CHECK",
}


@functools.cache
def find_checker(form: str) -> str | None:
    """The program that checks journals of this format; None where there is none."""
    return os.environ.get(_NAMED_BY[form]) or shutil.which(_PROGRAMS[form]) or shutil.which(_PROGRAMS[form], path=_OWN)


def needed(form: str) -> str:
    """The program; skips the test, with the reason, where there is none."""
    program = find_checker(form)
    if program is None:
        pytest.skip(f"no {_PROGRAMS[form]}: {_HOW[form]}")
    return program


def describe() -> str:
    """A line for the header of the tests."""
    return "journal checkers: " + "; ".join(
        f"{_PROGRAMS[form]} found" if find_checker(form) else f"{_PROGRAMS[form]} MISSING, its tests are skipped: {_HOW[form]}"
        for form in _PROGRAMS
    )


def check(form: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """What the tool says of a journal: its exit code is 0 if it accepts it."""
    command = [needed(form), *_COMMANDS[form], str(file)]
    # hledger reads ASCII alone where no locale is set.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHECK_S_MAX, env=environment)
