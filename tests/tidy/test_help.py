"""What the commands say of themselves."""

from collections.abc import Iterator

import click

from gateway.cli import tallystick


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
