"""Key pairs of the vectors, derived from their names, and the signatures that no honest signer makes.

Everybody knows these keys: they are for tests alone. ECDSA signs by RFC 6979, so that the files come out the same.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.domain.signing import Algorithm, PrivateKey

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ED25519_PRIME = 2**255 - 19
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1

IDENTITY = (1).to_bytes(32, "little")
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


@dataclass(frozen=True)
class VectorKey:
    """A key pair that stands for a key id; the secret is SHA-256 of `name`."""

    name: str
    key_id: str
    algorithm: Algorithm

    @cached_property
    def secret(self) -> bytes:
        """Ed25519: the seed. P-256: the scalar, big-endian; below the order for the names used here."""
        return hashlib.sha256(b"tallystick vectors: " + self.name.encode()).digest()

    @cached_property
    def public_key(self) -> bytes:
        """As a key record has it."""
        return PrivateKey(self.private_key()).public_bytes()

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same at each run. P-256: with the smaller of the two possible s."""
        key = self.private_key()
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        return p1363(r, min(s, P256_ORDER - s))

    def sign_with_weak_r(self, message: bytes, r: bytes) -> bytes:
        """Ed25519 with an R of small order: S = h·a. Libraries that only check the equation may accept it."""
        digest = hashlib.sha512(self.secret).digest()
        scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        return r + (_challenge(r, self.public_key, message) * scalar % ED25519_ORDER).to_bytes(32, "little")

    def private_key(self) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
        """As the library has it."""
        if self.algorithm is Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(self.secret)
        return ec.derive_private_key(int.from_bytes(self.secret, "big"), ec.SECP256R1())


def p1363(r: int, s: int) -> bytes:
    """Each as 32 bytes, big-endian."""
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def halves(signature: bytes) -> tuple[int, int]:
    """The inverse of `p1363`."""
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def forge_under_weak_key(public_key: bytes, message: bytes) -> bytes:
    """A signature without a secret under an Ed25519 key of small order: R = r·B and S = r, where h·A happens to vanish."""
    for attempt in range(10_000):
        seed = hashlib.sha256(f"forgery {attempt}".encode()).digest()
        r = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if _challenge(r, public_key, message) % 8 == 0:
            digest = hashlib.sha512(seed).digest()
            scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
            return r + (scalar % ED25519_ORDER).to_bytes(32, "little")
    raise AssertionError("one in eight should do")


def small_order_encodings() -> dict[str, bytes]:
    """All 14 encodings of the eight points of small order that libraries read, by name."""
    sign_bit = 1 << 255
    ys = {
        "order-1": 1,
        "order-1-sign-bit": 1 | sign_bit,
        "order-1-not-canonical": ED25519_PRIME + 1,
        "order-1-not-canonical-sign-bit": ED25519_PRIME + 1 | sign_bit,
        "order-2": ED25519_PRIME - 1,
        "order-2-sign-bit": ED25519_PRIME - 1 | sign_bit,
        "order-4-even": 0,
        "order-4-odd": sign_bit,
        "order-4-even-not-canonical": ED25519_PRIME,
        "order-4-odd-not-canonical": ED25519_PRIME | sign_bit,
        "order-8-a": ORDER_8_Y,
        "order-8-b": ORDER_8_Y | sign_bit,
        "order-8-c": ED25519_PRIME - ORDER_8_Y,
        "order-8-d": ED25519_PRIME - ORDER_8_Y | sign_bit,
    }
    return {name: y.to_bytes(32, "little") for name, y in ys.items()}


def _challenge(r: bytes, public_key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + public_key + message).digest(), "little") % ED25519_ORDER
