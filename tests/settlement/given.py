"""A small network on a SQLite file, and the oracle's month booked into it by the real ledger."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, insert

from gateway.domain.canonical import canonical
from gateway.domain.command import AmountAsked, Command, Enrol, Issue, MemberRef, Redeem, Reverse, Transfer
from gateway.domain.ids import entry_id
from gateway.domain.network import SettlementModel
from gateway.domain.receipt import Answer, Receipt
from gateway.domain.terms import DebtPolicy, ExpiryRule, NetworkTerms
from gateway.domain.units import MICROS, Rate, parse_micros
from gateway.founding import NetworkPlan, found_network
from gateway.ledger.batch import BatchSettings, run_batch
from gateway.storage.directory import load_terms
from gateway.storage.engine import open_engine, writing
from gateway.storage.tables_directory import issue_rates, network_terms, offer_shares, offers, partners, rate_cards

ZONE = ZoneInfo("Europe/Berlin")
AUDIENCE = "coalition.example:test"

# Partner, first date, issue rates, issue price and reimbursement rate in cents per point: DESIGN's month.
CARDS: tuple[tuple[str, str, Mapping[str, str], str, str], ...] = (
    ("alpha", "2026-06-01", {"EUR": "1/2"}, "1.10", "0.96"),
    ("alpha", "2026-06-16", {"EUR": "1/2"}, "1.15", "0.96"),
    ("bravo", "2026-06-01", {"EUR": "1"}, "1.20", "0.90"),
    ("charlie", "2026-06-01", {"EUR": "2", "charlie:STAR": "5/2"}, "1.05", "1.00"),
    ("charlie", "2026-06-16", {"EUR": "2", "charlie:STAR": "5/2"}, "1.05", "0.98"),
    ("delta", "2026-06-01", {}, "0", "1.00"),
)


def at(day: str, clock: str = "12:00") -> int:
    """Unix milliseconds of a local time."""
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZONE).timestamp()) * 1_000


def encode(receipt: Receipt) -> bytes:
    """Receipts as plain text: the form on the wire is no affair of settlement's."""
    return repr(receipt).encode()


@dataclass
class Shop:
    """Books commands at chosen times, and remembers the ids of what it booked."""

    engine: Engine
    booked: int = 0
    settings: BatchSettings = field(default_factory=lambda: BatchSettings(load_terms, encode, "r1"))

    def book(self, command: Command, *, now_ms: int) -> None:
        """Books one command; refused is a bug of the test."""
        self.book_all([command], now_ms=now_ms)

    def book_all(self, commands: Sequence[Command], *, now_ms: int) -> None:
        """Books commands in one transaction."""
        with self.engine.connect() as connection:
            results = run_batch(connection, commands, now_ms=now_ms, settings=self.settings)
        assert all(isinstance(result, Answer) and result.refusal is None for result in results), results
        self.booked += len(commands)


def make_network(folder: Path, *, model: SettlementModel = SettlementModel.AT_REDEMPTION) -> Path:
    """A network with the month's four partners; answers the path of its configuration."""
    expiry = (("2026-06-01", "on 2026-06-20"), ("2026-06-02", "on 2027-06-30"))
    first, second = (
        NetworkTerms(
            version=version,
            effective_from=date.fromisoformat(day),
            expiry_rule=ExpiryRule.parse(rule),
            debt_policy=DebtPolicy.DEBT,
            late_days_max=3,
            redemption_element_micros=parse_micros("0.95"),
            breakage_rebate_share=Rate(1, 2),
            par_value_micros=parse_micros("1"),
        )
        for version, (day, rule) in enumerate(expiry, start=1)
    )
    plan = NetworkPlan(audience=AUDIENCE, currency="EUR", time_zone=ZONE.key, settlement_model=model, terms=first)
    found_network(folder, plan, now_ms=at("2026-06-01", "00:00"))
    engine = network_engine(folder)
    with writing(engine) as connection:
        connection.execute(insert(network_terms), [_terms_row(second)])
        connection.execute(insert(partners), [_partner_row(name) for name in sorted({card[0] for card in CARDS})])
        versions: dict[str, int] = {}
        for partner_id, day, rates, price, reimbursement in CARDS:
            version = versions[partner_id] = versions.get(partner_id, 0) + 1
            connection.execute(insert(rate_cards), [_card_row(partner_id, version, day, price, reimbursement)])
            rows = [_rate_row(partner_id, version, unit, Rate.parse(rate)) for unit, rate in rates.items()]
            if rows:
                connection.execute(insert(issue_rates), rows)
        connection.execute(insert(offers), [_OFFER])
        connection.execute(insert(offer_shares), _SHARES)
    engine.dispose()
    return folder / "tallystick.toml"


