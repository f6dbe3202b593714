"""Nets sum to zero, payments are few and sum to the nets."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from settlement.netting import NetPosition, Payment, bilateral, net_positions, partner_to_partner, through_operator
from settlement.obligation import Obligation


def owes(payer_id: str, payee_id: str, amount: int, currency: str = "EUR", version: int = 1) -> Obligation:
    """A line of which only the amount matters."""
    return Obligation(payer_id, payee_id, "redemption", version, currency, amount, amount * 1_000_000, amount)


MONTH = [
    owes("alpha", "bravo", 360),
    owes("alpha", "charlie", 200),
    owes("bravo", "delta", 85),
    owes("charlie", "alpha", 144),
    owes("charlie", "delta", 15),
]
OBLIGATIONS = st.lists(
    st.builds(
        owes,
        payer_id=st.sampled_from("abcdefgh"),
        payee_id=st.sampled_from("abcdefgh"),
        amount=st.integers(0, 10**15),
        currency=st.sampled_from(("EUR", "JPY")),
    ),
    max_size=60,
)


def moved(payments: list[Payment]) -> Counter[tuple[str, str]]:
    """What each party receives by payments, by currency and party."""
    sums: Counter[tuple[str, str]] = Counter()
    for payment in payments:
        sums[payment.currency, payment.creditor_id] += payment.amount
        sums[payment.currency, payment.debtor_id] -= payment.amount
    return Counter({key: amount for key, amount in sums.items() if amount})


def wanted(positions: list[NetPosition]) -> Counter[tuple[str, str]]:
    """The positions that are not zero."""
    return Counter({(p.currency, p.party_id): p.amount for p in positions if p.amount})


def test_the_month_gives_the_oracles_net_positions() -> None:
    """DESIGN section 8."""
    assert {p.party_id: p.amount for p in net_positions(MONTH)} == {"alpha": -416, "bravo": 275, "charlie": 41, "delta": 100}


def test_the_month_needs_three_payments_of_416() -> None:
    """Partner to partner; gross it was 804."""
    payments = partner_to_partner(net_positions(MONTH))

    assert (len(payments), sum(payment.amount for payment in payments)) == (3, 416)


def test_own_lines_pay_nobody_and_leave_the_net_as_it_is() -> None:
    """They are shown gross and drop out."""
    own = [owes("alpha", "alpha", 999)]

    assert (net_positions(own), bilateral(own)) == ([NetPosition("EUR", "alpha", 0)], [])


def test_currencies_are_never_mixed() -> None:
    """Each is netted by itself."""
    positions = net_positions([owes("alpha", "bravo", 5, "EUR"), owes("bravo", "alpha", 5, "JPY")])

    assert partner_to_partner(positions) == [Payment("EUR", "alpha", "bravo", 5), Payment("JPY", "bravo", "alpha", 5)]


@pytest.mark.parametrize("form", [partner_to_partner, through_operator])
def test_positions_that_do_not_sum_to_zero_are_refused(form: type) -> None:
    """Somebody would pay what nobody receives."""
    with pytest.raises(BooksBroken, match="sum to 1"):
        form([NetPosition("EUR", "alpha", 1)])


@given(OBLIGATIONS)
def test_net_positions_sum_to_zero_in_each_currency(obligations: list[Obligation]) -> None:
    """Both sides use the same integer."""
    sums: Counter[str] = Counter()
    for position in net_positions(obligations):
        sums[position.currency] += position.amount

    assert not any(sums.values())


@given(OBLIGATIONS)
def test_all_three_ways_of_netting_move_the_net_positions_exactly(obligations: list[Obligation]) -> None:
    """To the minor unit, and the operator keeps nothing."""
    positions = net_positions(obligations)

    assert moved(bilateral(obligations)) == wanted(positions)
    assert moved(partner_to_partner(positions)) == wanted(positions)
    assert moved(through_operator(positions)) == wanted(positions)


@given(OBLIGATIONS)
def test_payments_are_fewer_than_parties(obligations: list[Obligation]) -> None:
    """At most parties - 1 in a currency; the operator is a party where it takes part."""
    positions = net_positions(obligations)
    for currency in ("EUR", "JPY"):
        parties = {p.party_id for p in positions if p.currency == currency and p.amount}
        direct = [p for p in partner_to_partner(positions) if p.currency == currency]
        central = [p for p in through_operator(positions) if p.currency == currency]

        assert len(direct) <= max(len(parties) - 1, 0)
        assert len(central) <= len(parties | {OPERATOR}) - 1


@given(OBLIGATIONS)
def test_nobody_both_pays_and_receives(obligations: list[Obligation]) -> None:
    """Partner to partner, a party is debtor or creditor."""
    payments = partner_to_partner(net_positions(obligations))

    assert not {(p.currency, p.debtor_id) for p in payments} & {(p.currency, p.creditor_id) for p in payments}


@given(OBLIGATIONS.flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_the_order_of_obligations_changes_nothing(pair: tuple[list[Obligation], list[Obligation]]) -> None:
    """The same debts give the same payments, in the same order."""
    first, second = pair

    assert bilateral(first) == bilateral(second)
    assert partner_to_partner(net_positions(first)) == partner_to_partner(reversed(net_positions(second)))
    assert through_operator(net_positions(first)) == through_operator(reversed(net_positions(second)))


@given(OBLIGATIONS)
def test_a_pair_pays_at_most_once(obligations: list[Obligation]) -> None:
    """Bilateral netting leaves one direction."""
    pairs = [(p.currency, *sorted((p.debtor_id, p.creditor_id))) for p in bilateral(obligations)]

    assert len(pairs) == len(set(pairs))
