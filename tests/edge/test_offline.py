"""Catching up through a real gateway: what is booked when, what is refused for good, and what happened in spite of everything."""

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from gateway.domain.events import ALLOWED_OFFLINE
from gateway.domain.partner import PartnerStatus
from gateway.edge.events import entry_of_event
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.services.offline import CALLS_WAITING_MAX
from gateway.storage.engine import writing
from partners.pos import requests
from partners.proposals import change_status
from tallystick.v1 import errors_pb2, member_pb2, points_pb2, till_pb2, types_pb2
from tests.edge.conftest import DAY_MS, HOUR_MS
from tests.edge.running import issue_request, receipt_of, refusal, seen
from tests.edge.terminals import Terminal, outcome, outcomes, receipt, signed_receipt
from tests.given import GivenNetwork


def test_events_are_booked_by_when_they_happened(terminal: Terminal, network: GivenNetwork) -> None:
    """A till that enrols and sells offline gets receipts of then."""
    terminal.at_ms = network.now_ms - 2 * DAY_MS
    enrolled = terminal.event(requests.enrol("CARD-1", key="enrol-1"))
    network.now_ms += DAY_MS
    terminal.at_ms = network.now_ms - DAY_MS + 1
    sold = terminal.event(requests.issue(requests.card("CARD-1"), requests.amount("12.00 EUR"), key="sale-1"))

    answers = terminal.send([enrolled, sold])

    booked = receipt(answers[1])
    assert outcomes(answers) == ["BOOKED", "BOOKED"]
    assert (booked.points, booked.occurred_at_ms, booked.booked_at_ms) == (12, terminal.at_ms, network.now_ms)
    assert booked.business_date == "2026-06-01"


def test_the_same_events_again_get_the_same_answers(terminal: Terminal) -> None:
    """Byte for byte, refusals too, and with more behind them."""
    member_id = terminal.caller.enrol("CARD-1")
    events = [
        *terminal.sales(member_id, 500, 700, key="sale"),
        terminal.event(issue_request("nobody", 100, "lost")),
        terminal.event(requests.redeem(requests.member(member_id), 5, key="redeem")),
    ]
    first = terminal.send(events)
    terminal.caller.enrol("CARD-2")
    second = terminal.send([*events, *terminal.sales(member_id, 900, key="more")])

    assert outcomes(first) == ["BOOKED", "BOOKED", "MEMBER_NOT_FOUND", "OFFLINE_NOT_ALLOWED"]
    assert outcomes(second) == [*outcomes(first), "BOOKED"]
    assert [signed_receipt(answer) for answer in second[:4]] == [signed_receipt(answer) for answer in first]
    assert all(answer.answer.booked.replayed for answer in second[:2])
    assert terminal.caller.balance(member_id) == 21


def test_a_refused_event_stays_refused_and_the_chain_goes_on(terminal: Terminal) -> None:
    """Its member is enrolled later: the event was answered, and its receipt says so to whoever asks again online."""
    card = requests.card("LATE-1")
    lost = issue_request("", 100, "lost")
    lost.member.CopyFrom(card)
    events = [terminal.event(lost)]
    terminal.send(events)
    member_id = terminal.caller.enrol("LATE-1")
    again = terminal.send([*events, *terminal.sales(member_id, 100, key="sale")])
    online = refusal(lambda: terminal.caller.call(requests.ISSUE, lost))

    assert outcomes(again) == ["MEMBER_NOT_FOUND", "BOOKED"]
    assert online.reason == "MEMBER_NOT_FOUND"
    assert online.answer is not None
    assert online.answer.receipt == signed_receipt(again[0])


def test_a_command_that_was_sent_before_the_outage_joins_its_event(terminal: Terminal) -> None:
    """The answer was lost; the till queued the same command: one booking, one receipt."""
    member_id = terminal.caller.enrol("CARD-1")
    sent = terminal.caller.issue(member_id, 500, "sale-1")
    answer = terminal.send([terminal.event(issue_request(member_id, 500, "sale-1"))])[0]

    assert answer.answer.booked.replayed
    assert signed_receipt(answer) == sent.receipt
    assert terminal.caller.issue(member_id, 500, "sale-1").receipt == sent.receipt


