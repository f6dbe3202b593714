"""Conformance: a vendor's till is judged by what the gateway saw of it, and a partner that rehearses begins with a pass."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain.decision import DecisionKind, DecisionState
from gateway.domain.partner import PartnerStatus
from gateway.key_file import new_key
from gateway.storage.conformance import load_events
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading
from partners.application import application_toml
from partners.conformance import CHECKS, CORRECTED_WITHIN_MS
from partners.pos.requests import REVERSE
from tallystick.v1 import points_pb2
from tests.edge.running import Caller, RunningGateway, refusal
from tests.edge.terminals import Terminal
from tests.given import GivenNetwork, application, create_network
from tests.partners.shell import Ran, Shell

RATES = {"EUR": "1/2"}
CLOCK_WRONG_MS = 300_000


@pytest.fixture(name="rehearsal")
def name_rehearsal(network: GivenNetwork) -> GivenNetwork:
    """A network where acme and globex are active."""
    for partner_id in ("acme", "globex"):
        network.onboard(partner_id, RATES)
    network.now_ms += 86_400_000  # rate cards are in force from the next day on
    return network


@pytest.fixture(name="production")
def name_production(tmp_path: Path, shell: Shell) -> Shell:
    """Another network, where new partners rehearse, and acme has been taken in."""
    its_own = Shell(create_network(tmp_path / "production"), shell.read)
    decided = its_own.ada("partners", "conformance", "require"), its_own.bob("operators", "approve", "--all")
    assert [ran.code for ran in decided] == [0, 0]
    assert onboard(its_own).code == 0
    its_own.bob("operators", "approve", "--all")
    return its_own


def onboard(shell: Shell) -> Ran:
    """Acme applies."""
    applied = application("acme", RATES, new_key()[0])
    return shell.ada("partners", "onboard", shell.file("acme.toml", application_toml(applied)))


def status_of(shell: Shell) -> PartnerStatus:
    """Where acme stands."""
    with reading(shell.network.engine) as connection:
        return load_terms(connection).partners["acme"].status


def sell(till: Caller) -> None:
    """A sale."""
    till.issue(till.enrol("CARD-1"), 1_000, "sale-1")


def repeat(till: Caller) -> None:
    """A sale whose answer the till has lost."""
    member_id = till.enrol("CARD-2")
    for _ in range(2):
        till.issue(member_id, 1_000, "sale-2")


def correct(till: Caller) -> None:
    """A till whose clock is wrong, and that hears of it."""
    member_id = till.enrol("CARD-3")
    till.created = f"{till.gateway.network.now_ms - CLOCK_WRONG_MS:013d}"
    refused = refusal(lambda: till.issue(member_id, 1_000, "sale-3"))
    till.created = f"{int(refused.facts['server_time_ms']):013d}"
    till.issue(member_id, 1_000, "sale-3")


def take_back(till: Caller) -> None:
    """Goods of a sale come back."""
    till.issue(till.enrol("CARD-4"), 1_000, "sale-4")
    till.call(REVERSE, points_pb2.ReverseEntryRequest(idempotency_key="back-4", original_idempotency_key="sale-4"))


def catch_up(till: Caller) -> None:
    """A sale during an outage, after one before it."""
    member_id = till.enrol("CARD-5")
    till.issue(member_id, 1_000, "sale-5")
    terminal = Terminal(till, at_ms=till.gateway.network.now_ms)
    terminal.send(terminal.sales(member_id, 1_000, key="outage"))


DOES: dict[str, Callable[[Caller], None]] = {
    "signed issue": sell,
    "repeat": repeat,
    "clock": correct,
    "refund": take_back,
    "offline": catch_up,
}


def rehearse(network: GivenNetwork, shell: Shell, *does: Callable[[Caller], None], partner_id: str = "acme") -> None:
    """The partner's till does this while acme is under conformance."""
    assert shell.run("partners", "conformance", "start", "acme").code == 0
    with RunningGateway(network) as gateway:
        till = Caller(gateway, partner_id, network.keys[partner_id])
        for do in does:
            do(till)


def shown(shell: Shell) -> dict[str, bool]:
    """Check by check, whether acme's till has shown it."""
    ran = shell.run("partners", "conformance", "show", "acme", "--json")
    said = json.loads(ran.out)
    passed = {check["check"]: check["is_passed"] for check in said["checks"]}
    assert (said["has_passed"], ran.code) == (all(passed.values()), int(not all(passed.values())))
    return passed


def test_each_check_can_be_shown() -> None:
    """Nobody passes by a check that no till here was seen to pass."""
    assert list(DOES) == [check.name for check in CHECKS]


