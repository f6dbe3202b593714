"""Whether a round counts: every answer a receipt that verifies, and the ledger has exactly what was answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from sqlalchemy import Engine, distinct, func, select

from bench.network import PARTNERS
from gateway.storage.tables import entries
from partners.pos.receipts import ReceiptKeys
from partners.pos.requests import GET_NETWORK
from tallystick.v1 import network_pb2, points_pb2, types_pb2


class Void(Exception):
    """A round that does not count, and why."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What the ledger has of a round. `commits`: distinct moments of booking; a batch has one."""

    entries: int
    points: int
    commits: int


class Proof:
    """Verifies by the receipt keys that the gateway publishes and by the gateway's own database."""

    def __init__(self, address: str, engine: Engine, certificate: bytes | None) -> None:
        """Asks the gateway for its receipt keys."""
        with _channel(address, certificate) as channel:
            network = GET_NETWORK.on(channel)(network_pb2.GetNetworkRequest())
        self._keys = ReceiptKeys(network.audience, network.receipt_keys)
        self._engine = engine

    def single(self, prefix: str, bodies: Sequence[bytes | None]) -> Booked:
        """Of unary answers, in the order of the requests."""
        answers = [points_pb2.IssuePointsResponse.FromString(body or b"").answer for body in bodies]
        return self._tied_out(prefix, answers, lambda number: PARTNERS[number % len(PARTNERS)])

    def batched(self, prefix: str, bodies: Sequence[bytes | None], *, size: int) -> Booked:
        """Of answered batches of `size` commands."""
        batches = [points_pb2.SubmitBatchResponse.FromString(body or b"").answers for body in bodies]
        answers = [answer.booked for batch in batches for answer in batch]
        return self._tied_out(prefix, answers, lambda number: PARTNERS[number // size % len(PARTNERS)])

    def _tied_out(self, prefix: str, answers: Sequence[types_pb2.Answer], partner_of: Callable[[int], str]) -> Booked:
        receipts = [
            self._keys.verify(answer.receipt, partner_id=partner_of(number), idempotency_key=f"{prefix}{number}")
            for number, answer in enumerate(answers)
        ]
        booked = self._booked(prefix)
        answered = (len({receipt.sequence for receipt in receipts}), sum(receipt.points for receipt in receipts))
        if (booked.entries, booked.points) != answered or len(receipts) != booked.entries:
            raise Void(f"the ledger has {booked}, the receipts say {answered}")
        return booked

    def _booked(self, prefix: str) -> Booked:
        its_own = entries.c.idempotency_key.startswith(prefix, autoescape=True)
        columns = (func.count(), func.sum(entries.c.points), func.count(distinct(entries.c.booked_at_ms)))
        with self._engine.connect() as connection:
            count, points, commits = connection.execute(select(*columns).where(its_own)).one()
        return Booked(count, points or 0, commits)


def _channel(address: str, certificate: bytes | None) -> grpc.Channel:
    if certificate is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate))
