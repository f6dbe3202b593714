"""`tallystick partners terminal`: what an operator sees of tills without a connection, and the end of a freeze."""

import pytest

from gateway.domain.partner import PartnerStatus
from gateway.storage.engine import reading, writing
from gateway.storage.terminals import load_terminal
from partners.proposals import change_status
from tests.edge.conftest import DAY_MS, HOUR_MS
from tests.edge.running import Caller, RunningGateway, refusal
from tests.edge.terminals import Terminal, outcomes
from tests.partners.shell import Shell


@pytest.fixture
def acme(shell: Shell) -> Shell:
    """A network with one partner, whose rate card is in force."""
    shell.network.onboard("acme", {"EUR": "1"})
    shell.network.now_ms += DAY_MS
    return shell


def till(gateway: RunningGateway) -> Terminal:
    """acme's, an hour ago."""
    network = gateway.network
    return Terminal(Caller(gateway, "acme", network.keys["acme"]), network.now_ms - HOUR_MS)


def is_frozen(shell: Shell) -> bool:
    """By the books."""
    with reading(shell.network.engine) as connection:
        terminal = load_terminal(connection, "acme/till-1")
    assert terminal is not None
    return terminal.is_frozen


def freeze(gateway: RunningGateway) -> tuple[Terminal, Terminal]:
    """A terminal that was cloned, and its copy: both have sold something as their first event."""
    mine = till(gateway)
    member_id = mine.caller.enrol("CARD-1")
    twin = mine.twin()
    mine.send(mine.sales(member_id, 100, key="mine"))
    other = twin.sales(member_id, 200, key="other")
    assert refusal(lambda: twin.send(other)).reason == "TERMINAL_EQUIVOCATION"
    return mine, twin


def test_a_terminal_is_shown_with_its_warnings(acme: Shell) -> None:
    """What was booked in spite of a cap or a suspension, by event and entry."""
    with RunningGateway(acme.network) as gateway:
        mine = till(gateway)
        member_id = mine.caller.enrol("CARD-1")
        acme.network.cap("acme", 1)
        with writing(acme.network.engine) as connection:
            change_status(connection, "acme", PartnerStatus.SUSPENDED, hand=acme.network.hands[0], now_ms=acme.network.now_ms)
        mine.send(mine.sales(member_id, 1_000, key="sale"))
    ran = acme.run("partners", "terminal", "show", "acme", "till-1")

    assert ran.code == 0
    assert "NET_DEBIT_CAP_EXCEEDED" in ran.out
    assert "PARTNER_NOT_ACTIVE" in ran.out
    assert mine.last_hash.hex()[:16] in ran.out
    assert "No counter was used twice." in ran.out


def test_a_frozen_terminal_is_shown_with_both_contents(acme: Shell) -> None:
    """The list says that it is frozen, the terminal's own page what its copy signed."""
    with RunningGateway(acme.network) as gateway:
        _, twin = freeze(gateway)
    listed = acme.run("partners", "terminal", "show", "acme")
    shown = acme.run("partners", "terminal", "show", "acme", "till-1")

    assert "FROZEN" in listed.out
    assert twin.made[0].hash("coalition.example:test").hex()[:16] in shown.out


def test_one_operator_releases_a_frozen_terminal(acme: Shell) -> None:
    """Its chain goes on; the copy's content is refused as before, without freezing it again. New content of the copy does."""
    with RunningGateway(acme.network) as gateway:
        mine, twin = freeze(gateway)
        ran = acme.ada("partners", "terminal", "release", "acme", "till-1")
        member_id = mine.caller.enrol("CARD-2")
        answers = mine.send(mine.sales(member_id, 300, key="more"))
        known = refusal(lambda: twin.send(twin.made))
        still_open = not is_frozen(acme)
        new = refusal(lambda: twin.send(twin.sales(member_id, 400, key="again")))
    audited = acme.run("audit", "--full")

    assert ran.code == 0
    assert "release terminal acme/till-1 in spite of 1 conflicts" in ran.out
    assert outcomes(answers) == ["BOOKED"]
    assert known.reason == new.reason == "TERMINAL_EQUIVOCATION"
    assert still_open
    assert is_frozen(acme)
    assert audited.code == 0, audited.out


def test_what_is_not_frozen_cannot_be_released(acme: Shell) -> None:
    """Nor what never sent anything, nor by somebody who is no operator."""
    nobody = acme.ada("partners", "terminal", "release", "acme", "till-9")
    with RunningGateway(acme.network) as gateway:
        mine = till(gateway)
        mine.send(mine.sales(mine.caller.enrol("CARD-1"), 100, key="mine"))
    ran = acme.ada("partners", "terminal", "release", "acme", "till-1")

    assert (nobody.code, "UNKNOWN_TERMINAL" in nobody.err) == (1, True)
    assert (ran.code, "acme/till-1 is not frozen" in ran.err) == (1, True)


def test_a_partner_without_terminals_has_an_empty_list(acme: Shell) -> None:
    """And one that does not exist is refused."""
    assert acme.run("partners", "terminal", "show", "acme").code == 0
    assert acme.run("partners", "terminal", "show", "nobody").code == 1
