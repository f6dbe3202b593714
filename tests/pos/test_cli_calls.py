"""Every call of the network from the command line, against the gateway itself: as text, as JSON, and by its exit code."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from gateway.cli import main
from partners.pos.cli import pos
from partners.pos.cli_calls import CallCommand
from partners.pos.requests import METHODS
from tests.pos.coalition import Coalition, running_coalition
from tests.shared import published_methods

GROUPS = [pos, *(group for group in pos.commands.values() if isinstance(group, click.Group))]
COMMANDS = [command for group in GROUPS for command in group.commands.values() if isinstance(command, CallCommand)]


@dataclass
class Run:
    """Command lines of one partner's."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str, code: int = 0) -> str:
        """Standard output; the command must exit with `code`."""
        with pytest.raises(SystemExit) as leaving:
            main(["pos", *words])
        printed = self.capsys.readouterr()
        assert (leaving.value.code or 0) == code, printed.err
        return printed.out

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What --json prints: one object."""
        content: dict[str, Any] = json.loads(self(*words, "--json", code=code))
        return content


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalition]:
    """One shop: a point a euro, a cent a point."""
    with running_coalition(tmp_path_factory.mktemp("coalition"), {"acme": ("1", "1.00")}) as running:
        (file,) = {profile.key_file.parent / "pos.toml" for profile in running.profiles.values()}
        file.write_text(running.profiles["acme"].to_toml(), "utf-8")
        yield running


@pytest.fixture
def run(coalition: Coalition, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """In an empty folder, with the profile named by the environment."""
    monkeypatch.setenv("TALLYSTICK_POS_PROFILE", str(coalition.profiles["acme"].key_file.parent / "pos.toml"))
    monkeypatch.chdir(tmp_path)
    return Run(capsys)


def test_every_call_of_the_network_has_a_command() -> None:
    """A call that is added to the protos needs one declaration in `partners.pos.cli_*`."""
    assert {method.path for command in COMMANDS for method in command.methods} == set(published_methods())


def test_the_till_knows_every_call_with_its_messages() -> None:
    """By the descriptors of the protos."""
    known = {method.path: (method.request.DESCRIPTOR, method.answer.DESCRIPTOR) for method in METHODS}

    assert known == {path: (method.input_type, method.output_type) for path, method in published_methods().items()}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_a_call_can_be_told_as_json_and_to_whom(command: CallCommand) -> None:
    """Each, and without a second way to say it."""
    options = [option for parameter in command.params for option in parameter.opts]

    assert {"--json", "--profile"} <= set(options)
    assert len(options) == len(set(options))


def test_what_everybody_may_know_is_shown(run: Run) -> None:
    """As text and as JSON."""
    shown = run.json("network")

    assert (shown["audience"], len(shown["receipt_keys"])) == ("coalition.example:test", 1)
    assert f"  - key_id: {shown['receipt_keys'][0]['key_id']}\n" in run("network")


def test_a_partner_sees_its_own_record(run: Run) -> None:
    """With its rate cards."""
    shown = run.json("partner")

    assert (shown["partner"]["partner_id"], shown["partner"]["status"]) == ("acme", "PARTNER_STATUS_ACTIVE")
    assert [card["version"] for card in shown["rate_cards"]] == [1]
    assert "partner:\n  partner_id: acme\n" in run("partner")


def test_a_checkout_from_the_command_line(run: Run) -> None:
    """Quote, hold, checkout with the hold, refund by line, and what people read of it."""
    run("enrol", "--card", "CARD-5", "--key", "checkout-1")
    run("checkout", "--card", "CARD-5", "--total", "600.00 EUR", "--key", "checkout-2")
    quote = run.json("quote", "--card", "CARD-5", "--total", "42.50 EUR")
    hold = run.json("place-hold", "--card", "CARD-5", "--up-to", "5.00 EUR", "--ttl-s", "60", "--key", "checkout-3")
    lines = ("--line", "milk=22.50 EUR", "--line-without-points", "voucher=20.00 EUR")
    sale = run(
        "checkout",
        "--card",
        "CARD-5",
        "--total",
        "42.50 EUR",
        "--hold",
        hold["receipt"]["entry_id"],
        *lines,
        "--key",
        "checkout-4",
    )
    back = run("refund", "--original-key", "checkout-4", "--line", "voucher")

    assert (quote["points_to_issue"], quote["points_max"]) == ("42", "600")
    assert hold["receipt"]["standing"]["held_points"] == "500"
    assert sale.splitlines()[:4] == [
        "redeem: -500 points for 5.00 EUR",
        "issue: +17 points for 17.50 EUR",
        "to pay: 37.50 EUR",
        "balance: 117 points",
    ]
    assert "to hand back: 17.65 EUR" in back


def test_a_hold_is_let_go_from_the_command_line(run: Run) -> None:
    """By the key it was placed with; a second time it is refused."""
    run("enrol", "--card", "CARD-6", "--key", "void-1")
    run("checkout", "--card", "CARD-6", "--total", "10.00 EUR", "--key", "void-2")
    run("place-hold", "--card", "CARD-6", "--points", "4", "--key", "void-3")

    assert run("void-hold", "--hold-key", "void-3", "--key", "void-4").startswith("void hold: +0 points")
    assert run.json("void-hold", "--hold-key", "void-3", "--key", "void-5", code=1)["refused"] == "HOLD_NOT_OPEN"


def test_a_forgotten_card_is_made_up_for_from_the_command_line(run: Run, coalition: Coalition) -> None:
    """Once."""
    run("enrol", "--card", "CARD-7", "--key", "claim-1")
    bought = str(coalition.gateway.network.now_ms - 60_000)
    claim = ("claim-receipt", "--card", "CARD-7", "--total", "9.90 EUR", "--receipt-number", "4711", "--occurred-at-ms", bought)

    assert run(*claim, "--key", "claim-2").startswith("issue: +9 points for 9.90 EUR")
    assert run.json(*claim, "--key", "claim-3", code=1)["refused"] == "RECEIPT_ALREADY_CLAIMED"


def test_entries_of_a_member_are_listed_with_verified_receipts(run: Run) -> None:
    """Oldest first; a table for people."""
    run("enrol", "--card", "CARD-1", "--key", "entries-1")
    run("issue", "--card", "CARD-1", "--amount", "42.50 EUR", "--key", "entries-2", "--receipt-number", "0815")
    shown = run.json("entries", "--card", "CARD-1")["receipts"]

    assert [(one["receipt"]["kind"], one["receipt"]["points"]) for one in shown] == [
        ("ENTRY_KIND_ENROL", "0"),
        ("ENTRY_KIND_ISSUE", "42"),
    ]
    assert all(one["signed_receipt"] for one in shown)
    assert "0815" in run("entries", "--card", "CARD-1")


def test_a_batch_books_line_by_line_and_may_be_sent_again(run: Run) -> None:
    """One of three is refused: exit code 1, and the others stand."""
    member = {"card_number": "CARD-2"}
    lines: list[dict[str, Any]] = [
        {"enrol": {"idempotency_key": "batch-1", "card_number": "CARD-2"}},
        {"issue": {"idempotency_key": "batch-2", "member": member, "eligible": {"unit": "EUR", "minor_units": "500"}}},
        {"redeem": {"idempotency_key": "batch-3", "member": member, "points": "6"}},
    ]
    Path("day.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    first, second, third = run.json("batch", "day.jsonl", code=1)["answers"]

    assert (first["receipt"]["kind"], second["receipt"]["points"]) == ("ENTRY_KIND_ENROL", "5")
    assert (third["refused"], third["receipt"]["refused"]) == ("INSUFFICIENT_POINTS", "ERROR_REASON_INSUFFICIENT_POINTS")
    again = run("batch", "day.jsonl", code=1).splitlines()
    assert again[1].startswith("batch-2: issue: +5 points, entry e")
    assert again[1].endswith("(booked before)")
    assert again[2] == "batch-3: refused: INSUFFICIENT_POINTS"


def test_a_batch_with_a_line_that_is_no_command_sends_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Every such line is named."""
    Path("day.jsonl").write_text('{"enrol": {"idempotency_key": "never", "card_number": "CARD-3"}}\n{}\n{"sell": {}}\n', "utf-8")
    with pytest.raises(SystemExit):
        main(["pos", "batch", "day.jsonl"])
    said = capsys.readouterr().err

    assert "nothing was sent" in said
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:]] == ["line 2", "line 3"]
    assert run.json("entry", "--key", "never", code=1)["refused"] == "ENTRY_NOT_FOUND"


