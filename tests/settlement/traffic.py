"""A gateway's stand-in: a process that books as fast as it can, until told to stop."""

from multiprocessing.synchronize import Event
from pathlib import Path

from tests.given import at
from tests.settlement.given import Shop, issue, network_engine, redeem


def keep_booking(folder: Path, started: Event, stop: Event) -> None:
    """Issues and redeems in small batches."""
    shop = Shop(network_engine(folder))
    number = 0
    while not stop.is_set():
        number += 1
        commands = [issue(f"t{number}", "bravo", "m1", 10_00), redeem(f"r{number}", "charlie", "m1", 5)]
        shop.book_all(commands, now_ms=at("2026-06-30") + number)
        started.set()
