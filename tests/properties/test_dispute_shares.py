"""Disputes of an obligation, in any order and with any ends: what they hold and give back stays within it; all of them are it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.dispute import share
from gateway.domain.units import MICROS, div_half_even

EVENTS = st.lists(st.integers(1, 3 * MICROS) | st.sampled_from((400_000, 500_000, 600_000)), min_size=1, max_size=40)


@given(events=EVENTS, data=st.data())
def test_shares_of_an_obligation_stay_within_it_and_are_it_together(events: list[int], data: st.DataObject) -> None:
    """Half to even, once: whatever is disputed first, whatever of it is upheld, and whatever is restored meanwhile."""
    order = data.draw(st.permutations(events))
    owed = sum(events)
    befores = [sum(order[:number]) for number in range(len(order))]
    held = [share(owed, before, micros) for before, micros in zip(befores, order, strict=True)]
    left = [data.draw(st.integers(0, micros)) for micros in order]
    given_back = [share(owed, before, micros) for before, micros in zip(befores, left, strict=True)]

    assert sum(held) == div_half_even(owed, MICROS)
    assert min(held) >= 0
    assert all(0 <= back <= amount for back, amount in zip(given_back, held, strict=True))


@given(events=EVENTS, restored=st.integers(0, 60 * MICROS))
def test_what_is_disputed_of_an_obligation_leaves_what_its_rest_is_rounded_to(events: list[int], restored: int) -> None:
    """Also where restorations of earlier redemptions have made it less than its events, or turned it round."""
    owed = sum(events) - restored
    held = sum(share(owed, sum(events[:number]), micros) for number, micros in enumerate(events))

    assert div_half_even(owed, MICROS) - held == div_half_even(-restored, MICROS)
