"""Vectors of receipts: what the network signs, and how it verifies after a rotation."""

import hashlib
from dataclasses import dataclass, replace

from google.protobuf.json_format import MessageToDict

from gateway.domain.command import AmountAsked, Issue, MemberRef
from gateway.domain.ids import entry_id
from gateway.domain.signing import Algorithm, receipt_string
from tallystick.v1 import errors_pb2, types_pb2
from tests.vectors.keys import ED25519_ORDER, IDENTITY, VectorKey
from tests.vectors.request_cases import AUDIENCE, CREATED, INVALID, VALID, Vector

KEY_UNKNOWN = "KEY_UNKNOWN"
NOT_IN_USE = "KEY_NOT_IN_USE_WHEN_BOOKED"
OTHER_NETWORK = "AUDIENCE_DIFFERS"

ROTATED_AT_MS = int(CREATED) + 86_400_000
OLD = VectorKey("receipts 2026a", "2026a", Algorithm.ED25519)
NEW = VectorKey("receipts 2026b", "2026b", Algorithm.ED25519)
RECEIPT_KEYS: list[dict[str, object]] = [
    {
        "key_id": OLD.key_id,
        "public_key_hex": OLD.public_key.hex(),
        "valid_from_ms": 1767225600000,
        "valid_until_ms": ROTATED_AT_MS,
    },
    {"key_id": NEW.key_id, "public_key_hex": NEW.public_key.hex(), "valid_from_ms": ROTATED_AT_MS, "valid_until_ms": 0},
]


@dataclass(frozen=True)
class Given:
    """A receipt as a partner holds it; `signed_by` and the two after it say how it was really signed."""

    receipt: bytes
    key_id: str = OLD.key_id
    signed_by: VectorKey = OLD
    signed_key_id: str = ""
    signed_audience: str = AUDIENCE

    def signature(self) -> bytes:
        """As the network made it."""
        key_id = self.signed_key_id or self.key_id
        return self.signed_by.sign(receipt_string(audience=self.signed_audience, key_id=key_id, receipt=self.receipt))


def receipt_vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    return [*_valid(), *_rotation(), *_wrong(), *_shape()]


def _vector(name: str, shows: str, given: Given, expected: str, signature: bytes | None = None) -> Vector:
    return {
        "name": name,
        "shows": shows,
        "audience": AUDIENCE,
        "key_id": given.key_id,
        "receipt_hex": given.receipt.hex(),
        "fields": MessageToDict(types_pb2.Receipt.FromString(given.receipt), preserving_proto_field_name=True),
        "signed_string": receipt_string(audience=AUDIENCE, key_id=given.key_id, receipt=given.receipt).decode(),
        "signature_hex": (given.signature() if signature is None else signature).hex(),
        "expected": expected,
    }


def _valid() -> list[Vector]:
    return [
        _vector("issue", "points were issued: the answer to the request ed25519-issue", Given(_issued()), VALID),
        _vector("redemption", "points of two issuers were redeemed", Given(_redeemed()), VALID),
        _vector("refusal", "a refusal that is remembered: no lane, no sequence, no hash", Given(_refused()), VALID),
    ]


def _rotation() -> list[Vector]:
    day_ms = 86_400_000
    late = _issued(booked_at_ms=ROTATED_AT_MS + day_ms)
    return [
        _vector(
            "old-key-before-rotation",
            "signed before the rotation, verified after it",
            Given(_issued(booked_at_ms=ROTATED_AT_MS - 1)),
            VALID,
        ),
        _vector(
            "old-key-at-rotation",
            "booked in the very millisecond in which the old key ended",
            Given(_issued(booked_at_ms=ROTATED_AT_MS)),
            VALID,
        ),
        _vector("new-key-after-rotation", "signed with the new key", Given(late, "2026b", NEW), VALID),
        _vector("old-key-after-rotation", "the old key, booked a day after it had ended", Given(late), NOT_IN_USE),
        _vector("new-key-before-rotation", "the new key, booked before it began", Given(_issued(), "2026b", NEW), NOT_IN_USE),
    ]


def _wrong() -> list[Vector]:
    honest = Given(_issued())
    changed = types_pb2.Receipt.FromString(honest.receipt)
    changed.points += 1
    cases = [
        (
            "other-key-id",
            "signed under one key id, given under the other",
            replace(honest, key_id="2026b", signed_key_id="2026a"),
            INVALID,
        ),
        ("key-id-moved", "signed with the old key for the new key's id", replace(honest, key_id="2026b"), INVALID),
        ("unknown-key-id", "a key id that the network does not list", replace(honest, key_id="2025z"), KEY_UNKNOWN),
        (
            "other-key",
            "signed with a key that is not the network's",
            replace(honest, signed_by=VectorKey("nobody", "2026a", Algorithm.ED25519)),
            INVALID,
        ),
        ("other-audience", "signed for another network", replace(honest, signed_audience="coalition.example:prod"), INVALID),
        (
            "audience-inside",
            "signed for this network, but the receipt inside is another's",
            Given(_issued(audience="coalition.example:prod")),
            OTHER_NETWORK,
        ),
    ]
    return [
        *(_vector(name, shows, given, expected) for name, shows, given, expected in cases),
        _vector(
            "byte-changed",
            "the points inside were raised by one",
            replace(honest, receipt=changed.SerializeToString(deterministic=True)),
            INVALID,
            honest.signature(),
        ),
    ]


