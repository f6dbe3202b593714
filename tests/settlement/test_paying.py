"""From confirmed to settled: signatures, payments in parts, failures that touch nobody else, defaults, in order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, delete, select, text
from sqlalchemy.exc import IntegrityError

from gateway.adjusting import propose_adjustment, propose_write_off
from gateway.confirming import confirm
from gateway.domain.decision import Decision, DecisionState
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import CarryReason, Netting
from gateway.domain.terms import date_at, parse_date
from gateway.domain.window import WindowState
from gateway.ledger.audit import audit
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from gateway.storage.payments import load_payables, load_payments
from gateway.storage.rules import load_adjustments
from gateway.storage.tables import positions
from gateway.storage.tables_settlement import settlement_steps
from gateway.storage.windows import load_transitions, load_window, load_windows
from settlement import store
from settlement.paying import carry_on, record_failed, record_paid
from tests.given import GivenNetwork, at, month
from tests.settlement.given import book_month
from tests.settlement.night import MIDNIGHT_MS, run

DAY_MS = 86_400_000
# Alpha pays all three; by creditor.
PAYMENTS = {"bravo": 275, "charlie": 41, "delta": 100}


@pytest.fixture(scope="module")
def netted(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month, netted; a late payment costs 1.00. Only to be copied."""
    made = month(tmp_path_factory.mktemp("netted") / "net")
    made.settlement_rules(RulesChange(late_fee=1_00, due_days=10))
    book_month(made.engine)
    run(made.engine, made.folder / "out")
    made.now_ms = MIDNIGHT_MS + 3_600_000
    made.engine.dispose()
    return made


