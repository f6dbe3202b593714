"""The sandbox as vendors have it: one command, and tills that meet what its table promises."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.config import FILE_NAME
from gateway.sandbox import AUDIENCE, MEMBERS, PARTNERS, MemberCase
from gateway.sandbox_path import SLOW_S
from partners.application import application_toml
from partners.pos import keys
from partners.pos.answers import Booked, Happened
from partners.pos.attempts import RetryPolicy
from partners.pos.errors import NoAnswer, PosError, Refused
from partners.pos.offline_queue import OfflineQueue
from partners.pos.profile import Profile
from partners.pos.requests import amount, card, issue, redeem
from partners.pos.requests_till import checkout
from partners.pos.till import Till
from tests.e2e.processes import COMMAND, END_S_MAX, run_process
from tests.given import KEY_SUFFIX, application, signed
from tests.patience import patience_s
from tests.shared import ROOT

PAGE = ROOT / "docs" / "sandbox.md"
ONCE = RetryPolicy(attempts_max=1, timeout_ms=4_000)
CASES = {case.card: case for case in MEMBERS}
REFUSED_ONCE = [case for case in MEMBERS if case.refuses_once is not None]


@dataclass(frozen=True)
class Sandbox:
    """A running one, and what it printed."""

    folder: Path
    said: str

    def profile(self, partner_id: str = "meadow") -> Profile:
        """As a vendor finds it."""
        return Profile.load(self.folder / "sandbox" / "partners" / f"{partner_id}.toml")

    def till(self, partner_id: str = "meadow", policy: RetryPolicy = ONCE) -> Till:
        """A till that sends each call once, unless it is told otherwise."""
        return Till.open(self.profile(partner_id), policy=policy)


@pytest.fixture(scope="module", name="sandbox")
def name_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Made and served by the command; told to stop at the end."""
    folder = tmp_path_factory.mktemp("vendor")
    process = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", "127.0.0.1:0"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "tallystick pos balance" in line:
            break
    yield Sandbox(folder, "".join(said))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patience_s(END_S_MAX))
    assert process.returncode == 0
    audited = run_process(folder, "--config", folder / "sandbox" / "net" / FILE_NAME, "audit", "--full")
    assert audited.startswith("books proved")


def test_it_says_what_a_vendor_needs(sandbox: Sandbox) -> None:
    """Audience, CA, profiles and keys; and the command that it names works as it stands."""
    last = sandbox.said.splitlines()[-1].split()

    assert last[0] == "tallystick"
    assert "100000 points" in run_process(sandbox.folder, *last[1:])
    assert all(one.key_id in sandbox.said for one in PARTNERS if one.is_published)
    assert AUDIENCE in sandbox.said


def test_its_receipts_say_that_they_are_worth_nothing(sandbox: Sandbox) -> None:
    """By the audience, which each receipt carries."""
    with sandbox.till() as till:
        sale = till.issue(card("SANDBOX-RICH"), amount("10.00 EUR"), key="sale-rich")

    assert sale.receipt.audience.endswith(":sandbox")
    assert sale.points == 5


def test_a_member_without_points_stays_so(sandbox: Sandbox) -> None:
    """Also after points were issued to it; the refusal is signed."""
    who = card("SANDBOX-INSUFFICIENT")
    with sandbox.till() as till:
        till.issue(who, amount("100.00 EUR"), key="sale-insufficient")
        for key in ("redeem-1", "redeem-2"):
            with pytest.raises(Refused, match="INSUFFICIENT_POINTS") as caught:
                till.redeem(who, 1, key=key)
            assert caught.value.facts.signed_receipt is not None


def test_a_member_in_debt_is_so_in_the_books(sandbox: Sandbox) -> None:
    """What is issued pays the debt, and it is owed again before the next command."""
    who, owed = card("SANDBOX-DEBT"), CASES["SANDBOX-DEBT"].debt
    with sandbox.till() as till:
        before = till.balance(who).debt_points
        sales = [till.issue(who, amount(f"{2 * owed}.00 EUR"), key=f"sale-debt-{number}") for number in range(2)]

        assert before == owed
        assert [sale.receipt.debt_points for sale in sales] == [0, 0]
        assert [sale.balance_points for sale in sales] == [0, 0]


