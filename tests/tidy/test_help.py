"""What the commands say of themselves."""

import subprocess
import sys
from collections.abc import Iterator

import click

from gateway.cli import tallystick
from tests.shared import ROOT


def _helps(command: click.Command, path: str, context: click.Context) -> Iterator[tuple[str, str]]:
    inner = click.Context(command, parent=context, info_name=path.rpartition(" ")[2])
    yield path, command.get_help(inner)
    if isinstance(command, click.Group):
        for name in command.list_commands(inner):
            found = command.get_command(inner, name)
            assert found is not None
            yield from _helps(found, f"{path} {name}", inner)


def test_every_command_teaches_and_shows_its_examples_line_by_line() -> None:
    """A sentence for each, and no mark of the formatter's left standing."""
    helps = dict(_helps(tallystick, "tallystick", click.Context(tallystick)))

    assert len(helps) > len(tallystick.list_commands(click.Context(tallystick)))
    assert [path for path, text in helps.items() if "\\b" in text or "\b" in text] == []
    assert [path for path, text in helps.items() if text.splitlines()[2].strip() in {"", "Options:"}] == []
    assert "\n    tallystick serve " in helps["tallystick"]


def test_the_list_of_commands_is_what_the_commands_say() -> None:
    """It is read from their sources; loaded, they say the same."""
    context = click.Context(tallystick, info_name="tallystick")
    formatter = context.make_formatter()
    click.Group.format_commands(tallystick, context, formatter)

    assert "  settlement  " in formatter.getvalue()
    assert tallystick.get_help(context).endswith(formatter.getvalue().rstrip("\n"))


def test_the_list_of_commands_loads_none_of_them() -> None:
    """No database, no network: it answers at once."""
    heavy = ("sqlalchemy", "grpc", "cryptography", "alembic")
    program = f"""
import sys
from gateway.cli import main
try:
    main(["--help"])
finally:
    print(*[name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Commands:\n  audit " in done.stdout
    assert done.stderr.split() == []
