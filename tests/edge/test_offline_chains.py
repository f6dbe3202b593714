"""Chains of events through a real gateway: what breaks one, who may sign it, and what two copies of a terminal come to."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from grpc import StatusCode

from gateway.domain.events import EVENTS_MAX, Event
from gateway.domain.partner import KeyScope, PartnerKey
from gateway.key_file import new_key
from gateway.storage.directory import bump_directory_version
from gateway.storage.engine import writing
from gateway.storage.terminals import load_conflicts
from partners.proposals import retire_key, revoke_key
from partners.rulings_keys import insert_key
from tests.edge.running import Caller, issue_request, refusal
from tests.edge.terminals import Terminal, outcomes
from tests.given import GivenNetwork


def test_a_till_that_asks_hears_how_far_the_gateway_is(terminal: Terminal) -> None:
    """Counter and hash of the last event; nothing of other terminals."""
    nothing = terminal.ask()
    terminal.send(terminal.sales(terminal.caller.enrol("CARD-1"), 100, 200, key="sale"))
    asked = terminal.ask()

    assert (nothing.terminal_id, nothing.last_counter, nothing.last_hash) == ("acme/till-1", 0, bytes(32))
    assert (asked.last_counter, asked.carried_out_counter, asked.last_hash) == (2, 2, terminal.last_hash)
    assert not asked.frozen


@pytest.mark.parametrize("missing", [1, 5])
def test_a_gap_is_refused_with_the_counter_to_go_on_with(missing: int, terminal: Terminal) -> None:
    """At the beginning of a terminal's life, and later."""
    member_id = terminal.caller.enrol("CARD-1")
    if missing > 1:
        terminal.send(terminal.sales(member_id, *([100] * (missing - 1)), key="first"))
    terminal.sales(member_id, 100, key="kept back")
    seen = refusal(lambda: terminal.send(terminal.sales(member_id, 100, key="ahead")))

    assert (seen.code, seen.reason, seen.facts) == (StatusCode.FAILED_PRECONDITION, "EVENT_GAP", {"expected": str(missing)})


def test_a_gap_within_a_call_is_refused(terminal: Terminal) -> None:
    """The second of three was left out."""
    events = terminal.sales(terminal.caller.enrol("CARD-1"), 100, 100, 100, key="sale")
    seen = refusal(lambda: terminal.send([events[0], events[2]]))

    assert (seen.reason, seen.facts) == ("EVENT_GAP", {"expected": "2"})
    assert terminal.ask().last_counter == 0


def test_an_event_in_the_future_ends_the_call(terminal: Terminal, network: GivenNetwork) -> None:
    """30 s ahead is taken, as a signature is; a millisecond more is not."""
    member_id = terminal.caller.enrol("CARD-1")
    terminal.at_ms = network.now_ms + 30_000
    assert outcomes(terminal.send(terminal.sales(member_id, 100, key="just"))) == ["BOOKED"]
    first = terminal.sales(member_id, 100, key="first")
    terminal.at_ms += 1
    ahead = [*first, *terminal.sales(member_id, 100, key="ahead")]
    seen = refusal(lambda: terminal.send(ahead))

    assert (seen.code, seen.reason) == (StatusCode.INVALID_ARGUMENT, "EVENT_TIME_IN_FUTURE")
    assert list(seen.violations) == ["events[1].occurred_at_ms"]
    assert seen.facts == {"counter": "3", "server_time_ms": str(network.now_ms)}


@pytest.mark.parametrize("calls", [1, 2])
def test_time_must_not_run_backwards_in_a_chain(calls: int, terminal: Terminal) -> None:
    """Within a call, and from one call to the next. The same millisecond is fine."""
    member_id = terminal.caller.enrol("CARD-1")
    events = terminal.sales(member_id, 100, 100, key="sale")
    if calls > 1:
        terminal.send(events)
        events = []
    terminal.at_ms -= 1
    events += terminal.sales(member_id, 100, key="earlier")
    seen = refusal(lambda: terminal.send(events))

    assert (seen.code, seen.reason) == (StatusCode.INVALID_ARGUMENT, "EVENT_TIME_NOT_MONOTONIC")
    assert seen.facts == {"counter": "3"}
    assert list(seen.violations) == ["events[2].occurred_at_ms" if calls == 1 else "events[0].occurred_at_ms"]


def _swapped(events: list[Event]) -> list[Event]:
    return [events[0], replace(events[2], counter=2), replace(events[1], counter=3), events[3]]


def _dropped(events: list[Event]) -> list[Event]:
    return [events[0], replace(events[2], counter=2), replace(events[3], counter=3)]


