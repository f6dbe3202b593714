"""How much one caller may take: bytes, calls, failures and time."""

import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc import StatusCode

from gateway.edge.limits import RateLimit
from partners.pos.requests import ENROL, GET_PARTNER, ISSUE, SUBMIT_BATCH
from tallystick.v1 import errors_pb2, member_pb2, partner_pb2, points_pb2
from tests.edge.http2 import DATA, END_STREAM, HEADERS, RawConnection
from tests.edge.running import Caller, RunningGateway, Seen, bare_call, issue_request, refusal, seen
from tests.edge.test_raw import spelled
from tests.given import GivenNetwork

KIB = 1024


def test_a_message_beyond_256_kib_is_refused_by_grpc_itself(acme: Caller) -> None:
    """Before it is in memory."""
    body = bytes(256 * KIB + 1)

    assert refusal(lambda: acme.send(ISSUE.path, body, acme.metadata(ISSUE.path, body))).code is StatusCode.RESOURCE_EXHAUSTED


def test_a_message_of_256_kib_is_read(acme: Caller) -> None:
    """The limit itself is allowed."""
    body = bytes(256 * KIB)

    got = refusal(lambda: acme.send(ISSUE.path, body, acme.metadata(ISSUE.path, body)))

    assert got.reason == "MALFORMED_MESSAGE"


def test_a_compressed_bomb_is_refused_by_grpc_itself(acme: Caller) -> None:
    """16 MiB of zeros in 16 KiB: what it unpacks to counts."""
    bomb = zlib.compress(bytes(16 * KIB * KIB), 9)[2:-4]
    gzipped = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bomb + zlib.crc32(bytes(16 * KIB * KIB)).to_bytes(4, "little")
    gzipped += (16 * KIB * KIB).to_bytes(4, "little")
    with RawConnection(acme.gateway.address) as connection:
        connection.headers(ISSUE.path, 1, *spelled(acme.metadata(ISSUE.path, b"")), ("grpc-encoding", "gzip"))
        frame = b"\x01" + len(gzipped).to_bytes(4, "big") + gzipped
        for start in range(0, len(frame), 16 * KIB):
            is_last = start + 16 * KIB >= len(frame)
            connection.send(DATA, frame[start : start + 16 * KIB], flags=END_STREAM if is_last else 0, stream=1)
        answer = connection.until(kind=HEADERS, stream=1, flags=END_STREAM)

    assert b"grpc-status\x018" in answer.payload  # RESOURCE_EXHAUSTED


def test_a_compressed_request_is_verified_as_it_was_before_compression(acme: Caller) -> None:
    """The signature is for the message's bytes; how they travel is gRPC's affair."""
    with grpc.insecure_channel(acme.gateway.address, compression=grpc.Compression.Gzip) as channel:
        acme.channel = channel

        assert acme.enrol("GZIP-1").startswith("m")


def test_metadata_beyond_16_kib_is_refused_by_grpc_itself(acme: Caller) -> None:
    """Each call carries its own, so it is kept small."""
    metadata = (*acme.metadata(GET_PARTNER.path, b""), ("x-padding", "x" * 17 * KIB))

    assert refusal(lambda: acme.send(GET_PARTNER.path, b"", metadata)).code is StatusCode.RESOURCE_EXHAUSTED


def test_calls_beyond_a_partners_quota_are_told_when_to_come_again(network: GivenNetwork) -> None:
    """Another partner is not affected."""
    with RunningGateway(network, partner_calls_per_s_max=1) as gateway:
        acme, globex = (Caller(gateway, name, network.keys[name]) for name in ("acme", "globex"))
        with ThreadPoolExecutor(8) as threads:
            outcomes = list(threads.map(lambda _: attempt(acme), range(8)))
        refused = [outcome for outcome in outcomes if outcome is not None]

        assert attempt(globex) is None
    assert refused
    assert {(got.code, got.reason, got.retry_ms) for got in refused} == {(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 1_000)}
    assert refused[0].facts == {"scope": "partner"}


