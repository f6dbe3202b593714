"""The operators' page names only commands and options that there are."""

import re
import shlex

import click
import pytest

from gateway.cli import tallystick
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8").replace("\\\n", " ")
LINES = sorted({line.split("  #")[0].strip() for line in PAGE.splitlines() if line.startswith("tallystick ")})


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_the_page_exists(line: str) -> None:
    """Each word that is a command leads on to it, and each option is one of its own."""
    words = shlex.split(line)[1:]
    command: click.Command = tallystick
    context = click.Context(tallystick)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found

    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_refusal_of_the_page_is_one_of_ours() -> None:
    """The table at the end names the words that the commands say, and all of them."""
    programs = [*ROOT.glob("partners/*.py"), ROOT / "gateway" / "governance.py"]
    said = set(re.findall(r'DecisionRefused\(\s*"([A-Z_]+)"', "".join(file.read_text("utf-8") for file in programs)))
    table = PAGE.partition("Refusals\n\n")[2]

    assert said <= set(re.findall(r"`([A-Z_]+)`", table))