@pytest.fixture
def network(netted: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[GivenNetwork]:
    """A copy of it, on both engines, and the night's files."""
    made = netted.copy(tmp_path / "net", url=new_network_url())
    (made.folder / "out").rename(tmp_path / "out")
    yield made
    made.engine.dispose()


def confirmed(network: GivenNetwork, window_id: int = 1) -> None:
    """Both operators have signed."""
    for hand in network.hands:
        with writing(network.engine) as connection:
            confirm(connection, window_id, hand=hand, now_ms=network.now_ms)


def state_of(network: GivenNetwork, window_id: int = 1) -> WindowState:
    """Where a window stands."""
    with reading(network.engine) as connection:
        window = load_window(connection, window_id)
    assert window is not None
    return window.state


def to(network: GivenNetwork, creditor_id: str, run_id: int = 1) -> str:
    """The instruction that pays somebody."""
    with reading(network.engine) as connection:
        return next(one.instruction_id for one in load_payables(connection, run_id) if one.creditor_id == creditor_id)


def pay(network: GivenNetwork, creditor_id: str, amount: int | None = None, *, ref: str = "", run_id: int = 1) -> None:
    """Money has moved."""
    with writing(network.engine) as connection:
        instruction_id = to(network, creditor_id, run_id)
        record_paid(connection, instruction_id, bank_ref=ref or f"REF-{creditor_id}", amount=amount, now_ms=network.now_ms)


def net_debit(engine: Engine, partner_id: str) -> int:
    """What counts for its exposure, in micros."""
    with reading(engine) as connection:
        query = select(positions.c.net_debit_micros).where(positions.c.partner_id == partner_id)
        return sum(connection.execute(query).scalars())


def prove(network: GivenNetwork) -> None:
    """The audit finds nothing."""
    assert [str(one) for one in audit(network.engine, full=True, now_ms=network.now_ms).failures] == []


def test_a_window_is_confirmed_by_two_operators_and_says_who(network: GivenNetwork) -> None:
    """One is not enough, and the same one twice is not two."""
    ada, bob = network.hands
    with writing(network.engine) as connection:
        assert confirm(connection, 1, hand=ada, now_ms=network.now_ms).state is DecisionState.PROPOSED
    assert state_of(network) is WindowState.NETTED
    with writing(network.engine) as connection, pytest.raises(DecisionRefused, match="DUAL_CONTROL_REQUIRED"):
        confirm(connection, 1, hand=ada, now_ms=network.now_ms)
    for _ in range(2):
        with writing(network.engine) as connection:
            assert confirm(connection, 1, hand=bob, now_ms=network.now_ms).state is DecisionState.APPLIED
    with reading(network.engine) as connection:
        way = [(step.state, step.made_by) for step in load_transitions(connection, 1)]

    assert way == [("OPEN", "founding"), ("CLOSED", "night"), ("NETTED", "night"), ("CONFIRMED", "ada, bob")]
    prove(network)


def test_what_was_made_anew_between_two_signatures_is_not_confirmed(network: GivenNetwork) -> None:
    """The second operator would sign something else than the first."""
    ada, bob = network.hands
    with writing(network.engine) as connection:
        first = confirm(connection, 1, hand=ada, now_ms=network.now_ms)
        connection.execute(text("UPDATE instructions SET amount = amount + 1 WHERE creditor_id = 'delta'"))
        second = confirm(connection, 1, hand=bob, now_ms=network.now_ms)

    assert first.decision_id != second.decision_id
    assert state_of(network) is WindowState.NETTED


def test_a_window_whose_night_did_not_come_to_its_end_is_not_confirmed(network: GivenNetwork) -> None:
    """Its files may be missing, or its books not proved."""
    with writing(network.engine) as connection:
        connection.execute(delete(settlement_steps).where(settlement_steps.c.step == "prove-after"))

    with pytest.raises(DecisionRefused, match=r"NOT_POSSIBLE.*settlement nightly"):
        confirmed(network)


@pytest.mark.parametrize("state", ["SETTLED", "CONFIRMED", "DISPUTED", "OPEN"])
def test_the_database_itself_skips_no_state(tmp_path: Path, network_url: str | None, state: str) -> None:
    """A hand that writes the state alone is refused by a CHECK, on both engines."""
    network = month(tmp_path / "net", url=network_url)
    run(network.engine, tmp_path / "out")
    with pytest.raises(IntegrityError, match="ck_windows_transition"), writing(network.engine) as connection:
        connection.execute(text(f"UPDATE windows SET state = '{state}', window_id = window_id WHERE window_id = 1"))
    network.engine.dispose()


def test_a_window_settles_once_all_is_paid_and_no_exposure_is_left_of_it(network: GivenNetwork) -> None:
    """In parts, too; each bank reference counts once."""
    confirmed(network)
    pay(network, "bravo", 200)
    pay(network, "bravo", 200)
    pay(network, "bravo", ref="REF-2")
    pay(network, "charlie")
    assert (state_of(network), net_debit(network.engine, "alpha") != 0) == (WindowState.CONFIRMED, True)
    pay(network, "delta")

    assert state_of(network) is WindowState.SETTLED
    assert {name: net_debit(network.engine, name) for name in ("alpha", "bravo", "charlie", "delta")} == dict.fromkeys(
        ("alpha", "bravo", "charlie", "delta"), 0
    )
    prove(network)


def test_a_failed_payment_keeps_its_debtors_exposure_and_ends_that_of_whoever_was_paid(network: GivenNetwork) -> None:
    """Bravo has its money; alpha owes charlie still, and a late fee, once."""
    before = net_debit(network.engine, "alpha")
    confirmed(network)
    pay(network, "bravo")
    pay(network, "delta")
    for reason in ("no funds", "account closed"):
        with writing(network.engine) as connection:
            record_failed(connection, to(network, "charlie"), reason=reason, now_ms=network.now_ms)
    with reading(network.engine) as connection:
        waiting = [(line.payer_id, line.payee_id, line.amount) for line in load_adjustments(connection, 0)]

    assert net_debit(network.engine, "alpha") == before
    assert (net_debit(network.engine, "bravo"), net_debit(network.engine, "delta")) == (0, 0)
    assert waiting == [("alpha", OPERATOR, 1_00)]
    assert state_of(network) is WindowState.CONFIRMED
    prove(network)


def test_what_is_carried_is_instructed_by_the_next_run_and_stays_in_the_exposure_until_then(
    network: GivenNetwork, tmp_path: Path
) -> None:
    """The first window settles, the debt goes on."""
    confirmed(network)
    pay(network, "bravo")
    pay(network, "delta")
    with writing(network.engine) as connection:
        carry_on(connection, to(network, "charlie"), reason="pays in July", now_ms=network.now_ms)
    assert state_of(network) is WindowState.SETTLED
    assert net_debit(network.engine, "alpha") == 41_000_000
    prove(network)
    run(network.engine, tmp_path / "out", at_ms=MIDNIGHT_MS + DAY_MS)
    network.now_ms += DAY_MS
    confirmed(network, 2)
    pay(network, "charlie", run_id=2)

    assert state_of(network, 2) is WindowState.SETTLED
    assert net_debit(network.engine, "alpha") == 0
    prove(network)


def test_a_write_off_takes_two_operators_and_the_operator_owes_the_creditor_instead(
    network: GivenNetwork, tmp_path: Path
) -> None:
    """The window settles, and the next one has the line."""
    confirmed(network)
    pay(network, "bravo")
    pay(network, "delta")
    with writing(network.engine) as connection:
        decision = propose_write_off(
            connection, to(network, "charlie"), reason="insolvent", hand=network.hands[0], now_ms=network.now_ms
        )
    assert state_of(network) is WindowState.CONFIRMED
    network.approve(decision)
    run(network.engine, tmp_path / "out", at_ms=MIDNIGHT_MS + DAY_MS)
    with reading(network.engine) as connection:
        lines = [(line.payer_id, line.payee_id, line.kind, line.amount) for line in store.load_obligations(connection, 2)]

    assert state_of(network) is WindowState.SETTLED
    assert lines == [(OPERATOR, "charlie", "write_off", 41)]
    assert net_debit(network.engine, "alpha") == 0
    network.now_ms += DAY_MS
    prove(network)


def test_windows_are_confirmed_and_settle_in_order(network: GivenNetwork, tmp_path: Path) -> None:
    """Nobody has to pay anything for the second, and it waits."""
    run(network.engine, tmp_path / "out", at_ms=MIDNIGHT_MS + DAY_MS)
    network.now_ms += DAY_MS
    with pytest.raises(DecisionRefused, match="window 1 comes first"):
        confirmed(network, 2)
    confirmed(network, 1)
    confirmed(network, 2)
    assert state_of(network, 2) is WindowState.CONFIRMED
    for creditor_id in PAYMENTS:
        pay(network, creditor_id)

    assert [state_of(network, window_id) for window_id in (1, 2)] == [WindowState.SETTLED, WindowState.SETTLED]
    prove(network)


def adjusted(network: GivenNetwork) -> Decision:
    """Delta owes bravo 7.50: two operators have decided it."""
    with writing(network.engine) as connection:
        decision = propose_adjustment(
            connection,
            payer_id="delta",
            payee_id="bravo",
            amount=7_50,
            currency="EUR",
            reason="till gave 7.50 too much",
            hand=network.hands[0],
            now_ms=network.now_ms,
        )
    return network.approve(decision)


def test_an_adjustment_is_a_line_with_its_reason_and_windows_sum_to_zero(network: GivenNetwork, tmp_path: Path) -> None:
    """Of the next window that is cut off; two operators decide it."""
    decision = adjusted(network)
    run(network.engine, tmp_path / "out", at_ms=MIDNIGHT_MS + DAY_MS)
    with reading(network.engine) as connection:
        (line,) = store.load_obligations(connection, 2)
        positions_ = store.load_positions(connection, 2)

    assert (line.payer_id, line.payee_id, line.kind, line.amount, line.reference) == (
        "delta",
        "bravo",
        "adjustment",
        7_50,
        decision.decision_id,
    )
    assert sum(position.amount for position in positions_) == 0
    network.now_ms += DAY_MS
    prove(network)


@pytest.mark.parametrize("change", ["UPDATE adjustments SET amount = 751", "DELETE FROM adjustments"])
def test_an_adjustment_that_is_not_what_the_operators_signed_is_named_by_the_audit(network: GivenNetwork, change: str) -> None:
    """Before any window has taken it in: the night then stops before the cut-off."""
    decision = adjusted(network)
    prove(network)
    with writing(network.engine) as connection:
        connection.execute(text(change))

    report = audit(network.engine, full=True, now_ms=network.now_ms)

    assert [failure.where for failure in report.failures] == [f"adjustments {decision.decision_id}"]


def test_fees_are_lines_to_the_operator_and_small_payments_wait(tmp_path: Path) -> None:
    """Fixed and per entry; 41 cents lie below a minimum of 50 and are paid with the next run."""
    network = month(tmp_path / "net")
    network.settlement_rules(RulesChange(minimum_amount=50, netting=Netting.BILATERAL))
    book_month(network.engine)
    network.now_ms = MIDNIGHT_MS - 1
    network.settlement_rules(RulesChange(fixed_fee=2_00, entry_fee_micros=500_000))
    run(network.engine, tmp_path / "out")
    with reading(network.engine) as connection:
        left = {(one.debtor_id, one.creditor_id): one.amount for one in store.load_carries(connection, left_by=1)}
        reasons = {one.reason for one in store.load_carries(connection, left_by=1)}
        booked = store.count_entries(connection, load_windows(connection)[1])
    network.now_ms = MIDNIGHT_MS
    prove(network)
    run(network.engine, tmp_path / "out", at_ms=MIDNIGHT_MS + DAY_MS)
    with reading(network.engine) as connection:
        lines = {(line.payer_id, line.kind): line.amount for line in store.load_obligations(connection, 2)}
        paid = {(one.debtor_id, one.creditor_id): one.amount for one in store.load_instructions(connection, 2)}
        still = {(one.debtor_id, one.creditor_id): one.amount for one in store.load_carries(connection, left_by=2)}

    assert left == {("charlie", "delta"): 15}
    assert reasons == {CarryReason.MINIMUM}
    assert booked == {"alpha": 10, "bravo": 3, "charlie": 5, "delta": 1}
    assert lines == {(name, "fee_fixed"): 2_00 for name in ("alpha", "bravo", "charlie", "delta")}
    assert paid == {(name, OPERATOR): 2_00 for name in ("alpha", "bravo", "charlie", "delta")}
    assert still == {("charlie", "delta"): 15}
    network.now_ms += DAY_MS
    prove(network)


@pytest.mark.parametrize(
    ("recorded", "booked", "fee"),
    [
        ("2026-07-10", None, 0),
        ("2026-07-13", None, 0),
        ("2026-07-14", None, 1_00),
        ("2026-07-20", "2026-07-13", 0),
        ("2026-07-20", "2026-07-14", 1_00),
    ],
    ids=["due, a Friday", "on Monday", "on Tuesday", "booked on Monday, recorded later", "booked on Tuesday"],
)
def test_a_payment_is_late_by_its_value_date_and_by_days_on_which_banks_settle(
    tmp_path: Path, recorded: str, booked: str | None, fee: int
) -> None:
    """Eleven days after the cut-off is a Saturday: whoever is asked to pay by the Monday after it, and does, owes no fee."""
    network = month(tmp_path / "net")
    network.settlement_rules(RulesChange(late_fee=1_00, due_days=11))
    book_month(network.engine)
    run(network.engine, tmp_path / "out")
    network.now_ms = MIDNIGHT_MS + 3_600_000
    confirmed(network)
    with writing(network.engine) as connection:
        value_date = None if booked is None else parse_date(booked)
        record_paid(
            connection, to(network, "bravo"), bank_ref="A", amount=None, value_date=value_date, now_ms=at(recorded, "10:00")
        )
        (kept,) = load_payments(connection, to(network, "bravo"))
        fees = [one.amount for one in load_adjustments(connection, 0)]

    assert kept.value_date == (booked or recorded)
    assert fees == ([fee] if fee else [])


def test_money_that_is_yet_to_move_was_not_paid(network: GivenNetwork) -> None:
    """A value date in the future is a mistake."""
    confirmed(network)
    tomorrow = date_at(network.now_ms + DAY_MS, ZoneInfo("Europe/Berlin"))
    with writing(network.engine) as connection, pytest.raises(InvalidValue, match="yet to move"):
        record_paid(connection, to(network, "bravo"), bank_ref="A", amount=None, value_date=tomorrow, now_ms=network.now_ms)


@pytest.mark.parametrize(
    ("amount", "ref", "message"),
    [(0, "A", "275|2.75 EUR are left"), (276, "A", "2.75 EUR are left"), (5, "", "bank reference")],
)
def test_what_cannot_have_been_paid_is_refused(network: GivenNetwork, amount: int, ref: str, message: str) -> None:
    """More than is left, nothing, or without a reference."""
    confirmed(network)
    with writing(network.engine) as connection, pytest.raises(InvalidValue, match=message):
        record_paid(connection, to(network, "bravo"), bank_ref=ref, amount=amount, now_ms=network.now_ms)


def test_nothing_is_paid_before_two_operators_have_confirmed_it(network: GivenNetwork) -> None:
    """With where the window stands."""
    with pytest.raises(InvalidValue, match="window 1 is NETTED"):
        pay(network, "bravo")
