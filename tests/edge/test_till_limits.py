"""Limits, delays, receipt lines and warnings as a till sees them, through the real gateway."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway.domain.limits import LIMIT_NAMES, Limits
from gateway.domain.receipt import TillWarning
from gateway.domain.terms import DebtPolicy
from gateway.network_terms import TermsChange
from partners.pos.requests import (
    CHECKOUT,
    CLAIM_RECEIPT,
    CONFIRM,
    GET_BALANCE,
    GET_PARTNER,
    LIST_LOTS,
    PLACE_HOLD,
    QUOTE,
    REFUND,
    VOID_HOLD,
)
from tallystick.v1 import errors_pb2, member_pb2, partner_pb2, till_pb2, types_pb2
from tests.edge.running import Caller, RunningGateway, receipt_of, refusal
from tests.given import GivenNetwork, at

MIDNIGHT_MS = at("2026-06-02", "00:00")


@pytest.fixture
def limited(network: GivenNetwork) -> Iterator[Caller]:
    """A till of acme's, with limits of the network's and of its own; the network's date is 1 June."""
    network.network_terms("2026-06-01", TermsChange(limits=Limits(multiple_points=10, entry_points_max=5_000)))
    network.limits("acme", "2026-06-01", minimum_points=50, member_day_redeemed_max=300, terminal_day_redeemed_max=400)
    with RunningGateway(network) as running:
        yield Caller(running, "acme", network.keys["acme"])


def euros(minor_units: int) -> types_pb2.Amount:
    """An amount of EUR in cents."""
    return types_pb2.Amount(unit="EUR", minor_units=minor_units)


def ref(member_id: str) -> types_pb2.MemberRef:
    """A member by id."""
    return types_pb2.MemberRef(member_id=member_id)


def member_with(caller: Caller, card: str, points: int) -> str:
    """A new member with points of the caller's."""
    member_id = caller.enrol(card)
    caller.issue(member_id, points * 100, f"points-{card}")
    return member_id


def _trailing(error: Any) -> Any:
    """What came behind the answer; grpc's own types do not say that an error has it."""
    return error.trailing_metadata()


def quote(caller: Caller, member_id: str, cents: int) -> tuple[int, int, str]:
    """The most points, the step, and what limits them."""
    answer = caller.call(QUOTE, till_pb2.QuoteRequest(member=ref(member_id), total=euros(cents)))
    reason = errors_pb2.ErrorReason.Name(answer.limited_by).removeprefix("ERROR_REASON_")
    return answer.points_max, answer.points_step, reason


def test_a_quote_obeys_the_limits_and_says_which_binds(limited: Caller) -> None:
    """The basket, the member's points, the day of the member, the day of the terminal, the steps, the minimum."""
    ann, ben, cay = (member_with(limited, card, points) for card, points in (("1001", 1_000), ("1002", 255), ("1003", 40)))

    assert quote(limited, ann, 199) == (190, 10, "MORE_THAN_TOTAL")
    assert quote(limited, ann, 99_900) == (300, 10, "MEMBER_DAILY_LIMIT")
    assert quote(limited, ben, 99_900) == (250, 10, "NOT_A_MULTIPLE")
    assert quote(limited, ben, 30) == (0, 10, "BELOW_MINIMUM")
    assert quote(limited, cay, 99_900) == (0, 10, "BELOW_MINIMUM")
    limited.redeem(ann, 300, "spent")
    assert quote(limited, ann, 99_900) == (0, 10, "MEMBER_DAILY_LIMIT")
    assert quote(limited, ben, 99_900) == (100, 10, "TERMINAL_DAILY_LIMIT")


def test_a_quote_without_limits_is_what_it_was(own_acme: Caller) -> None:
    """In steps of one point, up to the balance."""
    ann = member_with(own_acme, "1001", 255)

    assert quote(own_acme, ann, 99_900) == (255, 1, "UNSPECIFIED")
    assert quote(own_acme, ann, 99) == (99, 1, "MORE_THAN_TOTAL")


