"""Breakage estimates: two operators, two dates, and example 52 of IFRS 15 in real books."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.breakage_estimates import load_estimates, propose_estimate
from gateway.console import Context
from gateway.domain.command import Enrol
from gateway.domain.decision import Decision, DecisionState
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.estimate import BreakageEstimate, place_in_force
from gateway.domain.units import MICROS, Rate
from gateway.ledger.audit import audit
from gateway.storage.decisions import load_decision
from gateway.storage.engine import reading, writing
from partners.words import in_words
from settlement.cli import settlement
from settlement.liability_of_day import Question, liability_on
from settlement.liability_report import Breakage, Thresholds
from tests.given import GivenNetwork, at, create_network
from tests.settlement.given import Shop, card_hash, issue, redeem, reverse

EURO = 100 * MICROS
NOW_MS = at("2028-01-20")


@pytest.fixture
def network(tmp_path: Path, network_url: str | None) -> Iterator[GivenNetwork]:
    """One issuer, of which a point comes with 10 EUR and is worth 1 EUR to its member; nothing expires for years."""
    made = create_network(tmp_path / "net", expiry="on 2030-12-31", url=network_url)
    made.onboard("acme", {"EUR": "1/10"}, issue_price="90.00", face_value="100.00", reimbursement_rate="80.00")
    made.onboard("delta", {}, issue_price="0")
    yield made
    made.engine.dispose()


def estimated(network: GivenNetwork, share: str, effective_from: str, *, on: str, value: int = EURO) -> Decision:
    """An estimate that two operators sign on a date."""
    network.now_ms = at(on)
    estimate = BreakageEstimate("acme", date.fromisoformat(effective_from), Rate.parse(share), value)
    with writing(network.engine) as connection:
        decision = propose_estimate(connection, estimate, hand=network.hands[0], now_ms=network.now_ms)
    return network.approve(decision)


def sell(network: GivenNetwork) -> Shop:
    """Example 52: sales of 100,000, and with them 10,000 points; 4,500 redeemed in the first year, 4,000 in the second."""
    shop = Shop(network.engine)
    enrol = Enrol(partner_id="acme", key_id="acme/till-1/1", idempotency_key="m", card_hash=card_hash("m"))
    shop.book(enrol, now_ms=at("2026-06-05"))
    shop.book(issue("1", "acme", "m", 100_000_00), now_ms=at("2026-06-05"))
    shop.book(redeem("2", "acme", "m", 4_500), now_ms=at("2026-12-01"))
    shop.book(redeem("3", "delta", "m", 4_000), now_ms=at("2027-12-01"))
    return shop


def breakage(network: GivenNetwork, year: int, *, entered_by: str | None = None) -> Breakage:
    """What the report of a year says; there is one line."""
    question = Question(
        now_ms=NOW_MS,
        first_date=date(year, 1, 1),
        last_date=date(year, 12, 31),
        entered_by=date.fromisoformat(entered_by) if entered_by else None,
        thresholds=Thresholds(),
    )
    (line,) = liability_on(network.engine, question).report.breakage
    return line


def test_example_52_comes_out_of_real_books(network: GivenNetwork) -> None:
    """8,676; 4,110 and 4,566; 3,493 and 1,073: to the cent, since the books count cents."""
    estimated(network, "95/100", "2026-06-01", on="2026-06-01")
    estimated(network, "97/100", "2027-12-31", on="2027-12-20")
    sell(network)

    first, second = breakage(network, 2026), breakage(network, 2027)
    assert (first.price, first.recognised, first.remaining) == (8_675_80, 4_109_59, 4_566_21)
    assert (first.expected_points, second.expected_points) == (9_500, 9_700)
    assert (second.recognised_before, second.recognised - second.recognised_before, second.remaining) == (
        4_109_59,
        3_492_92,
        1_073_29,
    )
    # 8,500 of 9,700 instead of 9,500.
    assert second.catch_up == 7_602_51 - 7_762_56


def test_what_was_believed_then_can_still_be_asked(network: GivenNetwork) -> None:
    """An estimate of January that holds from December changes December's report, unless it is left out by when it was entered."""
    estimated(network, "95/100", "2026-06-01", on="2026-06-01")
    sell(network)
    estimated(network, "97/100", "2027-12-31", on="2028-01-12")

    believed, known = breakage(network, 2027, entered_by="2028-01-11"), breakage(network, 2027)
    assert (believed.expected_points, known.expected_points) == (9_500, 9_700)
    assert (believed.recognised, known.recognised) == (7_762_56, 7_602_51)
    assert breakage(network, 2027, entered_by="2028-01-12") == known


def test_points_are_taken_at_their_issue_price_where_no_value_is_said(network: GivenNetwork) -> None:
    """10,000 points at 90 cents."""
    estimated(network, "95/100", "2026-06-01", on="2026-06-01", value=0)
    sell(network)

    line = breakage(network, 2026)
    assert (line.price, line.recognised) == (9_000_00, 4_263_16)


def test_returned_goods_take_their_part_of_the_price_along(network: GivenNetwork) -> None:
    """A tenth of the sale comes back: 90,000 of sales with 9,000 points."""
    estimated(network, "95/100", "2026-06-01", on="2026-06-01")
    shop = sell(network)
    shop.book(reverse("4", "acme", "1", eligible=issue("", "acme", "m", 10_000_00).eligible), now_ms=at("2027-12-02"))

    line = breakage(network, 2027)
    assert (line.to_serve_points, line.price) == (9_000, 7_808_22)


