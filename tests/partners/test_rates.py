"""Rate cards: proposed by one, approved by another, never edited, never in the past once something is booked."""

from datetime import date

import pytest
import tomli_w

from gateway.domain.terms import RateCard
from gateway.domain.units import Rate
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading
from tests.given import at, month, rate_card_table
from tests.partners.shell import Shell


@pytest.fixture
def acme(shell: Shell) -> Shell:
    """A network with one partner, its card in force from 1 June."""
    shell.network.onboard("acme", {"EUR": "1/2", "acme:STAR": "5/2"}, issue_price="1.10", reimbursement_rate="0.96")
    return shell


def cards(shell: Shell) -> tuple[RateCard, ...]:
    """All versions of acme's card."""
    with reading(shell.network.engine) as connection:
        return load_terms(connection).cards["acme"]


def test_options_change_what_they_name_and_keep_the_rest(acme: Shell) -> None:
    """A new price, the old rates."""
    acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", "1.15")
    acme.bob("operators", "approve", "--all")
    first, second = cards(acme)

    assert (second.version, second.effective_from, second.issue_price_micros) == (2, date(2026, 6, 16), 1_150_000)
    assert (second.issue_rates, second.reimbursement_rate_micros) == (first.issue_rates, first.reimbursement_rate_micros)


def test_units_are_added_changed_and_taken_off(acme: Shell) -> None:
    """One option for each."""
    words = ("--issue-rate", "EUR=1", "--issue-rate", "acme:STAR=none", "--issue-rate", "USD=2/3")
    acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", *words)
    acme.bob("partners", "rates", "approve", "--all")

    assert cards(acme)[-1].issue_rates == {"EUR": Rate(1, 1), "USD": Rate(2, 3)}


def test_a_file_says_the_same_as_options(acme: Shell) -> None:
    """The table is the one of an application."""
    table = rate_card_table({"EUR": "1"}, effective_from="2026-07-01", issue_price="1.30", reimbursement_rate="1.20")
    acme.ada("partners", "rates", "propose", "acme", acme.file("card.toml", tomli_w.dumps(table)))
    acme.bob("operators", "approve", "--all")

    assert (cards(acme)[-1].issue_price_micros, cards(acme)[-1].issue_rates) == (1_300_000, {"EUR": Rate(1, 1)})


def test_a_proposal_alone_changes_no_price(acme: Shell) -> None:
    """It takes two."""
    acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", "9")

    assert len(cards(acme)) == 1


def test_the_proposer_cannot_approve_its_own_rates(acme: Shell) -> None:
    """DUAL_CONTROL_REQUIRED."""
    proposed = acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", "9")
    ran = acme.ada("partners", "rates", "approve", proposed.out.split()[1].rstrip(":"))

    assert ran.code == 1
    assert "DUAL_CONTROL_REQUIRED" in ran.err


def test_two_proposals_for_one_version_leave_one_card(acme: Shell) -> None:
    """APPROVAL_STALE for the second: it was written for another card."""
    for price in ("1.20", "1.30"):
        acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", price)
    ran = acme.bob("operators", "approve", "--all")

    assert ran.code == 1
    assert "APPROVAL_STALE" in ran.err
    assert [card.issue_price_micros for card in cards(acme)] == [1_100_000, 1_200_000]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--effective-from", "2026-05-31"), "cannot begin before"),
        (("--issue-price", "1.20"), "effective_from: is missing"),
        (("--effective-from", "soon"), "YYYY-MM-DD"),
        (("--effective-from", "2026-07-01", "--face-value", "0"), "face_value"),
        (("--effective-from", "2026-07-01", "--issue-rate", "EUR"), "UNIT=RATE"),
        (("--effective-from", "2026-07-01", "--issue-rate", "books:STAR=1"), "another partner"),
        (("--effective-from", "2026-07-01", "--reimbursement-rate", "1001"), "at most 1000"),
    ],
)
def test_a_card_that_cannot_be_is_refused(acme: Shell, words: tuple[str, ...], part: str) -> None:
    """With the field and the reason."""
    ran = acme.ada("partners", "rates", "propose", "acme", *words)

    assert ran.code == 1
    assert part in ran.err


def test_the_past_is_open_until_something_is_booked(acme: Shell) -> None:
    """A network may be set up for a month that has begun; after its first entry it may not."""
    acme.network.now_ms = at("2026-06-20")
    words = ("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", "1.15")
    before = acme.ada(*words)
    acme.network.pretend_an_entry()
    after = acme.ada(*words)

    assert (before.code, after.code) == (0, 1)
    assert "has passed" in after.err


def test_today_is_not_the_past(acme: Shell) -> None:
    """Both sides of the limit, by the partner's own date."""
    acme.network.pretend_an_entry()
    acme.network.now_ms = at("2026-06-19", "23:59")
    words = ("partners", "rates", "propose", "acme", "--effective-from")

    assert [acme.ada(*words, day).code for day in ("2026-06-18", "2026-06-19", "2026-06-20")] == [1, 0, 0]


def test_a_proposal_whose_date_has_passed_is_stale(acme: Shell) -> None:
    """An approver who is late approves nothing that was priced otherwise meanwhile."""
    acme.ada("partners", "rates", "propose", "acme", "--effective-from", "2026-06-16", "--issue-price", "9")
    acme.network.pretend_an_entry()
    acme.network.now_ms = at("2026-06-17")
    ran = acme.bob("operators", "approve", "--all")

    assert ran.code == 1
    assert "APPROVAL_STALE" in ran.err


@pytest.mark.parametrize(("day", "version"), [("2026-06-15", 1), ("2026-06-16", 2)])
def test_showing_rates_at_a_date_shows_the_card_in_force(acme: Shell, day: str, version: int) -> None:
    """The last day of one, the first day of the next."""
    acme.network.rates("acme", {"EUR": "1/2"}, effective_from="2026-06-16")
    ran = acme.run("partners", "rates", "show", "acme", "--at", day)
    row = next(line for line in ran.out.splitlines() if "EUR" in line)

    assert (ran.code, row.split()[0]) == (0, str(version))


def test_before_the_first_card_there_is_none_to_show(acme: Shell) -> None:
    """Refused rather than guessed."""
    assert acme.run("partners", "rates", "show", "acme", "--at", "2026-05-31").code == 1


def test_the_months_partners_can_be_set_up(shell: Shell) -> None:
    """Four partners, six cards, two versions of the network's terms and an offer, as the oracle has them."""
    network = month(shell.network.folder / "month")
    with reading(network.engine) as connection:
        terms = load_terms(connection)

    prices = {(card.partner_id, card.version): card.issue_price_micros for versions in terms.cards.values() for card in versions}
    assert prices["alpha", 2] == 1_150_000
    assert len(prices) == 6
    assert [str(version.expiry_rule) for version in terms.network] == ["on 2026-06-20", "on 2027-06-30"]
    assert [funder for funder, _ in terms.offers["bonus-500"].shares] == ["charlie", "bravo"]
