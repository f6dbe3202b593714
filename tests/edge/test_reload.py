"""What a running gateway notices without a restart: new certificates, and a store that goes and comes back."""

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import text

from gateway.dev_ca import Certificates, make_certificates
from gateway.domain.errors import InvalidValue
from gateway.edge.tls import ServerCertificate, TlsFiles
from gateway.storage.engine import writing
from tests.edge.conftest import two_partners
from tests.edge.running import CALL_S_MAX, Caller, RunningGateway, receipt_of, refusal
from tests.given import START_MS, GivenNetwork
from tests.patience import patience_s
from tests.postgres import PostgresServer

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
YEAR_MS = 365 * 86_400_000


@pytest.fixture
def secure(network: GivenNetwork) -> Iterator[RunningGateway]:
    """A gateway with TLS that looks around only when the test says so."""
    with RunningGateway(network, is_plaintext=False, directory_refresh_ms=3_600_000) as running:
        yield running


def shown(gateway: RunningGateway) -> int:
    """The serial number of the certificate that a new connection is shown."""
    host, _, port = gateway.address.rpartition(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode()).serial_number


def serial(certificates: Certificates) -> int:
    """The serial number of the server's certificate."""
    return x509.load_pem_x509_certificate(certificates.server).serial_number


def put(folder: Path, certificates: Certificates) -> None:
    """As an operator's tool would write them: one file after the other."""
    (folder / "server.key").write_bytes(certificates.server_key)
    (folder / "server.pem").write_bytes(certificates.server)


def wait_until(is_so: Callable[[], bool]) -> None:
    """What the writer's thread does on its own takes a moment."""
    give_up_at = time.monotonic() + patience_s(CALL_S_MAX)
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on(secure: RunningGateway) -> None:
    """Both with real handshakes: a till that trusts the new authority alone connects afterwards."""
    folder = secure.network.folder / "tls"
    before, new = shown(secure), make_certificates(START_MS + 1)
    old_ca = (folder / "ca.pem").read_bytes()
    with grpc.secure_channel(secure.address, grpc.ssl_channel_credentials(old_ca)) as open_channel:
        caller = Caller(secure, "acme", secure.network.keys["acme"], channel=open_channel)
        assert caller.is_taken()
        put(folder, new)
        secure.run(secure.app.look_around())
        after = shown(secure)

        assert caller.is_taken()
    with grpc.secure_channel(secure.address, grpc.ssl_channel_credentials(new.ca)) as channel:
        assert Caller(secure, "acme", secure.network.keys["acme"], channel=channel).is_taken()
    assert (before != after, after) == (True, serial(new))
    assert "TLS certificate replaced" in "".join(secure.log)


@pytest.mark.parametrize("broken", ["half a certificate", "half a key", "a key without its certificate", "no key"])
def test_a_pair_that_does_not_fit_is_not_taken_and_said_once(secure: RunningGateway, broken: str) -> None:
    """The one before stays; when the rest is written, it is taken."""
    folder, new = secure.network.folder / "tls", make_certificates(START_MS + 1)
    before = shown(secure)
    put(folder, new)
    if broken == "half a certificate":
        (folder / "server.pem").write_bytes(new.server[:300])
    elif broken == "half a key":
        (folder / "server.key").write_bytes(new.server_key[:100])
    elif broken == "no key":
        (folder / "server.key").unlink()
    else:
        (folder / "server.pem").write_bytes(make_certificates(START_MS + 2).server)
    for _ in range(3):
        secure.run(secure.app.look_around())

    assert shown(secure) == before
    assert "".join(secure.log).count("TLS certificate not replaced") == 1
    put(folder, new)
    secure.run(secure.app.look_around())
    assert shown(secure) == serial(new)


def test_a_pair_that_does_not_fit_is_refused_at_the_start() -> None:
    """Nobody could connect."""
    one, other = make_certificates(START_MS), make_certificates(START_MS)

    with pytest.raises(InvalidValue, match="not that of the certificate"):
        ServerCertificate(lambda: TlsFiles(one.server, other.server_key), print)


def test_the_end_of_the_certificate_is_known() -> None:
    """For whoever watches it."""
    one = make_certificates(START_MS)

    certificate = ServerCertificate(lambda: TlsFiles(one.server, one.server_key), print)
    assert START_MS < certificate.expires_at_ms <= START_MS + YEAR_MS


def health(gateway: RunningGateway) -> int:
    """What the health says."""
    return int(
        health_pb2_grpc.HealthStub(gateway.channel).Check(health_pb2.HealthCheckRequest(), timeout=patience_s(CALL_S_MAX)).status
    )


@pytest.mark.postgres
def test_a_store_that_goes_is_unavailable_and_served_again_when_it_is_back(tmp_path: Path) -> None:
    """Bookings and reads are told to come again, the health says so, and the retry books once."""
    with PostgresServer() as server:
        network = two_partners(tmp_path / "net", url=server.new_database())
        with RunningGateway(network, directory_refresh_ms=50) as gateway:
            caller = Caller(gateway, "acme", network.keys["acme"])
            member_id = caller.enrol("STORE-1")
            caller.issue(member_id, 500, "before")
            assert health(gateway) == SERVING
            server.stop(kill=True)
            booking = refusal(lambda: caller.issue(member_id, 500, "while-away"))
            read = refusal(lambda: caller.balance(member_id))
            wait_until(lambda: health(gateway) == NOT_SERVING)
            server.start()
            wait_until(lambda: health(gateway) == SERVING)
            booked = receipt_of(caller.issue(member_id, 500, "while-away"))

            assert (booked.balance_points, caller.balance(member_id)) == (10, 10)
        network.engine.dispose()
    for seen in (booking, read):
        assert (seen.code, seen.reason, seen.retry_ms) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", 1_000)
    log = "".join(gateway.log)
    assert (log.count("the store is not reached"), log.count("the store is reached again")) == (1, 1)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_store_that_hangs_is_not_served_and_served_again_when_it_answers(tmp_path: Path, postgres_url: str) -> None:
    """Nothing fails, it only takes too long."""
    network = two_partners(tmp_path / "net", url=postgres_url)
    with RunningGateway(network, directory_refresh_ms=50) as gateway:
        with writing(network.engine) as connection:
            connection.execute(text("LOCK TABLE networks IN ACCESS EXCLUSIVE MODE"))
            wait_until(lambda: health(gateway) == NOT_SERVING)
        wait_until(lambda: health(gateway) == SERVING)

        assert Caller(gateway, "acme", network.keys["acme"]).enrol("STORE-2")
    network.engine.dispose()
