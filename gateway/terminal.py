"""What every command needs of a terminal and a clock, and nothing of a database: `partners.pos` runs on a till."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click

Clock = Callable[[], int]
"""Unix milliseconds."""

P = ParamSpec("P")
R = TypeVar("R")


def system_clock() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


def pass_clock(command: Callable[Concatenate[Clock, P], R]) -> Callable[P, R]:
    """Hands a command the clock of the command line that it runs in, as its first argument."""

    @wraps(command)
    def with_clock(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(click.get_current_context().obj.clock, *args, **kwargs)

    return with_clock


class Refused(click.ClickException):
    """The command was understood, and not carried out. Exit code 1."""

    exit_code = 1


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on standard output; columns named in `right` are aligned to the right.

    Cells are text and nothing else: what partners wrote is never taken for markup.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Piped into a file, a table keeps its width: nothing is cut.
    console = Console(width=None if os.isatty(1) else 160)
    console.print(table)
