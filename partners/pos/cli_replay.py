"""`tallystick pos replay`."""

import click


@click.command()
def replay() -> None:
    """Play a file of baskets as signed calls."""
