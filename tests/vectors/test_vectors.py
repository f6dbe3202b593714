"""The vectors given to partners: our own code judges each as the file says, and making them again gives the same bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf.json_format import MessageToDict

from gateway.domain.errors import InvalidValue, SignatureError
from gateway.domain.events import Event, Terminal, join_chain, prove_events
from gateway.domain.ids import check_key_id
from gateway.domain.outcome import Refusal
from gateway.domain.signing import (
    Algorithm,
    RequestHeader,
    check_fresh,
    check_public_key,
    load_verifier,
    proof_string,
    receipt_string,
    request_string,
)
from partners.pos.errors import ReceiptError
from partners.pos.receipts import ReceiptKeys
from tallystick.v1 import network_pb2, types_pb2
from tests.vectors.make_vectors import FOLDER, all_files

Case = dict[str, Any]
FILES = ("requests.json", "proofs.json", "events.json", "receipts.json")


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="ascii"))
    return content


def _cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in _load(name)["vectors"]]


def _judge_request(case: Case) -> str:
    """What a gateway answers whose clock shows the vector's time, and whose record of the key id has the vector's key."""
    header = RequestHeader(case["key_id"], case["created"], case["nonce"])
    try:
        check_key_id(case["key_id"])
    except InvalidValue:
        return "SIGNATURE_PARAM_MALFORMED"
    if header.malformed():
        return "SIGNATURE_PARAM_MALFORMED"
    message = request_string(
        audience=case["audience"], method=case["method"], header=header, body=bytes.fromhex(case["body_hex"])
    )
    verify = load_verifier(Algorithm(case["algorithm"]), bytes.fromhex(case["public_key_hex"]))
    try:
        verify(bytes.fromhex(case["signature_hex"]), message)
    except SignatureError:
        return "SIGNATURE_INVALID"
    try:
        check_fresh(case["created"], now_ms=case["gateway_time_ms"])
    except SignatureError:
        return "SIGNATURE_TIME_OUT_OF_WINDOW"
    return "valid"


def _judge_proof(case: Case) -> str:
    algorithm, public_key = Algorithm(case["algorithm"]), bytes.fromhex(case["public_key_hex"])
    try:
        check_public_key(algorithm, public_key)
    except InvalidValue:
        return "PUBLIC_KEY_REFUSED"
    try:
        load_verifier(algorithm, public_key)(bytes.fromhex(case["signature_hex"]), case["signed_string"].encode())
    except SignatureError:
        return "SIGNATURE_INVALID"
    return "valid"


def _receipt_keys() -> ReceiptKeys:
    listed = _load("receipts.json")["receipt_keys"]
    return ReceiptKeys(
        "coalition.example:test",
        [
            network_pb2.ReceiptKey(
                key_id=key["key_id"],
                public_key=bytes.fromhex(key["public_key_hex"]),
                valid_from_ms=key["valid_from_ms"],
                valid_until_ms=key["valid_until_ms"],
            )
            for key in listed
        ],
    )


@pytest.mark.parametrize("name", FILES)
def test_the_committed_vectors_are_what_the_generator_makes(name: str) -> None:
    """Both algorithms sign without chance here, so that a change shows as one."""
    committed = Path(FOLDER / name).read_text(encoding="ascii")

    assert committed == all_files()[name], "run: python -m tests.vectors.make_vectors"


@pytest.mark.parametrize("name", FILES)
def test_each_vector_has_a_name_of_its_own(name: str) -> None:
    """Partners quote them by name."""
    names = [case["name"] for case in _load(name)["vectors"]]

    assert len(names) == len(set(names))


def test_there_are_vectors_enough_and_valid_ones_among_them() -> None:
    """At least forty in all, and in each file both kinds."""
    files = [_load(name)["vectors"] for name in FILES]

    assert sum(len(cases) for cases in files) >= 40
    assert all({True, False} == {case["expected"] == "valid" for case in cases} for cases in files)


@pytest.mark.parametrize("case", _cases("requests.json"))
def test_a_request_is_judged_as_the_vector_says(case: Case) -> None:
    """Valid, or refused for the reason that the file names."""
    assert _judge_request(case) == case["expected"], case["shows"]


@pytest.mark.parametrize("case", [case for case in _cases("requests.json") if case.values[0]["signed_string"] is not None])
def test_a_request_has_the_eight_lines_of_its_vector(case: Case) -> None:
    """Byte by byte what a partner's developer compares with."""
    header = RequestHeader(case["key_id"], case["created"], case["nonce"])
    built = request_string(audience=case["audience"], method=case["method"], header=header, body=bytes.fromhex(case["body_hex"]))

    assert built == case["signed_string"].encode("ascii")


@pytest.mark.parametrize("case", _cases("proofs.json"))
def test_a_proof_is_judged_as_the_vector_says(case: Case) -> None:
    """A weak or malformed key is refused before its signature is looked at."""
    assert _judge_proof(case) == case["expected"], case["shows"]


