"""Signed strings and the two algorithms. Verifies and raises; never says why to anybody but the operator.

Every signed string is ASCII lines, each ended by LF; the first names its purpose, so that a signature made for one
purpose proves nothing in another. docs/protocol.md shows them byte by byte.
"""

import enum
import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from gateway.domain.errors import InvalidValue, SignatureError

CREATED_AGE_MS_MAX = 120_000
CREATED_AHEAD_MS_MAX = 30_000
OUT_OF_WINDOW = "ms before the gateway's clock"  # stands in the cause of each signature that is proven and not fresh
SIGNATURE_BYTES = 64
ED25519_KEY_BYTES = 32
P256_KEY_BYTES = 65
VERIFIERS_KEPT = 65_536  # more than a network has keys; to look at one costs twice what a signature costs

_CREATED = re.compile(r"[0-9]{13}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # 16 bytes as base64url without padding: the last 4 bits are zero

_FIELD_PRIME = 2**255 - 19
_EDWARDS_D = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME
_SIGN_BIT = 1 << 255
# y coordinates of the points of order 1, 2, 4 and 8 on edwards25519; x, the sign bit, does not matter.
# A signature under such a key, or with such an R, can be made without a secret. Source: "Taming the many EdDSAs" (2020).
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})

Verify = Callable[[bytes, bytes], None]
"""verify(signature, message): returns None or raises SignatureError."""


class Algorithm(enum.StrEnum):
    """Fixed in the key record; never named by a request."""

    ED25519 = "ed25519"
    P256 = "ecdsa-p256-sha256"


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """What a request says of its own signature, in the forms that the metadata must have."""

    key_id: str
    created: str
    nonce: str

    def malformed(self) -> str | None:
        """The name of the first parameter that is not of its form; the key id is checked by its own rule."""
        if not _CREATED.fullmatch(self.created):
            return "tally-created"
        return None if _NONCE.fullmatch(self.nonce) else "tally-nonce"


def request_string(*, audience: str, method: str, header: RequestHeader, body: bytes) -> bytes:
    """The eight lines of a request; `method` is the full path, `body` the serialized message as sent.

    Raises InvalidValue on a value that would break the lines.
    """
    digest = hashlib.sha256(body).hexdigest()
    return signed_string("TS1-REQUEST", audience, method, header.key_id, header.created, header.nonce, digest, str(len(body)))


def receipt_string(*, audience: str, key_id: str, receipt: bytes) -> bytes:
    """What the network signs of a receipt."""
    return signed_string("TS1-RECEIPT", audience, key_id, hashlib.sha256(receipt).hexdigest())


def statement_string(*, audience: str, key_id: str, statement: bytes) -> bytes:
    """What the network signs of a partner's statement."""
    return signed_string("TS1-STATEMENT", audience, key_id, hashlib.sha256(statement).hexdigest())


def event_string(*, audience: str, key_id: str, counter: int, occurred_at_ms: int, previous_hash: bytes, command: bytes) -> bytes:
    """The eight lines of an event that a till signs when it happens. `previous_hash`: of the event before, else zeros."""
    digest = hashlib.sha256(command).hexdigest()
    return signed_string(
        "TS1-EVENT", audience, key_id, str(counter), f"{occurred_at_ms:013}", previous_hash.hex(), digest, str(len(command))
    )


def proof_string(*, audience: str, key_id: str, algorithm: Algorithm, public_key: bytes, document: bytes) -> bytes:
    """What the holder of a new key signs: the key, and the application that brings it (empty for a further key)."""
    return signed_string(
        "TS1-PROOF",
        audience,
        key_id,
        algorithm.value,
        hashlib.sha256(public_key).hexdigest(),
        hashlib.sha256(document).hexdigest(),
    )


def signed_string(*lines: str) -> bytes:
    """Lines, each ended by LF. Raises InvalidValue on a line that would break the form."""
    together = "".join(lines)
    if not together.isascii() or not together.isprintable():
        raise InvalidValue(f"{together!r} cannot stand in a signed string: printable ASCII only")
    return "\n".join((*lines, "")).encode("ascii")