def _changed(events: list[Event]) -> list[Event]:
    return [events[0], replace(events[1], command=events[1].command.replace(b"sale-1", b"sale-9")), *events[2:]]


def _last_changed(events: list[Event]) -> list[Event]:
    return [*events[:3], replace(events[3], command=events[3].command.replace(b"sale-3", b"sale-9"))]


def _last_signature(events: list[Event]) -> list[Event]:
    return [*events[:3], replace(events[3], signature=bytes(64))]


def _inner_signature(events: list[Event]) -> list[Event]:
    return [events[0], replace(events[1], signature=bytes(64)), *events[2:]]


def _other_terminal(events: list[Event]) -> list[Event]:
    return [*events[:3], replace(events[3], key_id="acme/till-2/1")]


def _other_partner(events: list[Event]) -> list[Event]:
    return [replace(events[0], key_id="globex/till-1/1"), *events[1:]]


def _unknown_key(events: list[Event]) -> list[Event]:
    return [*events[:3], replace(events[3], key_id="acme/till-1/2")]


@pytest.mark.parametrize(
    ("spoil", "counter"),
    [
        (_swapped, 2), (_dropped, 2), (_changed, 3), (_last_changed, 4), (_last_signature, 4), (_inner_signature, 3),
        (_other_terminal, 4), (_other_partner, 1), (_unknown_key, 4),
    ],
)  # fmt: skip
def test_a_chain_that_was_touched_is_refused(
    spoil: Callable[[list[Event]], list[Event]], counter: int, terminal: Terminal
) -> None:
    """Swapped, dropped, changed, signed by somebody else: the first link that breaks is named, and nothing is kept."""
    events = terminal.sales(terminal.caller.enrol("CARD-1"), 100, 100, 100, 100, key="sale")
    seen = refusal(lambda: terminal.send(spoil(events)))

    assert (seen.code, seen.reason) == (StatusCode.UNAUTHENTICATED, "FRAME_SIGNATURE_INVALID")
    assert seen.facts == {"counter": str(counter)}
    assert terminal.ask().last_counter == 0


def test_a_chain_that_is_spliced_to_another_past_is_refused(terminal: Terminal) -> None:
    """A new counter, whose event before is not the one that the gateway has."""
    member_id = terminal.caller.enrol("CARD-1")
    twin = terminal.twin()
    terminal.send(terminal.sales(member_id, 100, key="mine"))
    twin.sales(member_id, 200, key="other")
    seen = refusal(lambda: twin.send(twin.sales(member_id, 300, key="next")))

    assert (seen.reason, seen.facts) == ("FRAME_SIGNATURE_INVALID", {"counter": "2"})


def test_a_key_that_was_revoked_signs_no_event_more(terminal: Terminal, network: GivenNetwork) -> None:
    """The till has another key by then: events signed by the lost one are not believed."""
    member_id = terminal.caller.enrol("CARD-1")
    second = other_key(terminal, network)
    events = terminal.sales(member_id, 100, key="sale")
    with writing(network.engine) as connection:
        revoke_key(connection, "acme/till-1/1", hand=network.hands[0], now_ms=network.now_ms)
    terminal.caller.gateway.run(terminal.caller.gateway.app.look_around())
    terminal.caller = second
    seen = refusal(lambda: terminal.send(events))

    assert seen.reason == "FRAME_SIGNATURE_INVALID"


def test_a_terminal_may_change_its_key_within_a_chain(terminal: Terminal, network: GivenNetwork) -> None:
    """Each key's last event must hold, the retired one's too: it was valid when it signed."""
    member_id = terminal.caller.enrol("CARD-1")
    events = terminal.sales(member_id, 100, 100, key="old")
    second = other_key(terminal, network)
    with writing(network.engine) as connection:
        retire_key(connection, "acme/till-1/1", network.now_ms, hand=network.hands[0], now_ms=network.now_ms)
    terminal.caller = second
    terminal.at_ms = network.now_ms
    events += terminal.sales(member_id, 100, key="new")

    spoiled = refusal(lambda: terminal.send([events[0], replace(events[1], signature=bytes(64)), events[2]]))
    answers = terminal.send(events)

    assert spoiled.reason == "FRAME_SIGNATURE_INVALID"
    assert outcomes(answers) == ["BOOKED"] * 3


def other_key(terminal: Terminal, network: GivenNetwork, *scopes: KeyScope) -> Caller:
    """A second key of the same terminal, and who calls with it."""
    key, _ = new_key()
    key_id, wanted = "acme/till-1/b", frozenset(scopes or {KeyScope.TILL})
    with writing(network.engine) as connection:
        insert_key(connection, PartnerKey(key_id, "acme", key.algorithm, key.public_bytes(), wanted, network.now_ms, None, None))
        bump_directory_version(connection)
    gateway = terminal.caller.gateway
    gateway.run(gateway.app.look_around())
    return Caller(gateway, "acme", key, key_id=key_id)


