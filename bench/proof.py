"""Whether a round counts: every answer a receipt that verifies, and the ledger has exactly what was answered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from sqlalchemy import Engine, distinct, func, select

from bench.network import Traffic
from gateway.storage.tables import entries
from partners.pos.receipts import ReceiptKeys
from partners.pos.requests import GET_NETWORK
from tallystick.v1 import network_pb2, offline_pb2, points_pb2, types_pb2


class Void(Exception):
    """A round that does not count, and why."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What the ledger has of a round. `commits`: distinct moments of booking in a lane; a batch has one."""

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

    def tie_out(self, traffic: Traffic, bodies: Sequence[bytes | None]) -> Booked:
        """Of answers in the order of the requests. Raises Void or ReceiptError."""
        receipts = [
            self._keys.verify(answer.receipt, partner_id=partner, idempotency_key=f"{traffic.prefix}{number}")
            for number, (answer, partner) in enumerate(zip(_answers(traffic, bodies), traffic.partners, strict=True))
        ]
        booked = self._booked(traffic.prefix)
        answered = (len({(receipt.lane, receipt.sequence) for receipt in receipts}), sum(receipt.points for receipt in receipts))
        if (booked.entries, booked.points) != answered or len(receipts) != booked.entries:
            raise Void(f"the ledger has {booked}, the receipts say {answered}")
        return booked

    def _booked(self, prefix: str) -> Booked:
        its_own = entries.c.idempotency_key.startswith(prefix, autoescape=True)
        moments = func.count(distinct(entries.c.booked_at_ms))
        with self._engine.connect() as connection:
            count, points, commits = connection.execute(
                select(func.count(), func.sum(entries.c.points), moments).where(its_own)
            ).one()
        return Booked(count, int(points or 0), commits)


def _answers(traffic: Traffic, bodies: Sequence[bytes | None]) -> Iterator[types_pb2.Answer]:
    for body in bodies:
        answer = traffic.method.answer.FromString(body or b"")
        if isinstance(answer, points_pb2.SubmitBatchResponse):
            yield from (part.booked for part in answer.answers)
        elif isinstance(answer, offline_pb2.SubmitOfflineResponse):
            yield from (event.answer.booked for event in answer.answers)
        else:
            yield answer.answer


def _channel(address: str, certificate: bytes | None) -> grpc.Channel:
    if certificate is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate))
