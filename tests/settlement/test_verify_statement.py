"""`tallystick pos verify-statement`: a redeemer recomputes what the night published, and finds every byte that was changed."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.storage.engine import reading
from gateway.storage.statements import load_statement
from partners.pos import keys, requests
from partners.pos.cli import pos
from partners.pos.errors import ReceiptError
from partners.pos.profile import Profile
from partners.pos.receipts import ReceiptKeys
from partners.pos.till import Till
from tallystick.v1 import points_pb2, statement_pb2, till_pb2, types_pb2
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, RunningGateway
from tests.edge.test_receipt_key import rotate
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network
from tests.pos.coalition import onboarded
from tests.settlement.night import run

Verify = Callable[..., Result]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """Globex redeemed points of acme's and its own, gave some back, and took some in a checkout; then came the night."""
    network = create_network(tmp_path_factory.mktemp("verify") / "net")
    for partner_id in ("acme", "globex"):
        onboarded(network, partner_id, "1", "1.00", network.folder / f"{partner_id}.pem")
    network.now_ms += DAY_MS
    receipts: list[types_pb2.Answer] = []
    with RunningGateway(network) as gateway:
        acme, globex = (Caller(gateway, name, keys.load(network.folder / f"{name}.pem")) for name in ("acme", "globex"))
        member_id = acme.enrol("VERIFY-1")
        acme.issue(member_id, 100_00, "a1")
        receipts.append(globex.issue(member_id, 30_00, "g1"))
        receipts.append(globex.redeem(member_id, 120, "g2"))
        back = points_pb2.ReverseEntryRequest(idempotency_key="g3", original_idempotency_key="g2", points=50)
        receipts.append(globex.call(requests.REVERSE, back).answer)
        sale = till_pb2.CheckoutRequest(
            idempotency_key="g4",
            member=types_pb2.MemberRef(member_id=member_id),
            total=types_pb2.Amount(unit="EUR", minor_units=20_00),
            points=7,
        )
        receipts.append(globex.call(requests.CHECKOUT, sale).answer)
    lines = [json.dumps({"signed_receipt": base64.b64encode(one.receipt.SerializeToString()).decode()}) for one in receipts]
    (network.folder / "receipts.jsonl").write_text("\n".join(lines), "utf-8")
    run(network.engine, network.folder / "statements", at_ms=network.now_ms)
    network.now_ms += 1_000
    return network


@pytest.fixture(scope="module")
def profile(network: GivenNetwork) -> Iterator[Path]:
    """Globex's, of a gateway that serves what the night published."""
    with RunningGateway(network) as gateway:
        path = network.folder / "pos.toml"
        profile = Profile(gateway.address, AUDIENCE, f"globex/{KEY_SUFFIX}", Path("globex.pem"), is_plaintext=True)
        path.write_text(profile.to_toml(), "utf-8")
        yield path


@pytest.fixture
def verify(network: GivenNetwork, profile: Path) -> Verify:
    """Runs the command; `receipts` are lines of the file, if not all of it."""

    def command(*words: str, receipts: str | None = None) -> Result:
        file = network.folder / "receipts.jsonl"
        if receipts is not None:
            file = network.folder / "some.jsonl"
            file.write_text(receipts, "utf-8")
        words = ("verify-statement", "--window", "1", "--receipts", str(file), "--profile", str(profile), *words)
        return CliRunner().invoke(pos, words)

    return command


def published(network: GivenNetwork) -> bytes:
    """Globex's statement."""
    with reading(network.engine) as connection:
        found = load_statement(connection, 1, "globex")
    assert found is not None
    return found.statement


def test_a_statement_is_recomputed_from_receipts(verify: Verify) -> None:
    """Redemptions, what came back, and the points of a checkout."""
    result = verify("--json")

    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["is_right"]
    assert said["recomputed_lines"] == 5
    assert said["lines_of_others"] == 0


def test_a_receipt_that_is_not_in_the_statement_is_named_and_one_that_is_missing_too(
    verify: Verify, network: GivenNetwork
) -> None:
    """A line that no receipt says was not earned by the partner, as far as it can see."""
    lines = (network.folder / "receipts.jsonl").read_text("utf-8").splitlines()
    result = verify(receipts="\n".join(lines[:-1]))

    assert result.exit_code == 1
    assert "stands in the statement, and no receipt says it" in result.output


