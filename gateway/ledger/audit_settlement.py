"""The audit of what the night made: obligations, net positions, instructions and statements against totals and entries.

Worked out anew by plain arithmetic: settlement's own code stands above this floor, and must agree.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from gateway.domain.canonical import canonical
from gateway.domain.entry import PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.statement import line_id
from gateway.domain.terms import RateCard
from gateway.domain.window import PUBLISHED
from gateway.ledger.audit_adjustments import prove_adjustments
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Difference, Failures
from gateway.ledger.audit_paid import prove_payments
from gateway.ledger.audit_payments import prove_runs
from gateway.ledger.audit_prices import LineKey, Obligations, WindowPrices, summed
from gateway.ledger.audit_statements import LinesRead, LinesWorkedOut
from gateway.storage import audit_sums
from gateway.storage.tables_settlement import instructions, net_positions, obligations, statement_lines, statements

_PUBLISHED = {state.value for state in PUBLISHED}


def prove_settlement(
    connection: Connection, failures: Failures, facts: Facts, *, from_window: int, progress: Callable[[str], None]
) -> None:
    """Each published window since `from_window`. A window that is closed only may be half done: the night is at it."""
    last_closed = len(facts.windows) - 1
    for table in (obligations, net_positions, instructions, statements, statement_lines):
        strays = audit_sums.stray_count(connection, table, after_window=last_closed)
        failures.compare(table.name, [("rows of windows that are not closed", 0, strays)])
    for row in facts.windows:
        if row.window_id >= from_window and row.state in _PUBLISHED:
            with failures.reading(f"window {row.window_id}"):
                _Night(connection, failures, facts, row).prove()
            progress(f"  window {row.window_id}: settlement")
    with failures.reading("payment runs"):
        prove_runs(connection, failures, facts, from_window=from_window)
    with failures.reading("payments"):
        prove_payments(connection, failures, facts)
    with failures.reading("adjustments"):
        prove_adjustments(connection, failures, facts)


class _Night:
    """What was made of one window."""

    def __init__(self, connection: Connection, failures: Failures, facts: Facts, window: Any) -> None:
        self.connection = connection
        self.failures = failures
        self.facts = facts
        self.window = window
        self.prices = WindowPrices(facts, window)
        self.totals = summed(audit_sums.total_rows(connection, window_id=window.window_id))

    def prove(self) -> None:
        """In the order in which the night works."""
        window_id = self.window.window_id
        rows = audit_sums.window_table_rows(self.connection, obligations, window_id)
        stored = [
            (
                (r.payer_id, r.payee_id, r.kind, r.rate_card_version, r.reference),
                (r.currency, r.points, r.amount_micros, r.amount),
            )
            for r in rows
        ]
        expected = self.prices.lines(self.connection, self.window, self.totals)
        self.failures.compare_rows(f"window {window_id}: obligation", expected, stored)
        nets = self._prove_nets(dict(stored))
        self._prove_statements(dict(stored), nets)

    def _prove_nets(self, owed: Obligations) -> dict[tuple[str, str], int]:
        expected: Counter[tuple[str, str]] = Counter()
        for (payer_id, payee_id, *_), (currency, _, _, amount) in owed.items():
            expected[currency, payer_id] -= amount
            expected[currency, payee_id] += amount
        rows = audit_sums.window_table_rows(self.connection, net_positions, self.window.window_id)
        where = f"window {self.window.window_id}: net position"
        self.failures.compare_rows(where, expected, (((row.currency, row.party_id), row.amount) for row in rows))
        sums: Counter[str] = Counter()
        for row in rows:
            sums[row.currency] += row.amount
        for currency, total in sums.items():
            self.failures.compare(where, [(f"sum in {currency}", 0, total)])
        return dict(expected)

    def _prove_statements(self, owed: Obligations, nets: Mapping[tuple[str, str], int]) -> None:
        window_id = self.window.window_id
        worked_out = LinesWorkedOut(self.connection, self.facts, window_id, self.prices)
        stored_lines = audit_sums.counts_by_partner(self.connection, statement_lines, window_id)
        rows = audit_sums.window_table_rows(self.connection, statements, window_id)
        partners = {party for issuer, counterparty, _, _ in self.totals for party in (issuer, counterparty)}
        partners |= {party for payer, payee, *_ in owed for party in (payer, payee)} - {OPERATOR}
        self.failures.compare(
            f"window {window_id}: statements",
            [
                ("partners", sorted(partners), [row.partner_id for row in rows]),
                ("partners with lines but without a statement", set(), stored_lines.keys() - partners),
            ],
        )
        for row in rows:
            where = f"statement of {row.partner_id}, window {window_id}"
            with self.failures.reading(where):
                read = LinesRead(self.connection, window_id, row.partner_id)
                control = worked_out.control(row.partner_id)
                self.failures.compare(where, [("lines in the store", control, read.control())])
                self.failures.compare(where, self._statement(row, control, owed, nets))

    def _statement(
        self, row: Any, control: Mapping[str, object], owed: Obligations, nets: Mapping[tuple[str, str], int]
    ) -> Iterator[Difference]:
        yield "SHA-256", hashlib.sha256(row.statement).digest(), row.sha256
        yield "lines", control["lines"], row.lines
        said = json.loads(row.statement)
        expected = self._document(row.partner_id, control, owed, nets)
        for name in sorted({*expected, *said}):
            yield name, expected.get(name), said.get(name)
        yield "canonical form", canonical(expected), row.statement

    def _document(
        self, partner_id: str, control: Mapping[str, object], owed: Obligations, nets: Mapping[tuple[str, str], int]
    ) -> dict[str, Any]:
        own = {key: points for key, points in self.totals.items() if partner_id in key[:2]}
        used = sorted({(counterparty, version) for _, counterparty, version, kind in own if kind in self.prices.kinds})
        cards = [self.facts.cards[key] for key in used]
        ranges = self.facts.ranges.get(self.window.window_id, ())
        previous = audit_sums.previous_statement_hash(self.connection, self.window.window_id, partner_id)
        return {
            "format": "tallystick-statement-1",
            "audience": self.facts.network.audience,
            "model": self.prices.rules.settlement_model.value,
            "partner_id": partner_id,
            "window_id": self.window.window_id,
            "cut_off_date": self.window.cut_off_date,
            "ranges": [{"lane": lane.lane, "first": lane.first, "last": lane.last} for lane in ranges],
            "previous_sha256": previous.hex() if previous else "",
            "rate_cards": [self._card(card) for card in cards],
            **self._network_terms(),
            "obligations": [_obligation(self.window.window_id, key, owed[key]) for key in sorted(owed) if partner_id in key[:2]],
            "net": [{"currency": key[0], "amount": nets[key]} for key in sorted(nets) if key[1] == partner_id],
            "movements": [_movement(key, points) for key, points in sorted(own.items())],
            "control": dict(control),
        }

    def _card(self, card: RateCard) -> dict[str, object]:
        said = {
            "partner_id": card.partner_id,
            "version": card.version,
            "reimbursement_rate_micros": card.reimbursement_rate_micros,
            "currency": card.currency,
        }
        with_network = self.prices.rules.settlement_model is not SettlementModel.AT_REDEMPTION
        return said | ({"issue_price_micros": card.issue_price_micros} if with_network else {})

    def _network_terms(self) -> dict[str, object]:
        if self.prices.rules.settlement_model is SettlementModel.AT_REDEMPTION:
            return {}
        terms = self.prices.terms
        said = {
            "version": terms.version,
            "currency": self.facts.network.currency,
            "redemption_element_micros": terms.redemption_element_micros,
            "breakage_rebate_share": str(terms.breakage_rebate_share),
            "par_value_micros": terms.par_value_micros,
        }
        return {"network_terms": said}


def _obligation(window_id: int, key: LineKey, value: tuple[str, int, int, int]) -> dict[str, object]:
    (payer_id, payee_id, kind, version, reference), (currency, points, amount_micros, amount) = key, value
    return {
        "line_id": line_id(window_id, payer_id, payee_id, kind, version, reference),
        "payer_id": payer_id,
        "payee_id": payee_id,
        "kind": kind,
        "rate_card_version": version,
        "currency": currency,
        "points": points,
        "amount_micros": amount_micros,
        "amount": amount,
        "reference": reference,
    }


def _movement(key: tuple[str, str, int, int], points: int) -> dict[str, object]:
    issuer_id, counterparty_id, version, kind = key
    return {
        "issuer_id": issuer_id,
        "counterparty_id": counterparty_id,
        "rate_card_version": version,
        "kind": PostingKind(kind).name.lower(),
        "points": points,
    }
