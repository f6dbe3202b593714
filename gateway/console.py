"""What the operator's commands share: the context they run in, and how they refuse and print (`gateway.terminal`).

Exit codes: 0 done, 1 refused, 2 misuse. Results go to standard output, progress and errors to standard error.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.terminal import Clock, Refused, print_table

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Engine

    from gateway.config import Config

__all__ = ["Clock", "Context", "Refused", "day", "pass_context", "print_table"]


@dataclass
class Context:
    """What a command runs in: configuration and engine, opened when first asked for, and the clock.

    The database's library takes half a second to load; a till's commands never ask for it.
    """

    config_file: Path | None
    clock: Clock

    @cached_property
    def config(self) -> "Config":
        """Raises InvalidValue."""
        from gateway.config import load_config

        return load_config(self.config_file, os.environ)

    @cached_property
    def engine(self) -> "Engine":
        """Of the configured database. Raises StoreError where there is none, or its schema is not this program's."""
        from gateway.storage.engine import open_existing, reading
        from gateway.storage.migrate import check_version

        engine = open_existing(self.config.database_url)
        with reading(engine) as connection:
            check_version(connection)
        return engine


pass_context = click.make_pass_decorator(Context)


def day(_context: click.Context, _option: click.Parameter, text: str | None) -> "date | None":
    """The callback of an option that takes a date as YYYY-MM-DD."""
    from gateway.domain.terms import parse_date

    return parse_date(text) if text else None
