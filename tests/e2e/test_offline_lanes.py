"""Events of members who live in different lanes, on both engines: order, caps and warnings are those of one lane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.edge.events import entry_of_event
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from partners.pos import requests
from tests.edge.conftest import DAY_MS, HOUR_MS
from tests.edge.running import Caller, RunningGateway
from tests.edge.terminals import Terminal, outcomes, receipt
from tests.given import GivenNetwork, create_network

LANES = 4
MEMBERS = 40


@pytest.fixture
def network(tmp_path: Path, network_url: str | None) -> GivenNetwork:
    """One partner, four lanes."""
    network = create_network(tmp_path / "net", lanes=LANES, url=network_url)
    network.onboard("acme", {"EUR": "1"})
    network.now_ms += DAY_MS
    return network


@pytest.fixture
def terminal(network: GivenNetwork) -> Iterator[Terminal]:
    """acme's, an hour ago."""
    with RunningGateway(network) as gateway:
        yield Terminal(Caller(gateway, "acme", network.keys["acme"]), network.now_ms - HOUR_MS)


def test_members_are_enrolled_and_get_points_in_one_chain(terminal: Terminal, network: GivenNetwork) -> None:
    """Wherever they turn out to live; and each event is booked by the time at which it happened."""
    cards = [f"CARD-{number}" for number in range(MEMBERS)]
    events = [terminal.event(requests.enrol(card, key=f"enrol-{card}")) for card in cards]
    events += [
        terminal.event(requests.issue(requests.card(card), requests.amount("5.00 EUR"), key=f"sale-{card}")) for card in cards
    ]
    events += [terminal.event(requests.reverse(key=f"back-{card}", original_key=f"sale-{card}")) for card in cards[:10]]
    answers = terminal.send(events)
    booked = [receipt(answer) for answer in answers]
    form = ReceiptForm(encode_receipt, decode_receipt, entry_of_event)
    report = audit(network.engine, full=True, now_ms=network.now_ms, receipts=form)

    assert outcomes(answers) == ["BOOKED"] * len(events)
    assert {one.lane for one in booked} == set(range(LANES))
    assert {one.occurred_at_ms for one in booked[MEMBERS:]} == {terminal.at_ms}
    assert (report.failures, report.events) == ((), len(events))


def test_a_cap_over_lanes_warns_of_every_event_beyond_it_and_of_none_before(terminal: Terminal, network: GivenNetwork) -> None:
    """To the point, as it refuses single calls: what fits has no warning, whichever lane it is in."""
    members = [terminal.caller.enrol(f"CARD-{number}") for number in range(MEMBERS)]
    network.cap("acme", 100 * MEMBERS // 2)  # a hundred cents of points each, for half of the members
    events = [
        event for number, member_id in enumerate(members) for event in terminal.sales(member_id, 10_000, key=f"sale-{number}")
    ]
    answers = terminal.send(events)
    again = terminal.send(events)
    warned = [answer.counter for answer in answers if answer.warnings]

    assert outcomes(answers) == ["BOOKED"] * MEMBERS
    assert len(warned) == MEMBERS // 2
    assert [answer.warnings for answer in again] == [answer.warnings for answer in answers]
