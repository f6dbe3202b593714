"""What tills live by: keys that book once, refusals that stay refused, and receipts that prove both."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from grpc import StatusCode

from gateway.domain.partner import PartnerStatus
from gateway.domain.signing import receipt_string
from gateway.storage.engine import writing
from partners.pos.requests import GET_ENTRY, GET_NETWORK, ISSUE, REDEEM, REVERSE, SUBMIT_BATCH, TRANSFER
from partners.proposals import change_status
from tallystick.v1 import errors_pb2, member_pb2, network_pb2, points_pb2, types_pb2
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, RunningGateway, Seen, issue_request, receipt_of, refusal
from tests.given import AUDIENCE, GivenNetwork


def reverse(caller: Caller, entry_id: str, key: str, **part: Any) -> types_pb2.Answer:
    """Reverses an entry of the caller's, whole unless `part` says how much."""
    asked = points_pb2.ReverseEntryRequest(idempotency_key=key, entry_id=entry_id, **part)
    answer: types_pb2.Answer = caller.call(REVERSE, asked).answer
    return answer


def attempt(caller: Caller, member_id: str, points: int, key: str) -> StatusCode | None:
    """Redeems; None when it was booked, else the status."""
    try:
        caller.redeem(member_id, points, key)
    except grpc.RpcError as error:
        code: StatusCode = error.code()
        return code
    return None


def test_a_receipt_verifies_offline_with_what_the_network_publishes(acme: Caller) -> None:
    """GetNetwork needs no signature; its key proves the answer."""
    member_id = acme.enrol("PROOF-1")
    signed = acme.issue(member_id, 12_345, "proof-1").receipt

    network = GET_NETWORK.answer.FromString(
        acme.send(GET_NETWORK.path, network_pb2.GetNetworkRequest().SerializeToString(), None)
    )
    key = next(key for key in network.receipt_keys if key.key_id == signed.key_id)
    string = receipt_string(audience=network.audience, key_id=signed.key_id, receipt=signed.receipt)
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signed.signature, string)

    receipt = types_pb2.Receipt.FromString(signed.receipt)
    assert (receipt.audience, receipt.points, receipt.balance_points, receipt.amount.minor_units) == (AUDIENCE, 123, 123, 12_345)


def test_the_same_key_and_body_give_the_same_receipt_byte_for_byte(acme: Caller) -> None:
    """Signed anew, at another time, with another nonce: an honest retry."""
    member_id = acme.enrol("REPLAY-1")
    first = acme.issue(member_id, 500, "replay-1")
    second = acme.issue(member_id, 500, "replay-1")

    assert first.receipt.SerializeToString() == second.receipt.SerializeToString()
    assert (first.replayed, second.replayed) == (False, True)
    assert acme.balance(member_id) == 5


def test_the_very_same_request_sent_twice_gives_the_same_receipt(acme: Caller) -> None:
    """The retry of gRPC itself sends the same nonce again."""
    member_id = acme.enrol("REPLAY-2")
    body = issue_request(member_id, 500, "replay-2").SerializeToString()
    metadata = acme.metadata(ISSUE.path, body)
    first, second = (ISSUE.answer.FromString(acme.send(ISSUE.path, body, metadata)).answer for _ in range(2))

    assert first.receipt == second.receipt


def test_the_same_key_for_another_body_is_refused(acme: Caller) -> None:
    """A key belongs to one command for ever."""
    member_id = acme.enrol("REUSE-1")
    acme.issue(member_id, 500, "reuse-1")

    got = refusal(lambda: acme.issue(member_id, 501, "reuse-1"))

    assert (got.code, got.reason) == (StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")


def test_the_same_key_for_another_method_is_refused(acme: Caller) -> None:
    """The method is a part of what was asked."""
    member_id = acme.enrol("REUSE-2")
    acme.issue(member_id, 500, "reuse-2")

    got = refusal(lambda: acme.redeem(member_id, 1, "reuse-2"))

    assert (got.code, got.reason) == (StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")


def test_the_same_key_of_another_partner_is_its_own(acme: Caller, globex: Caller) -> None:
    """Each partner has a name space of keys."""
    member_id = acme.enrol("SPACE-1")
    entries = {receipt_of(caller.issue(member_id, 500, "space-1")).entry_id for caller in (acme, globex)}

    assert len(entries) == 2
    assert acme.balance(member_id) == 10


def test_16_parallel_copies_have_one_effect_and_one_receipt(acme: Caller) -> None:
    """Those that come while the first is running join it."""
    member_id = acme.enrol("PARALLEL-1")
    body = issue_request(member_id, 500, "parallel-1").SerializeToString()

    def copy(_: int) -> bytes:
        answer = acme.send(ISSUE.path, body, acme.metadata(ISSUE.path, body))
        receipt: bytes = ISSUE.answer.FromString(answer).answer.receipt.SerializeToString()
        return receipt

    with ThreadPoolExecutor(16) as threads:
        receipts = set(threads.map(copy, range(16)))

    assert len(receipts) == 1
    assert acme.balance(member_id) == 5


def test_the_same_key_twice_in_one_batch_joins_the_first(acme: Caller) -> None:
    """One transaction, one effect."""
    member_id = acme.enrol("PARALLEL-2")
    commands = [points_pb2.Command(issue=issue_request(member_id, 500, "parallel-2"))] * 2

    answers = acme.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands)).answers

    assert answers[0].booked.receipt == answers[1].booked.receipt
    assert [answer.booked.replayed for answer in answers] == [False, True]
    assert acme.balance(member_id) == 5


