"""docs/protocol.md: its worked examples are the vectors, and its samples run."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.domain.signing import Algorithm, load_verifier
from tallystick.v1 import points_pb2, types_pb2
from tests.shared import ROOT
from tests.vectors.keys import VectorKey
from tests.vectors.make_vectors import FOLDER
from tests.vectors.request_cases import TILL_1, TILL_2

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES: list[tuple[str, str, str, str]] = re.findall(r"<!-- (\w+\.json) (\S+) (\w+) -->\n```text\n(.*?)```\n", PAGE, re.DOTALL)


def _vector(file: str, name: str) -> dict[str, Any]:
    content = json.loads((FOLDER / file).read_text(encoding="ascii"))
    found: dict[str, Any] = next(case for case in content["vectors"] if case["name"] == name)
    return found


def _sample(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```\n", PAGE, re.DOTALL))


def _hex(block: str) -> str:
    """Without the remarks after # and without white space."""
    return "".join("".join(line.partition("#")[0].split()) for line in block.splitlines())


@pytest.mark.parametrize(("file", "name", "field", "block"), [pytest.param(*each, id=" ".join(each[:3])) for each in EXAMPLES])
def test_an_example_of_the_page_is_the_vector(file: str, name: str, field: str, block: str) -> None:
    """Byte by byte; `signed_string_as_hex` is the signed string in hex."""
    vector = _vector(file, name)
    if field == "signed_string":
        assert block == vector["signed_string"]
    elif field == "signed_string_as_hex":
        assert bytes.fromhex(_hex(block)).decode("ascii") == vector["signed_string"]
    else:
        assert _hex(block) == vector[field]


def test_the_page_has_all_its_examples() -> None:
    """Else the test above would pass on a page without any."""
    shown = {(file, name, field) for file, name, field, _ in EXAMPLES}

    assert {("requests.json", "ed25519-issue", field) for field in ("body_hex", "signed_string", "signature_hex")} <= shown
    assert {("receipts.json", "issue", "receipt_hex"), ("proofs.json", "ed25519-with-application", "signed_string")} <= shown


def test_the_message_of_the_page_is_what_its_bytes_say() -> None:
    """The worked example begins with the message in words."""
    body = bytes.fromhex(_vector("requests.json", "ed25519-issue")["body_hex"])
    message = points_pb2.IssuePointsRequest(
        idempotency_key="till-1:2026-07-25:000042",
        member=types_pb2.MemberRef(card_number="4000-1234"),
        eligible=types_pb2.Amount(unit="EUR", minor_units=2340),
        occurred_at_ms=1784980798500,
        receipt_number="sale 000042",
    )

    assert points_pb2.IssuePointsRequest.FromString(body) == message
    assert f"Serialized, {len(body)} bytes" in PAGE


def test_vectors_that_the_page_names_exist() -> None:
    """Partners look for them by name."""
    names = {case["name"] for case in json.loads((FOLDER / "requests.json").read_text(encoding="ascii"))["vectors"]}
    named = re.findall(r"\(`(…|ecdsa)-([a-z0-9-]+)`", PAGE)

    assert len(named) >= 6
    assert all(any(name.endswith(f"-{ending}") for name in names) for _, ending in named)


@pytest.mark.parametrize("key", [TILL_1, TILL_2], ids=["ed25519", "p256"])
def test_the_sample_for_node_signs_as_the_gateway_verifies(key: VectorKey, tmp_path: Path) -> None:
    """It builds the eight lines of the vector, and its signature holds."""
    node = shutil.which("node") or pytest.skip("needs Node.js, which is not on this machine")
    vector = _vector("requests.json", f"{key.algorithm.value.split('-')[0]}-issue")
    script = tmp_path / "sample.js"
    call = f"const built = lines({_arguments(vector)}, Buffer.from({json.dumps(vector['body_hex'])}, 'hex'));"
    sign = f"const key = require('node:crypto').createPrivateKey({json.dumps(_private_pem(key))});"
    script.write_text(
        f"{_sample('js')}\n{call}\n{sign}\nconsole.log(built.toString('hex'), signLines(key, built).toString('hex'));\n"
    )
    _check_sample([node, str(script)], vector)


@pytest.mark.parametrize("key", [TILL_1, TILL_2], ids=["ed25519", "p256"])
def test_the_sample_for_java_signs_as_the_gateway_verifies(key: VectorKey, tmp_path: Path) -> None:
    """It builds the eight lines of the vector, its signature holds, and it verifies the vector's own."""
    java = shutil.which("java") or pytest.skip("needs Java, which is not on this machine")
    modules = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False).stdout
    compiler = re.search(r"jdk\.compiler@(\d+)", modules)
    if compiler is None or int(compiler[1]) < 17:
        pytest.skip("needs a JDK of Java 17 or newer, which is not on this machine")
    vector = _vector("requests.json", f"{key.algorithm.value.split('-')[0]}-issue")
    imports, _, sample = _sample("java").partition("\nfinal class")
    name = "Ed25519" if key.algorithm is Algorithm.ED25519 else "EC"
    script = tmp_path / "Sample.java"
    script.write_text(
        f"""{imports}
class Sample {{
    public static void main(String[] none) throws Exception {{
        HexFormat hex = HexFormat.of();
        var keys = java.security.KeyFactory.getInstance("{name}");
        var secret = keys.generatePrivate(new java.security.spec.PKCS8EncodedKeySpec(hex.parseHex("{_private_der(key)}")));
        var known = keys.generatePublic(new java.security.spec.X509EncodedKeySpec(hex.parseHex("{_public_der(key)}")));
        byte[] built = Tallystick.lines({_arguments(vector)}, hex.parseHex("{vector["body_hex"]}"));
        if (!Tallystick.verify(known, built, hex.parseHex("{vector["signature_hex"]}"))) throw new AssertionError();
        System.out.println(hex.formatHex(built) + " " + hex.formatHex(Tallystick.sign(secret, built)));
    }}
}}
final class{sample}"""
    )
    _check_sample([java, "-XX:TieredStopAtLevel=1", str(script)], vector)


def _check_sample(command: list[str], vector: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built, signature = (bytes.fromhex(part) for part in done.stdout.split())

    assert built.decode("ascii") == vector["signed_string"]
    load_verifier(Algorithm(vector["algorithm"]), bytes.fromhex(vector["public_key_hex"]))(signature, built)


def _arguments(vector: dict[str, Any]) -> str:
    return ", ".join(json.dumps(vector[name]) for name in ("audience", "method", "key_id", "created", "nonce"))


def _private_pem(key: VectorKey) -> str:
    return key.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private_der(key: VectorKey) -> str:
    return key.private_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()


def _public_der(key: VectorKey) -> str:
    return key.private_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()
