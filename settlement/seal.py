"""A signature of the network as a value, and as a file beside what it signs. Pure."""

import hashlib
from dataclasses import dataclass

from gateway.domain.canonical import canonical
from gateway.domain.statement import PublishedStatement


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature (Ed25519, 64 bytes) and the receipt key that made it."""

    key_id: str
    signature: bytes


def seal_document(*, audience: str, statement: PublishedStatement, seal: Seal) -> bytes:
    """The signature of a statement as canonical JSON that says what is signed, and by which key."""
    return canonical(
        {
            "format": "tallystick-statement-signature-1",
            "audience": audience,
            "partner_id": statement.partner_id,
            "window_id": statement.window_id,
            "sha256": hashlib.sha256(statement.statement).hexdigest(),
            "key_id": seal.key_id,
            "signature": seal.signature.hex(),
        }
    )