def test_redeeming_more_than_there_is_is_refused_for_good(acme: Caller) -> None:
    """The refusal is signed and remembered: the same command gets it again, even when points have come since."""
    member_id = acme.enrol("POOR-1")
    acme.issue(member_id, 500, "poor-1")
    first = refusal(lambda: acme.redeem(member_id, 6, "poor-2"))
    acme.issue(member_id, 500, "poor-3")
    second = refusal(lambda: acme.redeem(member_id, 6, "poor-2"))

    assert (first.code, first.reason) == (StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_POINTS")
    assert first.answer is not None
    assert second.answer is not None
    assert receipt_of(first.answer).refused == errors_pb2.ERROR_REASON_INSUFFICIENT_POINTS
    assert receipt_of(first.answer).sequence == 0
    assert (second.answer.receipt, second.answer.replayed) == (first.answer.receipt, True)
    assert (second.reason, second.facts) == (first.reason, first.facts)


def test_a_refused_key_may_try_again_with_another_amount(acme: Caller) -> None:
    """Nothing was booked under it."""
    member_id = acme.enrol("POOR-2")
    acme.issue(member_id, 500, "again-1")
    refusal(lambda: acme.redeem(member_id, 6, "again-2"))

    assert receipt_of(acme.redeem(member_id, 5, "again-2")).points == -5


def test_two_redemptions_racing_for_the_last_points_have_one_winner(acme: Caller, globex: Caller) -> None:
    """Whichever comes first."""
    member_id = acme.enrol("RACE-1")
    acme.issue(member_id, 10_000, "race-0")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(attempt, acme, member_id, 100, "race-1")
        second = threads.submit(attempt, globex, member_id, 100, "race-1")
        outcomes = {first.result(), second.result()}

    assert outcomes == {None, StatusCode.FAILED_PRECONDITION}
    assert acme.balance(member_id) == 0


def test_another_partners_entry_cannot_be_reversed_nor_found(acme: Caller, globex: Caller) -> None:
    """It is as if it did not exist."""
    member_id = acme.enrol("FOREIGN-1")
    entry_id = receipt_of(acme.issue(member_id, 500, "foreign-1")).entry_id

    reversed_ = refusal(lambda: reverse(globex, entry_id, "foreign-2"))
    found = refusal(lambda: globex.call(GET_ENTRY, points_pb2.GetEntryRequest(entry_id=entry_id)))

    assert (reversed_.code, reversed_.reason) == (StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")
    assert (found.code, found.reason) == (StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")


def test_reversing_more_than_the_rest_is_refused_with_the_rest(acme: Caller) -> None:
    """Twice: the second answer is the first one again."""
    member_id = acme.enrol("REVERSE-1")
    entry_id = receipt_of(acme.issue(member_id, 1_000, "reverse-1")).entry_id
    reverse(acme, entry_id, "reverse-2", eligible=types_pb2.Amount(unit="EUR", minor_units=600))
    too_much = types_pb2.Amount(unit="EUR", minor_units=401)
    got = [refusal(lambda: reverse(acme, entry_id, "reverse-3", eligible=too_much)) for _ in range(2)]

    assert [(seen.code, seen.reason) for seen in got] == [(StatusCode.FAILED_PRECONDITION, "ALREADY_REVERSED")] * 2
    assert [seen.facts["rest"] for seen in got] == ["400"] * 2
    assert acme.balance(member_id) == 4


def test_a_rate_card_version_that_is_not_in_force_is_refused_with_the_one_that_is(acme: Caller) -> None:
    """The till quoted another price to the member."""
    member_id = acme.enrol("STALE-1")

    got = refusal(lambda: acme.issue(member_id, 500, "stale-1", rate_card_version=2))

    assert (got.code, got.reason, got.facts) == (StatusCode.FAILED_PRECONDITION, "RATE_VERSION_STALE", {"current": "1"})


def test_a_sum_that_an_account_cannot_hold_is_refused(network: GivenNetwork) -> None:
    """A million points a euro for ten milliards of euros."""
    network.onboard("lavish", {"EUR": "1000000"})
    network.now_ms += 1_000
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "lavish", network.keys["lavish"])
        member_id = caller.enrol("LIMIT-1")
        got = refusal(lambda: caller.issue(member_id, 1_000_000_000_000, "limit-1"))

    assert (got.code, got.reason) == (StatusCode.FAILED_PRECONDITION, "BALANCE_LIMIT")


@pytest.mark.parametrize(("days", "is_booked"), [(3, True), (4, False)])
def test_an_event_beyond_the_horizon_is_refused(own_acme: Caller, days: int, *, is_booked: bool) -> None:
    """Three days back by default; on the fourth it is too late."""
    own_acme.gateway.network.now_ms += 10 * DAY_MS
    member_id = own_acme.enrol("LATE-1")
    at_ms = own_acme.gateway.network.now_ms - days * DAY_MS

    def issue() -> types_pb2.Answer:
        return own_acme.issue(member_id, 500, "late-1", occurred_at_ms=at_ms)

    if is_booked:
        assert receipt_of(issue()).occurred_at_ms == at_ms
    else:
        got = refusal(issue)
        assert (got.code, got.reason, got.facts) == (StatusCode.FAILED_PRECONDITION, "EVENT_TOO_OLD", {"horizon_days": "3"})


def test_an_event_in_the_future_is_refused(acme: Caller) -> None:
    """Beyond what a till's clock may run ahead."""
    member_id = acme.enrol("FUTURE-1")
    at_ms = acme.gateway.network.now_ms + 60_000

    got = refusal(lambda: acme.issue(member_id, 500, "future-1", occurred_at_ms=at_ms))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "EVENT_TIME_IN_FUTURE")
    assert set(got.violations) == {"occurred_at_ms"}


def test_three_issues_of_600_under_a_cap_of_1000_in_one_batch_have_one_winner(own_acme: Caller) -> None:
    """The cap is a quota: it says so, is not remembered, and time can cure it."""
    own_acme.gateway.network.cap("acme", 1_000)
    own_acme.gateway.run(own_acme.gateway.app.look_around())
    member_id = own_acme.enrol("CAP-1")
    commands = [points_pb2.Command(issue=issue_request(member_id, 60_000, f"cap-{index}")) for index in range(3)]

    answers = own_acme.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands)).answers
    single = refusal(lambda: own_acme.issue(member_id, 60_000, "cap-4"))

    assert [answer.HasField("booked") for answer in answers] == [True, False, False]
    assert {answer.refused.reason for answer in answers[1:]} == {errors_pb2.ERROR_REASON_NET_DEBIT_CAP_EXCEEDED}
    assert not answers[1].refused.HasField("answer")
    assert (single.code, single.answer) == (StatusCode.RESOURCE_EXHAUSTED, None)


