"""Limits at the command line: of the network and of a partner, proposed by one, approved by another."""

import pytest

from gateway.domain.limits import Limits, PartnerLimits
from gateway.domain.terms import NetworkTerms
from gateway.ledger.audit import audit
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading
from tests.partners.shell import Shell

PROPOSE = ("partners", "limits", "propose", "acme", "--effective-from")


@pytest.fixture
def acme(shell: Shell) -> Shell:
    """A network with one partner."""
    shell.network.onboard("acme", {"EUR": "1/2"})
    return shell


def own_limits(shell: Shell) -> tuple[PartnerLimits, ...]:
    """All versions of acme's."""
    with reading(shell.network.engine) as connection:
        return load_terms(connection).partner_limits.get("acme", ())


def last_terms(shell: Shell) -> NetworkTerms:
    """The newest of the network's."""
    with reading(shell.network.engine) as connection:
        return load_terms(connection).network[-1]


def test_a_partners_limits_take_two_operators(acme: Shell) -> None:
    """A proposal alone limits nothing; the approver reads what they are."""
    proposed = acme.ada(*PROPOSE, "2026-06-01", "--minimum-points", "100", "--member-day-redeemed-max", "5000")
    assert "limits 1 of acme from 2026-06-01: minimum points 100, member day redeemed max 5000" in proposed.out
    assert own_limits(acme) == ()
    acme.bob("operators", "approve", "--all")

    (own,) = own_limits(acme)
    assert own.limits == Limits(minimum_points=100, member_day_redeemed_max=5_000)
    assert audit(acme.network.engine, full=True, now_ms=acme.network.now_ms).failures == ()


def test_what_is_left_out_stays_and_nothing_lifts_a_limit_but_0(acme: Shell) -> None:
    """A version says all limits."""
    acme.ada(*PROPOSE, "2026-06-01", "--minimum-points", "100", "--multiple-points", "50")
    acme.bob("partners", "limits", "approve", "--all")
    acme.ada(*PROPOSE, "2026-06-08", "--minimum-points", "0", "--entry-points-max", "900")
    acme.bob("operators", "approve", "--all")

    assert [own.version for own in own_limits(acme)] == [1, 2]
    assert own_limits(acme)[-1].limits == Limits(multiple_points=50, entry_points_max=900)


def test_two_proposals_for_one_version_leave_one(acme: Shell) -> None:
    """APPROVAL_STALE for the second."""
    for points in ("100", "200"):
        acme.ada(*PROPOSE, "2026-06-01", "--minimum-points", points)
    ran = acme.bob("operators", "approve", "--all")

    assert ran.code == 1
    assert "APPROVAL_STALE" in ran.err
    assert len(own_limits(acme)) == 1


def test_limits_cannot_begin_in_the_past_once_something_is_booked(acme: Shell) -> None:
    """What was booked since was within the old ones."""
    acme.network.pretend_an_entry()
    ran = acme.ada(*PROPOSE, "2026-05-30", "--minimum-points", "100")

    assert ran.code == 1
    assert "that date has passed" in ran.err


def test_limits_that_let_nothing_through_are_refused(acme: Shell) -> None:
    """With both numbers."""
    ran = acme.ada(*PROPOSE, "2026-06-01", "--minimum-points", "100", "--entry-points-max", "99")

    assert ran.code == 1
    assert "less than the 100 points of the least redemption" in ran.err


def test_an_unknown_partner_has_no_limits(acme: Shell) -> None:
    """NOT_FOUND, as with everything about it."""
    assert acme.ada("partners", "limits", "propose", "nobody", "--effective-from", "2026-06-01").code == 1


def test_limits_are_shown_in_words(acme: Shell) -> None:
    """Those that there are; refused where there are none."""
    assert acme.run("partners", "limits", "show", "acme").code == 1
    acme.ada(*PROPOSE, "2026-06-01", "--terminal-day-issued-max", "700")
    acme.bob("operators", "approve", "--all")

    assert "terminal day issued max 700" in acme.run("partners", "limits", "show", "acme").out


def test_the_networks_limits_delay_and_claims_are_terms_of_its(acme: Shell) -> None:
    """What is left out stays, limit by limit."""
    words = ("network", "terms", "propose", "--effective-from")
    acme.ada(*words, "2026-06-01", "--multiple-points", "10", "--usable-after-days", "14", "--claim-days-max", "60")
    acme.bob("operators", "approve", "--all")
    acme.ada(*words, "2026-06-02", "--member-day-issued-max", "2000")
    approved = acme.bob("operators", "approve", "--all")

    terms = last_terms(acme)
    assert "points are usable after 14 days, paper receipts can be claimed for 60; multiple points 10" in approved.out
    assert (terms.usable_after_days, terms.claim_days_max) == (14, 60)
    assert terms.limits == Limits(multiple_points=10, member_day_issued_max=2_000)
    assert "14 days" in acme.run("network", "terms", "show").out
    assert audit(acme.network.engine, full=True, now_ms=acme.network.now_ms).failures == ()


@pytest.mark.parametrize(
    ("option", "value", "said"), [("--usable-after-days", "367", "usable after days"), ("--claim-days-max", "-1", "claim days")]
)
def test_terms_out_of_range_are_refused(acme: Shell, option: str, value: str, said: str) -> None:
    """By name."""
    ran = acme.ada("network", "terms", "propose", "--effective-from", "2026-06-01", option, value)

    assert ran.code == 1
    assert said in ran.err
