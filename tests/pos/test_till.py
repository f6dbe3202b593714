"""The till against a gateway over real gRPC: what it sends again, what it believes, what it raises."""

from functools import partial

import grpc
import pytest

from partners.pos.answers import Booked
from partners.pos.errors import NoAnswer, PosError, ReceiptError, Refused
from partners.pos.requests import amount, card, issue, redeem
from partners.pos.till import Till
from tests.pos.conftest import MakeTill, Pauses
from tests.pos.small_gateway import NOW_MS, Refusal, SmallGateway

ALICE = card("ALICE-1")


def enrolled(till: Till) -> Till:
    """With Alice as a member."""
    till.enrol("ALICE-1", key="enrol-alice")
    return till


def test_a_sale_gives_points_and_a_verified_receipt(till: Till) -> None:
    """The whole way: enrol, issue, balance."""
    booked = enrolled(till).issue(ALICE, amount("42.50 EUR"), key="sale-1", receipt_number="0001")

    assert (booked.points, booked.balance_points, booked.is_replayed) == (42, 42, False)
    assert till.balance(ALICE).balance_points == 42
    assert till.counts.receipts_verified == 2


def test_points_are_redeemed_reversed_and_moved(till: Till) -> None:
    """Every command that a till has."""
    enrolled(till).enrol("BOB-1", key="enrol-bob")
    sale = till.issue(ALICE, amount("100.00 EUR"), key="sale-1")

    redeemed = till.redeem(ALICE, amount("0.30 EUR"), key="redeem-1")
    returned = till.reverse(key="return-1", entry_id=sale.entry_id, part=amount("20.00 EUR"))
    moved = till.transfer(ALICE, card("BOB-1"), 5, key="gift-1")

    assert [redeemed.points, returned.points, moved.points] == [-30, -20, -5]
    assert till.balance(card("BOB-1")).balance_points == 5


def test_a_lost_answer_is_asked_for_again_with_the_same_key_and_a_new_signature(
    till: Till, gateway: SmallGateway, pauses: Pauses
) -> None:
    """The points are booked once, the receipt is the first one."""
    enrolled(till)
    gateway.answers_to_lose = 2

    booked = till.issue(ALICE, amount("10.00 EUR"), key="sale-1")

    assert (booked.is_replayed, till.balance(ALICE).balance_points) == (True, 10)
    nonces = {metadata["tally-nonce"] for name, metadata in gateway.calls if name == "IssuePoints"}
    assert (len(nonces), pauses.taken_ms) == (3, [100, 200])