@pytest.mark.parametrize(
    ("points", "reason", "facts"),
    [
        (40, "BELOW_MINIMUM", {"limit": "50", "asked": "40"}),
        (55, "NOT_A_MULTIPLE", {"limit": "10", "asked": "55"}),
        (5_010, "ENTRY_LIMIT", {"limit": "5000", "asked": "5010"}),
    ],
)
def test_a_redemption_that_no_day_would_allow_is_refused_for_good(
    limited: Caller, points: int, reason: str, facts: dict[str, str]
) -> None:
    """With a signed receipt."""
    ann = member_with(limited, "1001", 1_000)
    seen = refusal(lambda: limited.redeem(ann, points, "k-1"))

    assert (seen.code, seen.reason, seen.facts) == (grpc.StatusCode.FAILED_PRECONDITION, reason, facts)
    assert seen.answer is not None


def test_a_terminal_that_has_redeemed_enough_today_is_refused_until_midnight(limited: Caller) -> None:
    """As a quota, with limit, used and the end of the day; without a RetryInfo that would be too short; and not for good."""
    ann, ben = (member_with(limited, card, 1_000) for card in ("1001", "1002"))
    limited.redeem(ann, 300, "k-1")
    limited.redeem(ben, 100, "k-2")
    with pytest.raises(grpc.RpcError) as caught:
        limited.redeem(ben, 50, "k-3")
    seen = refusal(lambda: limited.redeem(ben, 50, "k-3"))
    packed = dict(_trailing(caught.value))["grpc-status-details-bin"]
    quota = error_details_pb2.QuotaFailure()

    assert (seen.code, seen.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TERMINAL_DAILY_LIMIT")
    assert seen.facts == {"limit": "400", "used": "400", "resets_at_ms": str(MIDNIGHT_MS)}
    assert (seen.retry_ms, seen.answer) == (None, None)
    assert any(detail.Unpack(quota) for detail in status_pb2.Status.FromString(packed).details)
    assert quota.violations[0].subject == "terminal's day"
    limited.gateway.network.now_ms = MIDNIGHT_MS
    assert receipt_of(limited.redeem(ben, 50, "k-3")).points == -50


def test_a_member_that_has_spent_enough_today_is_refused_until_midnight(limited: Caller) -> None:
    """Named before the terminal."""
    ann = member_with(limited, "1001", 1_000)
    limited.redeem(ann, 300, "k-1")
    asked = till_pb2.CheckoutRequest(idempotency_key="k-2", member=ref(ann), total=euros(9_900), points=150)
    seen = refusal(lambda: limited.call(CHECKOUT, asked))

    assert (seen.code, seen.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMBER_DAILY_LIMIT")
    assert seen.facts == {"limit": "300", "used": "300", "resets_at_ms": str(MIDNIGHT_MS)}


def test_points_that_wait_are_told_apart_in_every_answer(network: GivenNetwork) -> None:
    """In the receipt's standing, in the balance, and in a quote."""
    network.network_terms("2026-06-01", TermsChange(usable_after_days=14))
    with RunningGateway(network) as running:
        acme = Caller(running, "acme", network.keys["acme"])
        ann = acme.enrol("1001")
        asked = till_pb2.CheckoutRequest(idempotency_key="k-1", member=ref(ann), total=euros(12_000))
        booked = acme.call(CHECKOUT, asked)
        standing = receipt_of(booked.answer).standing
        balance = acme.call(GET_BALANCE, member_pb2.GetBalanceRequest(member=ref(ann)))
        lots = acme.call(LIST_LOTS, member_pb2.ListLotsRequest(member=ref(ann))).lots

        assert (standing.pending_points, standing.available_points) == (120, 0)
        assert [(lot.points, lot.usable_from) for lot in lots] == [(120, "2026-06-15")]
        assert (balance.balance_points, balance.available_points, balance.standing.pending_points) == (120, 0, 120)
        assert quote(acme, ann, 5_000) == (0, 1, "INSUFFICIENT_POINTS")
        assert list(booked.receipt_lines)[-1] == "Available later: 120"


def test_the_lines_are_in_the_language_of_the_request_and_a_repeat_gives_the_same(own_acme: Caller) -> None:
    """The language is no part of the command: the same key answers in another one, too."""
    ann = member_with(own_acme, "1001", 1_000)

    def checkout(language: str) -> till_pb2.CheckoutResponse:
        asked = till_pb2.CheckoutRequest(
            idempotency_key="k-1", member=ref(ann), total=euros(2_000), points=500, language=language
        )
        answer: till_pb2.CheckoutResponse = own_acme.call(CHECKOUT, asked)
        return answer

    german, french, again = checkout("de-AT"), checkout("fr"), checkout("de")
    assert list(german.receipt_lines) == [
        "Punkte bezahlt: 500",
        "Punkte erhalten: 15",
        "Mit Punkten: 5,00 EUR",
        "Zu zahlen: 15,00 EUR",
        "Stand: 515 Punkte",
        "Wert: 5,15 EUR",
    ]
    assert list(french.receipt_lines)[:2] == ["Points utilisés: 500", "Points gagnés: 15"]
    assert again.receipt_lines == german.receipt_lines
    assert again.answer.replayed
    assert again.answer.receipt == german.answer.receipt


def test_every_answer_of_a_command_has_lines(own_acme: Caller) -> None:
    """Holds, checkouts, refunds and claims; in English where nothing is asked."""
    ann = member_with(own_acme, "1001", 1_000)
    held = own_acme.call(PLACE_HOLD, till_pb2.PlaceHoldRequest(idempotency_key="k-1", member=ref(ann), points=100))
    asked = till_pb2.VoidHoldRequest(idempotency_key="k-2", hold_idempotency_key="k-1")
    voided = own_acme.call(VOID_HOLD, asked)
    bought = own_acme.call(CHECKOUT, till_pb2.CheckoutRequest(idempotency_key="k-3", member=ref(ann), total=euros(5_000)))
    refunded = own_acme.call(REFUND, till_pb2.RefundRequest(idempotency_key="k-4", original_idempotency_key="k-3"))
    claimed = own_acme.call(
        CLAIM_RECEIPT,
        till_pb2.ClaimReceiptRequest(
            idempotency_key="k-5",
            member=ref(ann),
            receipt_number="R-1",
            total=euros(700),
            occurred_at_ms=own_acme.gateway.network.now_ms,
        ),
    )

    assert held.receipt_lines[0] == "Reserved: 1.00 EUR"
    assert voided.receipt_lines[0] == "Reservation released"
    assert bought.receipt_lines[0] == "Points earned: 50"
    assert list(refunded.receipt_lines)[:2] == ["Points taken back: 50", "To return: 50.00 EUR"]
    assert claimed.receipt_lines[0] == "Points earned: 7"


def test_warnings_say_what_the_cashier_should_know_and_stand_in_the_receipt(own_acme: Caller) -> None:
    """A part of a hold, a receipt number used twice, points in debt, a refund that waits, and one of somebody else."""
    ann, ben = member_with(own_acme, "1001", 1_000), own_acme.enrol("1002")
    seen: list[list[TillWarning]] = []

    def note(answer: till_pb2.CheckoutResponse | till_pb2.RefundResponse) -> None:
        seen.append([TillWarning(warning) for warning in answer.warnings])
        assert receipt_of(answer.answer).warnings == answer.warnings

    def checkout(key: str, cents: int, member_id: str = ann, **asked: object) -> None:
        request = till_pb2.CheckoutRequest(idempotency_key=key, member=ref(member_id), total=euros(cents), **asked)  # type: ignore[arg-type]  # by name
        note(own_acme.call(CHECKOUT, request))

    def refund(key: str, of: str, **asked: object) -> None:
        request = till_pb2.RefundRequest(idempotency_key=key, original_idempotency_key=of, **asked)  # type: ignore[arg-type]  # by name
        note(own_acme.call(REFUND, request))

    own_acme.call(PLACE_HOLD, till_pb2.PlaceHoldRequest(idempotency_key="hold", member=ref(ann), points=100))
    checkout("k-1", 1_000, hold_idempotency_key="hold", captured_points=40, receipt_number="R-1")
    checkout("k-2", 1_000, receipt_number="R-1")
    refund("k-3", "k-4", member=ref(ben), amount=euros(100))
    checkout("k-4", 1_000)
    checkout("k-5", 3_000, member_id=ben)
    own_acme.redeem(ben, 30, "spent")
    refund("k-6", "k-5")
    refund("k-7", "k-8", member=ref(ben), amount=euros(1_001))
    checkout("k-8", 1_000, member_id=ben)

    assert seen == [
        [TillWarning.HOLD_CAPTURED_IN_PART],
        [TillWarning.RECEIPT_NUMBER_USED],
        [TillWarning.REFUND_WAITS_FOR_SALE],
        [TillWarning.OTHER_MEMBERS_REFUND_PARKED],
        [],
        [TillWarning.POINTS_IN_DEBT],
        [TillWarning.REFUND_WAITS_FOR_SALE, TillWarning.POINTS_IN_DEBT],
        [TillWarning.POINTS_IN_DEBT, TillWarning.PARKED_REFUND_CUT],
    ]


def test_cash_that_is_kept_is_warned_of(network: GivenNetwork) -> None:
    """Under a policy without debt."""
    network.network_terms("2026-06-01", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    with RunningGateway(network) as running:
        acme = Caller(running, "acme", network.keys["acme"])
        ann = acme.enrol("1001")
        acme.call(CHECKOUT, till_pb2.CheckoutRequest(idempotency_key="k-1", member=ref(ann), total=euros(3_000)))
        acme.redeem(ann, 30, "spent")
        answer = acme.call(REFUND, till_pb2.RefundRequest(idempotency_key="k-2", original_idempotency_key="k-1"))

        assert list(answer.warnings) == [types_pb2.WARNING_CASH_WITHHELD]
        assert list(answer.receipt_lines)[:2] == ["Kept back: 0.30 EUR", "To return: 29.70 EUR"]


def test_warnings_are_those_of_the_protos() -> None:
    """Name for name, number for number."""
    published = {name.removeprefix("WARNING_"): number for name, number in types_pb2.Warning.items() if number}

    assert {warning.name: warning.value for warning in TillWarning} == published


def test_without_a_language_in_the_request_the_lines_are_in_the_members(own_acme: Caller) -> None:
    """Of the moment of the booking: a repeat after a change says what the first answer said."""
    ann = member_with(own_acme, "1001", 1_000)

    def first_line(key: str, language: str = "") -> str:
        asked = till_pb2.CheckoutRequest(idempotency_key=key, member=ref(ann), total=euros(2_000), points=100, language=language)
        return str(own_acme.call(CHECKOUT, asked).receipt_lines[0])

    def confirm(key: str, language: str) -> None:
        own_acme.call(CONFIRM, member_pb2.ConfirmMemberRequest(idempotency_key=key, member=ref(ann), language=language))

    before = first_line("k-1")
    confirm("l-1", "de")
    german = first_line("k-2")
    confirm("l-2", "fr")

    assert (before, german) == ("Points paid: 100", "Punkte bezahlt: 100")
    assert (first_line("k-1"), first_line("k-2")) == (before, german)
    assert first_line("k-3") == "Points utilisés: 100"
    assert first_line("k-3", "en-GB") == before
    assert first_line("k-3", "xx") == "Points utilisés: 100"


def test_a_partner_sees_its_own_limits_and_the_networks(network: GivenNetwork) -> None:
    """All versions, by the date from which they hold."""
    network.network_terms("2026-06-01", TermsChange(limits=Limits(multiple_points=10, entry_points_max=5_000)))
    network.limits("acme", "2026-06-01", minimum_points=50, member_day_redeemed_max=300, terminal_day_redeemed_max=400)
    network.limits("acme", "2026-07-01", minimum_points=80)
    network.limits("acme", "2026-08-01")
    with RunningGateway(network) as running:
        seen = Caller(running, "acme", network.keys["acme"]).call(GET_PARTNER, partner_pb2.GetPartnerRequest())
    made = partner_pb2.LimitsVersion

    assert list(seen.limits) == [
        made(effective_from="2026-06-01", minimum_points=50, member_day_redeemed_max=300, terminal_day_redeemed_max=400),
        made(effective_from="2026-07-01", minimum_points=80),
        made(effective_from="2026-08-01"),
    ]
    assert list(seen.network_limits)[-1] == made(effective_from="2026-06-01", multiple_points=10, entry_points_max=5_000)
    assert set(LIMIT_NAMES) == set(made.DESCRIPTOR.fields_by_name) - {"effective_from"}
