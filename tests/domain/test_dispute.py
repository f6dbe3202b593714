"""Disputes: which state may follow which, and what an end makes somebody owe."""

from dataclasses import replace

import pytest

from gateway.domain.dispute import (
    LIVE,
    TRANSITIONS,
    Dispute,
    DisputeReason,
    DisputeState,
    Owed,
    check_correction,
    check_deadline,
    check_step,
    dispute_id,
    owed_at_end,
    share,
    steps_between,
)
from gateway.domain.errors import InvalidValue

DISPUTE = Dispute(
    dispute_id=dispute_id("alpha", 1, 3),
    opener_id="alpha",
    respondent_id="bravo",
    window_id=1,
    line_number=3,
    entry_id="e1",
    receipt_sha256=b"",
    kind="redemption",
    payer_id="alpha",
    payee_id="bravo",
    currency="EUR",
    points=100,
    amount_micros=90_000_000,
    amount=90,
    reason=DisputeReason.OTHER,
    evidence="letter",
    deadline="2026-07-15",
    opened_at_ms=1,
    previous_state="",
    state=DisputeState.OPEN,
)


def test_a_dispute_is_live_until_it_has_ended() -> None:
    """Nothing follows an end."""
    assert {DisputeState.OPEN, DisputeState.CONTESTED} == LIVE
    assert all(not TRANSITIONS[state] for state in DisputeState if state not in LIVE)


@pytest.mark.parametrize("present", DisputeState)
@pytest.mark.parametrize("target", DisputeState)
def test_a_step_is_one_of_the_table(present: DisputeState, target: DisputeState) -> None:
    """Also in the pairs that the store's CHECK is made of."""
    if (present.value, target.value) in set(steps_between()):
        check_step(present, target)
    else:
        with pytest.raises(InvalidValue, match=f"a dispute that is {present} cannot become {target}"):
            check_step(present, target)


@pytest.mark.parametrize(
    ("state", "amount", "expected"),
    [
        (DisputeState.WITHDRAWN, 0, []),
        (DisputeState.UPHELD, 0, []),
        (DisputeState.ACCEPTED, 90, [Owed("bravo", "alpha", 90)]),
        (DisputeState.ACCEPTED, 20, [Owed("bravo", "alpha", 20)]),
        (DisputeState.CORRECTED, 40, [Owed("bravo", "alpha", 40)]),
        (DisputeState.WRITTEN_OFF, 90, [Owed("bravo", "alpha", 90), Owed("operator", "bravo", 90, is_loss=True)]),
    ],
)
def test_an_end_moves_what_it_says(state: DisputeState, amount: int, expected: list[Owed]) -> None:
    """The line itself is paid as it was published; what is wrong with it goes back."""
    assert owed_at_end(DISPUTE, state, amount) == expected


def test_a_line_that_rounds_to_nothing_makes_nobody_owe_anything() -> None:
    """A lot of one point may cost less than half a cent."""
    assert owed_at_end(replace(DISPUTE, amount=0), DisputeState.WRITTEN_OFF, 0) == []


@pytest.mark.parametrize("amount", [-1, 91])
def test_no_end_gives_back_more_than_was_disputed(amount: int) -> None:
    """Nor less than nothing."""
    with pytest.raises(InvalidValue, match="is about 90 minor units"):
        owed_at_end(DISPUTE, DisputeState.ACCEPTED, amount)


@pytest.mark.parametrize(("state", "is_loss"), [(DisputeState.ACCEPTED, False), (DisputeState.WRITTEN_OFF, True)])
def test_what_the_operator_was_to_be_paid_it_does_not_bear_twice(state: DisputeState, is_loss: bool) -> None:  # noqa: FBT001 - a case
    """Under models in which the network is a party; a loss it is by a write-off alone."""
    of_network = replace(DISPUTE, payee_id="operator", respondent_id="operator")

    assert owed_at_end(of_network, state, 90) == [Owed("operator", "alpha", 90, is_loss)]


@pytest.mark.parametrize(
    ("amount", "most", "is_possible"),
    [(0, 90, False), (1, 90, True), (90, 90, True), (91, 90, False), (0, 0, True), (1, 0, False)],
)
def test_a_correction_gives_back_something_and_no_more_than_it_can(amount: int, most: int, is_possible: bool) -> None:  # noqa: FBT001 - a case
    """Both ends of the range; where nothing can go back, nothing does."""
    if is_possible:
        check_correction(amount, most=most)
    else:
        with pytest.raises(InvalidValue, match=f"gives back {min(1, most)} to {most}"):
            check_correction(amount, most=most)


@pytest.mark.parametrize(("price_micros", "expected"), [(600_000, 12), (400_000, 8)])
def test_parts_of_a_line_come_to_the_line(price_micros: int, expected: int) -> None:
    """Twenty of 0.60 cents are 12 and no 20, twenty of 0.40 are 8 and not nothing."""
    whole = 20 * price_micros

    assert sum(share(whole, number * price_micros, price_micros) for number in range(20)) == expected


@pytest.mark.parametrize(
    ("deadline", "expected"), [("2026-07-01", False), ("2026-07-02", True), ("2026-08-30", True), ("2026-08-31", False)]
)
def test_a_deadline_leaves_a_day_and_no_more_than_sixty(deadline: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """From the network's date on which it is set."""
    assert check_deadline(deadline, network_date="2026-07-01") is expected


def test_ids_differ_by_line_window_and_opener() -> None:
    """And are the same for the same."""
    named = [("alpha", 1, 3), ("bravo", 1, 3), ("alpha", 2, 3), ("alpha", 1, 4), ("alpha", 13, 0)]

    assert len({dispute_id(*one) for one in named}) == len(named)
    assert dispute_id("alpha", 1, 3) == DISPUTE.dispute_id