@pytest.mark.parametrize("field", [field.name for field in points_pb2.Command.DESCRIPTOR.oneofs_by_name["command"].fields])
def test_each_command_may_happen_offline_or_is_refused_by_name(field: str, terminal: Terminal) -> None:
    """Whoever adds a command decides."""
    member_id = terminal.caller.enrol("CARD-1")
    terminal.caller.issue(member_id, 5_000, "before")
    member = types_pb2.MemberRef(member_id=member_id)
    basket = types_pb2.Amount(unit="EUR", minor_units=100)
    commands = {
        "issue": points_pb2.Command(issue=issue_request(member_id, 100, "one")),
        "redeem": points_pb2.Command(redeem=points_pb2.RedeemPointsRequest(idempotency_key="one", member=member, points=1)),
        "reverse": points_pb2.Command(reverse=requests.reverse(key="one", original_key="before")),
        "enrol": points_pb2.Command(enrol=requests.enrol("CARD-2", key="one")),
        "transfer": points_pb2.Command(
            transfer=member_pb2.TransferPointsRequest(idempotency_key="one", source=member, target=member, points=1)
        ),
        "checkout": points_pb2.Command(checkout=till_pb2.CheckoutRequest(idempotency_key="one", member=member, total=basket)),
        "refund": points_pb2.Command(
            refund=till_pb2.RefundRequest(idempotency_key="one", original_idempotency_key="early", member=member, amount=basket)
        ),
        "donate": points_pb2.Command(
            donate=member_pb2.DonatePointsRequest(idempotency_key="one", member=member, charity_id="globex", points=1)
        ),
        "claim": points_pb2.Command(
            claim=till_pb2.ClaimReceiptRequest(idempotency_key="one", member=member, total=basket, receipt_number="1")
        ),
    }
    answer = terminal.send([terminal.event(commands[field])])[0]

    assert outcome(answer) == ("BOOKED" if ALLOWED_OFFLINE[field] else "OFFLINE_NOT_ALLOWED")
    assert ALLOWED_OFFLINE[field] or answer.answer.refused.details == {"command": field}


@pytest.mark.parametrize(
    "payment", [field.name for field in till_pb2.CheckoutRequest.DESCRIPTOR.oneofs_by_name["payment"].fields]
)
def test_points_pay_no_basket_offline(payment: str, terminal: Terminal) -> None:
    """Not even those that were set aside before: the hold may have lapsed."""
    member_id = terminal.caller.enrol("CARD-1")
    amount = types_pb2.Amount(unit="EUR", minor_units=100)
    values: dict[str, Any] = {"hold_id": "e" + "0" * 32, "hold_idempotency_key": "hold", "points": 1, "up_to_value": amount}
    basket = till_pb2.CheckoutRequest(
        idempotency_key="basket", member=types_pb2.MemberRef(member_id=member_id), total=amount, **{payment: values[payment]}
    )
    answer = terminal.send([terminal.event(points_pb2.Command(checkout=basket))])[0]

    assert outcome(answer) == "OFFLINE_NOT_ALLOWED"
    assert answer.answer.refused.details == {"command": "checkout", "payment": payment}


def test_a_checkout_beyond_the_cap_is_booked_with_a_warning(terminal: Terminal, network: GivenNetwork) -> None:
    """As a bare issue is; the goods are gone."""
    member_id = terminal.caller.enrol("CARD-1")
    network.cap("acme", 1)
    basket = till_pb2.CheckoutRequest(
        idempotency_key="basket",
        member=types_pb2.MemberRef(member_id=member_id),
        total=types_pb2.Amount(unit="EUR", minor_units=1_000),
    )
    answer = terminal.send([terminal.event(points_pb2.Command(checkout=basket))])[0]

    assert outcome(answer) == "BOOKED"
    assert [(one.reason, one.partner_id) for one in answer.warnings] == [(36, "acme")]
    assert list(receipt_of(answer.answer.booked).warnings) == [types_pb2.WARNING_BOOKED_BEYOND_CAP]


def test_what_is_wrong_with_a_command_concerns_its_event_alone(terminal: Terminal) -> None:
    """Its fields, its partner, its bytes, no command at all."""
    member_id = terminal.caller.enrol("CARD-1")
    events = [
        terminal.event(issue_request(member_id, 0, "nothing")),
        terminal.event(issue_request(member_id, 100, "other", partner_id="globex")),
        terminal.event(b"\xff\xff\xff"),
        terminal.event(issue_request(member_id, 100, "good")),
    ]
    answers = terminal.send(events)

    assert outcomes(answers) == ["INVALID_FIELDS", "PARTNER_MISMATCH", "MALFORMED_MESSAGE", "BOOKED"]
    assert [one.field for one in answers[0].answer.refused.field_violations] == ["eligible.minor_units"]
    assert outcomes(terminal.send(events)) == outcomes(answers)


