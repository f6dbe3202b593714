"""Bonuses whose funders are suspended, closed, or at their cap."""

import pytest

from gateway.domain.outcome import Reason
from gateway.domain.partner import PartnerStatus
from gateway.storage.engine import writing
from partners.proposals import change_status
from tests.given import at
from tests.ledger.books import Books, refusal_of


@pytest.fixture
def on_the_day(books: Books) -> Books:
    """3 June: charlie's baskets earn 500 points more, half of them from bravo."""
    books.now_ms = books.network.now_ms = at("2026-06-03")
    return books


def _becomes(books: Books, partner_id: str, status: PartnerStatus) -> None:
    network = books.network
    with writing(network.engine) as connection:
        decision = change_status(connection, partner_id, status, hand=network.hands[0], now_ms=network.now_ms)
    if decision is not None and status is PartnerStatus.CLOSED:
        network.approve(decision)


def test_a_funder_that_is_suspended_holds_up_its_offer_but_not_for_good(on_the_day: Books) -> None:
    """What time can cure is not remembered: the same basket is booked when the funder is back."""
    basket = on_the_day.issue("ann", "250.00", partner="charlie", offer_id="bonus-500")
    _becomes(on_the_day, "bravo", PartnerStatus.SUSPENDED)
    refused = refusal_of(on_the_day.run(basket)[0])
    _becomes(on_the_day, "bravo", PartnerStatus.ACTIVE)

    assert (refused.reason, refused.details["issuer_id"]) == (Reason.PARTNER_NOT_ACTIVE, "bravo")
    assert on_the_day.book(basket).points == 1_000


def test_a_funder_that_is_closed_ends_its_offer(on_the_day: Books) -> None:
    """For good."""
    basket = on_the_day.issue("ann", "250.00", partner="charlie", offer_id="bonus-500")
    _becomes(on_the_day, "bravo", PartnerStatus.CLOSED)

    assert on_the_day.refused(basket) is Reason.OFFER_NOT_IN_FORCE


def test_of_two_caps_that_are_exceeded_the_issuers_own_answers(on_the_day: Books) -> None:
    """The parts of a basket are looked at in their order, so that the answer is the same in every process."""
    on_the_day.network.cap("charlie", 100)
    on_the_day.network.cap("bravo", 100)
    basket = on_the_day.issue("ann", "250.00", partner="charlie", offer_id="bonus-500")

    assert refusal_of(on_the_day.run(basket)[0]).details == {"issuer_id": "charlie"}
