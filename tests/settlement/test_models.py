"""All three models over the same entries: the oracle's lines and nets, statements that the audit proves, and old rules kept."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from gateway.domain.entry import PostingKind
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.units import MICROS
from gateway.ledger.audit import audit
from gateway.settlement_rules import RulesChange, propose_rules
from gateway.storage.engine import reading, writing
from gateway.storage.rules import load_rules
from gateway.storage.statements import load_statement, load_statement_lines
from gateway.storage.windows import load_window
from settlement import store
from settlement.netting import net_positions
from settlement.nightly import window_obligations
from settlement.obligation import MODELS, Obligation, Total
from tests.given import GivenNetwork, month
from tests.settlement.given import book_month, issue, oracle
from tests.settlement.night import MIDNIGHT_MS, run
from tests.settlement.test_obligation import month_prices

NAMES = {"alpha": "A", "bravo": "B", "charlie": "C", "delta": "D"}
NETWORK_MODELS = [SettlementModel.AT_ISSUANCE, SettlementModel.AT_PAR]
NEXT_MIDNIGHT_MS = MIDNIGHT_MS + 86_400_000


@pytest.fixture(params=NETWORK_MODELS, ids=str)
def netted(request: pytest.FixtureRequest, tmp_path: Path, new_network_url: Callable[[], str | None]) -> GivenNetwork:
    """The month, netted by a night under a model in which partners deal with the network."""
    network = month(tmp_path / "net", model=request.param, url=new_network_url())
    book_month(network.engine)
    run(network.engine, tmp_path / "out")
    return network


def lines_of(engine: Engine, window_id: int = 1) -> list[Obligation]:
    """What the night made."""
    with reading(engine) as connection:
        return store.load_obligations(connection, window_id)


def model_of(engine: Engine, window_id: int = 1) -> SettlementModel:
    """By which model a window is priced."""
    with reading(engine) as connection:
        window = load_window(connection, window_id)
        assert window is not None
        return store.load_pricing(connection, window).model


def test_the_month_gives_the_oracles_nets_and_the_network_the_rest(netted: GivenNetwork) -> None:
    """DESIGN section 8: rounded line by line, in sum zero."""
    expected = oracle()[model_of(netted.engine)]
    with reading(netted.engine) as connection:
        positions = {position.party_id: position.amount for position in store.load_positions(connection, 1)}

    assert {NAMES[party]: amount for party, amount in positions.items() if party != OPERATOR} == expected["net"]
    assert positions[OPERATOR] == expected["network"]


def test_the_audit_proves_a_window_of_each_model(netted: GivenNetwork) -> None:
    """Lines, nets, instructions, statements and the events behind them, worked out anew."""
    assert [str(one) for one in audit(netted.engine, full=True, now_ms=MIDNIGHT_MS).failures] == []


def test_the_events_behind_a_statement_sum_to_its_lines(netted: GivenNetwork) -> None:
    """By kind and card, to the micro: nobody is charged for what is not shown."""
    with reading(netted.engine) as connection:
        for partner_id in NAMES:
            statement = load_statement(connection, 1, partner_id)
            assert statement is not None
            events = load_statement_lines(connection, 1, partner_id, after=0, limit=1_000)
            lines = [line for line in store.load_obligations(connection, 1) if partner_id in (line.payer_id, line.payee_id)]
            for line in lines:
                key = line.payer_id, line.payee_id, line.kind, line.rate_card_version
                behind = [one for one in events if (one.payer_id, one.payee_id, one.kind, one.rate_card_version) == key]
                assert sum(one.amount_micros for one in behind) == line.amount_micros
                assert sum(one.points for one in behind) == line.points
            assert statement.lines == len(events)


def test_at_issuance_the_lines_are_the_oracles(tmp_path: Path) -> None:
    """Charges, reimbursements, reversals at original prices and the rebate, each exact and rounded."""
    network = month(tmp_path / "net", model="at_issuance")
    book_month(network.engine)
    run(network.engine, tmp_path / "out")
    found = {
        (partner, line.kind, line.rate_card_version): (
            line.points,
            sign * line.amount_micros,
            sign * line.amount,
        )
        for line in lines_of(network.engine)
        for partner, sign in ((line.payer_id, -1), (line.payee_id, 1))
        if partner != OPERATOR
    }

    assert {(NAMES[partner], kind, card): value for (partner, kind, card), value in found.items()} == {
        (line["partner"], line["kind"], line["card"]): (line["points"], int(Decimal(line["exact"]) * MICROS), line["cents"])
        for line in oracle()["at_issuance"]["lines"]
    }


def set_model(network: GivenNetwork, model: SettlementModel) -> int:
    """Proposed and approved; answers from which window on."""
    network.settlement_rules(RulesChange(settlement_model=model))
    with reading(network.engine) as connection:
        return load_rules(connection)[-1].from_window


def test_a_new_model_holds_from_the_next_cut_off_and_the_old_window_keeps_its_own(tmp_path: Path) -> None:
    """Compiled again, the first window has the same lines as before."""
    network = month(tmp_path / "net")
    shop = book_month(network.engine)
    network.now_ms = MIDNIGHT_MS

    first = set_model(network, SettlementModel.AT_PAR)
    run(network.engine, tmp_path / "out")
    before = lines_of(network.engine)
    shop.book(issue("18", "alpha", "m1", 100_00), now_ms=MIDNIGHT_MS + 3_600_000)
    run(network.engine, tmp_path / "out", at_ms=NEXT_MIDNIGHT_MS)

    with reading(network.engine) as connection:
        assert window_obligations(connection, 1) == before
    assert (first, model_of(network.engine, 1), model_of(network.engine, 2)) == (
        2,
        SettlementModel.AT_REDEMPTION,
        SettlementModel.AT_PAR,
    )
    assert [(line.payer_id, line.kind, line.amount) for line in lines_of(network.engine, 2)] == [("alpha", "issue", 50)]
    assert [str(one) for one in audit(network.engine, full=True, now_ms=NEXT_MIDNIGHT_MS).failures] == []


def test_a_window_in_which_nothing_is_booked_takes_the_new_model_at_once(tmp_path: Path) -> None:
    """A network that begins may still choose."""
    network = month(tmp_path / "net")

    assert set_model(network, SettlementModel.AT_ISSUANCE) == 1
    assert model_of(network.engine) is SettlementModel.AT_ISSUANCE


def test_a_model_is_not_changed_while_a_window_under_another_is_unsettled(tmp_path: Path) -> None:
    """With the window's number."""
    network = month(tmp_path / "net")
    book_month(network.engine)
    run(network.engine, tmp_path / "out")

    with pytest.raises(DecisionRefused, match="MODEL_IN_USE: window 1 was closed under another model than at_par"):
        set_model(network, SettlementModel.AT_PAR)


