"""Project Wycheproof's vectors of both algorithms, every one through the verifier that the gateway uses."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import InvalidValue, SignatureError
from gateway.domain.signing import Algorithm, load_verifier

FOLDER = Path(__file__).parent / "wycheproof"


def _cases(name: str, algorithm: Algorithm, key_field: str) -> list[Any]:
    content = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    cases = [
        pytest.param(algorithm, bytes.fromhex(group["publicKey"][key_field]), test, id=f"{algorithm.value}-{test['tcId']}")
        for group in content["testGroups"]
        for test in group["tests"]
    ]
    assert len(cases) == content["numberOfTests"]
    return cases


CASES = [
    *_cases("ed25519_test.json", Algorithm.ED25519, "pk"),
    *_cases("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm.P256, "uncompressed"),
]


@pytest.mark.parametrize(("algorithm", "public_key", "test"), CASES)
def test_the_verifier_agrees_with_wycheproof(algorithm: Algorithm, public_key: bytes, test: dict[str, Any]) -> None:
    """Valid is accepted; invalid and merely acceptable are refused."""
    message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
    if test["result"] == "valid":
        load_verifier(algorithm, public_key)(signature, message)
    else:
        with pytest.raises((SignatureError, InvalidValue)):
            load_verifier(algorithm, public_key)(signature, message)
