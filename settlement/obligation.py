"""From a window's totals to who owes whom: one line, and one rounding, for each (payer, payee, kind, rate card version).

What a model does stands in one function; which one prices a window, its settlement rules say. Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.entry import PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.settlement import Adjustment, SettlementRules
from gateway.domain.statement import ENTRY_FEE, FIXED_FEE, REDEMPTION, RESTORATION
from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS, div_half_even
from settlement.pricing import TARIFFS, Prices, card_of, parties


@dataclass(frozen=True, slots=True)
class Total:
    """Points of one kind of posting in a window. `rate_card_version` is one of the counterparty's card."""

    issuer_id: str
    counterparty_id: str
    rate_card_version: int
    kind: PostingKind
    points: int


@dataclass(frozen=True, slots=True)
class Obligation:
    """What one party owes another. `amount_micros` is exact, `amount` is it rounded half-even to minor units, once.

    Never negative: what would be, turns round. Of a redemption the card is the payee's, of a restoration the payer's.
    `reference` names what is behind a line that is no traffic's.
    """

    payer_id: str
    payee_id: str
    kind: str
    rate_card_version: int
    currency: str
    points: int
    amount_micros: int
    amount: int
    reference: str = ""

    @property
    def is_own(self) -> bool:
        """Whether a partner owes itself: shown gross, and no part of any net."""
        return self.payer_id == self.payee_id


Model = Callable[[Iterable[Total], Prices], list[Obligation]]


def at_redemption(totals: Iterable[Total], prices: Prices) -> list[Obligation]:
    """The issuer of each consumed lot owes the redeemer points × the redeemer's reimbursement rate.

    Redeemed points less restored ones of the same issuer, redeemer and card make one line. Where more was restored than
    redeemed (redemptions of an earlier window), the line turns round: the redeemer owes the issuer. Where both are equal
    there is no line. Ordered by key.
    """
    points: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for total in totals:
        if total.kind in _REDEEMED_SIGN:
            points[total.issuer_id, total.counterparty_id, total.rate_card_version] += _REDEEMED_SIGN[total.kind] * total.points
    lines = [
        _redeemed(issuer, redeemer, card_of(prices.cards, redeemer, version), net)
        for (issuer, redeemer, version), net in points.items()
        if net
    ]
    return sorted(lines, key=line_key)


def at_issuance(totals: Iterable[Total], prices: Prices) -> list[Obligation]:
    """Issuers pay their issue price to the network, redeemers get their reimbursement rate from it; breakage is shared.

    Reversals are lines of their own, at the prices of what they reverse. Ordered by key.
    """
    return _with_the_network(SettlementModel.AT_ISSUANCE, totals, prices)


def at_par(totals: Iterable[Total], prices: Prices) -> list[Obligation]:
    """Value issued less value redeemed, at the network's one value of a point, in the network's currency. Ordered by key."""
    return _with_the_network(SettlementModel.AT_PAR, totals, prices)


def fee_lines(rules: SettlementRules, currency: str, members: Iterable[str], entries: Mapping[str, int]) -> list[Obligation]:
    """What partners owe the operator by the rules: the fixed fee of each member, and a fee for each entry that was booked."""
    found = [
        (partner_id, kind, exact_micros)
        for kind, owed in (
            (FIXED_FEE, dict.fromkeys(members, rules.fixed_fee * MICROS)),
            (ENTRY_FEE, {partner_id: count * rules.entry_fee_micros for partner_id, count in entries.items()}),
        )
        for partner_id, exact_micros in owed.items()
        if exact_micros
    ]
    return [
        Obligation(partner_id, OPERATOR, kind, 0, currency, 0, exact_micros, div_half_even(exact_micros, MICROS))
        for partner_id, kind, exact_micros in sorted(found)
    ]


def adjustment_lines(adjustments: Iterable[Adjustment]) -> list[Obligation]:
    """What a window has taken in beside traffic: a line each, named by its id."""
    return [
        Obligation(one.payer_id, one.payee_id, one.kind, 0, one.currency, 0, one.amount * MICROS, one.amount, one.adjustment_id)
        for one in adjustments
    ]


def line_key(line: Obligation) -> tuple[str, str, str, int, str]:
    """By which lines are told apart, and ordered, within their window."""
    return line.payer_id, line.payee_id, line.kind, line.rate_card_version, line.reference


def _with_the_network(model: SettlementModel, totals: Iterable[Total], prices: Prices) -> list[Obligation]:
    points: defaultdict[tuple[str, str, int, PostingKind], int] = defaultdict(int)
    tariffs = TARIFFS[model]
    for total in totals:
        if total.kind in tariffs:
            # Of two kinds that make one line, the first stands for both.
            kind = next(one for one, tariff in tariffs.items() if tariff.kind == tariffs[total.kind].kind)
            payer_id, payee_id = parties(model, tariffs[kind], total.issuer_id, total.counterparty_id)
            points[payer_id, payee_id, total.rate_card_version, kind] += total.points
    lines = []
    for (payer_id, payee_id, version, kind), moved in points.items():
        partner_id = payer_id if payee_id == OPERATOR else payee_id
        price = tariffs[kind].price(prices, card_of(prices.cards, partner_id, version))
        owed = price.micros(moved), price.minor_units(moved)
        lines.append(Obligation(payer_id, payee_id, tariffs[kind].kind, version, price.currency, moved, *owed))
    return sorted(lines, key=line_key)


def _redeemed(issuer_id: str, redeemer_id: str, card: RateCard, points: int) -> Obligation:
    is_turned = points < 0
    exact_micros = abs(points) * card.reimbursement_rate_micros
    return Obligation(
        payer_id=redeemer_id if is_turned else issuer_id,
        payee_id=issuer_id if is_turned else redeemer_id,
        kind=RESTORATION if is_turned else REDEMPTION,
        rate_card_version=card.version,
        currency=card.currency,
        points=abs(points),
        amount_micros=exact_micros,
        amount=div_half_even(exact_micros, MICROS),
    )


_REDEEMED_SIGN = {PostingKind.REDEEM: 1, PostingKind.RESTORE: -1}

MODELS: Mapping[SettlementModel, Model] = {
    SettlementModel.AT_REDEMPTION: at_redemption,
    SettlementModel.AT_ISSUANCE: at_issuance,
    SettlementModel.AT_PAR: at_par,
}
"""What each model makes of a window's totals."""
