"""The network that is measured: four partners on SQLite, members with cards, and requests that are ready to be sent."""

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import text

from bench.plan import Request
from gateway.config import load_config
from gateway.dev_ca import make_certificates, write_certificates
from gateway.storage.engine import open_engine
from partners.pos.channel import Signer, Signing
from partners.pos.requests import ISSUE, SUBMIT_BATCH, Method
from tallystick.v1 import member_pb2, points_pb2, types_pb2
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network

__all__ = ["AUDIENCE", "BATCH", "PARTNERS", "BenchNetwork", "card", "now_ms"]

PARTNERS = ("meadow", "torque", "quire", "lantern")
MEMBERS = 2_000
BATCH = 500  # commands of a SubmitBatch
_SQLITE_FULL = 2


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass
class BenchNetwork:
    """A network in a folder, and what signs for its partners. Keys are of the partners' tills."""

    given: GivenNetwork
    runs: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    def create(cls, folder: Path) -> "BenchNetwork":
        """Founds it and takes its partners in. Nobody has a cap, points last for two years."""
        given = create_network(folder, expiry="end of month after 24 months")
        given.now_ms = now_ms()
        for partner_id in PARTNERS:
            given.onboard(partner_id, {"EUR": "1"}, effective_from="2026-01-01")
        write_certificates(folder / "tls", make_certificates(given.now_ms))
        given.engine.dispose()
        return cls(given)

    def enrolments(self) -> list[Request]:
        """Batches that enrol all members, each under a card."""
        commands = [
            points_pb2.Command(enrol=member_pb2.EnrolMemberRequest(idempotency_key=f"enrol-{number}", card_number=card(number)))
            for number in range(MEMBERS)
        ]
        return [
            self._signed(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands[start : start + BATCH]), PARTNERS[0])
            for start in range(0, MEMBERS, BATCH)
        ]

    def issues(self, count: int) -> tuple[str, list[Request]]:
        """Signed IssuePoints requests of all partners in turn; and what their idempotency keys begin with."""
        prefix = f"run-{next(self.runs)}/"
        return prefix, [self._signed(ISSUE, _issue(prefix, number), PARTNERS[number % len(PARTNERS)]) for number in range(count)]

    def batches(self, count: int) -> tuple[str, list[Request]]:
        """The same as signed batches of 500 commands."""
        prefix = f"run-{next(self.runs)}/"
        requests = []
        for number in range(count):
            commands = [points_pb2.Command(issue=_issue(prefix, number * BATCH + index)) for index in range(BATCH)]
            message = points_pb2.SubmitBatchRequest(commands=commands)
            requests.append(self._signed(SUBMIT_BATCH, message, PARTNERS[number % len(PARTNERS)]))
        return prefix, requests

    def durability(self) -> str:
        """What the database says of itself when it is opened as the gateway opens it. Raises RuntimeError unless FULL."""
        engine = open_engine(load_config(self.given.folder / "tallystick.toml", {}).database_url)
        with engine.connect() as connection:
            synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
            journal_mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
        engine.dispose()
        if (synchronous, journal_mode) != (_SQLITE_FULL, "wal"):
            raise RuntimeError(f"void: synchronous={synchronous}, journal_mode={journal_mode}")
        return "SQLite, journal_mode=WAL, synchronous=FULL"

    def _signed(self, method: Method[Any, Any], message: Message, partner_id: str) -> Request:
        body = message.SerializeToString()
        signer = Signer(f"{partner_id}/{KEY_SUFFIX}", self.given.keys[partner_id].sign)
        return body, Signing(AUDIENCE, signer, now_ms).metadata(method.path, body)


def card(number: int) -> str:
    """A member's card number."""
    return f"4711-{number:08d}"


def _issue(prefix: str, number: int) -> points_pb2.IssuePointsRequest:
    return points_pb2.IssuePointsRequest(
        idempotency_key=f"{prefix}{number}",
        member=types_pb2.MemberRef(card_number=card(number * 7919 % MEMBERS)),
        eligible=types_pb2.Amount(unit="EUR", minor_units=1_000 + number % 9_000),
    )
