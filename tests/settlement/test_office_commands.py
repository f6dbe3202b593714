"""The commands of a partner's office, each from the command line against a running gateway: text, JSON, and refusals."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from partners.pos import keys
from partners.pos.cli import pos
from partners.pos.profile import Profile
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, RunningGateway, receipt_of
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network
from tests.pos.coalition import onboarded
from tests.settlement.night import run

RECORD = "idempotency_key,kind,points,business_date\na1,issue,100,2026-06-01\n"
DISPUTE = ("open-dispute", "--window", "1", "--reason", "unknown-entry", "--evidence", "letter 17", "--deadline")
Say = Callable[..., str]


@pytest.fixture(scope="module")
def netted(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """Globex redeemed 120 points of acme's in two goes; the night has published it. Only to be copied."""
    network = create_network(tmp_path_factory.mktemp("office") / "net")
    for partner_id in ("acme", "globex"):
        onboarded(network, partner_id, "1", "1.00", network.folder / f"{partner_id}.pem")
    network.now_ms += DAY_MS
    with RunningGateway(network) as gateway:
        acme, globex = (Caller(gateway, name, keys.load(network.folder / f"{name}.pem")) for name in ("acme", "globex"))
        member_id = acme.enrol("OFFICE-1")
        bought = receipt_of(acme.issue(member_id, 200_00, "a1"))
        (network.folder / "bought").write_text(bought.entry_id)
        globex.redeem(member_id, 70, "g1")
        globex.redeem(member_id, 50, "g2")
    run(network.engine, network.folder / "statements", at_ms=network.now_ms)
    network.now_ms += 1_000
    network.engine.dispose()
    return network


@pytest.fixture
def network(netted: GivenNetwork, tmp_path: Path) -> Iterator[GivenNetwork]:
    """With a gateway, and both offices' profiles in the network's folder."""
    copied = netted.copy(tmp_path / "net")
    with RunningGateway(copied) as gateway:
        for name in ("acme", "globex"):
            profile = Profile(gateway.address, AUDIENCE, f"{name}/{KEY_SUFFIX}", Path(f"{name}.pem"), is_plaintext=True)
            (copied.folder / f"{name}.toml").write_text(profile.to_toml(), "utf-8")
        (copied.folder / "record.csv").write_text(RECORD, "utf-8")
        yield copied
    copied.engine.dispose()


@pytest.fixture
def say(network: GivenNetwork) -> Say:
    """Runs `tallystick pos …` as a partner; answers what it prints, errors as well. `code`: how it must exit."""

    def command(partner_id: str, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(pos, [*words, "--profile", str(network.folder / f"{partner_id}.toml")])
        assert result.exit_code == code, result.output
        return result.output

    return command


def parsed(say: Say, partner_id: str, *words: str, code: int = 0) -> dict[str, Any]:
    """What --json prints: one object, before whatever is said to people."""
    content, _ = json.JSONDecoder().raw_decode(say(partner_id, *words, "--json", code=code))
    assert isinstance(content, dict)
    return content


def deadline(network: GivenNetwork, days: int = 20) -> str:
    """A date so many days ahead."""
    return (datetime.fromtimestamp(network.now_ms / 1000, UTC) + timedelta(days=days)).date().isoformat()


def test_a_record_is_sent_by_window_or_date_and_listed(say: Say, network: GivenNetwork) -> None:
    """Sent again it is the same record."""
    file = str(network.folder / "record.csv")
    of_window = parsed(say, "acme", "upload-record", file, "--window", "1")
    again = say("acme", "upload-record", file, "--window", "1")
    of_day = parsed(say, "acme", "upload-record", file, "--date", "2026-06-01")
    listed = parsed(say, "acme", "records")["records"]
    shown = say("acme", "records")

    assert (of_window["window_id"], of_window["total_bytes"], of_window["chunks"]) == ("1", str(len(RECORD)), 1)
    assert f"record_id: {of_window['record_id']}" in again
    assert {one["record_id"] for one in listed} == {of_window["record_id"], of_day["record_id"]}
    assert "window 1" in shown
    assert "2026-06-01" in shown
    assert shown.count("whole") == 2
    assert parsed(say, "globex", "records").get("records", []) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("record.csv",), 1, "in one way"),
        (("record.csv", "--window", "1", "--date", "2026-06-01"), 1, "in one way"),
        (("record.csv", "--date", "01.06.2026"), 1, "business_date"),
        (("nothing.csv", "--window", "1"), 2, "does not exist"),
        (("empty.csv", "--window", "1"), 1, "the record is empty"),
    ],
)
def test_a_record_that_cannot_be_sent_is_refused_with_a_reason(
    say: Say, network: GivenNetwork, words: tuple[str, ...], code: int, said: str
) -> None:
    """And nothing is kept."""
    (network.folder / "empty.csv").write_bytes(b"")
    file, *options = words

    assert said in say("acme", "upload-record", str(network.folder / file), *options, code=code)
    assert parsed(say, "acme", "records").get("records", []) == []


