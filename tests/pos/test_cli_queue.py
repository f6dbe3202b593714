"""`tallystick pos queue`, as it is typed: sell without a connection, look, and catch up."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from partners.pos.profile import Profile
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network
from tests.pos.coalition import onboarded


@dataclass
class TillCommand:
    """Runs `tallystick pos` in a till's folder, by the network's clock, and answers what it printed."""

    network: GivenNetwork
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str, code: int = 0) -> str:
        """Standard output, or standard error where it is expected to fail."""
        with pytest.raises(SystemExit) as exit_:
            main(["pos", *words], clock=self.network.clock)
        printed = self.capsys.readouterr()
        assert (exit_.value.code or 0) == code, printed.err
        return printed.err if code else printed.out

    def json(self, *words: str) -> dict[str, Any]:
        """What --json prints."""
        content: dict[str, Any] = json.loads(self(*words, "--json"))
        return content

    def reach(self, address: str) -> None:
        """Writes the profile."""
        profile = Profile(address, AUDIENCE, f"acme/{KEY_SUFFIX}", Path("till.pem"), is_plaintext=True)
        Path("pos.toml").write_text(profile.to_toml(), "utf-8")


@pytest.fixture
def pos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[TillCommand]:
    """Of acme's till, which cannot reach the gateway."""
    network = create_network(tmp_path / "net")
    onboarded(network, "acme", "1", "1.00", tmp_path / "till.pem")
    network.now_ms += 86_400_000
    monkeypatch.chdir(tmp_path)
    command = TillCommand(network, capsys)
    command.reach("127.0.0.1:9")
    yield command
    network.engine.dispose()


def test_a_till_sells_without_a_connection_and_catches_up(pos: TillCommand) -> None:
    """Enrol, sell, take back; look; drain; look again."""
    enrolled = pos.json("queue", "add", "enrol", "--card", "CARD-1", "--key", "e-1")
    said = pos("queue", "add", "issue", "--card", "CARD-1", "--amount", "12.00 EUR", "--key", "s-1", "--receipt-number", "17")
    pos("queue", "add", "reverse", "--original-key", "s-1", "--amount", "2.00 EUR", "--key", "r-1")
    waits = pos.json("queue", "show")
    with RunningGateway(pos.network) as gateway:
        pos.reach(gateway.address)
        drained = pos.json("queue", "drain")
        balance = pos.json("balance", "--card", "CARD-1")
    kept = pos.json("queue", "show")

    assert (enrolled["event"], enrolled["key"], enrolled["new"]) == (1, "e-1", True)
    assert said == "event 2 is queued under key s-1\n"
    assert (waits["terminal"], waits["waiting"], len(waits["events"])) == ("acme/till-1", 3, 3)
    assert waits["events"][1]["command"]["issue"]["receipt_number"] == "17"
    assert drained == {"booked": 3, "refused": 0, "warned": 0, "waiting": 0, "refusals": []}
    assert balance["balance_points"] == "10"
    assert [event["answer"]["outcome"] for event in kept["events"]] == ["BOOKED"] * 3
    assert all(event["answer"]["signed_receipt"] for event in kept["events"])


def test_people_read_tables_and_sentences(pos: TillCommand) -> None:
    """What waits, and what was refused."""
    pos("queue", "add", "issue", "--card", "CARD-1", "--amount", "12.00 EUR", "--key", "s-1")
    shown = pos("queue", "show")
    with RunningGateway(pos.network) as gateway:
        pos.reach(gateway.address)
        drained = pos("queue", "drain")

    assert "Queue of acme/till-1: 1 wait" in shown
    assert drained.splitlines() == ["0 booked, 1 refused, 0 wait", "event 1: MEMBER_NOT_FOUND"]


def test_the_same_key_is_queued_once(pos: TillCommand) -> None:
    """A script that was interrupted runs again."""
    words = ("queue", "add", "enrol", "--card", "CARD-1", "--key", "e-1")
    pos(*words)

    assert pos(*words) == "event 1 is queued under key e-1 already\n"


def test_without_a_gateway_a_drain_says_that_nobody_answered(pos: TillCommand) -> None:
    """And the events wait."""
    pos("queue", "add", "enrol", "--card", "CARD-1", "--key", "e-1")

    assert "no answer" in pos("queue", "drain", code=3)
    assert pos.json("queue", "show")["waiting"] == 1


def test_a_missing_key_is_named(pos: TillCommand) -> None:
    """Nothing can be signed without it."""
    Path("till.pem").unlink()

    assert "no key at till.pem" in pos("queue", "add", "enrol", "--card", "CARD-1", code=1)


def test_a_queue_that_cannot_be_written_is_named(pos: TillCommand) -> None:
    """A folder that is not there."""
    said = pos("queue", "add", "enrol", "--card", "CARD-1", "--file", "nowhere/queue.db", code=1)

    assert "nowhere/queue.db: No such file or directory; nothing can be queued there" in said


def test_a_basket_and_its_return_are_queued_as_the_till_would_send_them(pos: TillCommand) -> None:
    """With the words of the calls themselves; what points would pay is not taken."""
    pos("queue", "add", "enrol", "--card", "CARD-1", "--key", "e-1")
    pos("queue", "add", "checkout", "--card", "CARD-1", "--total", "12.00 EUR", "--line", "tea=12.00 EUR", "--key", "c-1")
    pos("queue", "add", "refund", "--original-key", "c-1", "--line", "tea=2.00 EUR", "--key", "r-1")
    refused = pos("queue", "add", "checkout", "--card", "CARD-1", "--total", "1.00 EUR", "--points", "1", code=1)
    with RunningGateway(pos.network) as gateway:
        pos.reach(gateway.address)
        drained = pos("queue", "drain")
        balance = pos.json("balance", "--card", "CARD-1")

    assert "checkout by points needs the gateway's word when it happens" in refused
    assert (drained, balance["balance_points"]) == ("3 booked, 0 refused, 0 wait\n", "10")