def test_a_counter_with_two_contents_freezes_the_terminal(terminal: Terminal, network: GivenNetwork) -> None:
    """A clone: the second content is refused and kept, the first stays booked; then nothing is taken, not even what was."""
    member_id = terminal.caller.enrol("CARD-1")
    events = terminal.sales(member_id, 100, key="before")
    twin = terminal.twin()
    events += terminal.sales(member_id, 200, key="mine")
    terminal.send(events)
    cloned = twin.sales(member_id, 300, key="cloned")

    seen = refusal(lambda: twin.send(cloned))
    frozen = refusal(lambda: terminal.send(events))
    with writing(network.engine) as connection:
        conflicts = load_conflicts(connection, "acme/till-1")

    assert (seen.code, seen.reason) == (StatusCode.PERMISSION_DENIED, "TERMINAL_EQUIVOCATION")
    assert seen.facts == {"counter": "2"}
    assert (frozen.code, frozen.reason) == (StatusCode.PERMISSION_DENIED, "TERMINAL_FROZEN")
    assert terminal.ask().frozen
    assert [(one.counter, one.command, one.signature) for one in conflicts] == [(2, cloned[0].command, cloned[0].signature)]
    assert terminal.caller.balance(member_id) == 3
    assert any("acme/till-1 is frozen" in line for line in terminal.caller.gateway.log)


def test_an_event_that_nobody_signed_freezes_nobody(terminal: Terminal) -> None:
    """Other content under a counter, vouched for by the end of its batch alone, is no evidence."""
    member_id = terminal.caller.enrol("CARD-1")
    twin = terminal.twin()
    terminal.send(terminal.sales(member_id, 100, key="mine"))
    first = replace(twin.event(issue_request(member_id, 999, "forged")), signature=bytes(64))
    twin.last_hash = first.hash("coalition.example:test")
    seen = refusal(lambda: twin.send([first, *twin.sales(member_id, 100, key="next")]))

    assert (seen.reason, seen.facts) == ("FRAME_SIGNATURE_INVALID", {"counter": "1"})
    assert not terminal.ask().frozen


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        ({"counter": 0}, "counter"),
        ({"key_id": "acme"}, "key_id"),
        ({"occurred_at_ms": 1}, "occurred_at_ms"),
        ({"previous_hash": bytes(31)}, "previous_hash"),
        ({"signature": bytes(65)}, "signature"),
        ({"command": b""}, "command"),
    ],
)
def test_an_event_of_another_form_ends_the_call(spoil: dict[str, Any], field: str, terminal: Terminal) -> None:
    """Whoever builds events wrongly hears which field it is."""
    event = terminal.event(issue_request("m1", 100, "sale"))
    seen = refusal(lambda: terminal.send([replace(event, **spoil)]))

    assert (seen.reason, list(seen.violations)) == ("INVALID_FIELDS", [f"events[0].{field}"])


def test_a_call_without_events_is_refused(terminal: Terminal) -> None:
    """There is nothing to do."""
    assert list(refusal(lambda: terminal.send([])).violations) == ["events"]


def test_500_events_go_in_one_call_and_501_do_not(terminal: Terminal) -> None:
    """Both sides of the limit."""
    member_id = terminal.caller.enrol("CARD-1")
    events = terminal.sales(member_id, *([100] * (EVENTS_MAX + 1)), key="sale")
    seen = refusal(lambda: terminal.send(events))
    answers = terminal.send(events[:-1])

    assert (seen.reason, seen.facts) == ("BATCH_TOO_LARGE", {"max": "500"})
    assert outcomes(answers) == ["BOOKED"] * EVENTS_MAX
    assert terminal.caller.balance(member_id) == EVENTS_MAX


def test_an_office_key_sends_no_events_and_signs_none(terminal: Terminal, network: GivenNetwork) -> None:
    """Scopes hold for events as for calls."""
    office = other_key(terminal, network, KeyScope.OFFICE)
    till, terminal.caller = terminal.caller, office
    events = terminal.sales("m1", 100, key="sale")
    called = refusal(lambda: terminal.send(events))
    terminal.caller = till
    signed = refusal(lambda: terminal.send(events))

    assert (called.reason, signed.reason) == ("METHOD_NOT_ALLOWED_FOR_KEY", "FRAME_SIGNATURE_INVALID")
