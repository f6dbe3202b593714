"""How much a dispute is about: one event, what was left of it, its share of the obligation; and what its end gives back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Update, update

from gateway.domain.decision import DecisionState
from gateway.domain.errors import InvalidValue
from gateway.domain.settlement import CarryReason
from gateway.ledger.audit import prove
from gateway.storage.engine import reading
from gateway.storage.rules import load_adjustments
from gateway.storage.tables_intake import dispute_steps, disputes
from settlement import store
from tallystick.v1 import reconciliation_pb2 as pb
from tallystick.v1 import statement_pb2
from tests.edge.running import RunningGateway, refusal
from tests.given import GivenNetwork, at, month
from tests.settlement.dispute_desk import end, paid_now, propose, small_change, take
from tests.settlement.given import Shop, book_month, redeem, reverse
from tests.settlement.night import NEXT_MIDNIGHT_MS, run
from tests.settlement.office import FIRST_OF_JULY_MS, FORM, Office, line_between, proved, served

HOUR_MS = 3_600_000


@pytest.fixture
def gateway(month_over: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[RunningGateway]:
    """The netted month, on both engines; each test ends with books that are proved."""
    with _served_and_proved(month_over.copy(tmp_path / "net", url=new_network_url())) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path, network_url: str | None) -> GivenNetwork:
    """As `small_change`, on both engines."""
    return small_change(tmp_path / "net", url=network_url)


@contextmanager
def _served_and_proved(network: GivenNetwork) -> Iterator[RunningGateway]:
    with served(network) as running:
        yield running
        proved(network)


def over(network: GivenNetwork) -> GivenNetwork:
    """Its window netted, on 1 July."""
    run(network.engine, network.folder / "statements")
    network.now_ms = FIRST_OF_JULY_MS
    return network


def owed_back(network: GivenNetwork) -> list[tuple[str, str, str, int]]:
    """What ends of disputes have left for the next window: kind, payer, payee, cents."""
    with reading(network.engine) as connection:
        return [(one.kind.value, one.payer_id, one.payee_id, one.amount) for one in load_adjustments(connection, 0)]


def other_line(office: Office, line: statement_pb2.StatementLine) -> statement_pb2.StatementLine:
    """The same event in the other party's statement."""
    told_apart = "receipt_sha256", "kind", "payer_id", "payee_id", "points"
    return next(one for one in office.lines() if all(getattr(one, name) == getattr(line, name) for name in told_apart))


def restore(network: GivenNetwork, points: int) -> None:
    """The till restores points of the month's first redemption an hour from now; then it is an hour later still."""
    Shop(network.engine).book(reverse(f"late-{points}", "bravo", "4", points=points), now_ms=network.now_ms + HOUR_MS)
    network.now_ms += 2 * HOUR_MS


@pytest.mark.parametrize("word", ["accept", "correct", "write-off"])
def test_an_event_that_was_given_back_is_not_disputed_again(gateway: RunningGateway, word: str) -> None:
    """Neither party gets it a second time by its own line."""
    network, alpha, bravo = gateway.network, Office(gateway, "alpha"), Office(gateway, "bravo")
    line = line_between(alpha, "alpha", "bravo")
    opened = bravo.dispute(other_line(bravo, line).line_number)
    if word == "accept":
        alpha.answer(opened.dispute_id, "accept")
    else:
        end(network, opened.dispute_id, word, 5 if word == "correct" else 0)
    got = refusal(lambda: alpha.dispute(line.line_number))

    assert (got.reason, got.facts) == ("DISPUTE_EXISTS", {"dispute_id": opened.dispute_id})


@pytest.mark.parametrize("word", ["withdraw", "uphold"])
def test_an_event_of_which_nothing_was_given_back_may_be_disputed_by_the_other_side(gateway: RunningGateway, word: str) -> None:
    """Whoever opens and withdraws takes nobody's right; the amount is the same, and goes back once."""
    network, alpha, bravo = gateway.network, Office(gateway, "alpha"), Office(gateway, "bravo")
    line = line_between(alpha, "alpha", "bravo")
    first = bravo.dispute(other_line(bravo, line).line_number)
    if word == "withdraw":
        bravo.answer(first.dispute_id, "withdraw")
    else:
        end(network, first.dispute_id, word)
    second = alpha.dispute(line.line_number)
    bravo.answer(second.dispute_id, "accept")
    take(network)

    assert (first.amount, second.amount) == (360, 360)
    assert owed_back(network) == [("adjustment", "bravo", "alpha", 360)]


