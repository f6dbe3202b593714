"""From totals to who owes whom."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS, parse_micros
from gateway.network_terms import DEFAULT_TERMS
from settlement.obligation import Obligation, Total, at_redemption
from settlement.pricing import Cards, Prices
from tests.settlement.given import REIMBURSEMENT, oracle_obligations

PARTNERS = ("alpha", "bravo", "charlie", "delta")


def card(partner_id: str, version: int, rate: str, currency: str = "EUR") -> RateCard:
    """A card of which only the reimbursement rate matters."""
    return RateCard(
        partner_id=partner_id,
        version=version,
        effective_from=date(2026, 6, 1),
        issue_rates={},
        issue_price_micros=0,
        face_value_micros=MICROS,
        reimbursement_rate_micros=parse_micros(rate),
        currency=currency,
    )


def prices_of(cards: Cards) -> Prices:
    """Prices of which only the cards matter."""
    return Prices(cards, DEFAULT_TERMS, "EUR")


def month_prices() -> Prices:
    """The cards of the oracle's month."""
    cards = {
        (partner_id, version): card(partner_id, version, rate)
        for partner_id, rates in REIMBURSEMENT.items()
        for version, rate in enumerate(rates, start=1)
    }
    return prices_of(cards)


def redeemed(issuer_id: str, redeemer_id: str, points: int, version: int = 1) -> Total:
    """Points of an issuer that were redeemed."""
    return Total(issuer_id, redeemer_id, version, PostingKind.REDEEM, points)


def restored(issuer_id: str, redeemer_id: str, points: int, version: int = 1) -> Total:
    """Points of an issuer that were restored."""
    return Total(issuer_id, redeemer_id, version, PostingKind.RESTORE, points)


MONTH = [
    redeemed("alpha", "bravo", 600),
    redeemed("bravo", "bravo", 85),
    redeemed("charlie", "bravo", 15),
    redeemed("alpha", "charlie", 200),
    restored("charlie", "bravo", 15),
    restored("bravo", "bravo", 85),
    restored("alpha", "bravo", 200),
    redeemed("bravo", "delta", 85),
    redeemed("charlie", "delta", 15),
    redeemed("charlie", "alpha", 150, version=2),
    Total("alpha", "alpha", 1, PostingKind.ISSUE, 850),
]


def test_the_month_gives_the_oracles_obligations() -> None:
    """Five lines, 8.04 in all."""
    lines = at_redemption(MONTH, month_prices())

    assert {
        (line.payer_id, line.payee_id, line.rate_card_version, line.points, line.amount_micros) for line in lines
    } == oracle_obligations()
    assert sum(line.amount for line in lines) == 804


@pytest.mark.parametrize(("points", "amount"), [(1, 0), (3, 2), (5, 2), (7, 4), (9, 4)])
def test_halves_go_to_the_even_minor_unit(points: int, amount: int) -> None:
    """At half a minor unit a point."""
    [line] = at_redemption([redeemed("alpha", "bravo", points)], prices_of({("bravo", 1): card("bravo", 1, "0.5")}))

    assert (line.amount, line.amount_micros) == (amount, points * MICROS // 2)


def test_a_line_is_rounded_once_and_not_for_each_lane() -> None:
    """Two lanes with half a minor unit each make one minor unit."""
    [line] = at_redemption(
        [redeemed("alpha", "bravo", 1), redeemed("alpha", "bravo", 1)], prices_of({("bravo", 1): card("bravo", 1, "0.5")})
    )

    assert line.amount == 1


def test_restoring_more_than_was_redeemed_turns_the_line_round() -> None:
    """Redeemed in an earlier window: now the redeemer owes the issuer, at its own card."""
    lines = at_redemption([redeemed("alpha", "bravo", 100), restored("alpha", "bravo", 400)], month_prices())

    assert lines == [Obligation("bravo", "alpha", "restoration", 1, "EUR", 300, 270 * MICROS, 270)]


def test_a_turned_line_stands_beside_one_of_the_same_pair_and_version() -> None:
    """Both may be version 1, but of different partners' cards."""
    lines = at_redemption([restored("alpha", "bravo", 1), redeemed("bravo", "alpha", 1)], month_prices())

    assert [(line.payer_id, line.payee_id, line.kind) for line in lines] == [
        ("bravo", "alpha", "redemption"),
        ("bravo", "alpha", "restoration"),
    ]


def test_own_points_are_shown_gross() -> None:
    """A partner that redeems its own points owes itself."""
    [line] = at_redemption([redeemed("bravo", "bravo", 10)], month_prices())

    assert line.is_own


def test_a_missing_card_breaks_the_books() -> None:
    """Cards are never removed."""
    with pytest.raises(BooksBroken, match="rate card 9 of bravo"):
        at_redemption([redeemed("alpha", "bravo", 1, version=9)], month_prices())


TOTALS = st.lists(
    st.builds(
        Total,
        issuer_id=st.sampled_from(PARTNERS),
        counterparty_id=st.sampled_from(PARTNERS),
        rate_card_version=st.just(1),
        kind=st.sampled_from(PostingKind),
        points=st.integers(1, 10**12),
    ),
    max_size=40,
)


@given(TOTALS.flatmap(lambda totals: st.tuples(st.just(totals), st.permutations(totals))))
def test_the_order_of_totals_changes_nothing(pair: tuple[list[Total], list[Total]]) -> None:
    """Lanes may come in any order."""
    first, second = pair

    assert at_redemption(first, month_prices()) == at_redemption(second, month_prices())


@given(TOTALS)
def test_each_line_is_the_nearest_minor_unit_to_its_exact_amount(totals: list[Total]) -> None:
    """One rounding a line: never more than half a minor unit off, and then to the even one."""
    for line in at_redemption(totals, month_prices()):
        off = abs(line.amount * MICROS - line.amount_micros)
        assert off < MICROS // 2 or (off == MICROS // 2 and line.amount % 2 == 0)
