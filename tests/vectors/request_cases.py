"""Vectors of signed requests: valid ones, and each way of being wrong."""

import base64
import hashlib
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import utils

from gateway.domain.ids import KEY_ID
from gateway.domain.signing import CREATED_AGE_MS_MAX, CREATED_AHEAD_MS_MAX, Algorithm, RequestHeader
from tallystick.v1 import points_pb2, types_pb2
from tests.vectors.keys import ED25519_ORDER, ED25519_PRIME, IDENTITY, ORDER_8_Y, P256_ORDER, VectorKey, halves, p1363

AUDIENCE = "coalition.example:test"
ISSUE = "/tallystick.v1.PointsService/IssuePoints"
REDEEM = "/tallystick.v1.PointsService/RedeemPoints"
CREATED = "1784980800000"  # 2026-07-25T12:00:00Z
NONCE = base64.urlsafe_b64encode(bytes(range(0xF0, 0x100))).rstrip(b"=").decode()

TILL_1 = VectorKey("acme till 1", "acme/till-1/2026a", Algorithm.ED25519)
TILL_2 = VectorKey("acme till 2", "acme/till-2/2026a", Algorithm.P256)
KEYS = (TILL_1, TILL_2)

VALID = "valid"
INVALID = "SIGNATURE_INVALID"
MALFORMED = "SIGNATURE_PARAM_MALFORMED"
OUT_OF_WINDOW = "SIGNATURE_TIME_OUT_OF_WINDOW"

BODY = points_pb2.IssuePointsRequest(
    idempotency_key="till-1:2026-07-25:000042",
    member=types_pb2.MemberRef(card_number="4000-1234"),
    eligible=types_pb2.Amount(unit="EUR", minor_units=2340),
    occurred_at_ms=1784980798500,
    receipt_number="sale 000042",
).SerializeToString(deterministic=True)

Vector = dict[str, object]


@dataclass(frozen=True)
class Sent:
    """A request as it arrives, but for its signature."""

    key: VectorKey
    audience: str = AUDIENCE
    method: str = ISSUE
    key_id: str = ""
    created: str = CREATED
    nonce: str = NONCE
    body: bytes = BODY
    now_ms: int = int(CREATED) + 250

    def lines(self) -> str:
        """The eight lines, whatever the values; as a partner's own code would build them."""
        digest = hashlib.sha256(self.body).hexdigest()
        key_id = self.key_id or self.key.key_id
        values = ("TS1-REQUEST", self.audience, self.method, key_id, self.created, self.nonce, digest, str(len(self.body)))
        return "".join(value + "\n" for value in values)

    def has_form(self) -> bool:
        """Whether a gateway would come as far as building the eight lines."""
        key_id = self.key_id or self.key.key_id
        return KEY_ID.fullmatch(key_id) is not None and RequestHeader(key_id, self.created, self.nonce).malformed() is None


def vector(
    name: str, shows: str, sent: Sent, expected: str, *, signed: str | bytes | None = None, signature: bytes | None = None
) -> Vector:
    """One vector. `signed`: what the sender signed, if it is not what the gateway builds from what arrives."""
    lines = sent.lines()
    message = lines.encode() if signed is None else signed.encode() if isinstance(signed, str) else signed
    if signature is None:
        signature = sent.key.sign(message)
    return {
        "name": f"{sent.key.algorithm.value.split('-')[0]}-{name}",
        "shows": shows,
        "algorithm": sent.key.algorithm.value,
        "public_key_hex": sent.key.public_key.hex(),
        "audience": sent.audience,
        "method": sent.method,
        "key_id": sent.key_id or sent.key.key_id,
        "created": sent.created,
        "nonce": sent.nonce,
        "body_hex": sent.body.hex(),
        "gateway_time_ms": sent.now_ms,
        "signed_string": lines if sent.has_form() else None,
        "sender_signed_hex": message.hex(),
        "signature_hex": signature.hex(),
        "expected": expected,
    }


def request_vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    both = [case for key in KEYS for case in (*_valid(key), *_tampered(key), *_built_wrong(key), *_shape(key), *_time(key))]
    return [*both, *_ed25519_alone(), *_p256_alone(), *_malformed()]


