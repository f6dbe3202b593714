"""Nights unlike others: a partner that closed the day before, a currency of one partner alone, a clock that was set back."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.bank_details import known_account, propose_account
from gateway.cli import tallystick
from gateway.confirming import confirm
from gateway.domain.bank import BankAccount
from gateway.domain.errors import DecisionRefused
from gateway.domain.partner import PartnerStatus
from gateway.domain.settlement import CarryReason, Schedule
from gateway.domain.window import WindowState
from gateway.key_file import new_key
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from gateway.storage.payments import load_payables
from partners.application import Application, read_application
from partners.onboarding import onboard
from partners.proposals import change_status
from settlement import store
from settlement.cli_nightly import AWAITS_CONFIRMATION
from settlement.nightly import make_due_runs
from settlement.paying import record_paid
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, GivenNetwork, application_table, at, signed
from tests.settlement.given import Shop, issue, redeem
from tests.settlement.night import MIDNIGHT, MIDNIGHT_MS, files_of, run
from tests.settlement.office import Office, proved

DAY_MS = 86_400_000


@pytest.fixture
def network(booked_month: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[GivenNetwork]:
    """The month, its window open; each test ends with books that are proved."""
    copied = booked_month.copy(tmp_path / "net", url=new_network_url())
    copied.now_ms = at("2026-06-29", "20:00")
    yield copied
    proved(copied)
    copied.engine.dispose()


def nightly(network: GivenNetwork, *words: str, on: str = "2026-07-01") -> Result:
    """`tallystick settlement nightly`, at noon of a day."""
    arguments = ["--config", str(network.folder / "tallystick.toml"), "settlement", "nightly", *words]
    return CliRunner().invoke(tallystick, arguments, obj=lambda: at(on))


def confirmed(network: GivenNetwork, window_id: int = 1) -> WindowState:
    """Both operators have signed; answers where the window stands."""
    for hand in network.hands:
        with writing(network.engine) as connection:
            confirm(connection, window_id, hand=hand, now_ms=network.now_ms)
    with reading(network.engine) as connection:
        return store.existing_window(connection, window_id).state


def test_a_partner_that_closed_yesterday_is_settled_to_the_end(network: GivenNetwork) -> None:
    """It has its statement, owes what it owes, and is not charged for taking part in windows that it has no part in."""
    with writing(network.engine) as connection:
        decision = change_status(connection, "alpha", PartnerStatus.CLOSED, hand=network.hands[0], now_ms=network.now_ms)
    assert decision is not None
    network.approve(decision)
    network.settlement_rules(RulesChange(fixed_fee=1_00))
    first = nightly(network, "--at", MIDNIGHT)
    network.now_ms = MIDNIGHT_MS + 1
    state = confirmed(network)
    with writing(network.engine) as connection:
        for one in load_payables(connection, 1):
            settled = record_paid(connection, one.instruction_id, bank_ref="A", amount=None, now_ms=network.now_ms).settled
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS + DAY_MS)
    with reading(network.engine) as connection:
        charged = {line.payer_id for line in store.load_obligations(connection, 2)}

    assert (first.exit_code, json.loads(first.stdout)["net"][0]) == (AWAITS_CONFIRMATION, ["EUR", "alpha", -416])
    assert "window-0001/alpha.json" in files_of(network.folder / "statements")
    assert (state, settled) == (WindowState.CONFIRMED, (1,))
    assert charged == {"bravo", "charlie", "delta"}


def test_a_currency_that_nobody_else_has_is_netted_and_paid_by_itself(network: GivenNetwork) -> None:
    """Francs and euros are never set off; each sums to zero."""
    key = new_key()[0]
    content = application_table("echo", {"CHF": "1"}, key, effective_from="2026-06-30", reimbursement_rate="0.80")
    applied = read_application(content | {"currency": "CHF"}, audience=AUDIENCE, is_signed=False)
    assert isinstance(applied, Application), applied
    with writing(network.engine) as connection:
        decision = onboard(connection, signed(applied, key), hand=network.hands[0], now_ms=network.now_ms)
    network.approve(decision)
    shop = Shop(network.engine)
    shop.book(issue("f1", "echo", "m2", 300_00, unit="CHF"), now_ms=at("2026-06-30"))
    shop.book(redeem("f2", "echo", "m1", 100), now_ms=at("2026-06-30"))
    shop.book(redeem("f3", "bravo", "m2", 424), now_ms=at("2026-06-30"))
    ended = nightly(network, "--at", MIDNIGHT)
    network.now_ms = MIDNIGHT_MS + 1
    state = confirmed(network)
    with reading(network.engine) as connection:
        paid = {(one.currency, one.debtor_id, one.creditor_id): one.amount for one in store.load_instructions(connection, 1)}
    net = json.loads(ended.stdout)["net"]
    sums = {currency: sum(amount for of, _, amount in net if of == currency) for currency, *_ in net}

    assert (ended.exit_code, state, sums) == (AWAITS_CONFIRMATION, WindowState.CONFIRMED, {"CHF": 0, "EUR": 0})
    assert {key: amount for key, amount in paid.items() if key[0] == "CHF"} == {("CHF", "charlie", "echo"): 80}
    assert any(creditor == "bravo" for currency, _, creditor in paid if currency == "EUR")


def test_a_clock_that_was_set_back_cuts_nothing_off_and_once_it_is_mended_the_bytes_are_the_same(
    network: GivenNetwork, booked_month: GivenNetwork, tmp_path: Path
) -> None:
    """By days it is refused with what to do; by minutes the cut-off is at the last booking."""
    undisturbed = booked_month.copy(tmp_path / "undisturbed")
    nightly(undisturbed, "--at", MIDNIGHT)
    undisturbed.engine.dispose()
    refused = nightly(network, on="2026-06-20")
    in_future = nightly(network, "--at", MIDNIGHT, on="2026-06-30")
    before = files_of(network.folder / "statements")
    mended = nightly(network, "--at", MIDNIGHT)

    assert (refused.exit_code, "mend the clock" in str(refused.exception or refused.output)) == (1, True)
    assert (in_future.exit_code, "lies in the future" in str(in_future.exception or in_future.output)) == (1, True)
    assert (before, mended.exit_code) == ({}, AWAITS_CONFIRMATION)
    assert files_of(network.folder / "statements") == files_of(undisturbed.folder / "statements")


def test_a_second_window_cut_off_by_a_clock_some_minutes_back_does_not_close_before_the_first(network: GivenNetwork) -> None:
    """What was booked since is cut off at the first one's instant, and times never fall."""
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS)
    Shop(network.engine).book(issue("c1", "alpha", "m2", 10_00), now_ms=MIDNIGHT_MS - 60_000)
    second = run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS - 50_000)
    network.now_ms = MIDNIGHT_MS

    assert second is not None
    assert (second.window_id, second.closed_at_ms, second.cut_off_date) == (2, MIDNIGHT_MS, "2026-06-30")


