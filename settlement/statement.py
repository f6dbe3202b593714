"""A partner's statement: what it owes and is owed in a window, and the control totals of the events behind it. Pure.

A redeemer can recompute it from its own receipts. Nothing in it comes from the clock of the run that made it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.canonical import Plain, canonical
from gateway.domain.entry import PostingKind
from gateway.domain.network import SettlementModel
from gateway.domain.statement import LINES_HEADER, PublishedStatement, StatementLine, event_id, line_id, line_text
from gateway.domain.terms import RateCard
from gateway.domain.units import format_amount, format_micros
from gateway.domain.window import Window
from settlement.netting import NetPosition
from settlement.obligation import Obligation, Total, line_key
from settlement.plain import plain
from settlement.pricing import TARIFFS, Prices, card_of, parties
from settlement.text import table


@dataclass(frozen=True, slots=True)
class Event:
    """A posting that moves money under a model, with what statements say of it.

    `redeemer_id` is the posting's counterparty: whose card prices it. `origin_entry_id` issued the points: a transferred lot
    carries it on; None where no lot was left to take them from. `receipt` is None where nobody asked for the entry.
    """

    sequence: int
    entry_id: str
    business_date: str
    kind: PostingKind
    issuer_id: str
    redeemer_id: str
    rate_card_version: int
    points: int
    origin_entry_id: str | None
    receipt: bytes | None


def readers(event: Event, model: SettlementModel = SettlementModel.AT_REDEMPTION) -> Iterator[tuple[str, str]]:
    """Who reads of an event, each with the entry of its own that it is told.

    Under at_redemption the redeemer, and the issuer if it is another, which is told its own issue. Under the others one
    partner alone deals with the network: of an expiry it is told the entry that had issued the points.
    """
    if event.kind in _EXPIRIES:
        yield event.redeemer_id, event.origin_entry_id or event.entry_id
        return
    yield event.redeemer_id, event.entry_id
    if model is SettlementModel.AT_REDEMPTION and event.issuer_id != event.redeemer_id:
        yield event.issuer_id, event.origin_entry_id or event.entry_id


def make_line(
    event: Event, model: SettlementModel, prices: Prices, *, line_number: int, own_entry_id: str, receipt_sha256: bytes
) -> StatementLine:
    """The line of an event, priced by its counterparty's card and the network's terms. Reversals are owed the other way round."""
    tariff = TARIFFS[model][event.kind]
    price = tariff.price(prices, card_of(prices.cards, event.redeemer_id, event.rate_card_version))
    payer_id, payee_id = parties(model, tariff, event.issuer_id, event.redeemer_id)
    return StatementLine(
        line_number=line_number,
        kind=tariff.kind,
        payer_id=payer_id,
        payee_id=payee_id,
        points=event.points,
        amount_micros=price.micros(event.points),
        currency=price.currency,
        business_date=event.business_date,
        rate_card_version=event.rate_card_version,
        own_entry_id=own_entry_id,
        receipt_sha256=receipt_sha256,
    )


class ControlTotals:
    """Running totals over a partner's events in order: plain sums, and the hash of the file of events as it is published."""

    def __init__(self) -> None:
        self.lines = 0
        self.points = 0
        self.amount_micros = 0
        self._hash = hashlib.sha256(LINES_HEADER.encode())

    def add(self, line: StatementLine) -> None:
        """Takes the next line."""
        self.lines += 1
        self.points += line.points
        self.amount_micros += line.amount_micros
        self._hash.update(line_text(line).encode())

    def sha256(self) -> bytes:
        """Of the header and all lines so far (32 bytes)."""
        return self._hash.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementParts:
    """What a statement is made of; sequences in the order in which they are shown."""

    audience: str
    model: SettlementModel
    partner_id: str
    window: Window
    previous_sha256: bytes | None
    cards: Sequence[RateCard]
    prices: Prices
    obligations: Sequence[Obligation]
    positions: Sequence[NetPosition]
    movements: Sequence[Total]
    control: ControlTotals


