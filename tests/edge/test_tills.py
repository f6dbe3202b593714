"""The till's calls through the gateway: what a till can get wrong, what is nobody else's, and what may be asked again."""

from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from partners.pos import requests_till
from partners.pos.requests import CHECKOUT, CLAIM_RECEIPT, PLACE_HOLD, QUOTE, REFUND, SUBMIT_BATCH, VOID_HOLD, amount, member
from tallystick.v1 import points_pb2, till_pb2, types_pb2
from tests.edge.running import Caller, receipt_of, refusal

RICE, CARD = ("rice", 700, False), ("gift-card", 300, True)


def basket(member_id: str, key: str, total: int, *lines: tuple[str, int, bool], **asked: Any) -> till_pb2.CheckoutRequest:
    """A checkout in cents; a line is its id, its price, and whether it earns nothing."""
    made = [till_pb2.BasketLine(line_id=name, minor_units=cents, earns_nothing=nothing) for name, cents, nothing in lines]
    who, cost = types_pb2.MemberRef(member_id=member_id), types_pb2.Amount(unit="EUR", minor_units=total)
    return till_pb2.CheckoutRequest(idempotency_key=key, member=who, total=cost, lines=made, **asked)


def sell(caller: Caller, request: till_pb2.CheckoutRequest) -> types_pb2.Receipt:
    """What the receipt says."""
    return receipt_of(caller.call(CHECKOUT, request).answer)


@pytest.mark.parametrize(
    ("lines", "asked", "fields"),
    [
        ((RICE,), {}, {"total.minor_units"}),
        ((RICE, CARD, ("voided", 50, False)), {}, {"total.minor_units"}),
        ((RICE, CARD), {"eligible_minor_units": 1_000}, {"eligible_minor_units"}),
        ((("rice", 500, False), ("rice", 500, False)), {}, {"lines"}),
    ],
    ids=["a line is missing", "a voided line is left in", "what earns is not what earns", "a line stands twice"],
)
def test_lines_that_do_not_make_the_basket_are_refused(
    acme: Caller, lines: tuple[Any, ...], asked: dict[str, Any], fields: set[str]
) -> None:
    """A voided line that is left in would earn, and come back, without having been paid."""
    member_id = acme.enrol(f"LINES-{len(lines)}-{len(asked)}-{next(iter(fields))[:5].strip('.')}")
    seen = refusal(lambda: sell(acme, basket(member_id, "lines", 1_000, *lines, **asked)))

    assert (seen.code, set(seen.violations)) == (StatusCode.INVALID_ARGUMENT, fields)
    assert acme.balance(member_id) == 0


def test_only_lines_that_earn_are_issued_on(acme: Caller) -> None:
    """And coming back, what earns nothing takes nothing along."""
    member_id = acme.enrol("EARNS-1")
    sold = sell(acme, basket(member_id, "earns-1", 1_000, RICE, CARD))
    part = [requests_till.returned_line("gift-card")]
    back = receipt_of(acme.call(REFUND, requests_till.refund(key="earns-2", checkout_key="earns-1", part=part)).answer)

    assert (sold.points, sold.to_pay.minor_units) == (7, 1_000)
    assert (back.points, back.to_pay.minor_units, acme.balance(member_id)) == (0, 300, 7)


def test_a_return_and_a_purchase_go_in_one_batch_and_one_is_not_the_others_business(acme: Caller) -> None:
    """One visit to the till: what came back is by its own checkout, what is bought by its own."""
    member_id = acme.enrol("MIXED-1")
    sell(acme, basket(member_id, "mixed-1", 1_000))
    request = points_pb2.SubmitBatchRequest()
    request.commands.add().refund.CopyFrom(requests_till.refund(key="mixed-2", checkout_key="mixed-1", part=amount("4.00 EUR")))
    request.commands.add().checkout.CopyFrom(basket(member_id, "mixed-3", 2_500))
    answers = [receipt_of(answer.booked) for answer in acme.call(SUBMIT_BATCH, request).answers]

    assert [answer.points for answer in answers] == [-4, 25]
    assert [answer.to_pay.minor_units for answer in answers] == [400, 2_500]


def test_a_quote_may_be_asked_for_again_and_promises_nothing(acme: Caller) -> None:
    """A duplicate is no error: nothing is booked; what it said was true when it said it."""
    member_id = acme.enrol("QUOTE-1")
    acme.issue(member_id, 1_000, "quote-1")
    asked = requests_till.quote(member(member_id), amount("3.00 EUR"))
    first, second = (acme.call(QUOTE, asked) for _ in range(2))
    acme.redeem(member_id, 8, "quote-2")
    third = acme.call(QUOTE, asked)

    assert (first.points_to_issue, first.points_max) == (second.points_to_issue, second.points_max) == (3, 10)
    assert (third.points_max, third.standing.version) == (2, first.standing.version + 1)


