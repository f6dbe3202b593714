"""`tallystick settlement nightly` and what follows it, as timers and the finance team meet them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import tallystick
from gateway.domain.command import Enrol
from gateway.domain.settlement import Schedule
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from settlement import store
from settlement.cli_nightly import AWAITS_CONFIRMATION, BOOKS_NOT_PROVED, FILES_NOT_WRITTEN, HOOK_FAILED
from settlement.payment_run import term_of
from tests.given import GivenNetwork, at, month
from tests.settlement.given import Shop, book_month, card_hash
from tests.settlement.night import MIDNIGHT, MIDNIGHT_MS, files_of, run

Command = Callable[..., Result]


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """The month, its window open."""
    made = month(tmp_path / "net")
    book_month(made.engine)
    return made


@pytest.fixture
def command(network: GivenNetwork) -> Command:
    """Runs `tallystick settlement …` on 1 July, at noon."""

    def invoke(*words: str) -> Result:
        arguments = ["--config", str(network.folder / "tallystick.toml"), "settlement", *words]
        return CliRunner().invoke(tallystick, arguments, obj=lambda: at("2026-07-01"))

    return invoke


def signed_by(network: GivenNetwork, name: str) -> tuple[str, ...]:
    """The options of an operator at work; the key lies in a file of its own."""
    return "--operator", name, "--key", str(network.folder / f"{name}.pem")


def test_a_night_ends_with_ten_until_two_operators_have_confirmed_it(command: Command, network: GivenNetwork) -> None:
    """And names the windows that wait."""
    first = command("nightly", "--at", MIDNIGHT)
    summary = json.loads(first.stdout)
    for name in ("ada", "bob"):
        assert command("confirm", "1", *signed_by(network, name)).exit_code == 0

    again = command("nightly", "--at", MIDNIGHT)
    assert (first.exit_code, summary["awaits_confirmation"], summary["instructions"]) == (AWAITS_CONFIRMATION, [1], 3)
    assert summary["net"] == [["EUR", "alpha", -416], ["EUR", "bravo", 275], ["EUR", "charlie", 41], ["EUR", "delta", 100]]
    assert (again.exit_code, json.loads(again.stdout)["awaits_confirmation"]) == (0, [])
    assert "ada, bob" in command("history", "1").stdout


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(command: Command, network: GivenNetwork) -> None:
    """Not a byte of the books, no file."""
    before = network.folder.joinpath("books.db").read_bytes()

    said = command("nightly", "--dry-run")

    assert said.exit_code == 0
    assert "window 1: would be cut off, with 20 entries so far" in said.stdout
    assert "alpha -416 minor units of EUR" in said.stdout
    assert network.folder.joinpath("books.db").read_bytes() == before
    assert not (network.folder / "statements").exists()


@pytest.mark.parametrize(("ends_with", "code"), [(0, AWAITS_CONFIRMATION), (3, HOOK_FAILED)])
def test_a_hook_gets_the_summary_and_its_failure_is_told(command: Command, tmp_path: Path, ends_with: int, code: int) -> None:
    """The night is done all the same."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {tmp_path}/summary.json\nexit {ends_with}\n")
    hook.chmod(0o700)

    ended = command("nightly", "--at", MIDNIGHT, "--hook", str(hook))

    assert ended.exit_code == code
    assert json.loads((tmp_path / "summary.json").read_text())["window_id"] == 1


def test_a_folder_that_cannot_be_written_and_books_that_do_not_hold_have_exit_codes(
    command: Command, network: GivenNetwork
) -> None:
    """After the mend the night goes on where it stood."""
    (network.folder / "statements").write_text("a file where the folder should be")
    unwritten = command("nightly", "--at", MIDNIGHT)
    (network.folder / "statements").unlink()
    with writing(network.engine) as connection:
        connection.execute(text("UPDATE obligations SET amount = amount + 1 WHERE payer_id = 'alpha'"))
    broken = command("nightly", "--at", MIDNIGHT)
    with writing(network.engine) as connection:
        connection.execute(text("UPDATE obligations SET amount = amount - 1 WHERE payer_id = 'alpha'"))

    assert (unwritten.exit_code, broken.exit_code) == (FILES_NOT_WRITTEN, BOOKS_NOT_PROVED)
    assert command("nightly", "--at", MIDNIGHT).exit_code == AWAITS_CONFIRMATION


