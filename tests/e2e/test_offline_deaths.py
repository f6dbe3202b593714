"""Catching up, however often gateways die and whoever sends at the same time: on both engines, with real processes."""

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from gateway.domain.command import EventMark
from gateway.domain.events import Event
from gateway.domain.partner import KeyScope, PartnerKey
from gateway.edge import caller, convert
from gateway.edge.events import entry_of_event
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.edge.refused import Rejected
from gateway.founding import IDENTIFIER_KEY
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.services.offline import CARRIED_OUT, KEPT, NOTED, Presented
from gateway.storage.directory import bump_directory_version
from gateway.storage.engine import reading, writing
from gateway.storage.terminals import load_conflicts, load_terminal
from partners.rulings_keys import insert_key
from tallystick.v1 import offline_pb2, points_pb2
from tests.edge.conftest import HOUR_MS, two_partners
from tests.edge.running import Caller, RunningGateway, issue_request, seen
from tests.edge.terminals import Terminal, outcome, outcomes, signed_receipt
from tests.given import GivenNetwork
from tests.patience import patience_s
from tests.shared import ROOT

SALES = 60
RACES = 6


@pytest.fixture
def network(tmp_path: Path, network_url: str | None) -> GivenNetwork:
    """Two partners, on either engine."""
    return two_partners(tmp_path / "net", url=network_url)


@pytest.fixture
def gateways(network: GivenNetwork) -> Iterator[list[RunningGateway]]:
    """Two of them on PostgreSQL; on SQLite the one that there can be, twice."""
    with ExitStack() as stack:
        one = stack.enter_context(RunningGateway(network))
        yield [one, one if network.url is None else stack.enter_context(RunningGateway(network))]


def terminals(network: GivenNetwork, gateways: Sequence[RunningGateway]) -> list[Terminal]:
    """Acme's till at each, an hour ago."""
    return [Terminal(Caller(gateway, "acme", network.keys["acme"]), network.now_ms - HOUR_MS) for gateway in gateways]


def presented(network: GivenNetwork, events: Sequence[Event]) -> list[Presented]:
    """As the edge hands events over."""
    pepper = (network.folder / "keys" / IDENTIFIER_KEY).read_bytes()
    made = []
    for event in events:
        who = caller.Caller("acme", event.key_id, 0.0)
        mark = EventMark(event.terminal_id, event.counter, event.occurred_at_ms)
        command = convert.batched_command(points_pb2.Command.FromString(event.command), who, pepper, event=mark)
        assert not isinstance(command, Rejected)
        made.append(Presented(event, command))
    return made


def proved(network: GivenNetwork, events: int) -> bool:
    """Whether the audit finds the books in order, and so many events in them."""
    form = ReceiptForm(encode_receipt, decode_receipt, entry_of_event)
    report = audit(network.engine, full=True, now_ms=network.now_ms, receipts=form)
    assert report.failures == ()
    return report.events == events


@pytest.mark.parametrize("step", [KEPT, CARRIED_OUT, NOTED])
def test_a_gateway_killed_at_any_step_leaves_nothing_that_a_resend_does_not_mend(
    step: str, network: GivenNetwork, tmp_path: Path
) -> None:
    """The same receipts as if it had lived, no gap, and each sale once."""
    with RunningGateway(network) as gateway:
        (terminal,) = terminals(network, [gateway])
        member_id = terminal.caller.enrol("CARD-1")
    events = terminal.sales(member_id, *([100] * SALES), key="sale")
    file = tmp_path / "presented"
    file.write_bytes(pickle.dumps(presented(network, events)))
    command = [sys.executable, "-m", "tests.e2e.dying_offline", str(network.folder), step, str(file), str(network.now_ms)]
    died = subprocess.run(command, cwd=ROOT, check=False, timeout=patience_s(120))
    with reading(network.engine) as connection:
        kept = load_terminal(connection, "acme/till-1")
    with RunningGateway(network) as gateway:
        (living,) = terminals(network, [gateway])
        if step != NOTED:
            ahead = terminal.sales(member_id, 100, key="ahead")
            with pytest.raises(grpc.RpcError, match="EVENT_GAP"):
                living.send(ahead)
        first, again = living.send(events), living.send(events)
        balance = living.caller.balance(member_id)

    assert died.returncode == -signal.SIGKILL
    assert kept is not None
    assert (kept.last_counter, kept.carried_out) == (SALES, SALES if step == NOTED else 0)
    assert outcomes(first) == ["BOOKED"] * SALES
    assert all(answer.answer.booked.replayed == (step != KEPT) for answer in first)
    assert [signed_receipt(answer) for answer in first] == [signed_receipt(answer) for answer in again]
    assert balance == SALES
    assert proved(network, SALES)


