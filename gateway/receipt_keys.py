"""The network's receipt keys as operators decide them: a new one signs from its approval on, the one before ends later.

The private key lies in a file before anybody can decide about it: no gateway is to sign with a key that it has not, nor to
miss one that others sign with.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind, DecisionState
from gateway.domain.documents import Document, base_of, receipt_key_of, receipt_key_plain
from gateway.domain.errors import InvalidValue
from gateway.domain.signing import Algorithm
from gateway.governance import Hand, Ruling, propose
from gateway.key_file import load_key, new_key, receipt_key_file, save_secret
from gateway.storage.directory import load_receipt_keys
from gateway.storage.tables_directory import decisions, receipt_keys

OVERLAP_MINUTES = 60
_LAST_DECISION = (
    select(decisions.c.decision_id)
    .where(decisions.c.kind == DecisionKind.RECEIPT_KEY.value, decisions.c.state == DecisionState.APPLIED.value)
    .order_by(decisions.c.approved_at_ms.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class NewReceiptKey:
    """The key that is to follow, and the file of its private half. `was_there`: left by a proposal that was not approved."""

    key_id: str
    public_key: bytes
    file: Path
    was_there: bool


def next_key_id(connection: Connection) -> str:
    """r2 after r1."""
    return f"r{len(load_receipt_keys(connection)) + 1}"


def make_receipt_key(folder: Path, key_id: str) -> NewReceiptKey:
    """Writes the private key into the folder, or finds the one that lies there. Raises InvalidValue."""
    file = receipt_key_file(folder, key_id)
    if file.exists():
        found = load_key(file)
        if found.algorithm is not Algorithm.ED25519:
            raise InvalidValue(f"{file}: receipts are signed with Ed25519, and this is another key; move it away")
        return NewReceiptKey(key_id, found.public_bytes(), file, was_there=True)
    key, pem = new_key()
    save_secret(pem, file)
    return NewReceiptKey(key_id, key.public_bytes(), file, was_there=False)


def propose_receipt_key(connection: Connection, key: NewReceiptKey, *, overlap_minutes: int, hand: Hand, now_ms: int) -> Decision:
    """Proposes the key. Raises DecisionRefused."""
    document: dict[str, Plain] = {
        "base": _last_decision(connection),
        "receipt_key": receipt_key_plain(key_id=key.key_id, public_key=key.public_key),
        "overlap_ms": overlap_minutes * 60_000,
    }
    rulings = {DecisionKind.RECEIPT_KEY: RECEIPT_KEY_RULING}
    return propose(connection, rulings, DecisionKind.RECEIPT_KEY, document, hand=hand, now_ms=now_ms)


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    if base_of(document) != _last_decision(connection):
        return "the network has a newer receipt key than the one that this document replaces: propose it anew"
    return None


def _apply(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> None:
    key = receipt_key_of(document["receipt_key"], valid_from_ms=at_ms)
    in_use = receipt_keys.c.valid_until_ms.is_(None)
    connection.execute(update(receipt_keys).where(in_use).values(valid_until_ms=at_ms + document["overlap_ms"]))
    connection.execute(
        insert(receipt_keys).values(key_id=key.key_id, public_key=key.public_key, valid_from_ms=at_ms, valid_until_ms=None)
    )


def _last_decision(connection: Connection) -> str:
    """Empty for the key of the founding."""
    return str(connection.execute(_LAST_DECISION).scalar() or "")


RECEIPT_KEY_RULING = Ruling(_stale_because, _apply)