@pytest.fixture
def by_month(network: GivenNetwork) -> GivenNetwork:
    """A window that is paid for by month, netted, beside a first one that is paid for by itself and confirmed."""
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS)
    network.now_ms = MIDNIGHT_MS + 1
    confirmed(network)
    network.settlement_rules(RulesChange(schedule=Schedule.MONTHLY))
    shop = Shop(network.engine)
    shop.book(issue("b1", "alpha", "m2", 800_00), now_ms=MIDNIGHT_MS + 2)
    shop.book(redeem("b2", "bravo", "m2", 500), now_ms=MIDNIGHT_MS + 3)
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS + DAY_MS)
    network.now_ms = MIDNIGHT_MS + DAY_MS + 1
    return network


def test_a_dispute_of_a_window_that_no_run_has_gathered_is_held_out_by_the_run_that_does(by_month: GivenNetwork) -> None:
    """Until then nothing is made anew, and the window is confirmed with its dispute."""
    with RunningGateway(by_month) as gateway:
        opened = Office(gateway, "alpha").dispute(1, window_id=2, deadline="2026-08-20")
    night = nightly(by_month, "--at", "2026-07-03T23:59:59+02:00", on="2026-07-04")
    by_month.now_ms = at("2026-07-04")
    state = confirmed(by_month, 2)
    confirmed(by_month, 3)
    by_month.now_ms = at("2026-08-01")
    make_due_runs(by_month.engine, by_month.folder / "statements", at_ms=by_month.now_ms)
    with reading(by_month.engine) as connection:
        left = [(one.window_id, one.debtor_id, one.creditor_id, one.amount, one.reason) for one in store.load_carries(connection)]
        nets = {one.party_id: one.amount for one in store.load_positions(connection, 2)}
        paid = sum(one.amount for one in load_payables(connection, 3) if one.creditor_id == "bravo")

    assert (night.exit_code, "made anew" in night.stderr) == (AWAITS_CONFIRMATION, False)
    assert state is WindowState.CONFIRMED
    assert left == [(3, opened.payer_id, opened.payee_id, opened.amount, CarryReason.DISPUTE)]
    assert paid == nets["bravo"] - opened.amount


def test_whoever_may_have_to_be_paid_by_a_term_blocks_confirmed_without_an_account(by_month: GivenNetwork) -> None:
    """No payment is made yet: whoever has a net position may have to pay or be paid."""
    with reading(by_month.engine) as connection:
        account = known_account(connection, "bravo").account
    _decide_account(by_month, replace(account, iban=""))
    with pytest.raises(DecisionRefused, match=r"IBAN_MISSING.*no account is known of bravo$"):
        confirmed(by_month, 2)
    _decide_account(by_month, account)

    assert confirmed(by_month, 2) is WindowState.CONFIRMED


def _decide_account(network: GivenNetwork, account: BankAccount) -> None:
    with writing(network.engine) as connection:
        decision = propose_account(connection, "bravo", account, hand=network.hands[0], now_ms=network.now_ms)
    network.approve(decision)
