"""The server's certificate, read anew when its files change: connections made from then on see the new one.

A pair that does not fit, as while its two files are being written, is not taken: the one before stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.domain.errors import InvalidValue

_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's certificate chain and private key, in PEM."""

    certificate: bytes
    private_key: bytes = field(repr=False)


class ServerCertificate:
    """The pair in use. `look` is to be called now and then; `credentials` are those of a port."""

    def __init__(self, read: Callable[[], TlsFiles], note: Callable[[str], object]) -> None:
        """Reads the pair. Raises InvalidValue unless it fits; later on such a pair is told to `note`, once."""
        self._read = read
        self._note = note
        self._files = read()
        self._refused: TlsFiles | str | None = None
        self._shown = self._files  # what grpc was handed last
        self.expires_at_ms = _expiry_ms(self._files)

    def look(self) -> None:
        """Takes over what stands in the files, if it has changed and fits."""
        files: TlsFiles | str
        try:
            files = self._read()
        except InvalidValue as error:
            self._refuse(str(error), str(error))
            return
        if files == self._files:
            self._refused = None
            return
        try:
            expires_at_ms = _expiry_ms(files)
        except InvalidValue as error:
            self._refuse(files, str(error))
            return
        self._files, self._refused, self.expires_at_ms = files, None, expires_at_ms
        self._note("TLS certificate replaced: new connections see the new one")

    def credentials(self) -> grpc.ServerCredentials:
        """Of a port that shows the pair in use at each handshake."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._files), cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        )

    def _refuse(self, what: TlsFiles | str, why: str) -> None:
        if what != self._refused:
            self._refused = what
            self._note(f"TLS certificate not replaced: {why}; the one before stays in use")

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by grpc before each handshake, in a thread of its own; None: as before."""
        files = self._files
        if files is self._shown:
            return None
        self._shown = files
        return _configuration(files)


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.private_key, files.certificate)])


def _expiry_ms(files: TlsFiles) -> int:
    """When the certificate ends, in unix milliseconds. Raises InvalidValue unless the key is that of the certificate."""
    try:
        certificate = x509.load_pem_x509_certificates(files.certificate)[0]
    except ValueError:
        raise InvalidValue("the certificate is not in PEM, or cut short") from None
    try:
        key = load_pem_private_key(files.private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidValue("the private key is not an unencrypted one in PEM, or cut short") from None
    if certificate.public_key().public_bytes(*_SPKI) != key.public_key().public_bytes(*_SPKI):
        raise InvalidValue("the private key is not that of the certificate")
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000
