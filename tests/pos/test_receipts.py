"""Receipts against the vectors that partners get: each way of being wrong is found, and only those."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.signing import Algorithm, PrivateKey, receipt_string
from partners.pos.errors import ReceiptError
from partners.pos.keys import generate
from partners.pos.receipts import ReceiptKeys
from tallystick.v1 import network_pb2, types_pb2
from tests.pos.small_gateway import AUDIENCE

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "receipts.json").read_text("utf-8"))
SAID = {
    "SIGNATURE_INVALID": "receipt signed by",
    "KEY_NOT_IN_USE_WHEN_BOOKED": "was not in use when",
    "KEY_UNKNOWN": "is none of the network's",
    "AUDIENCE_DIFFERS": "the receipt is of audience",
}


def network_keys() -> ReceiptKeys:
    """As GetNetwork lists them."""
    keys = [
        network_pb2.ReceiptKey(
            key_id=key["key_id"],
            public_key=bytes.fromhex(key["public_key_hex"]),
            valid_from_ms=key["valid_from_ms"],
            valid_until_ms=key["valid_until_ms"],
        )
        for key in VECTORS["receipt_keys"]
    ]
    return ReceiptKeys("coalition.example:test", keys)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_each_vector_is_judged_as_it_says(vector: dict[str, Any]) -> None:
    """Valid ones are read, the others refused for the reason that they show."""
    signed = types_pb2.SignedReceipt(
        receipt=bytes.fromhex(vector["receipt_hex"]),
        signature=bytes.fromhex(vector["signature_hex"]),
        key_id=vector["key_id"],
    )

    if vector["expected"] == "valid":
        assert network_keys().verify(signed).entry_id == vector["fields"]["entry_id"]
    else:
        with pytest.raises(ReceiptError, match=SAID[vector["expected"]]):
            network_keys().verify(signed)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"partner_id": "bolt"}, "of partner 'acme', asked was 'bolt'"), ({"idempotency_key": "k-2"}, "of idempotency key 'k-1'")],
)
def test_a_true_receipt_of_something_else_is_no_answer(asked: dict[str, str], said: str) -> None:
    """A gateway cannot pass off one booking for another."""
    key, _ = generate()
    content = types_pb2.Receipt(audience=AUDIENCE, partner_id="acme", idempotency_key="k-1", booked_at_ms=2).SerializeToString()

    with pytest.raises(ReceiptError, match=said):
        keys_of(key).verify(signed_by(key, content), **asked)


def test_signed_bytes_that_are_no_receipt_are_refused() -> None:
    """Even under the network's own key."""
    key, _ = generate()

    with pytest.raises(ReceiptError, match="no receipt"):
        keys_of(key).verify(signed_by(key, b"\xff\xff"))


def keys_of(key: PrivateKey) -> ReceiptKeys:
    """A network with one receipt key."""
    assert key.algorithm is Algorithm.ED25519
    return ReceiptKeys(AUDIENCE, [network_pb2.ReceiptKey(key_id="r", public_key=key.public_bytes(), valid_from_ms=1)])


def signed_by(key: PrivateKey, content: bytes) -> types_pb2.SignedReceipt:
    """A receipt of any bytes."""
    signature = key.sign(receipt_string(audience=AUDIENCE, key_id="r", receipt=content))
    return types_pb2.SignedReceipt(receipt=content, signature=signature, key_id="r")