def test_a_command_of_a_newer_till_waits_for_a_newer_gateway(terminal: Terminal) -> None:
    """An unknown field ends the call, not the event: nothing is lost."""
    member_id = terminal.caller.enrol("CARD-1")
    good = requests.one_of_batch(issue_request(member_id, 100, "new")).SerializeToString()
    events = [terminal.event(good + bytes.fromhex("fa3f0161"))]
    seen = refusal(lambda: terminal.send(events))

    assert (seen.code, seen.reason) == (StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELDS")
    assert list(seen.violations) == ["events[0].command.1023"]
    assert terminal.ask().last_counter == 0


def test_an_event_beyond_the_horizon_is_refused_by_itself(terminal: Terminal, network: GivenNetwork) -> None:
    """Remembered, with a receipt; the next one is booked."""
    member_id = terminal.caller.enrol("CARD-1")
    network.now_ms += 10 * DAY_MS
    terminal.at_ms = network.now_ms - 4 * DAY_MS
    old = terminal.event(issue_request(member_id, 100, "old"))
    terminal.at_ms = network.now_ms - 3 * DAY_MS
    late = terminal.event(issue_request(member_id, 100, "late"))
    answers = terminal.send([old, late])

    assert outcomes(answers) == ["EVENT_TOO_OLD", "BOOKED"]
    assert answers[0].answer.refused.details == {"horizon_days": "3"}
    assert receipt(answers[0]).refused


def test_an_issue_beyond_the_cap_is_booked_with_a_warning(terminal: Terminal, network: GivenNetwork) -> None:
    """The goods are gone. Online the next sale is refused; a repeat brings the warning again."""
    member_id = terminal.caller.enrol("CARD-1")
    network.cap("acme", 1_000)
    events = terminal.sales(member_id, 100_000, 200, key="sale")  # ten euros of points are the cap, and then two cents
    answers = terminal.send(events)
    online = refusal(lambda: terminal.caller.issue(member_id, 100_000, "online"))
    again = terminal.send(events)

    assert outcomes(answers) == ["BOOKED", "BOOKED"]
    assert [[(one.reason, one.partner_id) for one in answer.warnings] for answer in answers] == [[], [(36, "acme")]]
    assert online.reason == "NET_DEBIT_CAP_EXCEEDED"
    assert [answer.warnings for answer in again] == [answer.warnings for answer in answers]
    assert sum("in spite of NET_DEBIT_CAP_EXCEEDED of acme" in line for line in terminal.caller.gateway.log) == 1


def test_what_happened_before_a_suspension_is_booked_with_a_warning(terminal: Terminal, network: GivenNetwork) -> None:
    """What happened after it waits until the partner is active again: a partner that is suspended stays so."""
    member_id = terminal.caller.enrol("CARD-1")
    before = terminal.sales(member_id, 100, key="before")
    stand(terminal, network, PartnerStatus.SUSPENDED)
    terminal.at_ms = network.now_ms + 1
    network.now_ms += HOUR_MS
    after = terminal.sales(member_id, 200, key="after")

    answers = terminal.send(before)
    waits = refusal(lambda: terminal.send(after))
    stand(terminal, network, PartnerStatus.ACTIVE)
    then = terminal.send(after)

    assert outcomes(answers) == ["BOOKED"]
    assert [(one.reason, one.partner_id) for one in answers[0].warnings] == [(22, "acme")]
    assert (waits.code, waits.reason) == (StatusCode.PERMISSION_DENIED, "PARTNER_NOT_ACTIVE")
    assert outcomes(then) == ["BOOKED"]
    assert not then[0].warnings


def stand(terminal: Terminal, network: GivenNetwork, status: PartnerStatus) -> None:
    """Suspends or resumes acme, and has the gateway notice."""
    with writing(network.engine) as connection:
        change_status(connection, "acme", status, hand=network.hands[0], now_ms=network.now_ms)
    gateway = terminal.caller.gateway
    gateway.run(gateway.app.look_around())


def test_few_calls_catch_up_at_once_some_wait_and_the_others_come_again(terminal: Terminal, network: GivenNetwork) -> None:
    """While the store holds them up, here by another writer; nobody is forgotten."""
    events = terminal.sales(terminal.caller.enrol("CARD-1"), 100, key="sale")

    def send() -> str:
        try:
            return outcome(terminal.send(events)[0])
        except grpc.RpcError as error:
            return seen(error).reason

    with ThreadPoolExecutor(CALLS_WAITING_MAX + 2) as pool:
        with writing(network.engine):
            calls = [pool.submit(send) for _ in range(CALLS_WAITING_MAX + 2)]
            turned_away = [call.result() for call in islice(as_completed(calls), 2)]
        ended = sorted(call.result() for call in calls)

    assert turned_away == ["QUEUE_FULL"] * 2
    assert ended == ["BOOKED"] * CALLS_WAITING_MAX + ["QUEUE_FULL"] * 2


@pytest.mark.parametrize(
    ("limit", "reason"), [("member_day_issued_max", "MEMBER_DAILY_LIMIT"), ("terminal_day_issued_max", "TERMINAL_DAILY_LIMIT")]
)
def test_what_goes_beyond_a_day_is_booked_with_a_warning_that_the_audit_knows(
    limit: str, reason: str, terminal: Terminal, network: GivenNetwork
) -> None:
    """The goods are gone. Online the next sale is refused."""
    member_id = terminal.caller.enrol("CARD-1")
    network.limits("acme", "2026-06-01", **{limit: 10})
    answers = terminal.send(terminal.sales(member_id, 1_000, 200, key="sale"))
    online = refusal(lambda: terminal.caller.issue(member_id, 200, "online"))
    form = ReceiptForm(encode_receipt, decode_receipt, entry_of_event)
    report = audit(network.engine, full=True, now_ms=network.now_ms, receipts=form)

    assert outcomes(answers) == ["BOOKED", "BOOKED"]
    assert [[errors_pb2.ErrorReason.Name(one.reason) for one in answer.warnings] for answer in answers] == [
        [],
        [f"ERROR_REASON_{reason}"],
    ]
    assert online.reason == reason
    assert report.failures == ()
