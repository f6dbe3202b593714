"""The server around the services: TLS, health, draining, its log, and what happens when something breaks."""

import json
import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sqlalchemy import text, update

from gateway.dev_ca import make_certificates
from gateway.domain.errors import InvalidValue
from gateway.storage.engine import writing
from gateway.storage.failures import KEPT_MAX, SignatureFailure, load_signature_failures, save_signature_failures
from gateway.storage.tables import outcomes
from partners.pos.requests import GET_NETWORK, GET_PARTNER, ISSUE
from partners.pos.requests import METHODS as TILL_METHODS
from tallystick.v1 import network_pb2, partner_pb2
from tests.edge.http2 import DATA, END_STREAM, HEADERS, RawConnection
from tests.edge.running import Caller, RunningGateway, bare_call, issue_request, receipt_of, refusal, seen
from tests.edge.test_raw import spelled
from tests.given import GivenNetwork


@pytest.fixture
def secure(network: GivenNetwork) -> Iterator[RunningGateway]:
    """A gateway with TLS, under a CA made on the spot."""
    with RunningGateway(network, is_plaintext=False) as running:
        yield running


def secure_channel(gateway: RunningGateway, ca: bytes) -> grpc.Channel:
    """A channel that trusts the CA."""
    return grpc.secure_channel(gateway.address, grpc.ssl_channel_credentials(ca))


def test_with_tls_the_network_answers_to_those_who_trust_its_ca(secure: RunningGateway) -> None:
    """The development CA's certificate is a file for the tills."""
    ca = (secure.network.folder / "tls" / "ca.pem").read_bytes()
    with secure_channel(secure, ca) as channel:
        caller = Caller(secure, "acme", secure.network.keys["acme"], channel=channel)

        assert caller.call(GET_PARTNER, partner_pb2.GetPartnerRequest()).partner.partner_id == "acme"


def test_a_till_that_trusts_another_ca_does_not_connect(secure: RunningGateway) -> None:
    """The handshake fails on its side."""
    foreign = make_certificates(secure.network.now_ms).ca
    with secure_channel(secure, foreign) as channel:
        caller = Caller(secure, "acme", secure.network.keys["acme"], channel=channel)

        assert refusal(lambda: caller.call(GET_PARTNER, partner_pb2.GetPartnerRequest())).code is StatusCode.UNAVAILABLE


def test_plaintext_to_the_tls_port_does_not_connect(secure: RunningGateway) -> None:
    """`secure.channel` speaks without TLS."""
    caller = Caller(secure, "acme", secure.network.keys["acme"])

    assert refusal(lambda: caller.call(GET_PARTNER, partner_pb2.GetPartnerRequest())).code is StatusCode.UNAVAILABLE


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:7443"])
def test_plaintext_beyond_loopback_is_refused(network: GivenNetwork, listen: str) -> None:
    """Signatures do not hide what members buy."""
    with (
        pytest.raises(InvalidValue, match="without TLS the gateway listens on loopback alone"),
        RunningGateway(network, listen=listen),
    ):
        pass


def test_a_port_in_use_is_refused_with_a_sentence(gateway: RunningGateway, network: GivenNetwork) -> None:
    """Two gateways on one port would share its calls at random."""
    with pytest.raises(InvalidValue, match="another gateway running"), RunningGateway(network, listen=gateway.address):
        pass


@pytest.mark.parametrize("path", ["/tallystick.v1.PointsService/PrintMoney", "/tallystick.v2.PointsService/IssuePoints", "/"])
def test_an_unknown_method_is_unimplemented(acme: Caller, path: str) -> None:
    """Answered by gRPC itself."""
    assert refusal(lambda: acme.send(path, b"", acme.metadata(path, b""))).code is StatusCode.UNIMPLEMENTED


