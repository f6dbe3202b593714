"""Disputes in the settlement: only the disputed amount waits, every end is a new line, and the books are proved all the while."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from gateway.confirming import confirm
from gateway.domain.errors import DecisionRefused
from gateway.domain.settlement import CarryReason
from gateway.domain.window import WindowState
from gateway.ledger.audit import prove
from gateway.storage.disputes import load_disputes
from gateway.storage.engine import reading, writing
from gateway.storage.rules import load_adjustments
from gateway.storage.tables_intake import dispute_steps, disputes, intake
from gateway.storage.windows import load_transitions
from settlement import store
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork, at
from tests.settlement.dispute_desk import end, paid_now, take
from tests.settlement.night import run
from tests.settlement.office import DEADLINE, FORM, Office, line_between, proved, served

# The oracle's nets in cents: what alpha owes bravo for the first redemption is one of its lines.
NETS = {"alpha": -416, "bravo": 275, "charlie": 41, "delta": 100}


@pytest.fixture
def gateway(month_over: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[RunningGateway]:
    """The netted month, on both engines; each test ends with books that are proved."""
    network = month_over.copy(tmp_path / "net", url=new_network_url())
    with served(network) as running:
        yield running
        proved(network)


def test_only_the_disputed_amount_is_held_out_and_carried(gateway: RunningGateway) -> None:
    """The rest is paid; what is held back waits on the operator's carry account, and the window was DISPUTED meanwhile."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    line = line_between(alpha, "alpha", "bravo")
    opened = alpha.dispute(line.line_number)
    take(network)

    assert (
        paid_now(network)
        == {
            **NETS,
            "alpha": NETS["alpha"] + opened.amount,
            "bravo": NETS["bravo"] - opened.amount,
        }
        or opened.amount > NETS["bravo"]
    )
    with reading(network.engine) as connection:
        carried = store.load_carries(connection)
        states = [step.state for step in load_transitions(connection, 1)]
    assert [(one.debtor_id, one.creditor_id, one.reason, one.amount) for one in carried] == [
        ("alpha", "bravo", CarryReason.DISPUTE, opened.amount)
    ]
    assert states[-3:] == [WindowState.NETTED, WindowState.DISPUTED, WindowState.NETTED]
    with reading(network.engine) as connection:
        signed = {one.instruction_id: one.amount for one in store.load_instructions(connection, 1)}
    written = json.loads((network.folder / "statements" / "window-0001" / "operator.instructions.json").read_bytes())
    assert {one["instruction_id"]: one["amount"] for one in written["instructions"]} == signed
    assert "Nothing to do." in take(network).output


def test_a_window_is_not_confirmed_while_a_dispute_is_not_held_out(gateway: RunningGateway) -> None:
    """Operators would sign for a payment that is disputed."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)

    with writing(network.engine) as connection, pytest.raises(DecisionRefused, match="DISPUTES_WAIT"):
        confirm(connection, 1, hand=network.hands[0], now_ms=network.now_ms)


@pytest.mark.parametrize("word", ["withdraw", "accept"])
def test_a_dispute_that_ends_before_the_window_is_confirmed_is_paid_again(gateway: RunningGateway, word: str) -> None:
    """The line is paid as it was published; what was accepted goes back with the next window."""
    network, alpha, bravo = gateway.network, Office(gateway, "alpha"), Office(gateway, "bravo")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    take(network)
    (alpha if word == "withdraw" else bravo).answer(opened.dispute_id, word)
    take(network)

    assert paid_now(network) == NETS
    with reading(network.engine) as connection:
        waiting = [(one.payer_id, one.payee_id, one.amount) for one in load_adjustments(connection, 0)]
    assert waiting == ([] if word == "withdraw" else [("bravo", "alpha", opened.amount)])


def test_silence_accepts_after_the_deadline(gateway: RunningGateway) -> None:
    """By the night that comes after it, and not before."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    network.now_ms = at(DEADLINE, "23:59:00")
    assert "accepted" not in take(network).output
    network.now_ms = at("2026-07-16", "00:00:01")

    assert f"{opened.dispute_id}: accepted" in take(network).output
    with reading(network.engine) as connection:
        (dispute,) = load_disputes(connection)
    assert dispute.state == "ACCEPTED"


@pytest.mark.parametrize(
    ("word", "amount", "owed"),
    [
        ("uphold", 0, {}),
        ("correct", 5, {"alpha": 5, "bravo": -5}),
        ("write-off", 0, {"alpha": None, "operator": None}),
    ],
)
def test_operators_end_a_dispute_by_a_line_of_the_next_window(
    gateway: RunningGateway, word: str, amount: int, owed: dict[str, int | None]
) -> None:
    """It is contested first; the next window still sums to zero, and pays what was held out."""
    network, alpha, bravo = gateway.network, Office(gateway, "alpha"), Office(gateway, "bravo")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    bravo.answer(opened.dispute_id, "contest", "we have the receipt")
    take(network)
    end(network, opened.dispute_id, word, amount)
    network.now_ms = at("2026-07-02")
    run(network.engine, network.folder / "statements", at_ms=at("2026-07-01", "23:59:59"))

    with reading(network.engine) as connection:
        nets = {one.party_id: one.amount for one in store.load_positions(connection, 2)}
    expected = {
        party: value if value is not None else (opened.amount if party == "alpha" else -opened.amount)
        for party, value in owed.items()
    }
    if word == "write-off":
        expected["bravo"] = 0
    assert {party: value for party, value in nets.items() if value or party in expected} == expected
    assert sum(nets.values()) == 0


def test_a_dispute_that_goes_on_is_held_out_of_the_next_payments_too(gateway: RunningGateway) -> None:
    """What waits is taken in by each payment run, and left again as long as the dispute is live."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    take(network)
    network.now_ms = at("2026-07-02")
    run(network.engine, network.folder / "statements", at_ms=at("2026-07-01", "23:59:59"))

    with reading(network.engine) as connection:
        waiting = store.load_carries(connection)
    assert [(one.window_id, one.amount, one.reason) for one in waiting] == [(2, opened.amount, CarryReason.DISPUTE)]
    assert paid_now(network, 2) == {}


def test_disputes_are_listed_and_shown(gateway: RunningGateway) -> None:
    """For the finance team."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)

    assert opened.dispute_id[:8] in take(network, "list", "--live").output
    assert "alpha/till-1/1" in take(network, "show", opened.dispute_id).output


@pytest.mark.parametrize(
    "change",
    [
        update(disputes).values(amount=disputes.c.amount + 1),
        update(disputes).values(evidence="another letter"),
        update(disputes).values(respondent_id="delta"),
        update(dispute_steps).values(note="another"),
        update(dispute_steps).values(at_ms=dispute_steps.c.at_ms + 1),
        update(intake).values(message=b"\x08\x01"),
        update(intake).values(signature=b"\x00" * 64),
        delete(intake),
        delete(dispute_steps),
    ],
    ids=lambda change: str(change).replace("\n", " ")[:60],
)
def test_whoever_changes_a_dispute_by_hand_is_found(gateway: RunningGateway, change: object) -> None:
    """The audit knows the tables, and goes by what was signed."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    alpha.acknowledge(alpha.statement().sha256)
    proved(network)
    with network.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(change)  # type: ignore[call-overload]  # a statement of either kind
        report, _ = prove(connection, proofs={}, marks={}, receipts=FORM, progress=lambda _line: None, failures_max=1)
        transaction.rollback()

    assert not report.is_proved
