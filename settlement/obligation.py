"""From a window's totals to who owes whom: one line, and one rounding, for each (payer, payee, kind, rate card version).

What a model does stands in one function; which one a network uses is its setting. Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.statement import REDEMPTION, RESTORATION
from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS, div_half_even


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


Cards = Mapping[tuple[str, int], RateCard]
"""Rate cards by partner and version."""

Model = Callable[[Iterable[Total], Cards], list[Obligation]]


def model(name: str) -> Model:
    """The settlement model of this name. Raises InvalidValue."""
    try:
        return MODELS[name]
    except KeyError:
        raise InvalidValue(f"settlement model {name}: must be one of {', '.join(MODELS)}") from None


def at_redemption(totals: Iterable[Total], cards: Cards) -> list[Obligation]:
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
        _redeemed(issuer, redeemer, card_of(cards, redeemer, version), net)
        for (issuer, redeemer, version), net in points.items()
        if net
    ]
    return sorted(lines, key=lambda line: (line.payer_id, line.payee_id, line.kind, line.rate_card_version))


def card_of(cards: Cards, partner_id: str, version: int) -> RateCard:
    """The card that priced a posting. Raises BooksBroken when it is gone: cards are never removed."""
    try:
        return cards[partner_id, version]
    except KeyError:
        raise BooksBroken(f"rate card {version} of {partner_id} priced an entry, and is missing") from None


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

MODELS: dict[str, Model] = {"at_redemption": at_redemption}
