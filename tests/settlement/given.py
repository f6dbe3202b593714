"""A small network, and the oracle's month booked into it by the real ledger."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from gateway.config import FILE_NAME, load_config
from gateway.domain.command import AmountAsked, Command, Enrol, Issue, MemberRef, Redeem, Reverse, Transfer
from gateway.domain.ids import entry_id
from gateway.domain.receipt import Answer, Receipt
from gateway.domain.units import MICROS
from gateway.ledger.batch import BatchSettings
from gateway.storage.engine import open_engine
from tests.given import at, terms_as_of
from tests.ledger.books import run_everywhere

_ORACLE = Path(__file__).parents[1] / "oracle" / "coalition_month.json"

# Partner, and reimbursement rate of each version of its card, in cents per point: DESIGN's month.
REIMBURSEMENT = {"alpha": ("0.96", "0.96"), "bravo": ("0.90",), "charlie": ("1.00", "0.98"), "delta": ("1.00",)}


def encode(receipt: Receipt) -> bytes:
    """Receipts as plain text: the form on the wire is no affair of settlement's."""
    return repr(receipt).encode()


@dataclass
class Shop:
    """Books commands at chosen times, and remembers the ids of what it booked."""

    engine: Engine
    booked: int = 0
    settings: BatchSettings = field(default_factory=lambda: BatchSettings(terms_as_of(), encode, lambda _now_ms: "r1"))

    def book(self, command: Command, *, now_ms: int) -> None:
        """Books one command; refused is a bug of the test."""
        self.book_all([command], now_ms=now_ms)

    def book_all(self, commands: Sequence[Command], *, now_ms: int) -> None:
        """Books commands in one transaction."""
        with self.engine.connect() as connection:
            results = run_everywhere(connection, commands, now_ms=now_ms, settings=self.settings)
        assert all(isinstance(result, Answer) and result.refusal is None for result in results), results
        self.booked += len(commands)


def network_engine(folder: Path) -> Engine:
    """The network's database, as its configuration names it."""
    return open_engine(load_config(folder / FILE_NAME, {}).database_url)


def book_month(engine: Engine) -> Shop:
    """Books the oracle's month but for the expiry of step 13, which is the night's."""
    shop = Shop(engine)
    for member in ("m1", "m2"):
        shop.book(
            Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key=member, card_hash=card_hash(member)),
            now_ms=at("2026-06-01", "08:00"),
        )
    for command, day in month():
        shop.book(command, now_ms=at(day))
    return shop


def month() -> list[tuple[Command, str]]:
    """The month's commands, each with the day on which it is booked."""
    return [
        (issue("1", "alpha", "m1", 1_200_00), "2026-06-01"),
        (issue("2", "bravo", "m1", 85_60), "2026-06-02"),
        (issue("3", "charlie", "m1", 250_00, offer_id="bonus-500"), "2026-06-03"),
        (redeem("4", "bravo", "m1", 700), "2026-06-05"),
        (issue("5", "alpha", "m2", 401_99), "2026-06-06"),
        (reverse("6", "alpha", "1", eligible=AmountAsked("EUR", 300_00)), "2026-06-08"),
        (redeem("7", "charlie", "m2", 200), "2026-06-09"),
        (reverse("8", "alpha", "5"), "2026-06-10"),
        (reverse("9", "bravo", "4", points=300), "2026-06-12"),
        (issue("10", "alpha", "m1", 64_50), "2026-06-16"),
        (issue("11", "alpha", "m2", 100_00, occurred_at_ms=at("2026-06-14")), "2026-06-17"),
        (issue("12", "charlie", "m2", 150_00), "2026-06-18"),
        (issue("14", "charlie", "m1", 41, unit="charlie:STAR"), "2026-06-22"),
        (redeem("15", "delta", "m1", 100), "2026-06-24"),
        (transfer("16", "charlie", "m1", "m2", 120), "2026-06-25"),
        (redeem("17", "alpha", "m2", 150), "2026-06-26"),
        (issue("17i", "alpha", "m2", 8_50), "2026-06-26"),
    ]


def issue(
    key: str,
    partner_id: str,
    member: str,
    amount: int,
    *,
    unit: str = "EUR",
    offer_id: str | None = None,
    occurred_at_ms: int | None = None,
) -> Issue:
    """An issue on an amount in minor units."""
    return Issue(
        partner_id=partner_id,
        key_id=f"{partner_id}/till-1/1",
        idempotency_key=key,
        member=MemberRef(card_hash=card_hash(member)),
        eligible=AmountAsked(unit, amount),
        offer_id=offer_id,
        occurred_at_ms=occurred_at_ms,
    )


def redeem(key: str, partner_id: str, member: str, points: int) -> Redeem:
    """A redemption of points."""
    return Redeem(
        partner_id=partner_id,
        key_id=f"{partner_id}/till-1/1",
        idempotency_key=key,
        member=MemberRef(card_hash=card_hash(member)),
        points=points,
    )


def reverse(
    key: str, partner_id: str, original_key: str, *, eligible: AmountAsked | None = None, points: int | None = None
) -> Reverse:
    """A reversal of the partner's own entry, by that entry's key."""
    return Reverse(
        partner_id=partner_id,
        key_id=f"{partner_id}/till-1/1",
        idempotency_key=key,
        original_entry_id=entry_id(partner_id, original_key),
        eligible=eligible,
        points=points,
    )


def transfer(key: str, partner_id: str, source: str, target: str, points: int) -> Transfer:
    """A transfer between two members."""
    return Transfer(
        partner_id=partner_id,
        key_id=f"{partner_id}/till-1/1",
        idempotency_key=key,
        source=MemberRef(card_hash=card_hash(source)),
        target=MemberRef(card_hash=card_hash(target)),
        points=points,
    )


def card_hash(member: str) -> str:
    """The card of a member, as the ledger knows it."""
    return member.encode().hex().ljust(64, "0")


def oracle_obligations() -> set[tuple[str, str, int, int, int]]:
    """What the oracle says: payer, payee, card, points, exact amount in micros."""
    names = {name[0].upper(): name for name in ("alpha", "bravo", "charlie", "delta")}
    lines = oracle()["at_redemption"]["obligations"]
    return {
        (names[line["issuer"]], names[line["redeemer"]], line["card"], line["points"], int(Decimal(line["cents"]) * MICROS))
        for line in lines
    }


def oracle() -> Any:
    """What must come out of the month."""
    return json.loads((Path(__file__).parents[1] / "oracle" / "coalition_month.json").read_text("utf-8"))