def test_members_are_brought_back_whatever_a_till_did(sandbox: Sandbox) -> None:
    """Goods come back whose points are gone: one member owes what it should not, the other twice what it should."""
    none, owes = card("SANDBOX-INSUFFICIENT"), card("SANDBOX-DEBT")
    with sandbox.till() as till:
        till.checkout(none, amount("100.00 EUR"), key="gone-1")
        with pytest.raises(Refused, match="INSUFFICIENT_POINTS"):
            till.redeem(none, 1, key="gone-2")
        assert till.refund(key="gone-3", checkout_key="gone-1").receipt.debt_points == 50
        with pytest.raises(Refused, match="INSUFFICIENT_POINTS"):
            till.redeem(none, 1, key="gone-4")
        assert till.balance(none).debt_points == 0

        for number in range(2):
            till.checkout(owes, amount("1000.00 EUR"), key=f"owed-{number}")
        owed = [till.refund(key=f"owed-back-{number}", checkout_key=f"owed-{number}").receipt.debt_points for number in range(2)]
        after = till.checkout(owes, amount("2.00 EUR"), key="owed-after").receipt.debt_points

    assert (owed, after) == ([500, 1_000], 499)


def test_a_member_whose_spending_is_paused_stays_so(sandbox: Sandbox) -> None:
    """Points are issued to it; also after a till has resumed it."""
    who = card("SANDBOX-PAUSED")
    with sandbox.till() as till:
        assert till.checkout(who, amount("10.00 EUR"), key="paused-1").points == 5
        till.resume(who, key="paused-2")
        with pytest.raises(Refused, match="SPENDING_PAUSED"):
            till.redeem(who, 1, key="paused-3")


def test_a_member_of_the_table_cannot_be_erased(sandbox: Sandbox) -> None:
    """It is there for all vendors."""
    with sandbox.till() as till, pytest.raises(Refused, match="MEMBER_NOT_FOUND"):
        till.erase(card("SANDBOX-RICH"), key="erase-1")


def test_a_hold_is_over_when_it_is_captured(sandbox: Sandbox) -> None:
    """In the books: its points are free again."""
    who = card("SANDBOX-LAPSED-HOLD")
    with sandbox.till() as till:
        placed = till.place_hold(who, 100, key="hold-1").receipt
        with pytest.raises(Refused, match="HOLD_NOT_OPEN"):
            till.checkout(who, amount("50.00 EUR"), hold_key="hold-1", key="sale-hold")
        standing = till.balance(who).standing

    assert (placed.standing.held_points, standing.held_points) == (100, 0)


def test_a_rate_card_is_stale(sandbox: Sandbox) -> None:
    """The version that is in force is told; without a version the till says that it does not mind."""
    who = card("SANDBOX-STALE-RATE")
    with sandbox.till() as till:
        with pytest.raises(Refused, match="RATE_VERSION_STALE") as caught:
            till.issue(who, amount("10.00 EUR"), key="sale-stale", rate_card_version=1)
        assert caught.value.facts.details == {"current": "1"}
        assert till.issue(who, amount("10.00 EUR"), key="sale-any").points == 5


def test_an_answer_takes_its_time(sandbox: Sandbox) -> None:
    """Within the deadline of a till."""
    with sandbox.till() as till:
        till.learn()
        started = time.monotonic()
        till.issue(card("SANDBOX-SLOW"), amount("10.00 EUR"), key="sale-slow")

        assert time.monotonic() - started >= SLOW_S


@pytest.mark.parametrize("case", REFUSED_ONCE, ids=lambda case: case.card)
def test_a_first_attempt_is_refused_and_the_next_one_booked(sandbox: Sandbox, case: MemberCase) -> None:
    """With the same key, and nothing was booked before."""
    assert case.refuses_once is not None
    key = f"once-{case.card}"
    said = ""
    with sandbox.till() as till:
        till.learn()
        try:
            sale = till.issue(card(case.card), amount("10.00 EUR"), key=key)
        except (NoAnswer, Refused) as error:
            said = str(error)
            sale = till.issue(card(case.card), amount("10.00 EUR"), key=key)

    # A till that is told the server's time signs anew by itself.
    assert case.refuses_once.name in said or case.card == "SANDBOX-CLOCK"
    assert (sale.points, sale.is_replayed) == (5, False)


def test_a_refused_first_attempt_says_when_to_come_again(sandbox: Sandbox) -> None:
    """A till with patience needs no help."""
    with sandbox.till(policy=RetryPolicy()) as till:
        booked = [
            till.issue(card(case.card), amount("10.00 EUR"), key=f"patient-{case.card}")
            for case in REFUSED_ONCE
            if case.card != "SANDBOX-INTERNAL"
        ]
        retries = till.counts.retries

    assert [sale.is_replayed for sale in booked] == [False] * len(booked)
    assert retries == len(booked)