def test_a_hold_that_is_placed_again_with_its_key_is_the_same_hold(acme: Caller) -> None:
    """Its id comes from the caller's key, so that a retry sets nothing more aside."""
    member_id = acme.enrol("AGAIN-1")
    acme.issue(member_id, 10_000, "again-1")
    asked = requests_till.place_hold(member(member_id), 60, key="again-2")
    first, second = (acme.call(PLACE_HOLD, asked).answer for _ in range(2))

    assert (first.receipt, first.replayed, second.replayed) == (second.receipt, False, True)
    assert receipt_of(second).standing.held_points == 60


def test_another_partners_hold_and_checkout_are_not_found(acme: Caller, globex: Caller) -> None:
    """Whatever it asks of them, by their ids."""
    member_id = acme.enrol("FOREIGN-1")
    acme.issue(member_id, 10_000, "foreign-1")
    hold = receipt_of(acme.call(PLACE_HOLD, requests_till.place_hold(member(member_id), 60, key="foreign-2")).answer).entry_id
    sold = sell(acme, basket(member_id, "foreign-3", 1_000)).entry_id
    tries = {
        "capture": lambda: sell(globex, basket(member_id, "foreign-4", 1_000, hold_id=hold)),
        "void": lambda: globex.call(VOID_HOLD, requests_till.void_hold(key="foreign-5", hold_id=hold)),
        "refund": lambda: globex.call(REFUND, requests_till.refund(key="foreign-6", checkout_id=sold)),
    }
    seen = {name: refusal(call) for name, call in tries.items()}

    assert {(one.code, one.reason) for one in seen.values()} == {
        (StatusCode.NOT_FOUND, "HOLD_NOT_FOUND"),
        (StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"),
    }
    assert acme.balance(member_id) == 110


def test_refunding_more_than_the_rest_is_refused_with_the_rest_twice(acme: Caller) -> None:
    """For good, with the same receipt; the rest itself comes back."""
    member_id = acme.enrol("REST-1")
    sell(acme, basket(member_id, "rest-1", 1_000))
    acme.call(REFUND, requests_till.refund(key="rest-2", checkout_key="rest-1", part=amount("6.00 EUR")))
    too_much = requests_till.refund(key="rest-3", checkout_key="rest-1", part=amount("4.01 EUR"))
    first, second = (refusal(lambda: acme.call(REFUND, too_much)) for _ in range(2))
    acme.call(REFUND, requests_till.refund(key="rest-4", checkout_key="rest-1", part=amount("4.00 EUR")))

    assert (first.code, first.reason, first.facts["rest"]) == (StatusCode.FAILED_PRECONDITION, "REFUND_EXCEEDS_REST", "400")
    assert first.answer is not None
    assert second.answer is not None
    assert first.answer.receipt == second.answer.receipt
    assert acme.balance(member_id) == 0


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [
        (PLACE_HOLD, till_pb2.PlaceHoldRequest(points=0), {"points"}),
        (PLACE_HOLD, till_pb2.PlaceHoldRequest(points=1_000_000_001), {"points"}),
        (PLACE_HOLD, till_pb2.PlaceHoldRequest(points=1, ttl_s=0), {"ttl_s"}),
        (PLACE_HOLD, till_pb2.PlaceHoldRequest(points=1, ttl_s=604_801), {"ttl_s"}),
        (CHECKOUT, till_pb2.CheckoutRequest(total=types_pb2.Amount(unit="EUR", minor_units=-1)), {"total.minor_units"}),
        (CHECKOUT, till_pb2.CheckoutRequest(total=amount("1.00 EUR"), eligible_minor_units=101), {"eligible_minor_units"}),
        (CHECKOUT, till_pb2.CheckoutRequest(total=amount("1.00 EUR"), captured_points=1), {"captured_points"}),
        (
            CLAIM_RECEIPT,
            till_pb2.ClaimReceiptRequest(total=amount("1.00 EUR"), occurred_at_ms=1),
            {"receipt_number", "occurred_at_ms"},
        ),
    ],
)
def test_numbers_of_a_till_that_are_out_of_range_are_refused(
    acme: Caller, method: Any, request_: Message, fields: set[str]
) -> None:
    """By the name of the field; no number of them reaches the books."""
    whole = type(request_)()
    whole.CopyFrom(request_)
    whole.MergeFrom(type(request_)(idempotency_key="range", member=types_pb2.MemberRef(member_id="m1")))
    seen = refusal(lambda: acme.call(method, whole))

    assert (seen.code, set(seen.violations)) == (StatusCode.INVALID_ARGUMENT, fields)