def test_two_lots_of_one_receipt_are_two_events(small: GivenNetwork) -> None:
    """Of one issuer and with as many points each: either party disputes one of them, and each hears of the other's."""
    Shop(small.engine).book(redeem("r", "bravo", "m1", 1000), now_ms=at("2026-06-03"))
    with _served_and_proved(over(small)) as gateway:
        alpha, bravo = Office(gateway, "alpha"), Office(gateway, "bravo")
        first, second = (one.line_number for one in alpha.lines())
        others = [one.line_number for one in bravo.lines()]
        opened = alpha.dispute(first)
        got = refusal(lambda: bravo.dispute(others[0]))

        assert bravo.dispute(others[1]).amount == opened.amount == 300
        assert got.facts == {"dispute_id": opened.dispute_id}
        assert refusal(lambda: alpha.dispute(second)).reason == "DISPUTE_EXISTS"


@pytest.mark.parametrize(("restored", "back"), [(0, 360), (100, 270), (400, 0)])
def test_what_is_restored_meanwhile_is_not_given_back_a_second_time(gateway: RunningGateway, restored: int, back: int) -> None:
    """600 points cost 540 cents, 200 of them came back before: 360 wait, and accepted, nothing of them stays with bravo."""
    network, alpha, bravo = gateway.network, Office(gateway, "alpha"), Office(gateway, "bravo")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    take(network)
    with reading(network.engine) as connection:
        held = [(one.reason, one.amount) for one in store.load_carries(connection)]
    if restored:
        restore(network, restored)
    accepted = bravo.answer(opened.dispute_id, "accept")
    take(network)
    adjusted = owed_back(network)
    run(network.engine, network.folder / "statements", at_ms=NEXT_MIDNIGHT_MS)

    assert (opened.points, opened.amount, held) == (400, 360, [(CarryReason.DISPUTE, 360)])
    assert accepted.steps[-1].amount == back
    assert adjusted == ([("adjustment", "bravo", "alpha", back)] if back else [])
    with reading(network.engine) as connection:
        owed = [
            (one.payer_id, one.kind, one.amount)
            for window_id in (1, 2)
            for one in store.load_obligations(connection, window_id)
            if {one.payer_id, one.payee_id} == {"alpha", "bravo"}
        ]
    assert sum(amount if payer_id == "alpha" else -amount for payer_id, _, amount in owed) == 0
    assert [amount for _, kind, amount in owed if kind == "restoration"] == ([restored * 9 // 10] if restored else [])
    assert paid_now(network)["alpha"] == -416
    assert paid_now(network, 2) == {"alpha": 360, "bravo": -360}


def test_of_a_line_that_is_upheld_a_restoration_alone_comes_back(gateway: RunningGateway) -> None:
    """The 360 cents are paid; for 100 points that were restored meanwhile bravo owes 90."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    take(network)
    restore(network, 100)
    end(network, opened.dispute_id, "uphold")
    take(network)
    run(network.engine, network.folder / "statements", at_ms=NEXT_MIDNIGHT_MS)

    assert owed_back(network) == []
    assert (paid_now(network)["alpha"], paid_now(network, 2)) == (-416, {"alpha": 90, "bravo": -90})


def test_a_line_all_of_whose_points_were_restored_is_not_disputed(gateway: RunningGateway) -> None:
    """Their own lines pay it back."""
    alpha = Office(gateway, "alpha")
    restore(gateway.network, 400)
    got = refusal(lambda: alpha.dispute(line_between(alpha, "alpha", "bravo").line_number))

    assert (got.reason, got.facts) == ("NOT_DISPUTABLE", {"state": "NETTED", "points_left": "0"})


@pytest.mark.parametrize(("word", "creditor"), [("correct", "bravo"), ("write-off", "operator")])
def test_what_is_restored_after_the_end_is_named_to_the_operator(gateway: RunningGateway, word: str, creditor: str) -> None:
    """The till gives points to its member whatever became of the dispute: 180 of 300 cents went back twice, or of 360 240."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    end(network, opened.dispute_id, word, 300 if word == "correct" else 0)
    before = take(network, "show", opened.dispute_id).output
    restore(network, 267)
    after = " ".join(take(network, "show", opened.dispute_id).output.split())

    assert "went back twice" not in before
    assert f"{'1.80' if word == 'correct' else '2.40'} EUR went back twice, and alpha owes that to {creditor}" in after


@pytest.mark.parametrize(("word", "amount"), [("correct", 300), ("write-off", 0)])
def test_two_operators_do_not_give_back_what_was_restored_between_them(gateway: RunningGateway, word: str, amount: int) -> None:
    """The approval finds the proposal stale; proposed anew, it gives back what is left."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    proposed = propose(network, opened.dispute_id, word, amount)
    restore(network, 100)

    assert network.approve(proposed).state is DecisionState.STALE
    with pytest.raises(InvalidValue, match="gives back 1 to 270"):
        propose(network, opened.dispute_id, "correct", 271)
    end(network, opened.dispute_id, "write-off")
    assert owed_back(network) == [("adjustment", "bravo", "alpha", 270), ("write_off", "operator", "bravo", 270)]


@pytest.mark.parametrize(("redeemer_id", "cents", "held"), [("bravo", 12, {0, 1}), ("charlie", 8, {0, 1})])
def test_disputes_of_all_lines_hold_and_give_back_the_obligation(
    small: GivenNetwork, redeemer_id: str, cents: int, held: set[int]
) -> None:
    """Twenty lines of 0.60 cents are 12 cents, twenty of 0.40 are 8: rounded once, not twenty times."""
    shop = Shop(small.engine)
    for number in range(20):
        shop.book(redeem(f"r{number}", redeemer_id, "m1", 1), now_ms=at("2026-06-03"))
    with _served_and_proved(over(small)) as gateway:
        alpha, redeemer = Office(gateway, "alpha"), Office(gateway, redeemer_id)
        opened = [alpha.dispute(one.line_number) for one in alpha.lines()]
        take(small)
        with reading(small.engine) as connection:
            carried = [one.amount for one in store.load_carries(connection)]
        for one in opened:
            redeemer.answer(one.dispute_id, "accept")
        take(small)

        assert {one.amount for one in opened} == held
        assert carried == [cents]
        assert sum(amount for *_, amount in owed_back(small)) == cents


def test_a_dispute_whose_share_is_nothing_is_corrected_to_nothing(small: GivenNetwork) -> None:
    """A point of 0.40 cents: the line is found wrong, and no cent moves."""
    Shop(small.engine).book(redeem("r", "charlie", "m1", 1), now_ms=at("2026-06-03"))
    with _served_and_proved(over(small)) as gateway:
        alpha = Office(gateway, "alpha")
        opened = alpha.dispute(alpha.lines()[0].line_number)
        with pytest.raises(InvalidValue, match="gives back 0 to 0"):
            propose(small, opened.dispute_id, "correct", 1)
        end(small, opened.dispute_id, "correct")

        assert opened.amount == 0
        assert alpha.disputes().disputes[0].state == pb.DISPUTE_STATE_CORRECTED
        assert owed_back(small) == []


@pytest.mark.parametrize(("word", "kind"), [("silence", "adjustment"), ("write-off", "write_off")])
def test_what_the_network_gives_back_is_a_write_off_by_a_write_off_alone(
    tmp_path: Path, network_url: str | None, word: str, kind: str
) -> None:
    """Alpha's issue of 600 points, 150 of which were taken back: 450 at 1.10 are 4.95."""
    network = month(tmp_path / "net", model="at_issuance", url=network_url)
    book_month(network.engine)
    with _served_and_proved(over(network)) as gateway:
        alpha = Office(gateway, "alpha")
        opened = alpha.dispute(line_between(alpha, "alpha", "operator", kind="issue").line_number)
        if word == "silence":
            network.now_ms = at("2026-07-16", "01:00")
        else:
            end(network, opened.dispute_id, word)
        take(network)

        assert (opened.points, opened.amount) == (450, 495)
        assert owed_back(network) == [(kind, "operator", "alpha", 495)]


@pytest.mark.parametrize(
    "change",
    [
        update(disputes).values(points=600, amount_micros=540_000_000),
        update(disputes).values(points=300, amount_micros=270_000_000, amount=270),
        update(disputes).values(amount=361),
        update(disputes).values(amount_micros=disputes.c.amount_micros + 1),
        update(dispute_steps).where(dispute_steps.c.state == "ACCEPTED").values(amount=360),
        update(dispute_steps).where(dispute_steps.c.state == "ACCEPTED").values(amount=269),
    ],
    ids=["all points", "fewer points", "a cent more", "a millionth more", "with what was restored", "a cent less"],
)
def test_an_amount_that_was_changed_by_hand_is_found(gateway: RunningGateway, change: Update) -> None:
    """The audit works out from the postings what was left, and from the obligation what that is."""
    network, alpha = gateway.network, Office(gateway, "alpha")
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    restore(network, 100)
    Office(gateway, "bravo").answer(opened.dispute_id, "accept")
    with network.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(change)
        report, _ = prove(connection, proofs={}, marks={}, receipts=FORM, progress=lambda _line: None, failures_max=1)
        transaction.rollback()

    assert [failure.where for failure in report.failures] == [f"dispute {opened.dispute_id}"]
