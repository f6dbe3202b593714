"""A day and a night of three partners with nothing but the commands of their users: real processes, real files, TLS.

The grocer issues a point for 2 EUR, the fuel chain one for 1; the charity only redeems, and gets a cent a point.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.e2e.processes import GatewayProcess, gateway_process, run_process

AUDIENCE = "coalition.example:e2e"
ADA = ("--operator", "ada", "--key", "ada.pem")
BOB = ("--operator", "bob", "--key", "bob.pem")
RATES: Mapping[str, dict[str, str]] = {"grocer": {"EUR": "1/2"}, "fuel": {"EUR": "1"}, "charity": {}}
CARD = ("--card", "4000-0001")


@dataclass
class Day:
    """A folder with a network in it, and what the commands printed, by a name for each."""

    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    def run(self, named: str, *words: str, refused: bool = False) -> str:
        """A command of the operator's."""
        self.said[named] = run_process(self.folder, "--config", "net/tallystick.toml", *words, refused=refused)
        return self.said[named]

    def pos(self, named: str, partner_id: str, command: str, *words: str, refused: bool = False) -> str:
        """A command of a till's, on the partner's own machine: it needs no configuration of the network."""
        words = ("pos", command, *words, "--profile", f"{partner_id}.toml")
        self.said[named] = run_process(self.folder, *words, refused=refused)
        return self.said[named]

    def file(self, name: str) -> bytes:
        """Of the first window."""
        return (self.folder / "net" / "statements" / "window-0001" / name).read_bytes()


@pytest.mark.slow
def test_a_day_and_a_night_by_commands_alone(tmp_path: Path, network_url: str | None) -> None:
    """Founded, taken in, sold, redeemed, settled and proven: what is printed, and what is in the files."""
    day = Day(tmp_path)
    found(day, () if network_url is None else ("--database-url", network_url))
    take_in(day)
    with gateway_process(tmp_path / "net") as gateway:
        open_shops(day, gateway)
        day.run("night", "settlement", "run")
        day.pos("balance", "charity", "balance", *CARD)
    day.run("statement", "settlement", "statement", "1", "charity")
    day.run("audit", "audit", "--full")

    check_keys_are_read_by_their_owner_alone(day)
    check_partners_are_taken_in_by_two_operators(day)
    check_what_each_till_prints(day)
    check_a_till_that_asks_again_gets_the_same_receipt(day)
    check_the_night_prints_who_owes_whom_before_and_after(day)
    check_the_files_of_the_night_are_whole_and_hashed(day)
    check_the_statements_say_what_the_day_says(day)
    assert "books proved" in day.said["audit"]


def found(day: Day, where: tuple[str, ...]) -> None:
    """The operator's first commands."""
    create = ("network", "create", "net", "--audience", AUDIENCE, "--currency", "EUR", "--time-zone", "Europe/Berlin")
    day.said["create"] = run_process(day.folder, *create, *where)
    day.run("certificates", "network", "dev-certificates")
    for operator_id in ("ada", "bob"):
        run_process(day.folder, "operators", "keygen", "--out", f"{operator_id}.pem")
        day.run(f"add {operator_id}", "operators", "add", operator_id, "--name", operator_id, "--key", f"{operator_id}.pem")


def take_in(day: Day) -> None:
    """Partners apply, two operators take them in."""
    (day.folder / "applications").mkdir()
    with ThreadPoolExecutor(len(RATES)) as pool:
        list(pool.map(lambda partner_id: _apply(day.folder, partner_id), RATES))
    day.run("onboard", "partners", "onboard", "applications", *ADA)
    day.run("own approval", "operators", "approve", "--all", *ADA, refused=True)
    day.run("approval", "operators", "approve", "--all", *BOB)


def open_shops(day: Day, gateway: GatewayProcess) -> None:
    """A small day: 50 and 30 points are issued, 60 redeemed at the charity, which gives 20 back; 15 go at the fuel chain."""
    with ThreadPoolExecutor(len(RATES)) as pool:
        list(pool.map(lambda partner_id: _profile(day.folder, partner_id, gateway.address), RATES))
    day.pos("enrol", "grocer", "enrol", *CARD, "--key", "enrol-1")
    day.pos("issue", "grocer", "issue", *CARD, "--amount", "100.00 EUR", "--key", "basket-1")
    day.pos("refuel", "fuel", "issue", *CARD, "--amount", "30.99 EUR", "--key", "pump-1")
    day.pos("gift", "charity", "redeem", *CARD, "--points", "60", "--key", "gift-1", "--json")
    day.pos("gift again", "charity", "redeem", *CARD, "--points", "60", "--key", "gift-1", "--json")
    day.pos("too much", "charity", "redeem", *CARD, "--points", "1000", "--key", "gift-2", refused=True)
    day.pos("back", "charity", "reverse", "--original-key", "gift-1", "--points", "20", "--key", "back-1")
    day.pos("coffee", "fuel", "redeem", *CARD, "--up-to", "0.15 EUR", "--key", "coffee-1")