def test_bad_signatures_beyond_the_limit_are_told_to_wait(network: GivenNetwork) -> None:
    """A valid one from the same address passes: one broken till must not stop the others behind its router."""
    with RunningGateway(network, auth_failures_per_s_max=1) as gateway:
        good = Caller(gateway, "acme", network.keys["acme"])
        bad = Caller(gateway, "acme", network.keys["globex"])
        with ThreadPoolExecutor(8) as threads:
            outcomes = [outcome for outcome in threads.map(lambda _: attempt(bad), range(8)) if outcome is not None]

        assert attempt(good) is None
    limited = [got for got in outcomes if got.reason != "SIGNATURE_INVALID"]
    assert len(outcomes) == 8
    assert {(got.code, got.reason, got.retry_ms) for got in limited} == {
        (StatusCode.RESOURCE_EXHAUSTED, "AUTH_FAILURES_LIMITED", 30_000)
    }


def attempt(caller: Caller) -> Seen | None:
    """Asks for the partner's record; None when it was answered, else what was seen."""
    try:
        caller.call(GET_PARTNER, partner_pb2.GetPartnerRequest())
    except grpc.RpcError as error:
        return seen(error)
    return None


def test_a_rate_limit_lets_a_second_of_calls_pass_at_once_and_then_one_by_one() -> None:
    """Ten a second: ten at once, and one more a tenth of a second later."""
    limit = RateLimit(per_s=10)

    assert [limit.allows("a", 100.0) for _ in range(11)] == [True] * 10 + [False]
    assert [limit.allows("a", 100.1001) for _ in range(2)] == [True, False]
    assert limit.allows("b", 100.1)


def test_a_rate_limit_remembers_a_bounded_number_of_callers() -> None:
    """Those whose buckets are full again are forgotten first."""
    limit = RateLimit(per_s=1, keys_max=2)
    assert limit.allows("old", 0.0)
    assert limit.allows("busy", 5.0)
    assert limit.allows("new", 5.0)

    assert not limit.allows("busy", 5.0)


def test_a_call_whose_deadline_has_passed_books_nothing(acme: Caller) -> None:
    """The client's own library may answer it, or the gateway: the word is the same. 0 s may arrive as 1 ms, which is enough."""
    member_id = acme.enrol("LATE")
    request = issue_request(member_id, 500, "late")

    got = refusal(lambda: acme.call(ISSUE, request, timeout=-1))

    assert got.code is StatusCode.DEADLINE_EXCEEDED
    assert acme.balance(member_id) == 0


def test_a_booking_without_a_deadline_is_refused(acme: Caller) -> None:
    """A till that waits for ever never tells its member."""
    request = member_pb2.EnrolMemberRequest(idempotency_key="e1", card_number="PATIENCE")

    got = refusal(lambda: acme.call(ENROL, request, timeout=None))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED")


def test_a_reading_call_needs_no_deadline(acme: Caller) -> None:
    """It leaves nothing behind."""
    assert acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest(), timeout=None).partner.partner_id == "acme"


def test_a_caller_that_goes_away_finds_its_answer_by_the_same_key(acme: Caller) -> None:
    """Whether the command was booked before or after, it is booked once."""
    member_id = acme.enrol("GONE-1")
    body = issue_request(member_id, 500, "gone-1").SerializeToString()
    call = bare_call(acme.gateway.channel, ISSUE.path).future(body, metadata=acme.metadata(ISSUE.path, body), timeout=10)
    call.cancel()

    assert acme.issue(member_id, 500, "gone-1").receipt.receipt
    assert acme.balance(member_id) == 5


@pytest.mark.parametrize(("queue_max", "is_booked"), [(1, False), (2, True)])
def test_commands_beyond_the_queue_are_refused_at_once(network: GivenNetwork, queue_max: int, *, is_booked: bool) -> None:
    """Two commands of a batch need two places; refused, they may come again."""
    with RunningGateway(network, queue_max=queue_max) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member_id = caller.enrol("QUEUE-1")
        commands = [points_pb2.Command(issue=issue_request(member_id, 100, f"queue-{index}")) for index in range(2)]
        answers = caller.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands)).answers

    assert [answer.HasField("booked") for answer in answers] == [is_booked] * 2
    assert {answer.refused.reason for answer in answers} == {
        errors_pb2.ERROR_REASON_UNSPECIFIED if is_booked else errors_pb2.ERROR_REASON_QUEUE_FULL
    }