def check_fresh(created: str, *, now_ms: int) -> None:
    """Raises SignatureError unless `created` lies within the window around `now_ms`."""
    age_ms = now_ms - int(created)
    if not -CREATED_AHEAD_MS_MAX <= age_ms <= CREATED_AGE_MS_MAX:
        raise SignatureError(f"created {age_ms} {OUT_OF_WINDOW}")


@functools.lru_cache(maxsize=VERIFIERS_KEPT)
def load_verifier(algorithm: Algorithm, public_key: bytes) -> Verify:
    """A function that verifies under the key. Raises InvalidValue if the bytes are no key of the algorithm, or a weak one.

    Ed25519: 32 raw bytes. P-256: 65 bytes, uncompressed SEC 1.
    """
    if algorithm is Algorithm.ED25519:
        return _ed25519_verifier(public_key)
    return _p256_verifier(public_key)


def check_public_key(algorithm: Algorithm, public_key: bytes) -> None:
    """Raises InvalidValue if the key is malformed or weak. Ed25519 libraries load weak keys and then accept forgeries."""
    load_verifier(algorithm, public_key)


def _ed25519_verifier(public_key: bytes) -> Verify:
    if len(public_key) != ED25519_KEY_BYTES:
        raise InvalidValue("public key: Ed25519 takes 32 raw bytes")
    y = int.from_bytes(public_key, "little") & ~_SIGN_BIT
    if y >= _FIELD_PRIME:
        raise InvalidValue("public key: not a canonical Ed25519 encoding; make a new key")
    if y in _SMALL_ORDER_Y:
        raise InvalidValue("public key: of small order, so anybody could sign for it; make a new key")
    if not _is_on_curve(y):
        raise InvalidValue("public key: not a point of edwards25519; make a new key")

    def verify(signature: bytes, message: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError(f"signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
        r = int.from_bytes(signature[:32], "little") & ~_SIGN_BIT
        if r % _FIELD_PRIME in _SMALL_ORDER_Y:
            raise SignatureError("signature has an R of small order")
        try:
            crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            raise SignatureError("signature does not match key and message") from None

    return verify


def _is_on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) has a root, by Euler's criterion. Libraries load such keys without a look.

    Keys of mixed order pass: only their holder could make them, and what the gateway accepts under them, by the equation
    without cofactor, every other verifier accepts as well.
    """
    square = (y * y - 1) * (_EDWARDS_D * y * y + 1)
    return pow(square, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) <= 1


def _p256_verifier(public_key: bytes) -> Verify:
    if len(public_key) != P256_KEY_BYTES:
        raise InvalidValue("public key: P-256 takes 65 bytes, an uncompressed SEC 1 point")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:
        raise InvalidValue("public key: not a point of P-256") from None
    algorithm = ec.ECDSA(SHA256())

    def verify(signature: bytes, message: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError(f"signature has {len(signature)} bytes, not {SIGNATURE_BYTES}: r and s of 32 bytes each, no DER")
        der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        try:
            key.verify(der, message, algorithm)
        except InvalidSignature:
            raise SignatureError("signature does not match key and message") from None

    return verify


class PrivateKey:
    """A secret key of one of the two algorithms. Its repr shows nothing of it."""

    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        """Raises InvalidValue for a curve other than P-256."""
        if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, ec.SECP256R1):
            raise InvalidValue(f"private key: curve {key.curve.name}; use P-256 or Ed25519")
        self._key = key
        # As libsodium takes an Ed25519 key: the seed, and the public key that it would have to derive for each signature.
        self._ed25519_secret = b""
        if isinstance(key, ed25519.Ed25519PrivateKey):
            self._ed25519_secret = key.private_bytes_raw() + key.public_key().public_bytes_raw()

    @property
    def algorithm(self) -> Algorithm:
        """Which of the two."""
        return Algorithm.ED25519 if isinstance(self._key, ed25519.Ed25519PrivateKey) else Algorithm.P256

    def public_bytes(self) -> bytes:
        """As `load_verifier` takes it."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.public_key().public_bytes_raw()
        numbers = self._key.public_key().public_numbers()
        return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def sign(self, message: bytes) -> bytes:
        """64 bytes: R and S, or r and s. Deterministic for Ed25519 only."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return crypto_sign(message, self._ed25519_secret)[:SIGNATURE_BYTES]
        r, s = utils.decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
