"""`tallystick settlement bank` and `journal`, and what blocks CONFIRMED."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.bank_details import known_account, propose_account
from gateway.confirming import confirm
from gateway.console import Context
from gateway.domain.bank import BankAccount
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import Form
from gateway.governance import approve
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from gateway.storage.payments import load_payables
from partners.rulings import RULINGS
from settlement.cli import settlement
from settlement.paying import record_failed, record_paid
from tests.given import IBANS, GivenNetwork, at, month
from tests.settlement.checkers import check
from tests.settlement.given import book_month
from tests.settlement.night import MIDNIGHT_MS, files_of, run

NOW_MS = MIDNIGHT_MS + 3_600_000
COALITION = BankAccount(holder="Coalition AG", iban=IBANS[1], creditor_id="DE98ZZZ09999999999")
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def through_operator(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month, netted through the operator. Only to be copied."""
    folder = tmp_path_factory.mktemp("month")
    made = month(folder / "net")
    made.settlement_rules(RulesChange(form=Form.THROUGH_OPERATOR))
    book_month(made.engine)
    run(made.engine, folder / "out")
    made.engine.dispose()
    return made


@pytest.fixture
def network(through_operator: GivenNetwork, tmp_path: Path) -> GivenNetwork:
    """A copy of it."""
    return through_operator.copy(tmp_path / "net")


@pytest.fixture
def command(network: GivenNetwork) -> Command:
    """Runs `tallystick settlement …` on 1 July."""

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(settlement, words, obj=Context(network.folder / "tallystick.toml", lambda: at("2026-07-01")))

    return invoke


def decide_account(network: GivenNetwork, party_id: str, account: BankAccount) -> None:
    """Both operators have."""
    ada, bob = network.hands
    with writing(network.engine) as connection:
        decision = propose_account(connection, party_id, account, hand=ada, now_ms=NOW_MS)
        approve(connection, RULINGS, decision.decision_id, hand=bob, now_ms=NOW_MS)


def confirmed(network: GivenNetwork) -> None:
    """Both operators have signed window 1."""
    for hand in network.hands:
        with writing(network.engine) as connection:
            confirm(connection, 1, hand=hand, now_ms=NOW_MS)


def test_a_partner_without_an_account_blocks_confirmed_by_name(network: GivenNetwork) -> None:
    """And no longer, once it has one."""
    with reading(network.engine) as connection:
        account = known_account(connection, "bravo").account
    decide_account(network, "bravo", replace(account, iban=""))
    with pytest.raises(DecisionRefused, match=r"IBAN_MISSING.*bravo"):
        confirmed(network)
    decide_account(network, "bravo", account)

    confirmed(network)


def test_no_bank_is_asked_before_two_operators_have_confirmed(command: Command, tmp_path: Path) -> None:
    """Nothing is written."""
    result = command("bank", "1", "--to", str(tmp_path / "bank"))

    assert isinstance(result.exception, InvalidValue)
    assert not (tmp_path / "bank").exists()


