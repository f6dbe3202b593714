"""The vectors of requests through the gateway's own gate: what a partner reads in the file is what it is answered."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.domain.partner import KeyScope, PartnerKey
from gateway.domain.signing import Algorithm, load_verifier
from gateway.edge.refused import CallRejected
from gateway.edge.signatures import Received, SignatureGate, read_header
from gateway.services.directory import KnownKey
from gateway.storage.failures import SignatureFailure
from tests.vectors.make_vectors import FOLDER

VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "requests.json").read_text(encoding="ascii"))["vectors"]


@dataclass
class OneKeyDirectory:
    """Knows the vector's key id and audience, and keeps what is recorded for the operator."""

    case: dict[str, Any]
    recorded: list[SignatureFailure] = field(default_factory=list)

    @property
    def terms(self) -> Any:
        """Of a network without partners."""
        return SimpleNamespace(audience=self.case["audience"], partners={})

    def key(self, key_id: str) -> KnownKey:
        """The vector's key, whatever the id."""
        algorithm, public_key = Algorithm(self.case["algorithm"]), bytes.fromhex(self.case["public_key_hex"])
        record = PartnerKey(key_id, "acme", algorithm, public_key, frozenset({KeyScope.TILL}), 0, None, None)
        return KnownKey(record, load_verifier(algorithm, public_key))


def _answer(directory: OneKeyDirectory) -> str:
    case = directory.case
    gate = SignatureGate(directory, record=directory.recorded.append, failures_per_s_max=10)  # type: ignore[arg-type]  # all it asks of one
    metadata = (
        ("tally-key-id", case["key_id"]),
        ("tally-created", case["created"]),
        ("tally-nonce", case["nonce"]),
        ("tally-sig-bin", bytes.fromhex(case["signature_hex"])),
    )
    received = Received(
        case["method"], bytes.fromhex(case["body_hex"]), lambda: "ipv4:192.0.2.1:50000", case["gateway_time_ms"], 0.0
    )
    try:
        gate.prove(read_header(metadata), received)
    except CallRejected as rejection:
        return rejection.rejected.refusal.reason.name
    return "valid"


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_the_gate_answers_as_the_vector_says(case: dict[str, Any]) -> None:
    """The reason, or that it is valid."""
    assert _answer(OneKeyDirectory(case)) == case["expected"], case["shows"]


@pytest.mark.parametrize(
    "case", [case for case in VECTORS if case["expected"] == "SIGNATURE_INVALID"], ids=lambda case: case["name"]
)
def test_the_operator_sees_the_lines_that_the_gate_built(case: dict[str, Any]) -> None:
    """To compare them with those of the partner."""
    directory = OneKeyDirectory(case)
    _answer(directory)

    assert [failure.signed_string for failure in directory.recorded] == [case["signed_string"]]
