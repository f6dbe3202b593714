"""The network that is measured: four partners, members with cards, and traffic that is ready to be sent."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import text

from bench.plan import Request
from gateway.dev_ca import make_certificates, write_certificates
from gateway.storage.engine import reading
from partners.pos.channel import Signer, Signing
from partners.pos.requests import CHECKOUT, ENROL, ISSUE, REDEEM, SUBMIT_BATCH, Method
from tallystick.v1 import member_pb2, points_pb2, till_pb2, types_pb2
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network

__all__ = ["AUDIENCE", "BATCH", "PARTNERS", "BenchNetwork", "Traffic", "card", "issue", "now_ms"]

PARTNERS = ("meadow", "torque", "quire", "lantern")
MEMBERS = 2_000
BATCH = 500  # commands of a SubmitBatch
LANES = 4  # as a network on PostgreSQL begins with
EXPIRY = "end of month after 24 months"
_SQLITE_FULL = 2

Pick = Callable[[int], str]
"""What the command of a number names: a partner, or a card."""

_FIELDS = {ENROL: "enrol", ISSUE: "issue", REDEEM: "redeem"}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Signed requests; `partners` of their commands, whose idempotency keys are `prefix` and the command's number."""

    method: Method[Any, Any]
    prefix: str
    requests: Sequence[Request]
    partners: Sequence[str]

    @property
    def commands_a_request(self) -> int:
        """One, or a batch."""
        return len(self.partners) // len(self.requests)


def in_turn(number: int) -> str:
    """All partners alike."""
    return PARTNERS[number % len(PARTNERS)]


def card(number: int) -> str:
    """A member's card number."""
    return f"4711-{number:08d}"


def any_member(number: int) -> str:
    """All members alike, in no order."""
    return card(number * 7919 % MEMBERS)


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass
class BenchNetwork:
    """A network in a folder, and what signs for its partners. Keys are of the partners' tills."""

    given: GivenNetwork
    runs: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    def create(cls, folder: Path, *, expiry: str = EXPIRY, url: str | None = None) -> "BenchNetwork":
        """Founds it, on SQLite unless there is a URL, and takes its partners in. Nobody has a cap."""
        given = create_network(folder, expiry=expiry, lanes=1 if url is None else LANES, url=url)
        given.now_ms = now_ms()
        for partner_id in PARTNERS:
            given.onboard(partner_id, {"EUR": "1"}, effective_from="2026-01-01")
        write_certificates(folder / "tls", make_certificates(given.now_ms))
        given.engine.dispose()
        return cls(given)

    def enrolments(self, cards: Sequence[str]) -> Traffic:
        """Batches that enrol a member under each card."""
        return self._batched(
            ENROL, len(cards), lambda key, number: member_pb2.EnrolMemberRequest(idempotency_key=key, card_number=cards[number])
        )

    def issues(self, count: int, *, partner_of: Pick = in_turn, card_of: Pick = any_member) -> Traffic:
        """IssuePoints, one call each."""
        prefix = f"run-{next(self.runs)}/"
        partners = [partner_of(number) for number in range(count)]
        requests = [
            self._signed(ISSUE, issue(f"{prefix}{number}", number, card_of), partner) for number, partner in enumerate(partners)
        ]
        return Traffic(ISSUE, prefix, requests, partners)

    def checkouts(self, count: int, *, points: int = 0) -> Traffic:
        """Checkout, one call each: an issue alone, or with so many points that pay a part."""
        prefix = f"run-{next(self.runs)}/"
        partners = [in_turn(number) for number in range(count)]
        requests = [
            self._signed(CHECKOUT, _checkout(f"{prefix}{number}", number, points), partner)
            for number, partner in enumerate(partners)
        ]
        return Traffic(CHECKOUT, prefix, requests, partners)

    def issue_batches(self, count: int, *, card_of: Pick = any_member) -> Traffic:
        """The same by SubmitBatch: `count` batches of 500."""
        return self._batched(ISSUE, count * BATCH, lambda key, number: issue(key, number, card_of))

    def redeem_batches(self, cards: Sequence[str], points: int) -> Traffic:
        """Each member redeems so many points once, by SubmitBatch. The number of cards must be a multiple of 500."""
        return self._batched(
            REDEEM,
            len(cards),
            lambda key, number: points_pb2.RedeemPointsRequest(
                idempotency_key=key, member=types_pb2.MemberRef(card_number=cards[number]), points=points
            ),
        )

    def durability(self) -> str:
        """What the database says of itself when it is opened as the gateway opens it. Raises RuntimeError unless durable."""
        with reading(self.given.engine) as connection:
            if connection.dialect.name == "sqlite":
                names: tuple[str, ...] = ("journal_mode", "synchronous")
                settings = tuple(connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names)
                is_durable = settings == ("wal", _SQLITE_FULL)
            else:
                names = ("synchronous_commit", "fsync", "full_page_writes")
                settings = tuple(connection.execute(text(f"SHOW {name}")).scalar_one() for name in names)
                is_durable = settings == ("on", "on", "on")
        said = ", ".join(f"{name}={value}" for name, value in zip(names, settings, strict=True))
        if not is_durable:
            raise RuntimeError(f"void: {said}")
        return said

    def _batched(self, method: Method[Any, Any], count: int, make: Callable[[str, int], Message]) -> Traffic:
        prefix = f"run-{next(self.runs)}/"
        requests, partners = [], []
        for start in range(0, count, BATCH):
            partner = in_turn(start // BATCH)
            commands = [
                points_pb2.Command(**{_FIELDS[method]: make(f"{prefix}{number}", number)})  # type: ignore[arg-type] # by name
                for number in range(start, start + BATCH)
            ]
            requests.append(self._signed(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands), partner))
            partners += [partner] * BATCH
        return Traffic(SUBMIT_BATCH, prefix, requests, partners)

    def _signed(self, method: Method[Any, Any], message: Message, partner_id: str) -> Request:
        body = message.SerializeToString()
        signer = Signer(f"{partner_id}/{KEY_SUFFIX}", self.given.keys[partner_id].sign)
        return body, Signing(AUDIENCE, signer, now_ms).metadata(method.path, body)


def issue(key: str, number: int, card_of: Pick) -> points_pb2.IssuePointsRequest:
    """The sale of a number."""
    return points_pb2.IssuePointsRequest(
        idempotency_key=key,
        member=types_pb2.MemberRef(card_number=card_of(number)),
        eligible=types_pb2.Amount(unit="EUR", minor_units=1_000 + number % 9_000),
    )


def _checkout(key: str, number: int, points: int) -> till_pb2.CheckoutRequest:
    request = till_pb2.CheckoutRequest(
        idempotency_key=key,
        member=types_pb2.MemberRef(card_number=any_member(number)),
        total=types_pb2.Amount(unit="EUR", minor_units=1_000 + number % 9_000),
    )
    if points:
        request.points = points
    return request