def test_a_statement_is_acknowledged_if_it_is_the_one_that_was_checked(say: Say, network: GivenNetwork) -> None:
    """By its hash; a repeat changes nothing."""
    digest = hashlib.sha256((network.folder / "statements" / "window-0001" / "acme.json").read_bytes()).hexdigest()
    refused = say("acme", "acknowledge", "--window", "1", "--sha256", "00" * 32, code=1)
    made = parsed(say, "acme", "acknowledge", "--window", "1", "--sha256", digest.upper())
    again = parsed(say, "acme", "acknowledge", "--window", "1")

    assert f"the statement has the hash {digest}, not the one that you checked" in refused
    assert made == again
    assert digest in say("acme", "acknowledgements")
    assert [one["window_id"] for one in parsed(say, "acme", "acknowledgements")["acknowledgements"]] == ["1"]
    assert parsed(say, "acme", "acknowledge", "--window", "9", code=1)["refused"] == "STATEMENT_NOT_FOUND"


def test_a_dispute_is_opened_by_line_listed_contested_and_withdrawn(say: Say, network: GivenNetwork) -> None:
    """Each side by its own commands."""
    (opened,) = parsed(say, "acme", *DISPUTE, deadline(network), "--line", "1")["disputes"]
    answer = ("answer-dispute", "--id", opened["dispute_id"], "--answer")
    contested = parsed(say, "globex", *answer, "contest", "--note", "we have the receipt")["dispute"]
    listed = say("globex", "disputes")
    withdrawn = say("acme", *answer, "withdraw")

    assert (opened["payer_id"], opened["payee_id"], opened["state"]) == ("acme", "globex", "DISPUTE_STATE_OPEN")
    assert contested["state"] == "DISPUTE_STATE_CONTESTED"
    assert [step["note"] for step in contested["steps"]][-1] == "we have the receipt"
    assert "CONTESTED" in listed
    assert "letter 17" in listed
    assert "state: DISPUTE_STATE_WITHDRAWN" in withdrawn
    assert [one["dispute_id"] for one in parsed(say, "acme", "disputes")["disputes"]] == [opened["dispute_id"]]


def test_all_lines_of_an_entry_are_disputed_at_once(say: Say, network: GivenNetwork) -> None:
    """Both redemptions of what was bought; as a table for people. The other side accepts one."""
    entry_id = (network.folder / "bought").read_text()
    shown = say("acme", *DISPUTE, deadline(network), "--entry", entry_id)
    opened = parsed(say, "acme", "disputes")["disputes"]
    accepted = parsed(say, "globex", "answer-dispute", "--id", opened[0]["dispute_id"], "--answer", "accept")["dispute"]

    assert sorted(one["points"] for one in opened) == ["50", "70"]
    assert all(one["dispute_id"] in shown for one in opened)
    assert accepted["state"] == "DISPUTE_STATE_ACCEPTED"


def test_a_dispute_that_cannot_be_opened_or_answered_is_refused_with_a_reason(say: Say, network: GivenNetwork) -> None:
    """As JSON by its reason; misuse by exit code 2, before anything is sent."""
    on = deadline(network)
    (opened,) = parsed(say, "acme", *DISPUTE, on, "--line", "1")["disputes"]
    answer = ("answer-dispute", "--id", opened["dispute_id"], "--answer")
    reasons = [
        parsed(say, *words, code=1)["refused"]
        for words in (
            ("acme", *DISPUTE, deadline(network, 19), "--line", "1"),
            ("acme", *DISPUTE, on, "--line", "99"),
            ("acme", *DISPUTE, deadline(network, 90), "--line", "2"),
            ("acme", *answer, "accept"),
            ("acme", "answer-dispute", "--id", "d" + "0" * 32, "--answer", "withdraw"),
        )
    ]

    assert reasons == ["DISPUTE_EXISTS", "STATEMENT_NOT_FOUND", "INVALID_FIELDS", "INVALID_FIELDS", "DISPUTE_NOT_FOUND"]
    assert "no line of your statement" in say("acme", *DISPUTE, on, "--entry", "e" + "0" * 32, code=1)
    assert "one of --line and --entry" in say("acme", *DISPUTE, on, code=2)
    assert "one of --line and --entry" in say("acme", *DISPUTE, on, "--line", "1", "--entry", "e1", code=2)
    assert "Invalid value for '--reason'" in say("acme", *DISPUTE, on, "--line", "1", "--reason", "anger", code=2)
    assert "Invalid value for '--answer'" in say("globex", *answer, "perhaps", code=2)