@pytest.mark.parametrize("name", ["SANDBOX-LOST-ANSWER", "SANDBOX-NO-ANSWER"])
def test_a_lost_answer_was_booked(sandbox: Sandbox, name: str) -> None:
    """The repeat brings its receipt, and the points are there once; so with a refund of it."""
    key, back = f"lost-{name}", f"back-{name}"
    with sandbox.till() as till:
        before = till.balance(card(name)).balance_points
        with pytest.raises(NoAnswer):
            till.checkout(card(name), amount("10.00 EUR"), key=key)
        assert till.checkout(card(name), amount("10.00 EUR"), key=key).is_replayed
        between = till.balance(card(name)).balance_points
        with pytest.raises(NoAnswer):
            till.refund(key=back, checkout_key=key)
        assert till.refund(key=back, checkout_key=key).is_replayed

        assert (between - before, till.balance(card(name)).balance_points) == (5, before)


@pytest.mark.parametrize(("partner_id", "reason"), [("frost", "PARTNER_NOT_ACTIVE"), ("brim", "NET_DEBIT_CAP_EXCEEDED")])
def test_a_partner_is_refused_for_what_was_decided_about_it(sandbox: Sandbox, partner_id: str, reason: str) -> None:
    """Suspended, or at its cap: decisions of the sandbox's operators."""
    with sandbox.till(partner_id) as till, pytest.raises(Refused, match=reason):
        till.issue(card("SANDBOX-RICH"), amount("10.00 EUR"), key=f"sale-{partner_id}")


@pytest.mark.parametrize("case", [one for one in MEMBERS if one.refuses is not None], ids=lambda case: case.card)
def test_a_limit_of_the_day_refuses_what_issues_and_what_takes_points(sandbox: Sandbox, case: MemberCase) -> None:
    """Each time, with limit, used, and the end of the day; without a receipt, for time cures it. Others are not concerned."""
    assert case.refuses is not None
    seen = []
    with sandbox.till() as till:
        for call in (till.checkout, till.checkout, till.issue):
            with pytest.raises(Refused, match=case.refuses.name) as caught:
                call(card(case.card), amount("10.00 EUR"), key=f"day-{case.card}")
            seen.append(caught.value.facts)
        with pytest.raises(Refused, match=case.refuses.name):
            till.place_hold(card(case.card), 100, key=f"day-hold-{case.card}")
        balance = till.balance(card(case.card)).balance_points

    assert {(facts.details["limit"], facts.details["used"], facts.signed_receipt) for facts in seen} == {
        ("100000", "100000", None)
    }
    assert all(0 < int(facts.details["resets_at_ms"]) - time.time() * 1_000 <= 25 * 3_600_000 for facts in seen)
    assert balance == case.points


@pytest.mark.parametrize(("points", "reason"), [(50, "BELOW_MINIMUM"), (101, "NOT_A_MULTIPLE"), (1_050, "ENTRY_LIMIT")])
def test_a_partner_with_limits_is_refused_by_its_books(sandbox: Sandbox, points: int, reason: str) -> None:
    """For good, with a signed receipt; a quote has said it."""
    who = card("SANDBOX-RICH")
    with sandbox.till("ledge") as till:
        quote = till.quote(who, amount("99.00 EUR"))
        with pytest.raises(Refused, match=reason) as caught:
            till.redeem(who, points, key=f"ledge-{points}")
        booked = till.redeem(who, 150, key=f"ledge-ok-{points}")

    assert (quote.points_max, quote.points_step) == (1_000, 50)
    assert caught.value.facts.signed_receipt is not None
    assert booked.points == -150


def test_points_are_given_to_the_charity(sandbox: Sandbox) -> None:
    """At any partner's till; nobody else takes donations."""
    with sandbox.till("quire") as till:
        given = till.donate(card("SANDBOX-RICH"), "lantern", 10, key="donate-1")
        with pytest.raises(Refused, match="NOT_A_CHARITY"):
            till.donate(card("SANDBOX-RICH"), "meadow", 10, key="donate-2")

    assert given.points == -10


def test_cards_do_what_they_do_to_events_of_an_outage_as_well(sandbox: Sandbox) -> None:
    """A drain that fails is run again: each event is booked once, also the one whose answer was lost."""
    profile, happened = sandbox.profile("quire"), dict[int, Happened]()
    queue = OfflineQueue.open(sandbox.folder / "quire.queue", profile)
    names = ("SANDBOX-RICH", "SANDBOX-LOST-ANSWER", "SANDBOX-QUEUE-FULL", "SANDBOX-CLOCK", "SANDBOX-MEMBER-LIMIT", "NOBODY")
    for name in names:
        queue.append(checkout(card(name), amount("10.00 EUR"), key=f"outage-{name}"))
    with sandbox.till("quire") as till:
        with pytest.raises(NoAnswer, match="STORE_UNAVAILABLE"):
            queue.drain(till)
        drained = queue.drain(till, each=lambda one: happened.update({one.counter: one}))
    queue.close()
    outcomes = [happened[counter].outcome for counter in range(1, len(names) + 1)]

    assert (drained.booked, drained.refused, drained.waiting) == (5, 1, 0)
    assert [one.is_replayed for one in outcomes if isinstance(one, Booked)] == [True, True, False, True, True]
    assert isinstance(outcomes[-1], Refused)
    assert outcomes[-1].reason == "MEMBER_NOT_FOUND"