def _apply(folder: Path, partner_id: str) -> None:
    draft = {
        "audience": AUDIENCE,
        "partner_id": partner_id,
        "legal_name": f"{partner_id.title()} GmbH",
        "address": "Marktplatz 1, 10115 Berlin, DE",
        "vat_id": "DE123456789",
        "iban": "DE89370400440532013000",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "roles": ["issuer", "redeemer"] if RATES[partner_id] else ["redeemer"],
        "units": list(RATES[partner_id]),
        "contact": f"points@{partner_id}.example",
        "rate_card": {
            "effective_from": "2026-01-01",
            "issue_price": "1.10" if RATES[partner_id] else "0",
            "face_value": "1.00",
            "reimbursement_rate": "1.00" if partner_id == "charity" else "0.90",
            "issue_rates": RATES[partner_id],
        },
    }
    (folder / f"{partner_id}-draft.toml").write_text(tomli_w.dumps(draft), "utf-8")
    run_process(folder, "pos", "keygen", "--out", f"{partner_id}.pem")
    key = ("--key-file", f"{partner_id}.pem", "--key-id", f"{partner_id}/till-1/2026a")
    run_process(folder, "pos", "apply", f"{partner_id}-draft.toml", *key, "--out", f"applications/{partner_id}.toml")


def _profile(folder: Path, partner_id: str, address: str) -> None:
    key = ("--key-file", f"{partner_id}.pem", "--key-id", f"{partner_id}/till-1/2026a", "--ca", "net/tls/ca.pem")
    words = ("pos", "profile", "--target", address, "--audience", AUDIENCE, *key, "--out", f"{partner_id}.toml")
    run_process(folder, *words)


def check_keys_are_read_by_their_owner_alone(day: Day) -> None:
    """And with what the gateway needs for TLS."""
    keys = [
        path
        for path in (day.folder / "net").rglob("*")
        if path.suffix in (".pem", ".key") and "PRIVATE" in path.read_text("latin-1")
    ]

    assert len(keys) == 2
    assert {path.stat().st_mode & 0o777 for path in [*keys, day.folder / "ada.pem", day.folder / "grocer.pem"]} == {0o600}


def check_partners_are_taken_in_by_two_operators(day: Day) -> None:
    """Whoever proposed is refused."""
    assert all(partner_id in day.said["onboard"] for partner_id in RATES)
    assert "DUAL_CONTROL_REQUIRED" in day.said["own approval"]
    assert all(partner_id in day.said["approval"] for partner_id in RATES)


def check_what_each_till_prints(day: Day) -> None:
    """What each till prints."""
    assert "issue: +50 points for 100.00 EUR" in day.said["issue"]
    assert "balance: 80 points" in day.said["refuel"]
    assert "INSUFFICIENT_POINTS" in day.said["too much"]
    assert "balance: 40 points" in day.said["back"]
    assert "redeem: -15 points for 0.15 EUR" in day.said["coffee"]
    assert "25" in day.said["balance"]


def check_a_till_that_asks_again_gets_the_same_receipt(day: Day) -> None:
    """Byte for byte, marked as a repeat."""
    first, again = json.loads(day.said["gift"]), json.loads(day.said["gift again"])

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["signed_receipt"] == again["signed_receipt"]
    assert [(lot["issuer_id"], lot["points"]) for lot in first["receipt"]["lots"]] == [("grocer", "-50"), ("fuel", "-10")]


def check_the_night_prints_who_owes_whom_before_and_after(day: Day) -> None:
    """What was given back is taken off; a partner's own points drop out of the net; the files are named."""
    said = day.said["night"]

    assert "Before netting" in said
    assert "After netting" in said
    assert "-0.49" in said
    assert "charity.json" in said


def check_the_files_of_the_night_are_whole_and_hashed(day: Day) -> None:
    """The manifest names each with its hash, and the statement is what the command prints."""
    manifest = json.loads(day.file("operator.manifest.json"))
    names = {path.name for path in (day.folder / "net" / "statements" / "window-0001").iterdir()}

    assert names == {*manifest["files"], "operator.manifest.json"}
    assert {name: hashlib.sha256(day.file(name)).hexdigest() for name in manifest["files"]} == manifest["files"]
    assert day.said["statement"] == day.file("charity.txt").decode()


def check_the_statements_say_what_the_day_says(day: Day) -> None:
    """Of the grocer's points 40 went at the charity for a cent, 10 at the fuel chain for 0.9; own points drop out."""
    nets = {name: _net(json.loads(day.file(f"{name}.json"))) for name in RATES}
    payments = json.loads(day.file("operator.instructions.json"))["instructions"]

    assert nets == {"grocer": -49, "fuel": 9, "charity": 40}
    assert sorted((one["debtor_id"], one["creditor_id"], one["amount"]) for one in payments) == [
        ("grocer", "charity", 40),
        ("grocer", "fuel", 9),
    ]


def _net(statement: Any) -> int:
    return sum(net["amount"] for net in statement["net"])