def test_an_operator_without_an_account_is_named(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """It pays and collects, so it needs one."""
    confirmed(network)
    result = command("bank", "1", "--to", str(tmp_path / "bank"))

    assert "operator: has no IBAN" in str(result.exception)
    assert not (tmp_path / "bank").exists()


def test_the_files_appear_whole_and_are_the_same_again(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """Alpha, which has given no mandate, is asked; the others are paid."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    result = command("bank", "1", "--to", str(tmp_path / "bank"))
    first = files_of(tmp_path / "bank")
    again = command("bank", "1", "--to", str(tmp_path / "bank"))

    assert (result.exit_code, again.exit_code) == (0, 0), result.output
    assert sorted(first) == [
        "bank-0001/alpha.payment-request.html",
        "bank-0001/operator.pain.001.EUR.xml",
        "bank-0001/operator.payments.json",
    ]
    assert files_of(tmp_path / "bank") == first
    assert not any(iban in result.output for iban in IBANS)


def test_a_bank_is_asked_for_what_is_left_to_be_paid(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """What has been paid already, nobody is asked for again."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    with writing(network.engine) as connection:
        (collected,) = (one for one in load_payables(connection, 1) if one.debtor_id == "alpha")
        record_paid(connection, collected.instruction_id, bank_ref="REF-1", amount=None, now_ms=NOW_MS)
    command("bank", "1", "--to", str(tmp_path / "bank"))

    assert sorted(files_of(tmp_path / "bank")) == [
        "bank-0001/operator.pain.001.EUR.xml",
        "bank-0001/operator.payments.json",
    ]


def test_what_was_paid_otherwise_is_gone_from_the_folder(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """Or somebody sends it to a bank once more. What is not ours stays."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    folder = tmp_path / "bank" / "bank-0001"
    seen = []
    for debtor_id in ("", "alpha", OPERATOR):
        with writing(network.engine) as connection:
            for one in load_payables(connection, 1):
                if one.debtor_id == debtor_id:
                    record_paid(connection, one.instruction_id, bank_ref="REF-1", amount=None, now_ms=NOW_MS)
        command("bank", "1", "--to", str(tmp_path / "bank"))
        (folder / "note.txt").write_text("sent on Monday")
        seen.append(sorted(path.name for path in folder.iterdir()))

    manifest, collected, paid = "operator.payments.json", "alpha.payment-request.html", "operator.pain.001.EUR.xml"
    assert seen == [[collected, "note.txt", paid, manifest], ["note.txt", paid, manifest], ["note.txt", manifest]]
    assert json.loads((folder / manifest).read_text("utf-8"))["files"] == {}


def test_a_payment_that_failed_is_asked_for_under_other_ids(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """So is another amount. A bank refuses what has the ids of a file that it had; the payment keeps its own."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    files = []
    for number in range(3):
        with writing(network.engine) as connection:
            paid = next(one for one in load_payables(connection, 1) if one.creditor_id == "charlie")
            if number == 1:
                record_failed(connection, paid.instruction_id, reason="account closed", now_ms=NOW_MS)
            if number == 2:
                record_paid(connection, paid.instruction_id, bank_ref="REF-1", amount=1, now_ms=NOW_MS)
        command("bank", "1", "--to", str(tmp_path / "bank"))
        files.append((tmp_path / "bank" / "bank-0001" / "operator.pain.001.EUR.xml").read_text("ascii"))

    for name in ("MsgId", "PmtInfId"):
        assert len({re.findall(f"<{name}>(.*)</{name}>", file)[0] for file in files}) == 3
    assert len({tuple(re.findall("<EndToEndId>(.*)</EndToEndId>", file)) for file in files}) == 1


def test_money_moves_on_the_day_that_is_said(network: GivenNetwork, command: Command, tmp_path: Path) -> None:
    """Else on the due day."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    command("bank", "1", "--to", str(tmp_path / "due"))
    command("bank", "1", "--to", str(tmp_path / "said"), "--on", "2026-07-02")

    due, said = (files_of(tmp_path / name)["bank-0001/operator.pain.001.EUR.xml"] for name in ("due", "said"))
    assert b"<Dt>2026-07-30</Dt>" in due
    assert b"<Dt>2026-07-02</Dt>" in said
    request = files_of(tmp_path / "said")["bank-0001/alpha.payment-request.html"]
    assert b'datetime="2026-07-30"' in request  # whoever pays by itself has until it is late


def test_a_folder_that_cannot_be_written_leaves_nothing_half_done(
    network: GivenNetwork, command: Command, tmp_path: Path
) -> None:
    """What is in the way is named."""
    decide_account(network, OPERATOR, COALITION)
    confirmed(network)
    (tmp_path / "bank").write_text("a file")
    result = command("bank", "1", "--to", str(tmp_path / "bank"))

    assert result.exit_code != 0
    assert (tmp_path / "bank").read_text() == "a file"


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_a_journal_is_written_whole(command: Command, tmp_path: Path, form: str) -> None:
    """Of all closed windows, or of one."""
    results = [
        command("journal", "--format", form, "--to", str(tmp_path / name), *words)
        for name, words in (("all", ()), ("one", ("--window", "1")))
    ]

    assert [result.exit_code for result in results] == [0, 0]
    assert (tmp_path / "all").read_bytes() == (tmp_path / "one").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["all", "one"]


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_money_that_moved_stands_in_the_journal_and_cannot_be_falsified(
    network: GivenNetwork, command: Command, tmp_path: Path, form: str
) -> None:
    """In parts, on the days on which it was recorded."""
    confirmed(network)
    with writing(network.engine) as connection:
        paid = next(one for one in load_payables(connection, 1) if one.debtor_id == "alpha")
        for reference, amount, later in (("A", 1_16, 0), ("B", 3_00, 86_400_000)):
            record_paid(connection, paid.instruction_id, bank_ref=reference, amount=amount, now_ms=NOW_MS + later)
    books, false = tmp_path / "books", tmp_path / "false"
    command("journal", "--format", form, "--to", str(books))
    false.write_text(books.read_text("ascii").replace("1.16 EUR", "1.17 EUR"), "ascii")

    assert check(form, books).returncode == 0
    assert "4.16" in books.read_text("ascii").splitlines()[-1] or "4.16" in books.read_text("ascii").splitlines()[-2]
    assert check(form, false).returncode != 0


def test_an_open_window_has_no_journal(command: Command, tmp_path: Path) -> None:
    """It would be another one tomorrow."""
    result = command("journal", "--format", "hledger", "--to", str(tmp_path / "books"), "--window", "2")

    assert result.exit_code == 1
    assert not (tmp_path / "books").exists()
