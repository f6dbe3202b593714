"""What the operator's commands share: the context they run in, and how they refuse and print (`gateway.terminal`).

Exit codes: 0 done, 1 refused, 2 misuse. Results go to standard output, progress and errors to standard error.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
from sqlalchemy import Engine

from gateway.config import Config, load_config
from gateway.domain.errors import DomainError
from gateway.storage.engine import open_engine
from gateway.storage.errors import StoreError
from gateway.terminal import Clock, Refused, print_table, system_clock

__all__ = ["REFUSALS", "Clock", "Context", "Refused", "pass_context", "print_table", "system_clock"]


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