def make_statement(parts: StatementParts) -> PublishedStatement:
    """The statement as canonical JSON, and its hash."""
    document = canonical(
        {
            "format": "tallystick-statement-1",
            "audience": parts.audience,
            "model": parts.model.value,
            "partner_id": parts.partner_id,
            "window_id": parts.window.window_id,
            "cut_off_date": parts.window.cut_off_date,
            "ranges": [{"lane": lane.lane, "first": lane.first, "last": lane.last} for lane in parts.window.ranges],
            "previous_sha256": parts.previous_sha256.hex() if parts.previous_sha256 else "",
            "rate_cards": [_card_plain(card, parts.model) for card in parts.cards],
            **_terms_plain(parts),
            "obligations": [_obligation_plain(parts.window.window_id, line) for line in parts.obligations],
            "net": [{"currency": position.currency, "amount": position.amount} for position in parts.positions],
            "movements": [{**plain(total), "kind": total.kind.name.lower()} for total in parts.movements],
            "control": {
                "lines": parts.control.lines,
                "points": parts.control.points,
                "amount_micros": parts.control.amount_micros,
                "sha256": parts.control.sha256().hex(),
            },
        }
    )
    return PublishedStatement(
        window_id=parts.window.window_id,
        partner_id=parts.partner_id,
        statement=document,
        sha256=hashlib.sha256(document).digest(),
        lines=parts.control.lines,
    )


def _obligation_plain(window_id: int, line: Obligation) -> dict[str, Plain]:
    return {"line_id": line_id(window_id, *line_key(line)), **plain(line)}


def _card_plain(card: RateCard, model: SettlementModel) -> dict[str, Plain]:
    own: dict[str, Plain] = {
        "partner_id": card.partner_id,
        "version": card.version,
        "reimbursement_rate_micros": card.reimbursement_rate_micros,
        "currency": card.currency,
    }
    return own if model is SettlementModel.AT_REDEMPTION else own | {"issue_price_micros": card.issue_price_micros}


def _terms_plain(parts: StatementParts) -> dict[str, Plain]:
    """What the network's terms say of prices; nothing where only cards do."""
    if parts.model is SettlementModel.AT_REDEMPTION:
        return {}
    terms = parts.prices.terms
    return {
        "network_terms": {
            "version": terms.version,
            "currency": parts.prices.currency,
            "redemption_element_micros": terms.redemption_element_micros,
            "breakage_rebate_share": str(terms.breakage_rebate_share),
            "par_value_micros": terms.par_value_micros,
        }
    }


_EXPIRIES = frozenset({PostingKind.EXPIRE, PostingKind.EXPIRY_UNDONE})


def statement_text(document: bytes, sha256: bytes) -> str:
    """A statement for people. Takes what `make_statement` made."""
    content = json.loads(document)
    ranges = ", ".join(
        f"lane {lane['lane']}: {lane['first']} to {lane['last']}"
        if lane["last"] >= lane["first"]
        else f"lane {lane['lane']}: none"
        for lane in content["ranges"]
    )
    control = content["control"]
    facts = [
        ("partner", content["partner_id"]),
        ("network", content["audience"]),
        ("window", f"{content['window_id']}, cut off on {content['cut_off_date']}"),
        ("entries", ranges),
        ("model", content["model"]),
        ("statement", f"SHA-256 {sha256.hex()}"),
        ("previous", f"SHA-256 {content['previous_sha256']}" if content["previous_sha256"] else "none"),
        (
            "events",
            f"{control['lines']} lines, {control['points']} points, {format_micros(control['amount_micros'])} minor units",
        ),
        ("", f"SHA-256 {control['sha256']} of {content['partner_id']}.lines.csv"),
        ("", f"the first of them is called {event_id(content['window_id'], content['partner_id'], 1)}, and so on"),
    ]
    parts = [f"{name:<11}{value}\n" for name, value in facts]
    parts.append("\nWho owes whom, before netting\n\n" + _obligations_text(content["obligations"]))
    parts.append("\nPoints moved\n\n" + _movements_text(content["movements"]))
    parts.extend("\n" + _net_text(net["currency"], net["amount"]) for net in content["net"])
    return "".join(parts)


def _obligations_text(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            line["payer_id"],
            line["payee_id"],
            line["kind"],
            str(line["rate_card_version"]),
            str(line["points"]),
            format_micros(line["amount_micros"]),
            format_amount(line["amount"], line["currency"]),
            line["currency"],
            line["line_id"],
        )
        for line in lines
    ]
    return (
        table(("pays", "receives", "for", "card", "points", "exact, minor units", "amount", "", "line"), rows, right={3, 4, 5, 6})
        if rows
        else "Nothing.\n"
    )


def _movements_text(movements: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (m["kind"].replace("_", " "), m["issuer_id"], m["counterparty_id"], str(m["rate_card_version"]), str(m["points"]))
        for m in movements
    ]
    return table(("what", "issuer", "at", "card", "points"), rows, right={3, 4}) if rows else "Nothing.\n"


def _net_text(currency: str, amount: int) -> str:
    if amount == 0:
        return f"Net: nothing to pay or to receive in {currency}.\n"
    return f"Net: you {'receive' if amount > 0 else 'pay'} {format_amount(abs(amount), currency)} {currency}.\n"