def test_a_till_gives_up_after_its_last_attempt_and_says_how_to_go_on(till: Till, gateway: SmallGateway) -> None:
    """Four attempts; the outcome is unknown."""
    enrolled(till)
    gateway.faults.extend(Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING") for _ in range(4))

    with pytest.raises(NoAnswer, match="4 attempts, the last one: UNAVAILABLE: DRAINING; send the same idempotency key again"):
        till.issue(ALICE, amount("10.00 EUR"), key="sale-1")


def test_a_quota_is_waited_for_as_long_as_the_gateway_asks(till: Till, gateway: SmallGateway, pauses: Pauses) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo."""
    enrolled(till)
    gateway.faults.append(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_ms=700))

    till.issue(ALICE, amount("10.00 EUR"), key="sale-1")

    assert pauses.taken_ms == [700]


def test_a_cap_is_a_refusal_and_not_sent_again(till: Till, gateway: SmallGateway) -> None:
    """RESOURCE_EXHAUSTED without RetryInfo."""
    enrolled(till)
    gateway.faults.append(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "NET_DEBIT_CAP_EXCEEDED"))

    with pytest.raises(Refused) as caught:
        till.issue(ALICE, amount("10.00 EUR"), key="sale-1")

    assert caught.value.reason == "NET_DEBIT_CAP_EXCEEDED"
    assert till.counts.retries == 0


def test_after_a_fault_of_the_gateway_the_outcome_is_unknown(till: Till, gateway: SmallGateway) -> None:
    """INTERNAL says nothing about the books."""
    enrolled(till)
    gateway.faults.append(Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", error_id="x1"))

    with pytest.raises(NoAnswer, match="INTERNAL"):
        till.issue(ALICE, amount("10.00 EUR"), key="sale-1")


def test_a_remembered_refusal_brings_its_receipt_each_time(till: Till) -> None:
    """Sent again, and asked for by key: the same bytes."""
    enrolled(till)
    receipts = []
    redeem_five = partial(till.redeem, ALICE, 5, key="redeem-1")
    for attempt in (redeem_five, redeem_five, partial(till.get_entry, key="redeem-1")):
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.reason == "INSUFFICIENT_POINTS"
        assert caught.value.facts.signed_receipt is not None
        receipts.append(caught.value.facts.signed_receipt.SerializeToString(deterministic=True))

    assert len(set(receipts)) == 1


def test_an_entry_is_found_by_key_and_by_id(till: Till) -> None:
    """The answer as it was given; nothing for a key that was never used."""
    sale = enrolled(till).issue(ALICE, amount("10.00 EUR"), key="sale-1")

    assert till.get_entry(key="sale-1").signed_receipt == sale.signed_receipt
    assert till.get_entry(entry_id=sale.entry_id).signed_receipt == sale.signed_receipt
    with pytest.raises(Refused, match="ENTRY_NOT_FOUND"):
        till.get_entry(key="sale-2")


@pytest.mark.parametrize("behind_ms", [-3_600_000, 3_600_000])
def test_a_till_whose_clock_is_off_signs_by_the_gateways(make_till: MakeTill, gateway: SmallGateway, behind_ms: int) -> None:
    """GetNetwork tells the time before the first signature."""
    till = enrolled(make_till(now_ms=NOW_MS - behind_ms))

    assert {metadata["tally-created"] for _, metadata in gateway.calls} == {str(NOW_MS)}
    assert till.counts.retries == 0


def test_a_clock_that_jumps_is_corrected_once(till: Till, gateway: SmallGateway, pauses: Pauses) -> None:
    """SIGNATURE_TIME_OUT_OF_WINDOW carries the time to sign with."""
    enrolled(till)
    gateway.clock = lambda: NOW_MS + 600_000

    booked = till.issue(ALICE, amount("10.00 EUR"), key="sale-1")

    assert (booked.is_replayed, pauses.taken_ms) == (False, [0])


def test_a_receipt_with_other_points_is_not_believed(till: Till, gateway: SmallGateway) -> None:
    """One point more than was signed."""
    enrolled(till)
    gateway.forges_receipts = True

    with pytest.raises(ReceiptError, match="signature does not match"):
        till.issue(ALICE, amount("10.00 EUR"), key="sale-1")


def test_a_new_receipt_key_is_learned_when_it_is_met(till: Till, gateway: SmallGateway) -> None:
    """Old receipts verify as before."""
    old = enrolled(till).issue(ALICE, amount("10.00 EUR"), key="sale-1")
    gateway.rotate("receipts-2")

    new = till.issue(ALICE, amount("10.00 EUR"), key="sale-2")

    assert [old.signed_receipt.key_id, new.signed_receipt.key_id] == ["receipts-1", "receipts-2"]
    assert till.verify(old.signed_receipt) == old.receipt


def test_a_gateway_of_another_network_is_left_alone(make_till: MakeTill, gateway: SmallGateway) -> None:
    """Nothing is signed for a network that the profile does not name."""
    with pytest.raises(PosError, match=r"profile is for 'coalition\.example:prod'"):
        make_till(audience="coalition.example:prod").balance(ALICE)

    assert gateway.calls == []


def test_a_batch_answers_each_command_in_its_place(till: Till) -> None:
    """A refusal is a value, with its receipt where it is remembered."""
    enrolled(till)

    first, second, third = till.submit_batch(
        [
            issue(ALICE, amount("10.00 EUR"), key="b-1"),
            redeem(ALICE, 99, key="b-2"),
            issue(card("NOBODY"), amount("10.00 EUR"), key="b-3"),
        ]
    )

    assert isinstance(first, Booked)
    assert isinstance(second, Refused)
    assert isinstance(third, Refused)
    assert (first.points, second.reason, third.reason) == (10, "INSUFFICIENT_POINTS", "MEMBER_NOT_FOUND")
    assert second.facts.receipt is not None
    assert third.facts.receipt is None


def test_a_key_of_another_partner_is_told_nothing(make_till: MakeTill, gateway: SmallGateway) -> None:
    """A wrong key: one answer, raised at once."""
    till = make_till("acme/till-9/x")
    gateway.new_key("acme/till-9/x")

    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        till.balance(ALICE)
