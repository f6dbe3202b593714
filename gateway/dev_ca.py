"""A certificate authority for development, made on the spot: for one machine, one server certificate, and no secrets kept.

Its own private key is thrown away at once, so that it can never sign anything else. Not for a real network.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.key_file import save_secret

VALID_DAYS = 365
_CLOCK_SKEW = timedelta(minutes=5)
_ADDRESSES = ("127.0.0.1", "::1")
_HOSTS = (x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES))


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files, in PEM: what clients trust, and what the server shows."""

    ca: bytes
    server: bytes
    server_key: bytes


def make_certificates(now_ms: int) -> Certificates:
    """A new authority and a server certificate for localhost, 127.0.0.1 and ::1; ECDSA P-256, valid for a year."""
    begin = datetime.fromtimestamp(now_ms // 1000, UTC) - _CLOCK_SKEW
    end = begin + timedelta(days=VALID_DAYS)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, server_name = _name("Tallystick development CA"), _name("localhost")
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )
    server = (
        _builder(server_name, ca_name, server_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_HOSTS), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )
    return Certificates(
        ca=ca.public_bytes(Encoding.PEM),
        server=server.public_bytes(Encoding.PEM),
        server_key=server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def write_certificates(folder: Path, certificates: Certificates) -> None:
    """Writes ca.pem, server.pem and server.key. Raises InvalidValue if there is a server.key already."""
    folder.mkdir(parents=True, exist_ok=True)
    save_secret(certificates.server_key, folder / "server.key")
    for name, content in (("server.pem", certificates.server), ("ca.pem", certificates.ca)):
        partial = folder / f".{name}.new"
        partial.write_bytes(content)
        partial.replace(folder / name)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