@pytest.mark.parametrize("name", DOES)
def test_a_check_is_passed_by_what_the_till_does(rehearsal: GivenNetwork, shell: Shell, name: str) -> None:
    """Which for all but the issue includes an issue, and nothing else."""
    rehearse(rehearsal, shell, DOES[name])

    assert {check for check, is_passed in shown(shell).items() if is_passed} == {"signed issue", name}


def test_a_till_that_has_done_all_passes(rehearsal: GivenNetwork, shell: Shell) -> None:
    """With an entry of the books, a time and a key as the evidence of each check."""
    rehearse(rehearsal, shell, *DOES.values())
    ran = shell.run("partners", "conformance", "show", "acme")

    assert (ran.code, ran.out.count("passed"), ran.out.count("acme/till-1/1")) == (0, len(CHECKS), len(CHECKS))


def test_what_is_missing_is_said(rehearsal: GivenNetwork, shell: Shell) -> None:
    """In words that a vendor can follow."""
    rehearse(rehearsal, shell, sell)
    ran = shell.run("partners", "conformance", "show", "acme")

    assert ran.code == 1
    assert "five minutes off" in " ".join(ran.out.split())


def test_a_clock_that_was_put_right_too_late_was_not_corrected_by_the_till(rehearsal: GivenNetwork, shell: Shell) -> None:
    """Somebody has set the machine's clock."""

    def wait(till: Caller) -> None:
        till.created = f"{rehearsal.now_ms - CLOCK_WRONG_MS:013d}"
        refusal(lambda: till.enrol("CARD-9"))
        till.created = ""
        rehearsal.now_ms += CORRECTED_WITHIN_MS + 1
        till.enrol("CARD-9")

    rehearse(rehearsal, shell, wait)

    assert not shown(shell)["clock"]


def test_another_partners_till_shows_nothing(rehearsal: GivenNetwork, shell: Shell) -> None:
    """And leaves no row: only who is under conformance is watched."""
    rehearse(rehearsal, shell, sell, repeat, partner_id="globex")

    assert not any(shown(shell).values())
    with reading(rehearsal.engine) as connection:
        assert load_events(connection, "globex") == []


def test_what_a_till_did_before_the_run_does_not_count(rehearsal: GivenNetwork, shell: Shell) -> None:
    """A new run begins with nothing."""
    rehearse(rehearsal, shell, *DOES.values())
    rehearsal.now_ms += 1
    shell.run("partners", "conformance", "start", "acme")

    assert not any(shown(shell).values())


def test_a_run_that_was_stopped_sees_nothing_more_and_keeps_what_it_saw(rehearsal: GivenNetwork, shell: Shell) -> None:
    """Its evidence is what 'activate' asks for."""
    rehearse(rehearsal, shell, sell)
    shell.run("partners", "conformance", "stop", "acme")
    with RunningGateway(rehearsal) as gateway:
        repeat(Caller(gateway, "acme", rehearsal.keys["acme"]))

    assert shown(shell) == {check.name: check.name == "signed issue" for check in CHECKS}


def test_gateways_that_run_notice_a_new_run(rehearsal: GivenNetwork, shell: Shell) -> None:
    """By the directory's version, as they notice a revoked key; several of them need to tell each other nothing."""
    with RunningGateway(rehearsal) as gateway:
        shell.run("partners", "conformance", "start", "acme")
        gateway.run(gateway.app.look_around())
        sell(Caller(gateway, "acme", rehearsal.keys["acme"]))

    assert shown(shell)["signed issue"]


def test_whoever_was_never_watched_has_shown_nothing(rehearsal: GivenNetwork, shell: Shell) -> None:
    """That is a refusal, and no table of missing checks."""
    ran = shell.run("partners", "conformance", "show", "globex")

    assert rehearsal.keys.keys() == {"acme", "globex"}
    assert (ran.code, "NOT_STARTED" in ran.err) == (1, True)


def test_several_gateways_make_one_record(rehearsal: GivenNetwork, shell: Shell) -> None:
    """A till may be refused by one of them and repeat at another."""
    shell.run("partners", "conformance", "start", "acme")
    with RunningGateway(rehearsal) as first, RunningGateway(rehearsal) as second:
        till, again = (Caller(gateway, "acme", rehearsal.keys["acme"]) for gateway in (first, second))
        member_id = till.enrol("CARD-5")
        till.created = f"{rehearsal.now_ms - CLOCK_WRONG_MS:013d}"
        refusal(lambda: till.issue(member_id, 1_000, "sale-5"))
        for _ in range(2):
            again.issue(member_id, 1_000, "sale-5")

    assert shown(shell) == {check.name: check.name not in {"refund", "offline"} for check in CHECKS}