def test_two_drains_of_one_till_at_once_book_each_event_once(network: GivenNetwork, gateways: list[RunningGateway]) -> None:
    """A till whose first call timed out sends again, in other pieces; at two gateways where there can be two."""
    one, other = terminals(network, gateways)
    member_id = one.caller.enrol("CARD-1")
    events = one.sales(member_id, *([100] * SALES), key="sale")
    pieces = [events, events[: SALES // 3], events[: SALES // 2], events, events]
    start = threading.Barrier(len(pieces))

    def send(number: int) -> list[offline_pb2.EventAnswer]:
        start.wait()
        return (one, other)[number % 2].send(pieces[number])

    with ThreadPoolExecutor(len(pieces)) as pool:
        answers = list(pool.map(send, range(len(pieces))))
    receipts = {
        number: {signed_receipt(batch[number]).SerializeToString(deterministic=True) for batch in answers if number < len(batch)}
        for number in range(SALES)
    }

    assert {outcome(answer) for batch in answers for answer in batch} == {"BOOKED"}
    assert {len(found) for found in receipts.values()} == {1}
    assert one.caller.balance(member_id) == SALES
    assert proved(network, SALES)


def test_of_two_copies_of_a_terminal_one_wins_and_nothing_of_the_other_is_booked(
    network: GivenNetwork, gateways: list[RunningGateway]
) -> None:
    """At the same moment, at two gateways where there can be two, again and again."""
    callers = [one.caller for one in terminals(network, gateways)]
    member_id = callers[0].enrol("CARD-1")
    won: list[int] = []
    for race in range(RACES):
        start = threading.Barrier(2)
        # Another terminal each time: a key of acme's under another name.
        copies = [_named(one, f"copy-{race}") for one in terminals(network, gateways)]
        _register(network, gateways, copies[0].caller)

        def sell(
            number: int, copies: list[Terminal] = copies, start: threading.Barrier = start, race: int = race
        ) -> tuple[str, int]:
            batch = copies[number].sales(member_id, 100 * (number + 1), 100 * (number + 1), key=f"race-{race}-{number}")
            start.wait()
            try:
                answers = copies[number].send(batch)
            except grpc.RpcError as error:
                return seen(error).reason, 0
            return "BOOKED", sum(answer.answer.HasField("booked") for answer in answers) * (number + 1)

        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(sell, range(2)))
        terminal_id = copies[0].caller.key_id.rpartition("/")[0]
        with reading(network.engine) as connection:
            terminal = load_terminal(connection, terminal_id)
            conflicts = load_conflicts(connection, terminal_id)

        assert sorted(reason for reason, _ in ended) == ["BOOKED", "TERMINAL_EQUIVOCATION"]
        assert terminal is not None
        assert terminal.is_frozen
        assert [one.counter for one in conflicts] == [1]
        won.append(sum(points for _, points in ended))
    assert callers[0].balance(member_id) == sum(won)


def _named(terminal: Terminal, name: str) -> Terminal:
    terminal.caller.key_id = f"acme/{name}/1"
    return terminal


def _register(network: GivenNetwork, gateways: Sequence[RunningGateway], named: Caller) -> None:
    """The same public key under a further name."""
    key = named.key
    with writing(network.engine) as connection:
        scopes = frozenset({KeyScope.TILL})
        insert_key(connection, PartnerKey(named.key_id, "acme", key.algorithm, key.public_bytes(), scopes, 0, None, None))
        bump_directory_version(connection)
    for gateway in gateways:
        gateway.run(gateway.app.look_around())


def test_each_terminal_of_a_partner_has_a_chain_of_its_own(network: GivenNetwork, gateways: list[RunningGateway]) -> None:
    """Two tills begin with the same counter."""
    one, _ = terminals(network, gateways)
    member_id = one.caller.enrol("CARD-1")
    second = _named(terminals(network, gateways)[0], "till-2")
    _register(network, gateways, second.caller)
    first = one.send([one.event(issue_request(member_id, 100, "one"))])
    other = second.send([second.event(issue_request(member_id, 200, "two"))])

    assert outcomes([*first, *other]) == ["BOOKED", "BOOKED"]
    assert one.ask().last_counter == second.ask().last_counter == 1