@pytest.mark.parametrize("case", _cases("proofs.json"))
def test_a_proof_has_the_lines_of_its_vector(case: Case) -> None:
    """Six lines: purpose, audience, key id, algorithm, digest of the key, digest of the document."""
    built = proof_string(
        audience=case["audience"],
        key_id=case["key_id"],
        algorithm=Algorithm(case["algorithm"]),
        public_key=bytes.fromhex(case["public_key_hex"]),
        document=bytes.fromhex(case["document_hex"]),
    )

    assert built == case["signed_string"].encode("ascii")


def _event(case: Case) -> Event:
    return Event(
        key_id=case["key_id"],
        counter=case["counter"],
        occurred_at_ms=case["occurred_at_ms"],
        previous_hash=bytes.fromhex(case["previous_hash_hex"]),
        command=bytes.fromhex(case["command_hex"]),
        signature=bytes.fromhex(case["signature_hex"]),
    )


def _judge_event(case: Case) -> str:
    """What a gateway answers that has the terminal up to the event before, and knows the vector's key by the till's name."""
    event, terminal_id = _event(case), "acme/till-1" if case["name"].startswith("ed25519") else "acme/till-2"
    verify = load_verifier(Algorithm(case["algorithm"]), bytes.fromhex(case["public_key_hex"]))
    hashes = prove_events(
        [event],
        audience=case["audience"],
        terminal_id=terminal_id,
        now_ms=case["occurred_at_ms"],
        verify=lambda one, signed: verify(one.signature, signed),
    )
    if isinstance(hashes, Refusal):
        return hashes.reason.name
    counter = event.counter - 1
    before = bytes.fromhex(case["hash_before_hex"])
    terminal = Terminal(terminal_id=terminal_id, last_counter=counter, last_hash=before, carried_out=counter)
    joined = join_chain(terminal, {}, [event], hashes)
    return joined.reason.name if isinstance(joined, Refusal) else "valid"


@pytest.mark.parametrize("case", _cases("events.json"))
def test_an_event_is_judged_as_the_vector_says(case: Case) -> None:
    """By the rules that a gateway goes by."""
    assert _judge_event(case) == case["expected"], case["shows"]


@pytest.mark.parametrize("case", _cases("events.json"))
def test_an_event_has_the_lines_and_the_hash_of_its_vector(case: Case) -> None:
    """Eight lines; and SHA-256 over them and the signature, computed here without our own code."""
    event, lines = _event(case), case["signed_string"].encode("ascii")

    assert event.signed_string(case["audience"]) == lines
    assert hashlib.sha256(lines + event.signature).hexdigest() == case["event_hash_hex"]
    assert event.hash(case["audience"]).hex() == case["event_hash_hex"]


@pytest.mark.parametrize("case", _cases("receipts.json"))
def test_a_receipt_is_judged_as_the_vector_says(case: Case) -> None:
    """By the code that tills run."""
    signed = types_pb2.SignedReceipt(
        receipt=bytes.fromhex(case["receipt_hex"]), signature=bytes.fromhex(case["signature_hex"]), key_id=case["key_id"]
    )
    if case["expected"] == "valid":
        receipt = _receipt_keys().verify(signed)

        assert MessageToDict(receipt, preserving_proto_field_name=True) == case["fields"]
    else:
        with pytest.raises(ReceiptError):
            _receipt_keys().verify(signed)


@pytest.mark.parametrize("case", _cases("receipts.json"))
def test_a_receipt_has_the_lines_of_its_vector(case: Case) -> None:
    """Four lines: purpose, audience, key id, digest of the receipt."""
    built = receipt_string(audience=case["audience"], key_id=case["key_id"], receipt=bytes.fromhex(case["receipt_hex"]))

    assert built == case["signed_string"].encode("ascii")


@pytest.mark.parametrize("case", [case for case in _cases("proofs.json") if "-key-of-order-" in case.id])
def test_the_library_alone_accepts_a_forgery_under_a_weak_key(case: Case) -> None:
    """Else the vectors of weak keys would show nothing, and our own check could go."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["public_key_hex"]))

    key.verify(bytes.fromhex(case["signature_hex"]), case["signed_string"].encode())


def test_the_library_alone_accepts_a_small_order_r() -> None:
    """Else the vector of it would show nothing, and our own check could go."""
    case = next(case for case in _load("requests.json")["vectors"] if case["name"] == "ed25519-small-order-r")
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["public_key_hex"]))

    key.verify(bytes.fromhex(case["signature_hex"]), case["signed_string"].encode())


def test_the_library_alone_refuses_a_signature_for_another_message() -> None:
    """Says that the two tests above are no accident of a verifier that accepts everything."""
    case = _load("requests.json")["vectors"][0]
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["public_key_hex"]))

    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(case["signature_hex"]), b"another message")
