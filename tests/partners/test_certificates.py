"""The development authority: what it signs holds for this machine alone, and its key is gone."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from gateway.dev_ca import make_certificates, write_certificates
from gateway.domain.errors import InvalidValue
from tests.given import START_MS
from tests.partners.shell import Shell


def test_the_server_certificate_is_signed_by_the_authority() -> None:
    """A client that trusts ca.pem trusts the server."""
    made = make_certificates(START_MS)
    ca, server = x509.load_pem_x509_certificate(made.ca), x509.load_pem_x509_certificate(made.server)

    server.verify_directly_issued_by(ca)


def test_the_server_certificate_names_this_machine_in_three_ways() -> None:
    """localhost, 127.0.0.1 and ::1, since tests use all of them."""
    server = x509.load_pem_x509_certificate(make_certificates(START_MS).server)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_a_tls_server_loads_the_files(tmp_path: Path) -> None:
    """Certificate and key belong together."""
    write_certificates(tmp_path, make_certificates(START_MS))

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")


def test_the_command_writes_three_files_and_hides_the_key(shell: Shell) -> None:
    """ca.pem for clients, server.pem and server.key for the gateway; no key of the authority."""
    shell.run("network", "dev-certificates")

    folder = shell.network.folder / "tls"
    assert sorted(file.name for file in folder.iterdir()) == ["ca.pem", "server.key", "server.pem"]
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600


def test_certificates_are_never_overwritten(tmp_path: Path) -> None:
    """A running gateway keeps its key."""
    write_certificates(tmp_path, make_certificates(START_MS))

    with pytest.raises(InvalidValue, match="never overwritten"):
        write_certificates(tmp_path, make_certificates(START_MS))