def test_receipts_that_are_given_twice_count_once(verify: Verify, network: GivenNetwork) -> None:
    """Folders overlap."""
    text = (network.folder / "receipts.jsonl").read_text("utf-8")

    assert verify(receipts=f"{text}\n{text}").exit_code == 0


def test_a_receipt_that_was_changed_proves_nothing(verify: Verify, network: GivenNetwork) -> None:
    """Its signature does not hold."""
    first, *others = (network.folder / "receipts.jsonl").read_text("utf-8").splitlines()
    signed = types_pb2.SignedReceipt.FromString(base64.b64decode(json.loads(first)["signed_receipt"]))
    signed.receipt = signed.receipt[:-1] + bytes([signed.receipt[-1] ^ 1])
    changed = json.dumps({"signed_receipt": base64.b64encode(signed.SerializeToString()).decode()})
    result = verify(receipts="\n".join([changed, *others]))

    assert result.exit_code == 1
    assert "signature" in result.output


def test_whichever_byte_is_changed_the_statement_is_refused(verify: Verify, network: GivenNetwork) -> None:
    """At its beginning, its end, and at places between, whether it still is JSON or not."""
    content = published(network)
    file = network.folder / "changed.json"
    places = sorted({*range(0, len(content), max(len(content) // 40, 1)), len(content) - 1})
    for place in places:
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        result = verify("--statement", str(file))

        assert result.exit_code == 1, place
        assert "a byte was changed" in result.output
    file.write_bytes(content)
    assert verify("--statement", str(file)).exit_code == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text.replace('"net":[{"amount":', '"net":[{"amount":1'), "its obligations come to"),
        (lambda text: text.replace('"lines":5', '"lines":6'), "control total lines"),
        (lambda text: text.replace('"partner_id":"globex"', '"partner_id":"acme"'), "partner_id is 'acme'"),
        (lambda text: text.replace(",", ", "), "not in the canonical form"),
        (lambda text: text.replace("tallystick-statement-1", "tallystick-statement-2"), "no statement of the form"),
        (lambda _text: "nothing", "it is not JSON"),
        (lambda text: text.replace('"reimbursement_rate_micros":', '"reimbursement_rate_micros":1'), "do not come to"),
    ],
)
def test_what_was_changed_is_said(verify: Verify, network: GivenNetwork, change: Callable[[str], str], what: str) -> None:
    """Not only that something was."""
    file = network.folder / "changed.json"
    file.write_text(change(published(network).decode()), "utf-8")

    assert what in verify("--statement", str(file)).output.replace("\n", " ")


def test_the_gateway_gives_the_signature_of_the_night_also_after_a_rotation(network: GivenNetwork, tmp_path: Path) -> None:
    """By the key that was in force at the cut-off, which GetNetwork goes on listing."""
    rotated = network.copy(tmp_path / "rotated")
    rotated.now_ms += DAY_MS
    rotate(rotated)
    file = network.folder / "statements" / "window-0001" / "globex.signature.json"
    signed = json.loads(file.read_text("utf-8"))
    with RunningGateway(rotated) as gateway:
        profile = Profile(gateway.address, AUDIENCE, f"globex/{KEY_SUFFIX}", rotated.folder / "globex.pem", is_plaintext=True)
        with Till.open(profile) as till:
            answer = till.statement(1)
            listed = till.learn()
    receipt_keys = ReceiptKeys(AUDIENCE, listed.receipt_keys)

    assert [key.key_id for key in listed.receipt_keys] == ["r1", "r2"]
    assert (
        (answer.receipt_key_id, answer.signature.hex()) == (signed["key_id"], signed["signature"]) == ("r1", signed["signature"])
    )
    receipt_keys.verify_statement(answer)
    for name, value in (("statement", answer.statement + b" "), ("receipt_key_id", "r2"), ("receipt_key_id", "r9")):
        changed = statement_pb2.GetStatementResponse()
        changed.CopyFrom(answer)
        setattr(changed, name, value)
        with pytest.raises(ReceiptError):
            receipt_keys.verify_statement(changed)
