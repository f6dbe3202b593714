"""Vectors of proofs of possession: the holder of a new key signs the key and the application that brings it."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.domain.signing import Algorithm, proof_string
from tests.vectors.keys import ED25519_PRIME, P256_PRIME, VectorKey, forge_under_weak_key, halves, small_order_encodings
from tests.vectors.request_cases import AUDIENCE, INVALID, VALID, Vector

REFUSED = "PUBLIC_KEY_REFUSED"
# Canonical JSON, like a real one, which has all the fields of an application.
DOCUMENT = b'{"form":"TS1-APPLICATION","legal_name":"Globex Books Ltd","partner_id":"globex"}'
KEY_ID = "globex/till-1/2026a"
KEYS = (VectorKey("globex ed25519", KEY_ID, Algorithm.ED25519), VectorKey("globex p256", KEY_ID, Algorithm.P256))
ED25519, P256 = KEYS


def proof_vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    both = [case for key in KEYS for case in (*_valid(key), *_wrong(key))]
    return [*both, *_weak_ed25519(), *_malformed_ed25519(), *_malformed_p256()]


def _message(
    key: VectorKey, document: bytes = DOCUMENT, *, audience: str = AUDIENCE, key_id: str = KEY_ID, public_key: bytes = b""
) -> bytes:
    return proof_string(
        audience=audience, key_id=key_id, algorithm=key.algorithm, public_key=public_key or key.public_key, document=document
    )


def _vector(
    name: str, shows: str, key: VectorKey, expected: str, signature: bytes, *, document: bytes = DOCUMENT, public_key: bytes = b""
) -> Vector:
    return {
        "name": f"{key.algorithm.value.split('-')[0]}-{name}",
        "shows": shows,
        "algorithm": key.algorithm.value,
        "public_key_hex": (public_key or key.public_key).hex(),
        "audience": AUDIENCE,
        "key_id": KEY_ID,
        "document_hex": document.hex(),
        "signed_string": _message(key, document, public_key=public_key).decode(),
        "signature_hex": signature.hex(),
        "expected": expected,
    }


def _valid(key: VectorKey) -> list[Vector]:
    return [
        _vector("with-application", "a first key, brought by an application", key, VALID, key.sign(_message(key))),
        _vector("further-key", "a further key: the document is empty", key, VALID, key.sign(_message(key, b"")), document=b""),
    ]


def _wrong(key: VectorKey) -> list[Vector]:
    other = KEYS[1 - KEYS.index(key)]
    good = key.sign(_message(key))
    lines = _message(key)
    cases = [
        ("other-document", "made for another application", key.sign(_message(key, DOCUMENT.replace(b"Books", b"Banks")))),
        ("no-document", "made for a further key, used with an application", key.sign(_message(key, b""))),
        ("other-audience", "made for another network", key.sign(_message(key, audience="coalition.example:prod"))),
        ("other-key-id", "made for another key id", key.sign(_message(key, key_id="globex/till-2/2026a"))),
        (
            "other-algorithm",
            "the other algorithm in the fifth line",
            key.sign(lines.replace(key.algorithm.encode(), other.algorithm.encode())),
        ),
        ("other-public-key", "made for another public key", key.sign(_message(key, public_key=other.public_key))),
        (
            "not-the-holder",
            "signed by somebody who knows the public key only",
            VectorKey("nobody", KEY_ID, key.algorithm).sign(lines),
        ),
        ("other-purpose", "a request's purpose in the first line", key.sign(lines.replace(b"TS1-PROOF", b"TS1-REQUEST"))),
        ("crlf", "signed with lines ended by CR LF", key.sign(lines.replace(b"\n", b"\r\n"))),
        ("no-final-lf", "signed with no LF after the last line", key.sign(lines[:-1])),
        ("63-bytes", "the signature lacks its last byte", good[:63]),
        ("zeros", "64 zero bytes", bytes(64)),
    ]
    wrong = [_vector(name, shows, key, INVALID, signature) for name, shows, signature in cases]
    if key is P256:
        wrong.append(_vector("der", "r and s in DER", key, INVALID, utils.encode_dss_signature(*halves(good))))
    return wrong


def _weak_ed25519() -> list[Vector]:
    return [
        _vector(
            f"key-of-{name}",
            "a public key of small order; the signature was made without any secret, and libraries may accept it",
            ED25519,
            REFUSED,
            forge_under_weak_key(key, _message(ED25519, public_key=key)),
            public_key=key,
        )
        for name, key in small_order_encodings().items()
    ]


def _malformed_ed25519() -> list[Vector]:
    good = ED25519.public_key
    spki = ed25519.Ed25519PublicKey.from_public_bytes(good).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    cases = [
        ("key-not-canonical", "y is p + 3, which libraries take for 3", (ED25519_PRIME + 3).to_bytes(32, "little")),
        ("key-not-on-curve", "y is 2: no point of the curve has it", (2).to_bytes(32, "little")),
        ("key-31-bytes", "the public key lacks its last byte", good[:31]),
        ("key-33-bytes", "a byte follows the public key", good + b"\x00"),
        ("key-spki", "the public key as SubjectPublicKeyInfo (DER); the raw key is its last 32 bytes", spki),
    ]
    return [_refused(name, shows, ED25519, key) for name, shows, key in cases]


def _malformed_p256() -> list[Vector]:
    good = P256.public_key
    x, y = good[1:33], good[33:]
    loaded = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), good)
    odd = y[-1] & 1
    cases = [
        ("key-compressed", "a compressed point; the key is taken uncompressed only", bytes([2 + odd]) + x),
        ("key-hybrid", "a hybrid point, with 06 or 07 in front", bytes([6 + odd]) + x + y),
        ("key-compressed-long", "02 or 03 in front of both coordinates", bytes([2 + odd]) + x + y),
        ("key-without-04", "both coordinates, without the 04 in front", x + y),
        ("key-not-on-curve", "one bit of y was changed, so it is no point of the curve", good[:64] + bytes([good[64] ^ 1])),
        ("key-x-is-p", "x is the field prime", b"\x04" + P256_PRIME.to_bytes(32, "big") + y),
        ("key-zeros", "both coordinates are 0", b"\x04" + bytes(64)),
        ("key-at-infinity", "the point at infinity", b"\x00"),
        (
            "key-spki",
            "the public key as SubjectPublicKeyInfo (DER); the point is its last 65 bytes",
            loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ),
        (
            "key-p384",
            "a key of the curve P-384",
            ec.derive_private_key(7, ec.SECP384R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        ),
    ]
    return [_refused(name, shows, P256, key) for name, shows, key in cases]


def _refused(name: str, shows: str, key: VectorKey, public_key: bytes) -> Vector:
    return _vector(name, shows, key, REFUSED, key.sign(_message(key, public_key=public_key)), public_key=public_key)
