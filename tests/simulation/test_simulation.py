"""Two random days of shops on a bad line and two nights, from one seed: nothing is lost or doubled, and the books are proved."""

import os
from pathlib import Path

import pytest

from tests.simulation.auditor import check_books
from tests.simulation.days import opening, shopping
from tests.simulation.world import World, flush

SEEDS = [int(seed) for seed in os.environ.get("TALLYSTICK_SEEDS", "1 2 3 4").split()]
ORDERS = 80  # a day


@pytest.mark.simulation
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeds_days_and_nights_are_proved(tmp_path: Path, seed: int) -> None:
    """TALLYSTICK_SEEDS="5 6 7" plays others. Points of the opening expire in the second night, cards change in between."""
    world = World(seed, tmp_path / "net")
    try:
        opening(world)
        shopping(world, "2026-06-19", ORDERS)
        world.night("2026-06-19")
        shopping(world, "2026-06-20", ORDERS)
        world.night("2026-06-20")
        world.command("settlement", "expire")
        flush(world)
        world.night("2026-06-21")
        print(f"TALLYSTICK_SEEDS={seed}: {dict(world.figures)}, {len(world.orders)} orders")  # noqa: T201 - a failure shows it

        check_books(world, windows=3)
    finally:
        world.close()