def test_the_rules_in_force_are_not_proposed_again(tmp_path: Path) -> None:
    """Nothing would change but the version."""
    network = month(tmp_path / "net")

    with pytest.raises(InvalidValue, match="rules in force already"):
        set_model(network, SettlementModel.AT_REDEMPTION)


def test_a_booking_between_proposal_and_approval_makes_the_proposal_stale(tmp_path: Path) -> None:
    """It would have priced what was booked under the old rules."""
    network = month(tmp_path / "net")
    with writing(network.engine) as connection:
        change = RulesChange(settlement_model=SettlementModel.AT_PAR)
        decision = propose_rules(connection, change, hand=network.hands[0], now_ms=network.now_ms)
    book_month(network.engine)

    assert network.approve(decision).state == "STALE"


TOTALS = st.lists(
    st.builds(
        Total,
        issuer_id=st.sampled_from(sorted(NAMES)),
        counterparty_id=st.sampled_from(sorted(NAMES)),
        rate_card_version=st.just(1),
        kind=st.sampled_from(PostingKind),
        points=st.integers(1, 10**12),
    ),
    max_size=40,
)


@given(TOTALS, st.sampled_from(SettlementModel))
def test_whatever_moved_each_model_sums_to_zero_and_rounds_a_line_once(totals: list[Total], model: SettlementModel) -> None:
    """Never more than half a minor unit off."""
    lines = MODELS[model](totals, month_prices())

    assert sum(position.amount for position in net_positions(lines)) == 0
    assert all(abs(line.amount * MICROS - line.amount_micros) <= MICROS // 2 for line in lines)


@given(TOTALS.flatmap(lambda totals: st.tuples(st.just(totals), st.permutations(totals))), st.sampled_from(SettlementModel))
def test_the_order_of_totals_changes_no_model(pair: tuple[list[Total], list[Total]], model: SettlementModel) -> None:
    """Lanes may come in any order."""
    first, second = pair

    assert MODELS[model](first, month_prices()) == MODELS[model](second, month_prices())
