"""The umbrella command `tallystick`. Finds its sub-commands by their entry points; knows none of them."""

import ast
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.console import Context
from gateway.domain.errors import TallystickError
from gateway.terminal import Clock, system_clock

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

_GROUP = "tallystick.commands"


class Umbrella(click.Group):
    """A group whose commands are loaded when they are called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Names of the entry points."""
        return sorted(entry_points(group=_GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """Loads the command's module."""
        found = tuple(entry_points(group=_GROUP, name=cmd_name))
        if not found:
            return None
        command = found[0].load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click calls it so
        """What each command says of itself, read from its source: to load them all, databases included, takes a second."""
        points = sorted(entry_points(group=_GROUP), key=lambda point: point.name)
        limit = formatter.width - 6 - max(len(point.name) for point in points)
        rows = [(point.name, click.Command(point.name, help=_docstring(point)).get_short_help_str(limit)) for point in points]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _docstring(point: EntryPoint) -> str | None:
    spec = find_spec(point.module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            return ast.get_docstring(node)
    return None


@click.command(cls=Umbrella, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration of the network [default: $TALLYSTICK_CONFIG or ./tallystick.toml].",
)
@click.version_option(package_name="tallystick")
@click.pass_context
def tallystick(ctx: click.Context, config_file: Path | None) -> None:
    """A loyalty network that independent merchants share without having to trust each other's books.

    \b
    A first network, step by step ("tallystick demo" does all of it):
      tallystick network create DIR ...      books, keys and configuration of a new network
      tallystick operators add ...           who runs it; two of them decide what costs money
      tallystick pos keygen / apply          on a partner's machine: its key and its application
      tallystick partners onboard FILE...    propose what partners applied for; a second operator approves
      tallystick serve                       the gateway that tills talk to
      tallystick settlement run              the night: close, net, publish statements
      tallystick audit                       prove the books
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    ctx.obj = Context(config_file, (ctx.obj or system_clock))


def main(argv: Sequence[str] | None = None, *, clock: Clock = system_clock) -> None:
    """Runs a command line and exits: 0 done, 1 refused, 2 misuse."""
    try:
        tallystick.main(args=argv, prog_name="tallystick", obj=clock)
    except TallystickError as error:
        click.echo(f"tallystick: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"tallystick: {where}{error.strerror or error}", err=True)
        sys.exit(1)
    except _database_errors() as error:
        from gateway.storage.errors import translate

        click.echo(f"tallystick: the database: {translate(error)}", err=True)
        sys.exit(1)


def _database_errors() -> "tuple[type[DBAPIError], ...]":
    """What a driver raises. A till's commands do not load the database's library: without it there are no such errors."""
    loaded = sys.modules.get("sqlalchemy.exc")
    return (loaded.DBAPIError,) if loaded is not None else ()