def test_an_estimate_that_was_too_low_is_an_alarm(network: GivenNetwork) -> None:
    """A tenth was to be redeemed, and 8,500 of 10,000 are."""
    estimated(network, "1/10", "2026-06-01", on="2026-06-01")
    sell(network)
    question = Question(now_ms=NOW_MS, thresholds=Thresholds())

    assert [alarm for alarm in liability_on(network.engine, question).report.alarms() if "too low" in alarm] == [
        "acme, 2030-12: all 1000 points that were expected are redeemed, and 1500 are still open: the estimate is too low"
    ]


def test_an_estimate_takes_two_operators_and_is_proved_by_the_audit(network: GivenNetwork) -> None:
    """Proposed it counts for nothing; signed twice it has both names and both dates."""
    network.now_ms = at("2026-06-02")
    estimate = BreakageEstimate("acme", date(2026, 6, 1), Rate(9, 10), EURO)
    with writing(network.engine) as connection:
        decision = propose_estimate(connection, estimate, hand=network.hands[0], now_ms=network.now_ms)
    with reading(network.engine) as connection:
        assert load_estimates(connection) == {}
    assert in_words(decision) == (
        "of all points that acme issues, 9/10 are expected to be redeemed, from 2026-06-01; redeemed ones worth 100 minor "
        "units to their members"
    )

    network.approve(decision)

    with reading(network.engine) as connection:
        (entered,) = load_estimates(connection)["acme"]
    assert (entered.estimate, entered.proposed_by, entered.approved_by) == (estimate, "ada", "bob")
    assert entered.entered_at_ms > network.now_ms
    assert audit(network.engine, full=True, now_ms=network.now_ms).failures == ()


def test_of_two_proposals_the_second_approved_is_stale(network: GivenNetwork) -> None:
    """Each was written for the estimates of its time."""
    network.now_ms = at("2026-06-02")
    with writing(network.engine) as connection:
        first, second = (
            propose_estimate(
                connection,
                BreakageEstimate("acme", date(2026, 6, 1), Rate(share, 10), 0),
                hand=network.hands[0],
                now_ms=network.now_ms,
            )
            for share in (8, 9)
        )

    assert [network.approve(one).state for one in (first, second)] == [DecisionState.APPLIED, DecisionState.STALE]


def test_the_estimate_of_the_latest_date_holds_and_of_one_date_the_last_entered(network: GivenNetwork) -> None:
    """Whatever the order in which they were entered."""
    for number, (share, day) in enumerate((("7/10", "2026-09-01"), ("8/10", "2026-07-01"), ("9/10", "2026-09-01")), 2):
        estimated(network, share, day, on=f"2026-06-{number:02}")
    with reading(network.engine) as connection:
        known = load_estimates(connection)["acme"]

    days = (date(2026, 6, 30), date(2026, 7, 1), date(2026, 8, 31), date(2026, 9, 1))
    places = [place_in_force(known, day) for day in days]
    assert places[0] == -1
    assert [str(known[place].estimate.expected_share) for place in places[1:]] == ["8/10", "8/10", "9/10"]


@pytest.mark.parametrize(("partner_id", "share"), [("acme", "0"), ("acme", "101/100"), ("delta", "1"), ("nobody", "1")])
def test_an_estimate_that_makes_no_sense_is_refused(network: GivenNetwork, partner_id: str, share: str) -> None:
    """Of a partner that issues nothing, or beyond all points."""
    estimate = BreakageEstimate(partner_id, date(2026, 6, 1), Rate.parse(share), 0)
    with writing(network.engine) as connection, pytest.raises(InvalidValue):
        propose_estimate(connection, estimate, hand=network.hands[0], now_ms=network.now_ms)


def test_estimates_are_proposed_and_listed_by_commands(network: GivenNetwork) -> None:
    """With what comes next, and with who and when."""
    context = Context(network.folder / "tallystick.toml", lambda: at("2026-06-02"))

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(settlement, ["estimates", *words], obj=context)
        assert result.exception is None, result.exception
        return result.stdout

    key = ("--operator", "ada", "--key", str(network.folder / "ada.pem"))
    said = invoke("propose", "acme", "--expected", "95/100", "--effective-from", "2026-06-01", "--point-value", "100", *key)
    with reading(network.engine) as connection:
        assert load_estimates(connection) == {}
    network.now_ms = at("2026-06-03")
    decision_id = said.split()[1].rstrip(":")
    estimated_by_bob = network.approve(_decision(network, decision_id))

    assert estimated_by_bob.state is DecisionState.APPLIED
    listed = invoke("list")
    assert [
        word for word in ("acme", "2026-06-01", "2026-06-03", "95/100", "100", decision_id, "ada, bob") if word not in listed
    ] == []


def test_a_stranger_enters_no_estimate(network: GivenNetwork) -> None:
    """Only an operator with its own key."""
    stranger = replace(network.hands[0], operator_id="mallory")
    estimate = BreakageEstimate("acme", date(2026, 6, 1), Rate(1, 2), 0)
    with writing(network.engine) as connection, pytest.raises(DecisionRefused, match="UNKNOWN_OPERATOR"):
        propose_estimate(connection, estimate, hand=stranger, now_ms=network.now_ms)


def _decision(network: GivenNetwork, decision_id: str) -> Decision:
    with reading(network.engine) as connection:
        found = load_decision(connection, decision_id)
    assert found is not None
    return found