def _valid(key: VectorKey) -> list[Vector]:
    redeem = points_pb2.RedeemPointsRequest(
        idempotency_key="till-1:2026-07-25:000043", member=types_pb2.MemberRef(member_id="mfx7"), points=700
    )
    reverse = points_pb2.ReverseEntryRequest(idempotency_key="r/000042", original_idempotency_key="till-1:2026-07-25:000042")
    batch = points_pb2.SubmitBatchRequest(commands=[points_pb2.Command(redeem=redeem), points_pb2.Command(reverse=reverse)])
    return [
        vector("issue", "a valid IssuePoints; docs/protocol.md walks through it", Sent(key), VALID),
        vector(
            "redeem", "a valid RedeemPoints", Sent(key, method=REDEEM, body=redeem.SerializeToString(deterministic=True)), VALID
        ),
        vector(
            "batch",
            "a valid SubmitBatch: one signature for all its commands",
            Sent(key, method="/tallystick.v1.PointsService/SubmitBatch", body=batch.SerializeToString(deterministic=True)),
            VALID,
        ),
        vector(
            "empty-body",
            "a message without fields has no bytes: the digest of nothing, and length 0",
            Sent(key, method="/tallystick.v1.PartnerService/GetPartner", body=b""),
            VALID,
        ),
        vector("nonce-of-zeros", "any 16 bytes are a nonce, also zeros", Sent(key, nonce="A" * 22), VALID),
    ]


def _tampered(key: VectorKey) -> list[Vector]:
    honest = Sent(key)
    signed = honest.lines()
    flipped = bytes([BODY[0], BODY[1], BODY[2] ^ 1]) + BODY[3:]
    cases = [
        ("body-bit", "one bit of the body was changed on the way", replace(honest, body=flipped)),
        (
            "body-reordered",
            "the same message, serialized again with its fields in another order",
            replace(honest, body=_reordered()),
        ),
        ("body-appended", "a field that nobody knows was appended to the body", replace(honest, body=BODY + b"\x9a\x06\x01x")),
        ("other-method", "signed for IssuePoints, sent to RedeemPoints", replace(honest, method=REDEEM)),
        ("other-audience", "signed for the test network, sent to production", replace(honest, audience="coalition.example:prod")),
        (
            "other-key-id",
            "signed under its own key id, sent under another one of the same partner",
            replace(honest, key_id="acme/till-9/2026a"),
        ),
        (
            "other-partner",
            "signed under its own key id, sent under another partner's",
            replace(honest, key_id="globex/till-1/2026a"),
        ),
        ("nonce-changed", "the nonce was changed on the way", replace(honest, nonce="A" * 22)),
        ("created-changed", "created was moved by one millisecond on the way", replace(honest, created=str(int(CREATED) + 1))),
    ]
    return [vector(name, shows, sent, INVALID, signed=signed) for name, shows, sent in cases]


def _reordered() -> bytes:
    """The fields of BODY from the last to the first: another serialization of the same message."""
    message = points_pb2.IssuePointsRequest.FromString(BODY)
    parts = []
    for field, value in message.ListFields():
        alone = points_pb2.IssuePointsRequest()
        if field.message_type is not None:
            getattr(alone, field.name).CopyFrom(value)
        else:
            setattr(alone, field.name, value)
        parts.append(alone.SerializeToString(deterministic=True))
    return b"".join(reversed(parts))


