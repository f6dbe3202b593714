"""What all commands share: the context they run in, how they refuse, and how they print.

Exit codes: 0 done, 1 refused, 2 misuse. Results go to standard output, progress and errors to standard error.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
from sqlalchemy import Engine

from gateway.config import Config, load_config
from gateway.domain.errors import DomainError
from gateway.storage.engine import open_engine
from gateway.storage.errors import StoreError

Clock = Callable[[], int]
"""Unix milliseconds."""


def system_clock() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass
class Context:
    """What a command runs in: configuration and engine, opened when first asked for, and the clock."""

    config_file: Path | None
    clock: Clock

    @cached_property
    def config(self) -> Config:
        """Raises InvalidValue."""
        return load_config(self.config_file, os.environ)

    @cached_property
    def engine(self) -> Engine:
        """Of the configured database."""
        return open_engine(self.config.database_url)


pass_context = click.make_pass_decorator(Context)

# What a command may raise to refuse: the message is for people, and says what to do.
REFUSALS: tuple[type[Exception], ...] = (DomainError, StoreError)


class Refused(click.ClickException):
    """The command was understood, and not carried out. Exit code 1."""

    exit_code = 1


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on standard output; columns named in `right` are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # Piped into a file, a table keeps its width: nothing is cut.
    console = Console(width=None if os.isatty(1) else 160)
    console.print(table)