def _shape() -> list[Vector]:
    given = Given(_issued())
    message = receipt_string(audience=AUDIENCE, key_id=given.key_id, receipt=given.receipt)
    good = given.signature()
    s = int.from_bytes(good[32:], "little")
    cases = [
        ("over-the-receipt", "signed over the bytes of the receipt instead of the four lines", OLD.sign(given.receipt)),
        ("crlf", "signed with lines ended by CR LF", OLD.sign(message.replace(b"\n", b"\r\n"))),
        ("no-final-lf", "signed with no LF after the last line", OLD.sign(message[:-1])),
        ("upper-case-hex", "signed with the digest in upper-case hex", OLD.sign(_upper_last_line(message))),
        (
            "other-purpose",
            "signed with a request's purpose in the first line",
            OLD.sign(message.replace(b"TS1-RECEIPT", b"TS1-REQUEST")),
        ),
        ("s-plus-l", "S with the order L added", good[:32] + (s + ED25519_ORDER).to_bytes(32, "little")),
        ("small-order-r", "R is the point of order 1", OLD.sign_with_weak_r(message, IDENTITY)),
        ("63-bytes", "the signature lacks its last byte", good[:63]),
        ("65-bytes", "a byte follows the signature", good + b"\x00"),
        ("no-signature", "the signature is empty", b""),
        ("zeros", "64 zero bytes", bytes(64)),
    ]
    return [_vector(name, shows, given, INVALID, signature) for name, shows, signature in cases]


def _upper_last_line(message: bytes) -> bytes:
    *lines, digest, end = message.split(b"\n")
    return b"\n".join((*lines, digest.upper(), end))


def _issued(*, audience: str = AUDIENCE, booked_at_ms: int = int(CREATED) + 260) -> bytes:
    """The receipt of the request of docs/protocol.md: 23.40 EUR at one point per 2 EUR."""
    command = Issue(
        partner_id="acme",
        key_id="acme/till-1/2026a",
        idempotency_key="till-1:2026-07-25:000042",
        member=MemberRef(card_hash=hashlib.sha256(b"card").hexdigest()),
        eligible=AmountAsked("EUR", 2340),
        occurred_at_ms=1784980798500,
        receipt_number="sale 000042",
    )
    receipt = types_pb2.Receipt(
        audience=audience,
        entry_id=command.entry_id,
        kind=types_pb2.ENTRY_KIND_ISSUE,
        partner_id="acme",
        idempotency_key=command.idempotency_key,
        fingerprint=command.fingerprint(),
        member_id="mfx7",
        lane=0,
        sequence=1042,
        business_date="2026-07-25",
        occurred_at_ms=1784980798500,
        booked_at_ms=booked_at_ms,
        points=11,
        amount=types_pb2.Amount(unit="EUR", minor_units=2340),
        rate_card_version=3,
        receipt_number="sale 000042",
        balance_points=811,
        lots=[types_pb2.LotMovement(lot_id=command.entry_id, issuer_id="acme", points=11, expires_on="2028-07-31")],
        entry_hash=hashlib.sha256(b"entry 1042").digest(),
    )
    return receipt.SerializeToString(deterministic=True)


def _redeemed() -> bytes:
    lots = [
        types_pb2.LotMovement(lot_id=entry_id("globex", "a"), issuer_id="globex", points=-600, expires_on="2026-12-31"),
        types_pb2.LotMovement(lot_id=entry_id("acme", "b"), issuer_id="acme", points=-100, expires_on="2028-07-31"),
    ]
    receipt = types_pb2.Receipt(
        audience=AUDIENCE,
        entry_id=entry_id("acme", "till-1:2026-07-25:000043"),
        kind=types_pb2.ENTRY_KIND_REDEEM,
        partner_id="acme",
        idempotency_key="till-1:2026-07-25:000043",
        fingerprint=hashlib.sha256(b"fingerprint 1043").digest(),
        member_id="mfx7",
        sequence=1043,
        business_date="2026-07-25",
        occurred_at_ms=int(CREATED),
        booked_at_ms=int(CREATED) + 300,
        points=-700,
        amount=types_pb2.Amount(unit="EUR", minor_units=700),
        rate_card_version=3,
        balance_points=111,
        lots=lots,
        entry_hash=hashlib.sha256(b"entry 1043").digest(),
    )
    return receipt.SerializeToString(deterministic=True)


def _refused() -> bytes:
    receipt = types_pb2.Receipt(
        audience=AUDIENCE,
        entry_id=entry_id("acme", "till-1:2026-07-25:000044"),
        kind=types_pb2.ENTRY_KIND_REVERSE_ISSUE,
        refused=errors_pb2.ERROR_REASON_ALREADY_REVERSED,
        partner_id="acme",
        idempotency_key="till-1:2026-07-25:000044",
        fingerprint=hashlib.sha256(b"fingerprint 1044").digest(),
        member_id="mfx7",
        business_date="2026-07-25",
        occurred_at_ms=int(CREATED),
        booked_at_ms=int(CREATED) + 400,
        original_entry_id=entry_id("acme", "till-1:2026-07-25:000042"),
        balance_points=111,
        details={"rest": "0"},
    )
    return receipt.SerializeToString(deterministic=True)