def services_listed(channel: grpc.Channel) -> set[str]:
    """What reflection tells."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=10)
    return {service.name for service in next(call).list_services_response.service}


def test_reflection_is_off_unless_it_is_asked_for(gateway: RunningGateway, network: GivenNetwork) -> None:
    """It tells strangers what there is to try."""
    assert refusal(lambda: services_listed(gateway.channel)).code is StatusCode.UNIMPLEMENTED

    with RunningGateway(network, reflects=True) as telling:
        assert "tallystick.v1.PointsService" in services_listed(telling.channel)


def test_health_is_serving_for_the_whole_and_for_each_service(gateway: RunningGateway) -> None:
    """Whoever balances load asks for one of them."""
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    names = ["", *{method.path.split("/")[1] for method in TILL_METHODS}]

    states = {stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status for name in names}

    assert states == {health_pb2.HealthCheckResponse.SERVING}


def test_get_network_needs_no_signature(acme: Caller) -> None:
    """A till learns from it what to sign for, and by which clock."""
    answer = network_pb2.GetNetworkResponse.FromString(acme.send(GET_NETWORK.path, b"", None))

    assert (answer.audience, answer.server_time_ms) == (acme.audience, acme.gateway.network.now_ms)
    assert [(key.key_id, len(key.public_key), key.valid_until_ms) for key in answer.receipt_keys] == [("r1", 32, 0)]


def test_a_draining_gateway_reports_so_and_refuses_new_bookings(network: GivenNetwork) -> None:
    """A call that was under way when it began is told to come again; nothing was written."""
    with RunningGateway(network, drain_ms_max=1_000) as gateway, RawConnection(gateway.address) as connection:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member_id = caller.enrol("DRAIN-1")
        body = issue_request(member_id, 500, "drain-1").SerializeToString()
        connection.headers(ISSUE.path, 1, *spelled(caller.metadata(ISSUE.path, body)), ("grpc-timeout", "60S"))
        states = health_pb2_grpc.HealthStub(gateway.channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        states.cancel()
        connection.send(DATA, b"\x00" + len(body).to_bytes(4, "big") + body, flags=END_STREAM, stream=1)
        answer = connection.until(kind=HEADERS, stream=1, flags=END_STREAM)
        stopping.join()

    assert b"DRAINING" in answer.payload
    with RunningGateway(network) as again:
        assert Caller(again, "acme", network.keys["acme"]).balance(member_id) == 0


def test_what_was_answered_before_a_gateway_stopped_is_in_the_books(network: GivenNetwork) -> None:
    """Calls in flight are finished or refused; none is answered and lost."""
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member_id = caller.enrol("DRAIN-2")
        calls = []
        for index in range(60):
            body = issue_request(member_id, 100, f"drain-{index}").SerializeToString()
            metadata = caller.metadata(ISSUE.path, body)
            calls.append(bare_call(gateway.channel, ISSUE.path).future(body, metadata=metadata, timeout=20))
        calls[0].result()
        gateway.stop()
        codes = [call.code() for call in calls]
        reasons = {seen(call).reason for call in calls if call.code() is not StatusCode.OK}

    assert set(codes) <= {StatusCode.OK, StatusCode.UNAVAILABLE}
    assert reasons <= {"DRAINING"}
    with RunningGateway(network) as again:
        balance = Caller(again, "acme", network.keys["acme"]).balance(member_id)
    assert balance == codes.count(StatusCode.OK)


def test_a_fault_of_ours_is_answered_by_an_id_and_explained_in_the_log(own_acme: Caller) -> None:
    """The key that signed a stored receipt is gone: nobody foresaw it, and the caller learns nothing of it."""
    member_id = own_acme.enrol("FAULT-1")
    own_acme.issue(member_id, 500, "fault-1")
    with writing(own_acme.gateway.network.engine) as connection:
        connection.execute(update(outcomes).values(receipt_key_id="gone"))

    got = refusal(lambda: own_acme.issue(member_id, 500, "fault-1"))

    assert (got.code, got.reason, set(got.facts)) == (StatusCode.INTERNAL, "INTERNAL", {"error_id"})
    assert got.text == "INTERNAL: a fault of the gateway; error_id names it in the operator's log"
    errors = [json.loads(line) for line in "".join(own_acme.gateway.log).splitlines() if "traceback" in line]
    assert [error["error_id"] for error in errors] == [got.facts["error_id"]]
    assert "KeyError" in errors[0]["traceback"]


@pytest.mark.parametrize("table", ["heads", "members"])
def test_a_store_that_does_not_answer_is_unavailable_for_a_while(own_acme: Caller, table: str) -> None:
    """For bookings and for reads; nothing was written, so the same key may come again."""
    member_id = own_acme.enrol("STORE-1")
    with writing(own_acme.gateway.network.engine) as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO elsewhere"))

    booking = refusal(lambda: own_acme.issue(member_id, 500, "store-1"))
    assert (booking.code, booking.reason, booking.retry_ms) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", 1_000)
    if table == "members":
        reading = refusal(lambda: own_acme.balance(member_id))
        assert (reading.code, reading.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")

    with writing(own_acme.gateway.network.engine) as connection:
        connection.execute(text(f"ALTER TABLE elsewhere RENAME TO {table}"))
    assert receipt_of(own_acme.issue(member_id, 500, "store-1")).points == 5


def test_each_request_is_one_line_of_json_that_names_no_key_and_no_member(network: GivenNetwork) -> None:
    """Partner and terminal, status and reason, time and size."""
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member_id = caller.enrol("LOGGED-CARD")
        caller.issue(member_id, 500, "logged-key")
        refusal(lambda: caller.redeem(member_id, 6, "logged-key-2"))
        refusal(lambda: caller.send(ISSUE.path, b"", None))
    written = "".join(gateway.log)
    lines = [json.loads(line) for line in written.splitlines()]

    assert [(line["method"].rpartition("/")[2], line["status"], line["reason"]) for line in lines] == [
        ("EnrolMember", "OK", ""),
        ("IssuePoints", "OK", ""),
        ("RedeemPoints", "FAILED_PRECONDITION", "INSUFFICIENT_POINTS"),
        ("IssuePoints", "UNAUTHENTICATED", "SIGNATURE_MISSING"),
    ]
    assert [(line["partner"], line["terminal"]) for line in lines] == [("acme", "till-1")] * 3 + [("", "")]
    assert set(lines[0]) == {"at_ms", "method", "partner", "terminal", "status", "reason", "took_us", "request_bytes"}
    assert not [secret for secret in (member_id, "LOGGED-CARD", "logged-key", "till-1/1") if secret in written]


def test_the_operator_sees_why_a_signature_did_not_hold(own_acme: Caller) -> None:
    """The true cause and the string that should have been signed; the caller was told neither."""
    network = own_acme.gateway.network
    right, own_acme.key = own_acme.key, network.keys["globex"]
    refusal(lambda: own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest()))
    own_acme.key = right
    own_acme.key_id = "acme/till-9/1"
    refusal(lambda: own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest()))
    own_acme.key_id = "stranger/till-1/1"
    refusal(lambda: own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest()))
    own_acme.gateway.stop()

    with writing(network.engine) as connection:
        failures = load_signature_failures(connection, "acme", limit=10)
        strangers = load_signature_failures(connection, "", limit=10)
    assert [(failure.key_id, failure.cause) for failure in failures] == [
        ("acme/till-1/1", "signature does not match key and message"),
        ("acme/till-9/1", "unknown key"),
    ]
    assert failures[0].method == GET_PARTNER.path
    assert failures[0].peer.startswith("ipv4:127.0.0.1")
    assert failures[0].signed_string.startswith(f"TS1-REQUEST\n{own_acme.audience}\n{GET_PARTNER.path}\nacme/till-1/1\n")
    assert [failure.key_id for failure in strangers] == ["stranger/till-1/1"]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_of_each_partners_failures_the_newest_are_kept(network: GivenNetwork, extra: int) -> None:
    """A list that an attacker fills must end somewhere."""

    def failure(number: int) -> SignatureFailure:
        return SignatureFailure("acme", number, "acme/t/1", "/m", "p", "c", "s")

    with writing(network.engine) as connection:
        save_signature_failures(connection, [failure(number) for number in range(KEPT_MAX + extra)])
        kept = load_signature_failures(connection, "acme", limit=2 * KEPT_MAX)

    assert [row.at_ms for row in kept] == list(range(max(extra, 0), KEPT_MAX + extra))
