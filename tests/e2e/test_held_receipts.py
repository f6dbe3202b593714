"""Receipts that partners hold, against the books: `tallystick audit --receipts`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.domain.signing import PrivateKey, receipt_string
from gateway.key_file import load_key, receipt_key_file
from gateway.storage.engine import writing
from gateway.storage.tables import outcomes
from partners.pos import requests
from partners.pos.cli_print import booked_plain
from tallystick.v1 import errors_pb2, types_pb2
from tests.e2e.commands import done, run_command
from tests.e2e.shops import PARTNERS, SECOND_MS, Shops, line_of, write_lines
from tests.e2e.storm import CARDS
from tests.e2e.tills import DAY_MS, two_partners
from tests.given import AUDIENCE, GivenNetwork, create_network


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Of two partners, on a SQLite file."""
    network = two_partners(tmp_path / "net")
    yield network
    network.engine.dispose()


def test_receipts_are_read_as_tills_print_them(tmp_path: Path, network_url: str | None) -> None:
    """A folder of what `pos … --json` answered, and of lines; on both engines."""
    network = create_network(tmp_path / "net", url=network_url)
    for partner in PARTNERS:
        network.onboard(partner, {"EUR": "1"})
    network.now_ms += DAY_MS
    folder = tmp_path / "held"
    folder.mkdir()
    with Shops(network).open() as opened:
        one = opened.tills["acme"].enrol(CARDS[0], key="enrol")
        two = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
    (folder / "enrol.json").write_text(json.dumps(booked_plain(one), indent=2), "utf-8")
    (folder / "refused.json").write_text(json.dumps({"refused": "RATE_LIMITED", "signed_receipt": None}, indent=2), "utf-8")
    write_lines(folder / "sales.jsonl", [two.signed_receipt])
    ran = done(run_command(network, "audit", "--receipts", folder))

    assert re.search(r"in the books +2 ", ran.out)
    network.engine.dispose()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "must be a JSON object"),
        ("{", "not JSON"),
        ("{}", "needs receipt, signature and key_id"),
        ('{"key_id": "r1", "receipt": "?", "signature": ""}', "receipt: must be base64"),
        ('{"signed_receipt": "AAAA"}', "signed receipt: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, network: GivenNetwork, line: str, said: str) -> None:
    """Rather than taken for receipts that are wrong."""
    file = tmp_path / "held.jsonl"
    file.write_text(f"\n{line}\n", "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:2: {said}" in ran.err) == (1, True), ran.err


class Pen:
    """The network's receipt key in the wrong hands."""

    def __init__(self, network: GivenNetwork) -> None:
        self.key: PrivateKey = load_key(receipt_key_file(network.folder / "keys", "r1"))

    def line(self, receipt: types_pb2.Receipt) -> str:
        """A line of what was never booked."""
        content = receipt.SerializeToString(deterministic=True)
        return line_of(content, self.key.sign(receipt_string(audience=AUDIENCE, key_id="r1", receipt=content)), "r1")


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        ({"points": 5000}, "contradicts the books", "the books say: points"),
        ({"entry_id": "e" + "0" * 32}, "contradicts the books", "another entry has its place"),
        ({"entry_id": "e" + "0" * 32, "sequence": 99}, "newer than the books", "lane 0 ends at 2"),
        ({"entry_id": "e" + "0" * 32, "lane": 3}, "newer than the books", "lane 3 ends at 0"),
        ({"sequence": 99}, "booked anew", "now sequence 2 in lane 0"),
        ({"audience": "elsewhere.example:prod"}, "not the network's", "signed no receipts of this network"),
        ({"booked_at_ms": 1}, "not the network's", "signed no receipts of this network then"),
    ],
)
def test_a_receipt_that_the_books_do_not_have_is_told_from_one_that_they_deny(
    tmp_path: Path, network: GivenNetwork, change: dict[str, object], standing: str, why: str
) -> None:
    """Signed by the network's own key, each of them: so the books are to be explained, not the partner."""
    with Shops(network).open() as opened:
        opened.tills["acme"].enrol(CARDS[0], key="enrol")
        sale = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
    receipt = types_pb2.Receipt()
    receipt.CopyFrom(sale.receipt)
    for name, value in change.items():
        setattr(receipt, name, value)
    file = tmp_path / "held.jsonl"
    file.write_text(Pen(network).line(receipt), "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:1: {standing}:" in ran.out, why in ran.out) == (1, True, True), ran.out


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        ({}, "contradicts the books", "booked, although it was refused for good"),
        ({"fingerprint": bytes(32)}, "contradicts the books", "the books have no such refusal"),
        ({"fingerprint": bytes(32), "booked_at_ms": 2**43}, "newer than the books", "later than the last commit"),
    ],
)
def test_a_refusal_that_the_books_do_not_have_is_told_from_one_that_they_deny(
    tmp_path: Path, network: GivenNetwork, change: dict[str, object], standing: str, why: str
) -> None:
    """It has no sequence: what tells is the command, and the time."""
    with Shops(network).open() as opened:
        opened.tills["acme"].enrol(CARDS[0], key="enrol")
        sale = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
        network.now_ms += SECOND_MS
        opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="later")
    receipt = types_pb2.Receipt()
    receipt.CopyFrom(sale.receipt)
    receipt.refused = errors_pb2.ERROR_REASON_INSUFFICIENT_POINTS
    for name, value in change.items():
        setattr(receipt, name, value)
    file = tmp_path / "held.jsonl"
    file.write_text(Pen(network).line(receipt), "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:1: {standing}:" in ran.out, why in ran.out) == (1, True, True), ran.out
    assert "issue refused: INSUFFICIENT_POINTS" in ran.out


def test_a_receipt_that_was_changed_in_books_proved_before_is_found_by_its_partners(
    tmp_path: Path, network: GivenNetwork
) -> None:
    """The audit goes on from where it was; the partner's own copy still tells."""
    with Shops(network).open() as opened:
        held = opened.tills["acme"].enrol(CARDS[0], key="enrol").signed_receipt
    done(run_command(network, "audit"))
    with writing(network.engine) as connection:
        connection.execute(update(outcomes).values(receipt=b"\xff"))
    ran = run_command(network, "audit", "--receipts", write_lines(tmp_path / "held.jsonl", [held]))

    assert (ran.code, "what the books have cannot be read" in ran.out) == (1, True)


def test_a_receipt_of_another_key_or_with_another_signature_is_not_the_networks(tmp_path: Path, network: GivenNetwork) -> None:
    """Nothing of what it says is shown."""
    with Shops(network).open() as opened:
        enrolled = opened.tills["acme"].enrol(CARDS[0], key="enrol").signed_receipt
    forged = types_pb2.SignedReceipt(receipt=enrolled.receipt, signature=bytes(64), key_id="r1")
    other = types_pb2.SignedReceipt(receipt=enrolled.receipt, signature=enrolled.signature, key_id="r9")
    ran = run_command(network, "audit", "--receipts", write_lines(tmp_path / "held.jsonl", [forged, other]))

    assert ran.code == 1
    assert ran.out.count("not the network's:") == 2
    assert "acme, key" not in ran.out
