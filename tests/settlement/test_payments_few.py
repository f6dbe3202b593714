"""As few payments as can be: against brute force for up to six parties; and what gross, bilateral and the operator change."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import Form, Netting
from settlement.netting import (
    EXACT_PARTIES_MAX,
    NetPosition,
    Payment,
    debts_of,
    fewest,
    net_positions,
    payments_of,
    positions_of,
)
from tests.settlement.test_netting import MONTH, OBLIGATIONS, moved, wanted

AMOUNTS = st.lists(st.integers(-6, 6).filter(bool), max_size=5)
DEBTS = OBLIGATIONS.map(debts_of)
WAYS = st.tuples(st.sampled_from(Netting), st.sampled_from(Form))


def positions(amounts: list[int]) -> list[NetPosition]:
    """Parties a, b, c … with these, and one more that makes the sum zero."""
    whole = [*amounts, -sum(amounts)]
    return [NetPosition("EUR", name, amount) for name, amount in zip("abcdefghijklmnop", whole, strict=False) if amount]


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """All ways to put items into groups."""
    if not items:
        yield []
        return
    first, *others = items
    for rest in partitions(others):
        yield [[first], *rest]
        for index, group in enumerate(rest):
            yield [*rest[:index], [first, *group], *rest[index + 1 :]]


def fewest_by_force(amounts: list[int]) -> int:
    """Payments join parties; whoever is joined sums to zero, and n that are joined need n - 1 payments at least."""
    ways = (groups for groups in partitions(amounts) if all(sum(group) == 0 for group in groups))
    return min(len(amounts) - len(groups) for groups in ways)


@given(AMOUNTS)
def test_nobody_finds_fewer_payments_among_six_parties(amounts: list[int]) -> None:
    """Tried against all partitions of up to six parties."""
    owing = positions(amounts)

    assert len(fewest(owing)) == fewest_by_force([position.amount for position in owing])


def test_two_pairs_that_fit_pay_twice_where_the_largest_first_would_pay_three_times() -> None:
    """5 and 5, 3 and 3, 4 and 4: three payments, although one debtor could pay two creditors."""
    owing = positions([-5, 4, -4, 3, -3])

    assert fewest(owing) == [Payment("EUR", "a", "f", 5), Payment("EUR", "c", "b", 4), Payment("EUR", "e", "d", 3)]


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=EXACT_PARTIES_MAX, max_size=EXACT_PARTIES_MAX + 3))
def test_beyond_the_bound_there_are_still_fewer_payments_than_parties(amounts: list[int]) -> None:
    """Thirteen and more are one group."""
    owing = positions(amounts)

    assert len(fewest(owing)) <= max(len(owing) - 1, 0)
    assert moved(fewest(owing)) == wanted(owing)


@given(DEBTS, WAYS)
def test_every_way_of_paying_moves_the_net_positions_exactly(debts: list[Payment], way: tuple[Netting, Form]) -> None:
    """To the minor unit, and the operator keeps nothing."""
    payments = payments_of(debts, *way)

    assert moved(payments) == wanted(positions_of(debts))
    assert all(payment.amount > 0 and payment.debtor_id != payment.creditor_id for payment in payments)


@given(DEBTS.flatmap(lambda debts: st.tuples(st.just(debts), st.permutations(debts))), WAYS)
def test_the_order_of_debts_changes_no_payment(pair: tuple[list[Payment], list[Payment]], way: tuple[Netting, Form]) -> None:
    """The same debts give the same payments in the same order."""
    first, second = pair

    assert payments_of(first, *way) == payments_of(second, *way)


def test_gross_pays_804_bilateral_and_multilateral_less() -> None:
    """The oracle's month: 804 gross in five payments; alpha and charlie set off 144; 416 at last."""
    debts = debts_of(MONTH)
    paid = {netting: payments_of(debts, netting, Form.PARTNER_TO_PARTNER) for netting in Netting}

    assert {netting: (len(made), sum(one.amount for one in made)) for netting, made in paid.items()} == {
        Netting.GROSS: (5, 804),
        Netting.BILATERAL: (4, 516),
        Netting.MULTILATERAL: (3, 416),
    }


@given(DEBTS, st.sampled_from(Netting))
def test_through_the_operator_it_is_a_party_of_each_payment_and_each_party_pays_it_once(
    debts: list[Payment], netting: Netting
) -> None:
    """And is paid by it once."""
    payments = payments_of(debts, netting, Form.THROUGH_OPERATOR)

    assert all(OPERATOR in (payment.debtor_id, payment.creditor_id) for payment in payments)
    assert len({(one.currency, one.debtor_id, one.creditor_id) for one in payments}) == len(payments)


def test_the_months_positions_are_those_of_its_debts() -> None:
    """Own lines drop out of both."""
    assert wanted(positions_of(debts_of(MONTH))) == wanted(net_positions(MONTH))
