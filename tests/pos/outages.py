"""A gateway with real books that comes and goes, and the offline queue of one of its tills."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partners.pos import requests
from partners.pos.answers import Happened
from partners.pos.offline_queue import OfflineQueue
from partners.pos.till import Till
from tallystick.v1 import points_pb2
from tests.e2e.tills import open_till, signer_of
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, GivenNetwork

CARD = requests.card("CARD-1")


@dataclass
class Outage:
    """A network whose gateway is asked only within `back`; `happened` is what drains were told, by counter."""

    network: GivenNetwork
    path: Path
    happened: dict[int, Happened] = field(default_factory=dict)

    def queue(self, path: Path | None = None, **options: Any) -> OfflineQueue:
        """The till's, by the network's clock."""
        return OfflineQueue(
            path or self.path, signer_of(self.network, "acme"), audience=AUDIENCE, now=self.network.clock, **options
        )

    @contextmanager
    def back(self) -> Iterator[Till]:
        """The gateway is there again, and the till calls it."""
        with RunningGateway(self.network) as gateway, open_till(self.network, "acme", gateway.address) as till:
            yield till

    def note(self, happened: Happened) -> None:
        """For `drain`."""
        self.happened[happened.counter] = happened


def sale(number: int, cents: int = 1_000) -> points_pb2.IssuePointsRequest:
    """Sale number so and so of the member with the card."""
    return requests.issue(CARD, requests.amount(f"{cents // 100}.{cents % 100:02} EUR"), key=f"sale-{number:04}")
