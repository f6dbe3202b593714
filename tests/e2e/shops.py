"""Two partners' tills on a day of theirs, and the receipts that they keep and hand in."""

import base64
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.requests import Booking
from partners.pos.till import Till
from tallystick.v1 import types_pb2
from tests.e2e.commands import Ran
from tests.e2e.storm import CARDS, plan
from tests.e2e.tills import open_till
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork

COMMANDS = 160
SEED = 1207
SECOND_MS = 1_000
PARTNERS = ("acme", "globex")

Answer = Booked | Refused


@dataclass
class Shops:
    """Two partners' tills in the same books; `commands` is their day, one after the other."""

    network: GivenNetwork
    commands: list[tuple[str, Booking]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draws the day: sales, redemptions, reversals, transfers, some of them refused."""
        rng = random.Random(SEED)
        plans = [plan(rng, number) for number in range(len(PARTNERS))]
        self.commands = [(partner, one) for pair in zip(*plans, strict=True) for partner, one in zip(PARTNERS, pair, strict=True)]
        del self.commands[COMMANDS:]

    def open(self) -> "Opened":
        """With a gateway of their own."""
        return Opened(self.network)


class Opened:
    """A gateway in the process, and a till for each partner."""

    def __init__(self, network: GivenNetwork) -> None:
        self._network = network
        self._gateway = RunningGateway(network)
        self.tills: dict[str, Till] = {}

    def __enter__(self) -> Self:
        """Opens."""
        self._gateway.__enter__()
        self.tills = {partner: open_till(self._network, partner, self._gateway.address) for partner in PARTNERS}
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        for till in self.tills.values():
            till.close()
        self._gateway.__exit__()
        self._network.engine.dispose()

    def enrol(self) -> None:
        """All the members of the day."""
        for card in CARDS:
            self.tills["acme"].enrol(card, key=f"enrol-{card}")

    def send(self, commands: Sequence[tuple[str, Booking]]) -> list[Answer]:
        """One after the other, a second apart."""
        return [self._send(partner, command) for partner, command in commands]

    def balances(self) -> list[tuple[int, int, int]]:
        """By card: balance, what can be redeemed, debt."""
        found = (self.tills["acme"].balance(requests.card(card)) for card in CARDS)
        return [(one.balance_points, one.available_points, one.debt_points) for one in found]

    def _send(self, partner: str, command: Booking) -> Answer:
        self._network.now_ms += SECOND_MS
        try:
            return self.tills[partner].book(command)
        except Refused as refused:
            return refused


def signed(answers: Sequence[Answer]) -> list[types_pb2.SignedReceipt]:
    """The receipts of those answers that have one."""
    found = [one.signed_receipt if isinstance(one, Booked) else one.facts.signed_receipt for one in answers]
    return [one for one in found if one is not None]


def write_lines(path: Path, receipts: Sequence[types_pb2.SignedReceipt]) -> Path:
    """As partners hand them in."""
    path.write_text("".join(line_of(one.receipt, one.signature, one.key_id) + "\n" for one in receipts), "utf-8")
    return path


def line_of(receipt: bytes, signature: bytes, key_id: str) -> str:
    """A line of the file."""
    content = {"receipt": base64.b64encode(receipt).decode(), "signature": base64.b64encode(signature).decode()}
    return json.dumps(content | {"key_id": key_id})


def named_as(ran: Ran, standing: str) -> set[tuple[str, str]]:
    """Partner and key of the receipts that the audit lists with this standing."""
    return set(re.findall(rf": {standing}: (\w+), key '([^']+)'", ran.out))


def keys_of(receipts: Sequence[types_pb2.SignedReceipt]) -> set[tuple[str, str]]:
    """Partner and key."""
    contents = [types_pb2.Receipt.FromString(one.receipt) for one in receipts]
    return {(one.partner_id, one.idempotency_key) for one in contents}
