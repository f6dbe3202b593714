"""What no gRPC library would send: frames by hand."""

import base64

import grpc
from grpc import StatusCode

from partners.pos.requests import GET_PARTNER, ISSUE
from tests.edge.http2 import ACK, DATA, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, SETTINGS, RawConnection
from tests.edge.running import Caller, Pairs, RunningGateway, issue_request, receipt_of, refusal
from tests.given import GivenNetwork

EMPTY_MESSAGE = bytes(5)  # not compressed, of no bytes
BODY = issue_request("m1", 100, "k1").SerializeToString()


def spelled(metadata: Pairs) -> list[tuple[str, str]]:
    """Metadata as it goes over the wire: binary values in base64."""
    return [
        (name, value if isinstance(value, str) else base64.b64encode(value).rstrip(b"=").decode()) for name, value in metadata
    ]


def test_a_signature_that_is_no_base64_is_refused_by_grpc_itself(acme: Caller) -> None:
    """No Python of ours sees it; nothing is answered but an error."""
    pairs = [*spelled(acme.metadata(GET_PARTNER.path, b""))[:3], ("tally-sig-bin", "%%%,!!")]
    with RawConnection(acme.gateway.address) as connection:
        connection.headers(GET_PARTNER.path, 1, *pairs)
        connection.send(DATA, EMPTY_MESSAGE, flags=END_STREAM, stream=1)
        answer = connection.until(kind=HEADERS, stream=1, flags=END_STREAM)

    assert b"grpc-status" in answer.payload
    assert b"\x0213" in answer.payload or b"\x0216" in answer.payload


def test_a_call_by_hand_is_answered_like_any_other(acme: Caller) -> None:
    """The frames of these tests are right where they mean to be."""
    with RawConnection(acme.gateway.address) as connection:
        connection.headers(GET_PARTNER.path, 1, *spelled(acme.metadata(GET_PARTNER.path, b"")))
        connection.send(DATA, EMPTY_MESSAGE, flags=END_STREAM, stream=1)
        answer = connection.until(kind=DATA, stream=1)

    assert b"Acme GmbH" in answer.payload


def test_a_call_without_a_message_is_refused(acme: Caller) -> None:
    """There is nothing that the signature could be for."""
    call: grpc.StreamUnaryMultiCallable[bytes, bytes] = acme.gateway.channel.stream_unary(ISSUE.path)
    metadata = acme.metadata(ISSUE.path, BODY)

    got = refusal(lambda: call(iter([]), metadata=metadata, timeout=10))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "MESSAGE_COUNT")


def test_nothing_comes_of_a_second_message(acme: Caller) -> None:
    """The call is answered for the message that was signed."""
    call: grpc.StreamUnaryMultiCallable[bytes, bytes] = acme.gateway.channel.stream_unary(GET_PARTNER.path)
    metadata = acme.metadata(GET_PARTNER.path, b"")

    answer = call(iter([b"", BODY]), metadata=metadata, timeout=10)

    assert b"Acme GmbH" in answer


def test_a_call_whose_message_never_comes_is_given_up(network: GivenNetwork) -> None:
    """The gateway waits for its own time, not for the caller's deadline."""
    with (
        RunningGateway(network, body_timeout_ms=50, directory_refresh_ms=10) as gateway,
        RawConnection(gateway.address) as connection,
    ):
        caller = Caller(gateway, "acme", network.keys["acme"])
        connection.headers(ISSUE.path, 1, *spelled(caller.metadata(ISSUE.path, BODY)), ("grpc-timeout", "60S"))
        answer = connection.until(kind=HEADERS, stream=1, flags=END_STREAM)

    assert b"BODY_TIMEOUT" in answer.payload


def test_60_calls_that_never_send_their_message_hold_up_nobody(acme: Caller) -> None:
    """Others are served meanwhile, also on the same connection."""
    member_id = acme.enrol("PATIENT-1")
    with RawConnection(acme.gateway.address) as connection:
        for number in range(60):
            connection.headers(ISSUE.path, 2 * number + 1, *spelled(acme.metadata(ISSUE.path, BODY)))
        connection.headers(GET_PARTNER.path, 121, *spelled(acme.metadata(GET_PARTNER.path, b"")))
        connection.send(DATA, EMPTY_MESSAGE, flags=END_STREAM, stream=121)
        answer = connection.until(kind=DATA, stream=121)

        assert b"Acme GmbH" in answer.payload
        assert receipt_of(acme.issue(member_id, 500, "patient-1")).points == 5


def test_a_flood_of_pings_is_sent_away(acme: Caller) -> None:
    """GOAWAY, enhance your calm: gRPC's own guard, with our options."""
    with RawConnection(acme.gateway.address) as connection:
        connection.until(kind=SETTINGS)
        connection.send(SETTINGS, flags=ACK)
        for _ in range(10):
            connection.send(PING, bytes(8))
        answer = connection.until(kind=GOAWAY)

    assert int.from_bytes(answer.payload[4:8], "big") == ENHANCE_YOUR_CALM
