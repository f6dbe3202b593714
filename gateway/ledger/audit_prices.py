"""What the audit holds a window's money to be: lines by the totals, and the price of each posting. Plain arithmetic.

Settlement's own code stands above this floor and says the same in other words; the two must agree.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from gateway.domain.decision import DecisionState
from gateway.domain.derivation import derive
from gateway.domain.documents import applied_at_ms
from gateway.domain.entry import PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.partner import PartnerStatus
from gateway.domain.settlement import SettlementRules
from gateway.domain.statement import REDEMPTION, RESTORATION
from gateway.domain.terms import NetworkTerms
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts
from gateway.storage import audit_sums

LineKey = tuple[str, str, str, int, str]

Obligations = dict[LineKey, tuple[str, int, int, int]]
"""Payer, payee, kind, rate card version and reference; then currency, points, exact amount in micros, and it rounded."""

Totals = Mapping[tuple[str, str, int, int], int]
"""Points by issuer, counterparty, version and kind, over the lanes."""

_ISSUED, _TAKEN, _TO_DEBT = PostingKind.ISSUE.value, PostingKind.CLAWBACK.value, PostingKind.CLAWBACK_TO_DEBT.value
_REDEEMED, _RESTORED = PostingKind.REDEEM.value, PostingKind.RESTORE.value
_EXPIRED, _UNDONE = PostingKind.EXPIRE.value, PostingKind.EXPIRY_UNDONE.value
# With the network: the line's name, and whether the partner pays.
_NETWORK_LINES = {
    _ISSUED: ("issue", True),
    _TAKEN: ("reverse_issue", False),
    _TO_DEBT: ("reverse_issue", False),
    _REDEEMED: ("redeem", False),
    _RESTORED: ("reverse_redemption", True),
    _EXPIRED: ("breakage_rebate", False),
    _UNDONE: ("breakage_undone", True),
}
_BREAKAGE = frozenset({_EXPIRED, _UNDONE})


@dataclass(frozen=True, slots=True)
class Money:
    """A posting as a line says it; `micros` rounded half to even where a price has more decimals."""

    kind: str
    payer_id: str
    payee_id: str
    currency: str
    micros: int


class WindowPrices:
    """By what one window is priced: its rules, and the network terms of its cut-off date."""

    def __init__(self, facts: Facts, window: Any) -> None:
        self._facts = facts
        self.rules: SettlementRules = facts.rules[window.rules_version]
        self.terms: NetworkTerms = facts.terms_on(window.cut_off_date, window.closed_at_ms)

    @property
    def kinds(self) -> frozenset[int]:
        """Kinds of postings that move money."""
        model = self.rules.settlement_model
        if model is SettlementModel.AT_REDEMPTION:
            return frozenset({_REDEEMED, _RESTORED})
        return frozenset(_NETWORK_LINES) - (_BREAKAGE if model is SettlementModel.AT_PAR else frozenset())

    def of_posting(self, kind: int, issuer_id: str, counterparty_id: str, version: int, points: int) -> Money:
        """What one posting of these kinds moves."""
        numerator, denominator, currency = self._price(kind, counterparty_id, version)
        micros = _half_even(points * numerator, denominator)
        if self.rules.settlement_model is SettlementModel.AT_REDEMPTION:
            if kind == _RESTORED:
                return Money(RESTORATION, counterparty_id, issuer_id, currency, micros)
            return Money(REDEMPTION, issuer_id, counterparty_id, currency, micros)
        name, pays = _NETWORK_LINES[kind]
        sides = (counterparty_id, OPERATOR) if pays else (OPERATOR, counterparty_id)
        return Money(name, *sides, currency, micros)

    def lines(self, connection: Connection, window: Any, totals: Totals) -> Obligations:
        """All lines of the window."""
        is_default = self.rules.settlement_model is SettlementModel.AT_REDEMPTION
        traffic = self._at_redemption(totals) if is_default else self._with_the_network(totals)
        return traffic | dict(self._fees(connection, window)) | dict(_adjusted(connection, window.window_id))

    def _price(self, kind: int, counterparty_id: str, version: int) -> tuple[int, int, str]:
        """Millionths of a minor unit for a point, as numerator and denominator, and the currency."""
        card, model = self._facts.cards[counterparty_id, version], self.rules.settlement_model
        if model is SettlementModel.AT_PAR:
            return self.terms.par_value_micros, 1, self._facts.network.currency
        if kind in _BREAKAGE:
            share = self.terms.breakage_rebate_share
            element = self.terms.redemption_element_micros
            return element * share.numerator, share.denominator, self._facts.network.currency
        is_redeemed = kind in (_REDEEMED, _RESTORED)
        return card.reimbursement_rate_micros if is_redeemed else card.issue_price_micros, 1, card.currency

    def _at_redemption(self, totals: Totals) -> Obligations:
        """The issuer of the points pays the redeemer; if more came back than went, the other way round. Rounded once."""
        points: Counter[tuple[str, str, int]] = Counter()
        for (issuer_id, redeemer_id, version, kind), moved in totals.items():
            points[issuer_id, redeemer_id, version] += moved * ((kind == _REDEEMED) - (kind == _RESTORED))
        found: Obligations = {}
        for (issuer_id, redeemer_id, version), net in points.items():
            if not net:
                continue
            card = self._facts.cards[redeemer_id, version]
            micros = abs(net) * card.reimbursement_rate_micros
            parties = (issuer_id, redeemer_id, REDEMPTION) if net > 0 else (redeemer_id, issuer_id, RESTORATION)
            found[*parties, version, ""] = card.currency, abs(net), micros, _half_even(micros, MICROS)
        return found

    def _with_the_network(self, totals: Totals) -> Obligations:
        """A line for each partner, name and card; each rounded once."""
        points: Counter[tuple[str, str, int, bool, int]] = Counter()
        for (_, partner_id, version, kind), moved in totals.items():
            if kind in self.kinds:
                name, pays = _NETWORK_LINES[kind]
                points[partner_id, name, version, pays, _TAKEN if kind == _TO_DEBT else kind] += moved
        found: Obligations = {}
        for (partner_id, name, version, pays, kind), moved in points.items():
            numerator, denominator, currency = self._price(kind, partner_id, version)
            exact = _half_even(moved * numerator, denominator), _half_even(moved * numerator, denominator * MICROS)
            sides = (partner_id, OPERATOR) if pays else (OPERATOR, partner_id)
            found[*sides, name, version, ""] = (currency, moved, *exact)
        return found

    def _fees(self, connection: Connection, window: Any) -> Iterator[tuple[LineKey, tuple[str, int, int, int]]]:
        currency = self._facts.network.currency
        if self.rules.fixed_fee:
            for partner_id in _members(self._facts, window.closed_at_ms):
                fee = self.rules.fixed_fee
                yield (partner_id, OPERATOR, "fee_fixed", 0, ""), (currency, 0, fee * MICROS, fee)
        if self.rules.entry_fee_micros:
            ranges = self._facts.ranges.get(window.window_id, ())
            for partner_id, count in audit_sums.entries_by_partner(connection, ranges).items():
                micros = count * self.rules.entry_fee_micros
                yield (partner_id, OPERATOR, "fee_entry", 0, ""), (currency, 0, micros, _half_even(micros, MICROS))


def summed(rows: Sequence[Any]) -> dict[tuple[str, str, int, int], int]:
    """Points by issuer, counterparty, version and kind, over the lanes."""
    found: Counter[tuple[str, str, int, int]] = Counter()
    for row in rows:
        found[row.issuer_id, row.counterparty_id, row.rate_card_version, row.kind] += row.points
    return dict(found)


def _adjusted(connection: Connection, window_id: int) -> Iterator[tuple[LineKey, tuple[str, int, int, int]]]:
    for row in audit_sums.adjustment_rows(connection, window_id):
        key = row.payer_id, row.payee_id, row.kind, 0, row.adjustment_id
        yield key, (row.currency, 0, row.amount * MICROS, row.amount)


def _members(facts: Facts, at_ms: int) -> list[str]:
    """Who was taking part, active or suspended, by the decisions that had been made by then."""
    made = [one for one in facts.decisions if one.proposal.at_ms <= at_ms]
    made = [one for one in made if one.state is not DecisionState.APPLIED or applied_at_ms(one) <= at_ms]
    known = derive(made).partners.items()
    return [partner_id for partner_id, one in known if one.partner.status in (PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED)]


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