def test_a_refusal_is_told_as_json_by_what_looks_up_too(run: Run) -> None:
    """Not only by what books."""
    assert run.json("balance", "--card", "NOBODY", code=1)["refused"] == "MEMBER_NOT_FOUND"
    assert run.json("entries", "--card", "NOBODY", code=1)["refused"] == "MEMBER_NOT_FOUND"
    assert run.json("statement", "--window", "7", code=1)["refused"] == "STATEMENT_NOT_FOUND"
    assert run.json("statement") == {"windows": []}


def test_no_answer_has_an_exit_code_and_a_key_to_ask_with(
    run: Run, coalition: Coalition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there: three, and the key that was made up."""
    Path("pos.toml").write_text(coalition.profiles["acme"].to_toml().replace(coalition.gateway.address, "127.0.0.1:1"), "utf-8")
    monkeypatch.delenv("TALLYSTICK_POS_PROFILE")
    told = run.json("enrol", "--card", "CARD-4", code=3)

    assert told["no_answer"].startswith("no answer after 5 attempts")
    assert told["idempotency_key"].startswith("cli-")


def test_a_member_from_enrolling_to_erasing(run: Run) -> None:
    """By a phone, then by more; each call about members from the command line."""
    phone = "phone:+4915198765432"
    made = run.json("enrol", "--identifier", phone, "--provisional", "--language", "fr", "--key", "cli-m-1")
    ann = ("--member", made["receipt"]["member_id"])
    run("confirm-member", *ann, "--language", "de")
    run("add-identifier", *ann, "--identifier", "card:CLI-CARD-1")
    run("issue", "--card", "CLI-CARD-1", "--amount", "9.00 EUR", "--receipt-number", "CLI-9", "--key", "cli-m-2")
    run("pause-member", *ann)
    run("resume-member", *ann)
    shown = run.json("look-up-member", "--member", phone)

    assert (shown["language"], shown["balance_points"]) == ("de", "9")
    assert [lot["points"] for lot in run.json("lots", *ann)["lots"]] == ["9"]
    assert len(run.json("entries", *ann, "--kind", "issue", "--receipt-number", "CLI-9")["receipts"]) == 1
    assert "CLI-9" not in json.dumps(run.json("entries", *ann, "--to", "2000-01-01"))
    assert run.json("export-member", *ann)["next_page_token"]
    assert "NOT_A_CHARITY" in json.dumps(run.json("donate", *ann, "--charity", "acme", "--points", "1", code=1))
    other = run.json("enrol", "--card", "CLI-CARD-2", "--key", "cli-m-3")["receipt"]["member_id"]
    run("merge-members", "--from-card", "CLI-CARD-2", "--to-member", ann[1])
    run("remove-identifier", *ann, "--identifier", "card:CLI-CARD-2")
    assert run.json("look-up-member", "--member", other)["member_id"] == ann[1]
    run("erase-member", *ann)
    assert run.json("look-up-member", *ann)["status"] == "MEMBER_STATUS_ERASED"


@pytest.mark.parametrize(
    "words",
    [
        ("enrol", "--card", "C-1234", "--identifier", "qr:12345678"),
        ("enrol",),
        ("add-identifier", "--card", "C-1234", "--identifier", "12345678"),
        ("remove-identifier", "--card", "C-1234"),
    ],
)
def test_an_identifier_that_is_not_named_in_one_way_is_a_misuse(run: Run, words: tuple[str, ...]) -> None:
    """Nothing is sent."""
    run(*words, code=2)