def network_engine(folder: Path) -> Engine:
    """The network's database."""
    return open_engine(f"sqlite:///{folder / 'books.db'}")


def book_month(engine: Engine) -> Shop:
    """Books the oracle's month but for the expiry of step 13, which is the night's."""
    shop = Shop(engine)
    for member in ("m1", "m2"):
        shop.book(
            Enrol(partner_id="alpha", key_id="alpha/a/1", idempotency_key=member, card_hash=card_hash(member)),
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
        (issue("3", "charlie", "m1", 250_00, offer_id="summer"), "2026-06-03"),
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
        key_id=f"{partner_id}/a/1",
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
        key_id=f"{partner_id}/a/1",
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
        key_id=f"{partner_id}/a/1",
        idempotency_key=key,
        original_entry_id=entry_id(partner_id, original_key),
        eligible=eligible,
        points=points,
    )


def transfer(key: str, partner_id: str, source: str, target: str, points: int) -> Transfer:
    """A transfer between two members."""
    return Transfer(
        partner_id=partner_id,
        key_id=f"{partner_id}/a/1",
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


_OFFER = {
    "offer_id": "summer",
    "partner_id": "charlie",
    "first_date": "2026-06-01",
    "last_date": "2026-06-30",
    "bonus_points": 500,
    "minimum_amount": 0,
    "unit": "EUR",
    "decision_id": "",
}
_SHARES = [
    {
        "offer_id": "summer",
        "partner_id": name,
        "position": position,
        "share": "1/2",
        "consent_key_id": "",
        "consent_signature": bytes(64),
    }
    for position, name in enumerate(("charlie", "bravo"))
]


def _partner_row(name: str) -> dict[str, object]:
    return {
        "partner_id": name,
        "legal_name": name.title(),
        "status": "ACTIVE",
        "settlement_currency": "EUR",
        "time_zone": ZONE.key,
        "net_debit_cap": None,
        "application": canonical({}),
        "decision_id": "",
    }


def _card_row(partner_id: str, version: int, day: str, price: str, reimbursement: str) -> dict[str, object]:
    return {
        "partner_id": partner_id,
        "version": version,
        "effective_from": day,
        "issue_price_micros": parse_micros(price),
        "face_value_micros": parse_micros("1"),
        "reimbursement_rate_micros": parse_micros(reimbursement),
        "currency": "EUR",
        "decision_id": "",
    }


def _rate_row(partner_id: str, version: int, unit: str, rate: Rate) -> dict[str, object]:
    return {
        "partner_id": partner_id,
        "version": version,
        "unit": unit,
        "numerator": rate.numerator,
        "denominator": rate.denominator,
    }


def _terms_row(terms: NetworkTerms) -> dict[str, object]:
    return {
        "version": terms.version,
        "effective_from": terms.effective_from.isoformat(),
        "expiry_rule": str(terms.expiry_rule),
        "debt_policy": terms.debt_policy.value,
        "late_days_max": terms.late_days_max,
        "redemption_element_micros": terms.redemption_element_micros,
        "breakage_rebate_share": str(terms.breakage_rebate_share),
        "par_value_micros": terms.par_value_micros,
        "decision_id": "",
    }
