"""Disputes, signatures, payment runs and payments at the same time, over connections of their own: one effect in either order.

Whoever comes second waits for a row that the test holds; on PostgreSQL those who wait are served in the order in which they came.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.engine import make_url

from gateway.confirming import confirm, confirmed_sha256
from gateway.domain.decision import DecisionKind, DecisionState
from gateway.domain.dispute import DisputeState
from gateway.domain.documents import read_document
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.settlement import CarryReason, PaymentEvent, Schedule
from gateway.domain.window import WindowState
from gateway.governance import Hand
from gateway.settlement_rules import RulesChange
from gateway.storage.decisions import load_decisions
from gateway.storage.disputes import load_dispute, load_disputes, lock_window, move_dispute
from gateway.storage.engine import reading, writing
from gateway.storage.payments import load_payables, load_payments
from gateway.storage.rules import load_rules
from gateway.storage.tables_intake import dispute_steps, disputes
from gateway.storage.tables_settlement import payment_runs
from gateway.storage.windows import load_transitions, load_window, lock_all_heads
from settlement import store
from settlement.disputing import Taken, take_disputes
from settlement.netting import Payment, positions_of
from settlement.nightly import make_due_runs
from settlement.paying import carry_on, record_paid
from tests.e2e.faults import wait_for_waiters
from tests.edge.running import RunningGateway, seen
from tests.given import AUDIENCE, GivenNetwork, at
from tests.patience import patience_s
from tests.postgres import ENGINES, PostgresServer
from tests.settlement.given import Shop, issue, redeem
from tests.settlement.night import finish, run
from tests.settlement.office import FIRST_OF_JULY_MS, Office, line_between, proved

Work = Callable[[], object]


@pytest.fixture(scope="module")
def netted(month_over: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month's window, netted; ada has signed it. Only to be copied."""
    network = month_over.copy(tmp_path_factory.mktemp("netted") / "net")
    signed(network, 1, network.hands[0])
    network.engine.dispose()
    return network