def _built_wrong(key: VectorKey) -> list[Vector]:
    sent = Sent(key)
    lines = sent.lines()
    digest = hashlib.sha256(BODY).hexdigest()
    framed = b"\x00" + len(BODY).to_bytes(4, "big") + BODY
    framed_lines = lines.replace(digest, hashlib.sha256(framed).hexdigest()).replace(f"\n{len(BODY)}\n", f"\n{len(framed)}\n")
    cases: list[tuple[str, str, str | bytes]] = [
        ("crlf", "signed with lines ended by CR LF", lines.replace("\n", "\r\n")),
        ("no-final-lf", "signed with no LF after the last line", lines[:-1]),
        ("final-lf-twice", "signed with an empty ninth line", lines + "\n"),
        ("upper-case-hex", "signed with the digest in upper-case hex", lines.replace(digest, digest.upper())),
        (
            "base64-digest",
            "signed with the digest in base64",
            lines.replace(digest, base64.b64encode(bytes.fromhex(digest)).decode()),
        ),
        ("wrong-length", "signed with the length one too small", lines.replace(f"\n{len(BODY)}\n", f"\n{len(BODY) - 1}\n")),
        ("length-padded", "signed with the length with a leading zero", lines.replace(f"\n{len(BODY)}\n", f"\n0{len(BODY)}\n")),
        ("no-length", "signed with the eighth line left out", lines.removesuffix(f"{len(BODY)}\n")),
        ("framed-body", "signed with digest and length of the body with gRPC's 5 bytes of frame before it", framed_lines),
        ("method-without-slash", "signed with the method without its leading slash", lines.replace(ISSUE, ISSUE[1:])),
        ("no-purpose", "signed with the first line left out", lines.removeprefix("TS1-REQUEST\n")),
        ("other-purpose", "signed with a receipt's purpose in the first line", lines.replace("TS1-REQUEST", "TS1-RECEIPT")),
        ("byte-order-mark", "signed with a byte order mark before the first line", "\ufeff" + lines),
        ("utf-16", "signed as UTF-16 instead of ASCII", lines.encode("utf-16-le")),
        ("digest-of-lines", "the SHA-256 of the lines was signed instead of the lines", hashlib.sha256(lines.encode()).digest()),
        ("body-alone", "the body was signed instead of the lines", BODY),
    ]
    return [vector(name, shows, sent, INVALID, signed=signed) for name, shows, signed in cases]


def _shape(key: VectorKey) -> list[Vector]:
    sent = Sent(key)
    good = key.sign(sent.lines().encode())
    other = VectorKey("somebody else's " + key.name, key.key_id, key.algorithm)
    cases = [
        ("other-key", "signed with a key that is not the one on record", other.sign(sent.lines().encode())),
        ("63-bytes", "the signature lacks its last byte", good[:63]),
        ("65-bytes", "a byte follows the signature", good + b"\x00"),
        ("no-signature-bytes", "the signature is empty", b""),
        ("zeros", "64 zero bytes", bytes(64)),
        ("hex", "the signature as hex text", good.hex().encode()),
        ("signature-bit", "one bit of the signature was changed", good[:40] + bytes([good[40] ^ 0x10]) + good[41:]),
        ("halves-swapped", "the second half of the signature before the first", good[32:] + good[:32]),
    ]
    return [vector(name, shows, sent, INVALID, signature=signature) for name, shows, signature in cases]


def _time(key: VectorKey) -> list[Vector]:
    created = int(CREATED)
    past, ahead = created + CREATED_AGE_MS_MAX, created - CREATED_AHEAD_MS_MAX
    old = Sent(key, now_ms=created + 600_000)
    return [
        vector("oldest", "created 120,000 ms before the gateway's clock: just within", Sent(key, now_ms=past), VALID),
        vector("too-old", "created 120,001 ms before the gateway's clock", Sent(key, now_ms=past + 1), OUT_OF_WINDOW),
        vector("furthest-ahead", "created 30,000 ms ahead of the gateway's clock: just within", Sent(key, now_ms=ahead), VALID),
        vector("too-far-ahead", "created 30,001 ms ahead of the gateway's clock", Sent(key, now_ms=ahead - 1), OUT_OF_WINDOW),
        vector(
            "old-and-wrong",
            "created 10 minutes ago and a wrong signature: nothing is said of the time",
            old,
            INVALID,
            signature=bytes(64),
        ),
    ]


def _ed25519_alone() -> list[Vector]:
    sent = Sent(TILL_1)
    message = sent.lines().encode()
    good = TILL_1.sign(message)
    s = int.from_bytes(good[32:], "little")
    weak_s = "S made with the secret key, R the point of order {}: the bare equation {}"
    cases = [
        (
            "s-plus-l",
            "S with the order L added: the equation still holds",
            good[:32] + (s + ED25519_ORDER).to_bytes(32, "little"),
        ),
        ("s-is-l", "S equal to the order L", good[:32] + ED25519_ORDER.to_bytes(32, "little")),
        ("small-order-r", weak_s.format(1, "holds, libraries accept it"), TILL_1.sign_with_weak_r(message, IDENTITY)),
        (
            "small-order-r-8",
            weak_s.format(8, "times the cofactor holds, some libraries accept it"),
            TILL_1.sign_with_weak_r(message, ORDER_8_Y.to_bytes(32, "little")),
        ),
        (
            "r-not-canonical",
            "R is the point of order 1, written as y = p + 1",
            TILL_1.sign_with_weak_r(message, (ED25519_PRIME + 1).to_bytes(32, "little")),
        ),
    ]
    return [vector(name, shows, sent, INVALID, signature=signature) for name, shows, signature in cases]


