"""What the operators' commands share: who acts, and how they say what comes next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.domain.decision import Decision, DecisionState
from gateway.governance import Hand
from gateway.key_file import load_key
from partners.words import in_words


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --operator and --key; the command gets `operator` and `key_file`, for `hand_of`."""
    command = click.option(
        "--key", "key_file", required=True, type=click.Path(path_type=Path), envvar="TALLYSTICK_OPERATOR_KEY", show_envvar=True,
        help="The operator's private key.",
    )(command)  # fmt: skip
    return click.option(
        "--operator", required=True, envvar="TALLYSTICK_OPERATOR", show_envvar=True, help="Which operator acts and signs."
    )(command)


def hand_of(operator: str, key_file: Path) -> Hand:
    """The operator with the key. Raises InvalidValue."""
    return Hand(operator, load_key(key_file))


def say(decision: Decision) -> None:
    """Prints what became of a decision, and what has to follow."""
    if decision.state is DecisionState.APPLIED:
        click.echo(f"Done ({decision.decision_id}): {in_words(decision)}.")
        return
    click.echo(f"Proposed {decision.decision_id}: {in_words(decision)}.")
    click.echo(f"Another operator approves: tallystick operators approve {decision.decision_id} --operator ID --key FILE")