def test_payments_are_recorded_until_the_window_is_settled(command: Command, network: GivenNetwork) -> None:
    """By instruction; a part first."""
    command("nightly", "--at", MIDNIGHT)
    for name in ("ada", "bob"):
        command("confirm", "1", *signed_by(network, name))
    with reading(network.engine) as connection:
        ids = {one.creditor_id: one.instruction_id for one in store.load_instructions(connection, 1)}
    part = command("paid", ids["bravo"], "--bank-ref", "A", "--amount", "2.00")
    command("paid", ids["bravo"], "--bank-ref", "B")
    failed = command("failed", ids["charlie"], "--reason", "no funds")
    shown = command("payables", "1").stdout
    command("paid", ids["delta"], "--bank-ref", "C")
    carried = command("carry", ids["charlie"], "--reason", "pays in July")

    assert "part-paid, 0.75 EUR left of 2.75 EUR" in part.stdout
    assert "failed, 0.41 EUR left" in failed.stdout
    assert "failed" in shown
    assert "Window 1 is SETTLED." in carried.stdout


def test_a_term_in_which_nobody_has_to_pay_anything_settles_with_its_run(network: GivenNetwork, command: Command) -> None:
    """No payment will ever be recorded that could settle it."""
    network.now_ms = MIDNIGHT_MS - 3_600_000
    run(network.engine, network.folder / "statements", at_ms=network.now_ms)
    network.settlement_rules(RulesChange(schedule=Schedule.MONTHLY))
    newcomer = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key="new", card_hash=card_hash("new"))
    Shop(network.engine).book_all([newcomer], now_ms=MIDNIGHT_MS - 1)
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS)
    for window_id in ("1", "2"):
        for name in ("ada", "bob"):
            assert command("confirm", window_id, *signed_by(network, name)).exit_code == 0
    with reading(network.engine) as connection:
        ids = [one.instruction_id for one in store.load_instructions(connection, 1)]
    for instruction_id in ids:
        command("paid", instruction_id, "--bank-ref", instruction_id)
    before = command("history", "2").stdout
    command("pay")

    assert "SETTLED" not in before
    assert "SETTLED" in command("history", "2").stdout


def test_by_month_a_payment_run_gathers_the_confirmed_windows_of_its_term(network: GivenNetwork, command: Command) -> None:
    """One payment for both windows; nothing before all of them are confirmed."""
    network.now_ms = MIDNIGHT_MS - 3_600_000
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS - 3_600_000)
    network.settlement_rules(RulesChange(schedule=Schedule.MONTHLY, fixed_fee=1_00))
    for name, at_ms in (("new-1", MIDNIGHT_MS - 60_000), ("new-2", MIDNIGHT_MS)):
        newcomer = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key=name, card_hash=card_hash(name))
        Shop(network.engine).book_all([newcomer], now_ms=at_ms - 1)
        run(network.engine, network.folder / "statements", at_ms=at_ms)
    early = command("pay").stdout
    for window_id in ("1", "2", "3"):
        for name in ("ada", "bob"):
            assert command("confirm", window_id, *signed_by(network, name)).exit_code == 0
    due, again = command("pay").stdout, command("pay").stdout

    assert early == again == "No payment run is due.\n"
    assert due == f"Payment run: {network.folder / 'statements' / 'payments-0003'}\n"
    assert len(files_of(network.folder / "statements" / "payments-0003")) == 3
    with reading(network.engine) as connection:
        paid = [(one.creditor_id, one.amount) for one in store.load_instructions(connection, 3)]
    assert paid == [("operator", 2_00)] * 4


def test_terms_are_weeks_from_monday_and_months() -> None:
    """The last days of a year may belong to the next one's first week."""
    assert [term_of("2027-01-03", schedule) for schedule in (Schedule.WEEKLY, Schedule.MONTHLY)] == ["2026-W53", "2027-01"]


def test_the_commands_help_names_every_exit_code(command: Command) -> None:
    """What a timer's script must know."""
    said = command("nightly", "--help").stdout

    assert all(f"  {code} " in said for code in (0, 1, 2, 10, 11, 12, 13, 14))