def test_a_new_partner_rehearses_where_conformance_is_required(production: Shell) -> None:
    """It has its key and its rate card, and books nothing; the books are proven."""
    production.network.now_ms += 86_400_000
    assert status_of(production) is PartnerStatus.REHEARSING
    ran = production.run("partners", "conformance", "start", "acme")

    assert (ran.code, "rehearses" in ran.err) == (1, True)
    assert production.run("audit", "--full").code == 0


def test_a_partner_that_rehearses_books_nothing(tmp_path: Path, shell: Shell) -> None:
    """The gateway knows its key, and says where it stands."""
    its_own = Shell(create_network(tmp_path / "production"), shell.read)
    its_own.ada("partners", "conformance", "require")
    its_own.bob("operators", "approve", "--all")
    its_own.network.onboard("acme", RATES)
    its_own.network.now_ms += 86_400_000
    with RunningGateway(its_own.network) as gateway:
        refused = refusal(lambda: sell(Caller(gateway, "acme", its_own.network.keys["acme"])))

    assert (refused.reason, refused.facts) == ("PARTNER_NOT_ACTIVE", {"status": "REHEARSING"})


def test_a_partner_begins_with_the_pass_of_its_till(production: Shell, rehearsal: GivenNetwork, shell: Shell) -> None:
    """Both operators sign the evidence, and the directory is derived from what they signed."""
    rehearse(rehearsal, shell, *DOES.values())
    proposed = production.ada("partners", "activate", "acme", "--rehearsed-in", rehearsal.folder / "tallystick.toml")
    before = status_of(production)
    approved = production.bob("operators", "approve", "--all")

    assert (proposed.code, approved.code, before, status_of(production)) == (0, 0, PartnerStatus.REHEARSING, PartnerStatus.ACTIVE)
    assert all(check.name in approved.out for check in CHECKS)
    assert production.run("audit", "--full").code == 0


def test_a_partner_does_not_begin_without_a_pass(production: Shell, rehearsal: GivenNetwork, shell: Shell) -> None:
    """What is missing is said, and nothing is proposed."""
    rehearse(rehearsal, shell, sell, repeat, take_back)
    ran = production.ada("partners", "activate", "acme", "--rehearsed-in", rehearsal.folder / "tallystick.toml")

    assert (ran.code, "CONFORMANCE_MISSING" in ran.err, "clock" in ran.err) == (1, True, True)
    assert "Nothing waits" in production.run("operators", "proposals").out


def test_two_operators_may_let_a_partner_begin_without_a_pass(production: Shell) -> None:
    """One of them alone may not; the reason is part of what they sign."""
    reason = "certified by Example Labs, report 17"
    production.ada("partners", "activate", "acme", "--override", reason)
    alone = production.ada("operators", "approve", "--all")
    before = status_of(production)
    approved = production.bob("operators", "approve", "--all")
    with reading(production.network.engine) as connection:
        decisions = load_decisions(connection, state=DecisionState.APPLIED)

    assert (alone.code, before) == (1, PartnerStatus.REHEARSING)
    assert (approved.code, status_of(production)) == (0, PartnerStatus.ACTIVE)
    assert [reason in one.document.decode() for one in decisions if one.kind is DecisionKind.ACTIVATE_PARTNER] == [True]


def test_an_override_needs_a_reason(production: Shell) -> None:
    """An empty one is none."""
    assert production.ada("partners", "activate", "acme", "--override", "").code == 1
    assert production.ada("partners", "activate", "acme").code == 2


def test_an_onboarding_that_was_proposed_under_the_old_rule_is_proposed_anew(shell: Shell) -> None:
    """Else a partner would begin at once although it must rehearse; the same file is enough."""
    onboard(shell)
    rule = shell.ada("partners", "conformance", "require").out.split()[1].rstrip(":")
    shell.bob("operators", "approve", rule)
    waiting = shell.bob("operators", "approve", "--all")
    before = status_of(shell)
    again = shell.ada("partners", "onboard", shell.network.folder / "acme.toml")
    shell.bob("operators", "approve", "--all")

    assert (waiting.code, before) == (1, PartnerStatus.APPLIED)
    assert (again.code, status_of(shell)) == (0, PartnerStatus.REHEARSING)
    assert shell.run("audit", "--full").code == 0


def test_the_rule_can_be_waived(production: Shell) -> None:
    """By two operators again; whoever rehearses goes on until it is activated."""
    production.ada("partners", "conformance", "waive")
    production.bob("operators", "approve", "--all")
    again = production.ada("partners", "conformance", "waive")
    production.network.onboard("globex", RATES)
    with reading(production.network.engine) as connection:
        partners = load_terms(connection).partners

    assert "already" in again.out
    assert [partners[name].status for name in ("acme", "globex")] == [PartnerStatus.REHEARSING, PartnerStatus.ACTIVE]