def test_a_member_may_be_named_by_card(acme: Caller) -> None:
    """Only a keyed hash of the number is stored."""
    member_id = acme.enrol("CARD-4711")
    request = issue_request(member_id, 500, "card-1")
    request.member.card_number = "CARD-4711"
    receipt = receipt_of(acme.call(ISSUE, request).answer)
    folder = acme.gateway.network.folder

    assert receipt.member_id == member_id
    assert all(b"CARD-4711" not in path.read_bytes() for path in folder.glob("books.db*"))


def test_a_transfer_moves_points_and_the_receipt_is_the_givers(acme: Caller) -> None:
    """Two members, one command."""
    source, target = acme.enrol("GIVER-1"), acme.enrol("TAKER-1")
    acme.issue(source, 1_000, "transfer-0")
    asked = member_pb2.TransferPointsRequest(
        idempotency_key="transfer-1",
        source=types_pb2.MemberRef(member_id=source),
        target=types_pb2.MemberRef(member_id=target),
        points=4,
    )
    receipt = receipt_of(acme.call(TRANSFER, asked).answer)

    assert (receipt.member_id, receipt.points) == (source, -4)
    assert (acme.balance(source), acme.balance(target)) == (6, 4)


def test_a_redemption_up_to_a_value_answers_points_and_value(acme: Caller) -> None:
    """The gateway decides how many points the value takes."""
    member_id = acme.enrol("VALUE-1")
    acme.issue(member_id, 1_000, "value-0")
    asked = points_pb2.RedeemPointsRequest(
        idempotency_key="value-1",
        member=types_pb2.MemberRef(member_id=member_id),
        up_to_value=types_pb2.Amount(unit="EUR", minor_units=7),
    )
    receipt = receipt_of(acme.call(REDEEM, asked).answer)

    assert (receipt.points, receipt.amount.minor_units) == (-7, 7)


def test_a_suspended_partner_is_refused_and_still_gets_its_old_answers(own_acme: Caller) -> None:
    """The look-up by key comes first: a retry of what was booked is answered."""
    network = own_acme.gateway.network
    member_id = own_acme.enrol("SUSPENDED-1")
    first = own_acme.issue(member_id, 500, "suspended-1")
    suspend(network)
    again = own_acme.issue(member_id, 500, "suspended-1")
    got: Seen = refusal(lambda: own_acme.issue(member_id, 500, "suspended-2"))

    assert again.receipt == first.receipt
    assert (got.code, got.reason, got.answer) == (StatusCode.PERMISSION_DENIED, "PARTNER_NOT_ACTIVE", None)


def suspend(network: GivenNetwork) -> None:
    """Suspends acme; one operator is enough."""
    with writing(network.engine) as connection:
        change_status(connection, "acme", PartnerStatus.SUSPENDED, hand=network.hands[0], now_ms=network.now_ms)
