"""A small network that can be moved: all its rows, its configuration, and a shop that goes on wherever the books are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from gateway.config import FILE_NAME
from gateway.storage.copying import TABLES
from gateway.storage.engine import open_engine, reading
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.requests import Booking
from tests.e2e.commands import done, run_command
from tests.e2e.tills import open_till, two_partners
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork

CARDS = tuple(f"4000-{number:04}" for number in range(4))

Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(engine: Engine) -> Rows:
    """Everything, in an order that both engines give."""
    with reading(engine) as connection:
        return {table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr) for table in TABLES}


def use(network: GivenNetwork, url: str) -> GivenNetwork:
    """The same network, with this URL in its configuration."""
    file = network.folder / FILE_NAME
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(f'url = "{url}"\n' if line.startswith("url = ") else line for line in lines), "utf-8")
    return GivenNetwork(network.folder, network.now_ms, network.hands, network.keys, url)


def shop(network: GivenNetwork, *, day: str) -> list[Booked]:
    """A few sales, a redemption and a refusal; the same day's commands have the same keys."""
    with RunningGateway(network) as gateway, open_till(network, "acme", gateway.address) as till:
        if day == "one":
            till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in CARDS])
        commands: list[Booking] = [
            *(requests.issue(requests.card(card), requests.amount("12.50 EUR"), key=f"{day}-{card}") for card in CARDS),
            requests.redeem(requests.card(CARDS[0]), 7, key=f"{day}-gift"),
            requests.redeem(requests.card(CARDS[1]), 7_000, key=f"{day}-too-much"),
        ]
        return [answer for answer in till.submit_batch(commands) if isinstance(answer, Booked)]


@contextlib.contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """To look into a database."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


def moving_network(folder: Path) -> GivenNetwork:
    """Two partners on a SQLite file, after a day and a night, and a morning."""
    network = two_partners(folder)
    shop(network, day="one")
    done(run_command(network, "settlement", "run"))
    shop(network, day="two")
    return network