@pytest.fixture
def gateway(netted: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[RunningGateway]:
    """On both engines; each test ends with books that are proved, and nothing both held out and paid."""
    network = netted.copy(tmp_path / "net", url=new_network_url())
    with RunningGateway(network) as running:
        yield running
        proved(network)
        confirmed_as_signed(network)
    network.engine.dispose()


class Crossing:
    """Starts work beside work: each piece waits for what `held` holds before the next one is started."""

    def __init__(self, network: GivenNetwork, server: PostgresServer | None) -> None:
        self._network, self._server = network, server
        self._pool = ThreadPoolExecutor(4)
        self._started: list[Future[object]] = []

    @contextmanager
    def held(self, hold: Callable[[Connection], object]) -> Iterator[Connection]:
        """A transaction that has done something which others wait for; committed at the end."""
        with writing(self._network.engine) as connection:
            hold(connection)
            yield connection

    def start(self, *works: Work) -> None:
        """On PostgreSQL each one waits when this returns. On SQLite all of them wait for the one lock, in no order."""
        for work in works:
            self._started.append(self._pool.submit(_outcome, work))
            if self._server is not None:
                with self._server.connect(make_url(self._network.url or "").database or "") as session:
                    wait_for_waiters(session, len(self._started))

    def ended(self) -> list[object]:
        """What became of each, in the order in which they were started: an answer, or the refusal."""
        with self._pool:
            return [one.result(patience_s(30)) for one in self._started]


def _outcome(work: Work) -> object:
    try:
        return work()
    except (DecisionRefused, InvalidValue) as error:
        return error
    except grpc.RpcError as error:
        return seen(error).reason


@pytest.fixture
def crossing(gateway: RunningGateway, request: pytest.FixtureRequest) -> Crossing:
    """Of the gateway's network."""
    server = request.getfixturevalue("postgres_server") if gateway.network.url else None
    return Crossing(gateway.network, server)


def signed(network: GivenNetwork, window_id: int, hand: Hand) -> WindowState:
    """An operator signs a window; answers where it stands then."""
    with writing(network.engine) as connection:
        confirm(connection, window_id, hand=hand, now_ms=network.now_ms)
        return state_in(connection, window_id)


def state_in(connection: Connection, window_id: int = 1) -> WindowState:
    """Where a window stands."""
    window = load_window(connection, window_id)
    assert window is not None
    return window.state


def state_of(network: GivenNetwork, window_id: int = 1) -> WindowState:
    """The same, as others see it."""
    with reading(network.engine) as connection:
        return state_in(connection, window_id)


def take(network: GivenNetwork, *, on: str = "2026-07-02") -> Taken:
    """Takes disputes into the settlement."""
    with writing(network.engine) as connection:
        return take_disputes(connection, audience=AUDIENCE, network_date=on, now_ms=network.now_ms, events={})


def confirmed_as_signed(network: GivenNetwork) -> None:
    """Whatever is confirmed with its payments is what two operators have signed, to the byte."""
    with reading(network.engine) as connection:
        rules = load_rules(connection)
        for decision in load_decisions(connection):
            if decision.kind is DecisionKind.CONFIRM_WINDOW and decision.state is DecisionState.APPLIED:
                document = read_document(decision.document)
                window = store.existing_window(connection, document["window_id"])
                if rules[window.rules_version].schedule is Schedule.WINDOW:
                    assert document["sha256"] == confirmed_sha256(connection, window).hex()


def held_out(network: GivenNetwork, run_id: int = 1) -> dict[tuple[str, str], int]:
    """What a run leaves because it is disputed."""
    with reading(network.engine) as connection:
        left = store.load_carries(connection, left_by=run_id)
    return {(one.debtor_id, one.creditor_id): one.amount for one in left if one.reason is CarryReason.DISPUTE}


def paid_now(network: GivenNetwork, run_id: int = 1) -> dict[str, int]:
    """What the instructions of a run leave each party with, in cents."""
    with reading(network.engine) as connection:
        made = [Payment(one.currency, one.debtor_id, one.creditor_id, one.amount) for one in load_payables(connection, run_id)]
    return {one.party_id: one.amount for one in positions_of(made)}


def signs(network: GivenNetwork, window_id: int = 1) -> Work:
    """The second operator's signature."""
    return partial(signed, network, window_id, network.hands[1])


@pytest.mark.parametrize("is_dispute_first", [True, False])
def test_a_dispute_and_the_second_signature_of_its_window(
    gateway: RunningGateway, crossing: Crossing, *, is_dispute_first: bool
) -> None:
    """Either the dispute is there and nothing is confirmed, or the window is confirmed and the dispute comes too late."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    disputes = partial(alpha.dispute, line_between(alpha, "alpha", "bravo").line_number)
    with crossing.held(partial(lock_window, window_id=1)):
        crossing.start(*((disputes, signs(network)) if is_dispute_first else (signs(network), disputes)))
    told = list(map(str, crossing.ended()))

    came_first = state_of(network) is WindowState.NETTED
    assert any("DISPUTES_WAIT" in one for one in told) == came_first
    assert ("NOT_DISPUTABLE" in told) != came_first
    assert network.url is None or came_first == is_dispute_first


def test_two_second_signatures_confirm_once(gateway: RunningGateway, crossing: Crossing) -> None:
    """Whoever comes second is told where the window stands."""
    network = gateway.network
    with crossing.held(partial(lock_window, window_id=1)):
        crossing.start(signs(network), signs(network))
    told = crossing.ended()

    with reading(network.engine) as connection:
        states = [step.state for step in load_transitions(connection, 1)]
    assert states.count(WindowState.CONFIRMED) == 1
    assert WindowState.CONFIRMED in told
    assert all(one is WindowState.CONFIRMED or "NOT_POSSIBLE: window 1 is CONFIRMED" in str(one) for one in told)


@pytest.mark.parametrize("is_take_first", [True, False])
def test_payments_made_anew_and_the_second_signature(gateway: RunningGateway, crossing: Crossing, *, is_take_first: bool) -> None:
    """What was signed first is no more: nothing is confirmed, in whichever order; both operators sign what is there now."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    takes = partial(take, network)
    with crossing.held(partial(lock_window, window_id=1)):
        crossing.start(*((takes, signs(network)) if is_take_first else (signs(network), takes)))
    crossing.ended()
    states = [state_of(network), *(signed(network, 1, hand) for hand in network.hands)]

    assert states[0] is WindowState.NETTED
    assert states[-1] is WindowState.CONFIRMED
    assert held_out(network) == {("alpha", "bravo"): opened.amount}


def test_a_window_that_is_confirmed_while_disputes_are_taken_keeps_its_payments(
    gateway: RunningGateway, crossing: Crossing
) -> None:
    """Its dispute was held out, and is withdrawn meanwhile: the amount waits for the next run, nothing is made anew."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    take(network)
    signed(network, 1, network.hands[0])
    before = paid_now(network)
    with crossing.held(partial(confirm, window_id=1, hand=network.hands[1], now_ms=network.now_ms)):
        if network.url is not None:  # on SQLite nobody writes beside another
            alpha.answer(opened.dispute_id, "withdraw")
        crossing.start(partial(take, network))
    ended = crossing.ended()

    assert ended == [Taken()]
    assert state_of(network) is WindowState.CONFIRMED
    assert paid_now(network) == before
    assert held_out(network) == {("alpha", "bravo"): opened.amount}


def test_a_dispute_and_a_payment_of_a_confirmed_window(gateway: RunningGateway, crossing: Crossing) -> None:
    """What is disputed already stays held out, what is paid is not disputed any more."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "charlie").line_number)
    take(network)
    for hand in network.hands:
        signed(network, 1, hand)
    with reading(network.engine) as connection:
        payable = load_payables(connection, 1)[0]

    def hold(connection: Connection) -> None:
        lock_all_heads(connection)
        lock_window(connection, 1)

    with crossing.held(hold):
        crossing.start(
            partial(paid, network, payable.instruction_id, "A"),
            partial(alpha.dispute, line_between(alpha, "alpha", "bravo").line_number),
        )
    told = crossing.ended()

    assert told == [0, "NOT_DISPUTABLE"]
    assert held_out(network) == {("alpha", "charlie"): opened.amount}


def paid(network: GivenNetwork, instruction_id: str, ref: str) -> int:
    """Records that all that is left was paid; answers what is left then."""
    with writing(network.engine) as connection:
        recorded = record_paid(connection, instruction_id, bank_ref=ref, amount=None, now_ms=network.now_ms)
    return recorded.payable.outstanding


def test_an_instruction_is_paid_once_whoever_records_it(gateway: RunningGateway, crossing: Crossing) -> None:
    """Two processes, each with a reference of its own for the whole amount: the second one finds nothing left."""
    network = gateway.network
    signed(network, 1, network.hands[1])
    with reading(network.engine) as connection:
        payable = load_payables(connection, 1)[0]
    command = ("settlement", "paid", payable.instruction_id, "--bank-ref")
    with crossing.held(lock_all_heads):
        crossing.start(*(partial(finish, network.folder, *command, ref) for ref in ("A", "B")))
    ended = crossing.ended()

    with reading(network.engine) as connection:
        events = [(one.event, one.amount) for one in load_payments(connection, payable.instruction_id)]
    assert len([one for one in ended if "nothing is left of it" in str(one)]) == 1
    assert events == [(PaymentEvent.PAID, payable.amount)]


def test_what_is_accepted_by_silence_was_not_withdrawn_meanwhile(gateway: RunningGateway, crossing: Crossing) -> None:
    """After the deadline its opener may still withdraw: the night that waits for that goes on."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number, deadline="2026-07-02")

    def withdraw(connection: Connection) -> None:
        dispute = load_dispute(connection, opened.dispute_id, for_update=True)
        assert dispute is not None
        move_dispute(connection, dispute, DisputeState.WITHDRAWN, at_ms=network.now_ms, made_by="a test")

    with crossing.held(withdraw):
        crossing.start(partial(take, network, on="2026-07-03"))
    ended = crossing.ended()
    with writing(network.engine) as connection:  # nobody signed this withdrawal: the books must not keep it
        connection.execute(delete(dispute_steps).where(dispute_steps.c.made_by == "a test"))
        connection.execute(update(disputes).values(state=DisputeState.OPEN.value, previous_state=""))

    assert ended == [Taken()]


@pytest.fixture
def monthly(gateway: RunningGateway) -> GivenNetwork:
    """A second window, which is paid for by month, is confirmed as the first one is."""
    network = gateway.network
    signed(network, 1, network.hands[1])
    network.settlement_rules(RulesChange(schedule=Schedule.MONTHLY))
    shop = Shop(network.engine)
    shop.book(issue("j1", "alpha", "m2", 800_00), now_ms=FIRST_OF_JULY_MS + 1)
    shop.book(redeem("j2", "bravo", "m2", 300), now_ms=FIRST_OF_JULY_MS + 2)
    run(network.engine, network.folder / "statements", at_ms=at("2026-07-01", "23:59:59"))
    network.now_ms = at("2026-08-01")
    for hand in network.hands:
        signed(network, 2, hand)
    return network


@pytest.mark.parametrize("is_dispute_first", [True, False])
def test_a_dispute_and_the_payment_run_of_its_term(
    gateway: RunningGateway, crossing: Crossing, monthly: GivenNetwork, *, is_dispute_first: bool
) -> None:
    """A confirmed window that no run has gathered may still be disputed: then the run holds it out; else it is paid."""
    alpha = Office(gateway, "alpha")
    disputes = partial(alpha.dispute, 1, window_id=2, deadline="2026-08-20")
    pays = partial(make_due_runs, monthly.engine, monthly.folder / "statements", at_ms=monthly.now_ms)
    with crossing.held(partial(lock_window, window_id=2)):
        crossing.start(*((disputes, pays) if is_dispute_first else (pays, disputes)))
    told = crossing.ended()

    with reading(monthly.engine) as connection:
        amounts = [one.amount for one in load_disputes(connection)]
    came_first = "NOT_DISPUTABLE" not in told
    assert monthly.url is None or came_first == is_dispute_first
    assert held_out(monthly, 2) == ({("alpha", "bravo"): amounts[0]} if came_first else {})
    assert paid_now(monthly, 2)["bravo"] == 270 - sum(amounts)


@pytest.mark.postgres
@pytest.mark.parametrize("new_network_url", ENGINES[1:], indirect=True)
def test_what_is_carried_while_a_run_is_made_waits_for_the_next_one(gateway: RunningGateway, crossing: Crossing) -> None:
    """It was not there when the run was planned: taken in all the same, it would be lost."""
    network = gateway.network
    signed(network, 1, network.hands[1])
    run(network.engine, network.folder / "statements", at_ms=at("2026-07-01", "23:59:59"))
    with reading(network.engine) as connection:
        left, window = load_payables(connection, 1)[0], store.existing_window(connection, 2)
        taken_before = store.load_carries(connection, brought_to=2)

    def make() -> None:
        with writing(network.engine) as connection:
            store.make_run(connection, audience=AUDIENCE, windows=[window])

    with writing(network.engine) as connection:
        connection.execute(delete(payment_runs).where(payment_runs.c.window_id == 2))
    # The run reads what waits, and then comes to its own row, which somebody else was about to write.
    with network.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(insert(payment_runs).values(window_id=2, first_window_id=2, rules_version=0))
        crossing.start(make)
        with writing(network.engine) as other:
            carry_on(other, left.instruction_id, reason="pays in July", now_ms=network.now_ms)
        transaction.rollback()
    crossing.ended()

    with reading(network.engine) as connection:
        waiting = [(one.debtor_id, one.creditor_id, one.amount) for one in store.load_carries(connection)]
        assert store.load_carries(connection, brought_to=2) == taken_before
    assert waiting == [(left.debtor_id, left.creditor_id, left.amount)]