def _p256_alone() -> list[Vector]:
    sent = Sent(TILL_2)
    low = TILL_2.sign(sent.lines().encode())
    r, s = halves(low)
    top = 2**256 - 1
    cases = [
        ("der", "r and s in DER, as Java's SHA256withECDSA and OpenSSL make them by default", utils.encode_dss_signature(r, s)),
        ("r-zero", "r is 0", p1363(0, s)),
        ("s-zero", "s is 0", p1363(r, 0)),
        ("r-is-n", "r is the order n", p1363(P256_ORDER, s)),
        ("s-is-n", "s is the order n", p1363(r, P256_ORDER)),
        ("r-and-s-are-n", "r and s are the order n", p1363(P256_ORDER, P256_ORDER)),
        ("r-above-n", "r is 2^256 - 1", p1363(top, s)),
        ("s-above-n", "s is 2^256 - 1", p1363(r, top)),
        ("little-endian", "r and s little-endian", r.to_bytes(32, "little") + s.to_bytes(32, "little")),
    ]
    return [
        vector("low-s", "of the two values of s the lower: valid", sent, VALID, signature=low),
        vector(
            "high-s",
            "of the two values of s the higher: valid too, Java and .NET do not normalise",
            sent,
            VALID,
            signature=p1363(r, P256_ORDER - s),
        ),
        *(vector(name, shows, sent, INVALID, signature=signature) for name, shows, signature in cases),
    ]


def _malformed() -> list[Vector]:
    created = {
        "plus": ("a sign before the digits", "+" + CREATED),
        "plus-13": ("a sign, 13 characters in all", "+" + CREATED[1:]),
        "12-digits": ("12 digits", CREATED[:12]),
        "14-digits": ("14 digits", CREATED + "0"),
        "seconds": ("seconds instead of milliseconds", CREATED[:10]),
        "float": ("a decimal point, 13 characters in all", CREATED[:9] + ".250"),
        "trailing-lf": ("a line feed after it", CREATED + "\n"),
        "spaces": ("a space before it", " " + CREATED),
        "iso": ("a date and time", "2026-07-25T12:00:00Z"),
        "none": ("nothing", ""),
    }
    nonce = {
        "21": ("21 characters", NONCE[:21]),
        "23": ("23 characters", NONCE + "A"),
        "padded": ("padding", NONCE + "=="),
        "base64": ("the alphabet of plain base64", NONCE.replace("_", "/").replace("-", "+")),
        "spare-bits": ("bits beyond the 16 bytes", NONCE[:21] + "B"),
        "trailing-lf": ("a line feed after it", NONCE + "\n"),
        "none": ("nothing", ""),
    }
    key_id = {
        "two-parts": ("two parts", "acme/till-1"),
        "four-parts": ("four parts", "acme/till-1/2026a/x"),
        "upper-case": ("a partner in upper case", "ACME/till-1/2026a"),
        "path": ("a part of `../`", "acme/../../etc/passwd"),
        "dots": ("a part of two dots", "acme/../2026a"),
        "empty-part": ("an empty part", "acme//2026a"),
        "nul": ("a NUL", "acme/till-1/2026a\x00"),
        "lf": ("a line feed, and what would be the next line", f"acme/till-1/2026a\n{CREATED}"),
        "300": ("300 characters", "acme/till-1/" + "a" * 288),
    }
    return [
        *(
            vector(f"created-{name}", f"created: {shows}", Sent(TILL_1, created=text), MALFORMED)
            for name, (shows, text) in created.items()
        ),
        *(
            vector(f"nonce-{name}", f"nonce: {shows}", Sent(TILL_1, nonce=text), MALFORMED)
            for name, (shows, text) in nonce.items()
        ),
        *(
            vector(f"key-id-{name}", f"key id: {shows}", Sent(TILL_1, key_id=text), MALFORMED)
            for name, (shows, text) in key_id.items()
        ),
    ]
