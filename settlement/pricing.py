"""What one posting costs whom under each settlement model: exact, not rounded. Pure.

A model is a table of tariffs by kind of posting. What a table does not name moves no money under that model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.statement import (
    BREAKAGE_REBATE,
    BREAKAGE_UNDONE,
    ISSUE,
    REDEEM,
    REDEMPTION,
    RESTORATION,
    REVERSE_ISSUE,
    REVERSE_REDEMPTION,
)
from gateway.domain.terms import NetworkTerms, RateCard
from gateway.domain.units import MICROS, div_half_even

Cards = Mapping[tuple[str, int], RateCard]
"""Rate cards by partner and version."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a window is priced by: all rate cards, the network's terms of its cut-off date, the network's own currency."""

    cards: Cards
    terms: NetworkTerms
    currency: str


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a point: `numerator` / `denominator` millionths of a minor unit, exactly."""

    numerator: int
    denominator: int
    currency: str

    def micros(self, points: int) -> int:
        """Of so many points; half to even where the price has more decimals than a millionth."""
        return div_half_even(points * self.numerator, self.denominator)

    def minor_units(self, points: int) -> int:
        """The same in minor units, rounded half to even, once."""
        return div_half_even(points * self.numerator, self.denominator * MICROS)


@dataclass(frozen=True, slots=True)
class Tariff:
    """The line that a kind of posting belongs to, which of its prices counts, and whether the counterparty receives it."""

    kind: str
    price: Callable[[Prices, RateCard], Price]
    is_received: bool


def card_of(cards: Cards, partner_id: str, version: int) -> RateCard:
    """The card that priced a posting. Raises BooksBroken when it is gone: cards are never removed."""
    try:
        return cards[partner_id, version]
    except KeyError:
        raise BooksBroken(f"rate card {version} of {partner_id} priced an entry, and is missing") from None


def parties(model: SettlementModel, tariff: Tariff, issuer_id: str, counterparty_id: str) -> tuple[str, str]:
    """Who pays and who is paid for a posting: the issuer and the redeemer, or the network and one of them."""
    other = issuer_id if model is SettlementModel.AT_REDEMPTION else OPERATOR
    return (other, counterparty_id) if tariff.is_received else (counterparty_id, other)


def _issue_price(_prices: Prices, card: RateCard) -> Price:
    return Price(card.issue_price_micros, 1, card.currency)


def _reimbursement(_prices: Prices, card: RateCard) -> Price:
    return Price(card.reimbursement_rate_micros, 1, card.currency)


def _rebate(prices: Prices, _card: RateCard) -> Price:
    share = prices.terms.breakage_rebate_share
    return Price(prices.terms.redemption_element_micros * share.numerator, share.denominator, prices.currency)


def _par(prices: Prices, _card: RateCard) -> Price:
    return Price(prices.terms.par_value_micros, 1, prices.currency)


def _issued_and_redeemed(
    issued: Callable[[Prices, RateCard], Price], redeemed: Callable[[Prices, RateCard], Price]
) -> Mapping[PostingKind, Tariff]:
    # What was taken from other lots or became a debt is credited all the same, at the price of the issue that is reversed.
    reversed_issue = Tariff(REVERSE_ISSUE, issued, is_received=True)
    return {
        PostingKind.ISSUE: Tariff(ISSUE, issued, is_received=False),
        PostingKind.CLAWBACK: reversed_issue,
        PostingKind.CLAWBACK_TO_DEBT: reversed_issue,
        PostingKind.REDEEM: Tariff(REDEEM, redeemed, is_received=True),
        PostingKind.RESTORE: Tariff(REVERSE_REDEMPTION, redeemed, is_received=False),
    }


TARIFFS: Mapping[SettlementModel, Mapping[PostingKind, Tariff]] = {
    SettlementModel.AT_REDEMPTION: {
        PostingKind.REDEEM: Tariff(REDEMPTION, _reimbursement, is_received=True),
        PostingKind.RESTORE: Tariff(RESTORATION, _reimbursement, is_received=False),
    },
    SettlementModel.AT_ISSUANCE: {
        **_issued_and_redeemed(_issue_price, _reimbursement),
        PostingKind.EXPIRE: Tariff(BREAKAGE_REBATE, _rebate, is_received=True),
        PostingKind.EXPIRY_UNDONE: Tariff(BREAKAGE_UNDONE, _rebate, is_received=False),
    },
    SettlementModel.AT_PAR: _issued_and_redeemed(_par, _par),
}
