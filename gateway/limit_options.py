"""Limits at the command line: the same options for the network and for a partner, and how limits are said."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from gateway.domain.limits import LIMIT_NAMES, Limits, check_limits

_HELP = {
    "minimum_points": "Fewest points of a redemption.",
    "multiple_points": "Points are redeemed in multiples of this many.",
    "entry_points_max": "Most points of one issue or redemption.",
    "member_day_issued_max": "Most points that a member gets in a business date.",
    "member_day_redeemed_max": "Most points that a member spends in a business date.",
    "terminal_day_issued_max": "Most points that a terminal issues in a business date.",
    "terminal_day_redeemed_max": "Most points that a terminal redeems in a business date.",
}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each limit; the command gets them by their names, None where nothing is said."""
    for name in reversed(LIMIT_NAMES):
        option = click.option(f"--{name.replace('_', '-')}", name, type=int, help=f"{_HELP[name]} 0 lifts the limit.")
        command = option(command)
    return command


def changed_limits(last: Limits, options: Mapping[str, Any]) -> Limits:
    """The last limits with what the options say. Raises InvalidValue."""
    return check_limits(replace(last, **{name: options[name] for name in LIMIT_NAMES if options[name] is not None}))


def limits_words(limits: Limits) -> str:
    """Those that there are, such as "minimum points 100, multiple points 50"."""
    said = (f"{name.replace('_', ' ')} {value}" for name in LIMIT_NAMES if (value := getattr(limits, name)))
    return ", ".join(said) or "no limits"