def test_a_batch_may_name_such_members(sandbox: Sandbox) -> None:
    """Command by command."""
    with sandbox.till() as till:
        booked, refused = till.submit_batch(
            [
                issue(card("SANDBOX-RICH"), amount("10.00 EUR"), key="batch-1"),
                redeem(card("SANDBOX-INSUFFICIENT"), 1, key="batch-2"),
            ]
        )

    assert not isinstance(booked, Refused)
    assert isinstance(refused, Refused)
    assert refused.reason == "INSUFFICIENT_POINTS"


def test_a_vendor_is_taken_in_with_a_key_of_its_own(sandbox: Sandbox) -> None:
    """By the sandbox's operators, as in any network; the cards do for it what they do for all."""
    here, home = sandbox.folder, sandbox.folder / "sandbox"
    key, pem = keys.generate()
    keys.save(pem, here / "vendor.pem")
    applied = replace(application("vendor", {"EUR": "1"}, key), audience=AUDIENCE)
    (here / "vendor.toml").write_text(application_toml(signed(applied, key)), "utf-8")
    net = ("--config", home / "net" / FILE_NAME)
    for words in (("partners", "onboard", "vendor.toml", "ada"), ("operators", "approve", "--all", "bob")):
        run_process(here, *net, *words[:-1], "--operator", words[-1], "--key", home / "operators" / f"{words[-1]}.pem")
    profile = replace(sandbox.profile(), key_id=f"vendor/{KEY_SUFFIX}", key_file=here / "vendor.pem")
    give_up_at, booked = time.monotonic() + patience_s(END_S_MAX), list[Booked]()
    with Till.open(profile, policy=RetryPolicy()) as till:
        while not booked:
            assert time.monotonic() < give_up_at, "the gateway does not notice the key"
            with contextlib.suppress(Refused):  # until the gateway has looked
                booked.append(till.issue(card("SANDBOX-RICH"), amount("10.00 EUR"), key="vendor-1"))
    with Till.open(profile, policy=ONCE) as till, pytest.raises(NoAnswer, match="QUEUE_FULL"):
        till.issue(card("SANDBOX-QUEUE-FULL"), amount("10.00 EUR"), key="vendor-2")

    assert booked[0].points == 10


def test_a_vendors_till_is_judged_by_what_the_sandbox_saw(sandbox: Sandbox) -> None:
    """While it sells, and while the sandbox runs."""
    net = ("--config", sandbox.folder / "sandbox" / "net" / FILE_NAME)
    run_process(sandbox.folder, *net, "partners", "conformance", "start", "quire")
    give_up_at, passed, sales = time.monotonic() + patience_s(END_S_MAX), set[str](), 0
    with sandbox.till("quire", RetryPolicy()) as till:
        while passed != {"signed issue", "repeat"}:
            assert time.monotonic() < give_up_at, passed
            sales += 1
            for _ in range(2):
                till.issue(card("SANDBOX-RICH"), amount("10.00 EUR"), key=f"judged-{sales}")
            show = [COMMAND, *map(str, net), "partners", "conformance", "show", "quire", "--json"]
            shown = json.loads(subprocess.run(show, capture_output=True, check=False).stdout)
            passed = {check["check"] for check in shown["checks"] if check["is_passed"]}

    assert sales


def test_a_profile_of_the_sandbox_opens_no_other_network(sandbox: Sandbox) -> None:
    """Nor the other way round: a till for a real network does not take the sandbox for it."""
    other = replace(sandbox.profile(), audience="coalition.example:prod")
    with Till.open(other, policy=ONCE) as till, pytest.raises(PosError, match="serves"):
        till.balance(card("SANDBOX-RICH"))


def test_the_pages_python_works(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the sandbox was made, as it stands."""
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(sandbox.folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, PAGE.name, "exec"), {})

    assert printed.getvalue() == "21 points; the answer was lost, and came at the second attempt: True\n"


def test_the_page_is_that_of_the_table() -> None:
    """Made by the command, kept for readers; `tallystick sandbox --page > docs/sandbox.md` brings it up to date."""
    assert run_process(PAGE.parent, "sandbox", "--page") == PAGE.read_text("utf-8")
