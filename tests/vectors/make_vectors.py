"""Writes the vectors that partners get: `python -m tests.vectors.make_vectors` in the root of the repository.

Deterministic: the suite makes them again and compares byte for byte.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.vectors.event_cases import KEYS as EVENT_KEYS
from tests.vectors.event_cases import event_vectors
from tests.vectors.keys import VectorKey
from tests.vectors.proof_cases import KEYS as PROOF_KEYS
from tests.vectors.proof_cases import proof_vectors
from tests.vectors.receipt_cases import NEW, OLD, RECEIPT_KEYS, receipt_vectors
from tests.vectors.request_cases import KEYS as REQUEST_KEYS
from tests.vectors.request_cases import request_vectors

FOLDER = Path(__file__).parent


def all_files() -> Mapping[str, str]:
    """File names and their whole content."""
    return {
        "requests.json": _text(
            "Signed requests. `signed_string` is what the gateway builds from what arrives (null where it refuses a parameter "
            "first), `sender_signed_hex` what the sender signed.",
            {"test_keys": _secrets(REQUEST_KEYS), "vectors": request_vectors()},
        ),
        "proofs.json": _text(
            "Proofs of possession. `signed_string` is what the operator's side builds from key id, public key and document.",
            {"test_keys": _secrets(PROOF_KEYS), "vectors": proof_vectors()},
        ),
        "events.json": _text(
            "Events of tills without a connection. `hash_before_hex` is the hash of the event before, `event_hash_hex` that of "
            "the event itself, `signed_string` what the gateway builds from what arrives.",
            {"test_keys": _secrets(EVENT_KEYS), "vectors": event_vectors()},
        ),
        "receipts.json": _text(
            "Receipts. `receipt_keys` is what GetNetwork lists, `fields` the content as protobuf's JSON (not what is signed).",
            {"test_keys": _secrets((OLD, NEW)), "receipt_keys": RECEIPT_KEYS, "vectors": receipt_vectors()},
        ),
    }


def _secrets(keys: tuple[VectorKey, ...]) -> list[dict[str, str]]:
    return [
        {
            "key_id": key.key_id,
            "algorithm": key.algorithm.value,
            "secret_hex": key.secret.hex(),
            "public_key_hex": key.public_key.hex(),
        }
        for key in keys
    ]


def _text(about: str, content: Mapping[str, object]) -> str:
    keys = "The keys are known to everybody: for tests alone."
    return json.dumps({"about": f"{about} {keys}", **content}, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    """Writes each file whole."""
    for name, text in all_files().items():
        draft = FOLDER / f".{name}.draft"
        draft.write_text(text, encoding="ascii")
        draft.replace(FOLDER / name)


if __name__ == "__main__":
    main()
