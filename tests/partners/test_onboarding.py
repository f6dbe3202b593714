"""Onboarding: from files to active partners, as often as one likes, and nothing of a list in which one file is wrong."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select

from gateway.domain.decision import DecisionState
from gateway.domain.partner import PartnerStatus
from gateway.domain.signing import PrivateKey
from gateway.key_file import new_key
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_keys, load_terms
from gateway.storage.engine import reading
from gateway.storage.tables_directory import decisions
from partners.application import application_toml
from tests.given import GivenNetwork, application
from tests.partners.shell import Shell

RATES = {"EUR": "1/2"}


def applied(shell: Shell, partner_id: str, key: PrivateKey | None = None, **wanted: str) -> Path:
    """An application file of this partner."""
    return shell.file(f"{partner_id}.toml", application_toml(application(partner_id, RATES, key or new_key()[0], **wanted)))


def status_of(network: GivenNetwork, partner_id: str) -> PartnerStatus | None:
    """Where a partner stands."""
    with reading(network.engine) as connection:
        partner = load_terms(connection).partners.get(partner_id)
    return partner.status if partner else None


def decisions_in(network: GivenNetwork) -> int:
    """How many decisions there are."""
    with reading(network.engine) as connection:
        return connection.execute(select(func.count()).select_from(decisions)).scalar_one()


def test_an_applicant_is_kept_but_cannot_sign_yet(shell: Shell) -> None:
    """One operator's word makes nobody a partner."""
    ran = shell.ada("partners", "onboard", applied(shell, "acme"))

    with reading(shell.network.engine) as connection:
        keys = load_keys(connection)
    assert (ran.code, status_of(shell.network, "acme"), keys) == (0, PartnerStatus.APPLIED, {})


def test_who_approves_reads_where_money_will_go_and_which_key_will_sign(shell: Shell) -> None:
    """Both can be compared with what the partner says on the telephone."""
    key, _ = new_key()
    shell.ada("partners", "onboard", applied(shell, "acme", key))
    ran = shell.run("operators", "proposals")

    assert f"IBAN {application('acme', RATES, key).iban}, key acme/till-1/1 ({key.public_bytes().hex()[:16]}…)" in ran.out


def test_approval_brings_the_partner_its_key_and_its_rate_card(shell: Shell) -> None:
    """All in one transaction."""
    shell.ada("partners", "onboard", applied(shell, "acme"))
    ran = shell.bob("operators", "approve", "--all")

    with reading(shell.network.engine) as connection:
        terms, keys = load_terms(connection), load_keys(connection)
    assert (ran.code, terms.partners["acme"].status) == (0, PartnerStatus.ACTIVE)
    assert ([card.version for card in terms.cards["acme"]], list(keys)) == ([1], ["acme/till-1/1"])


def test_a_dry_run_writes_nothing(shell: Shell) -> None:
    """It says what would be done."""
    ran = shell.ada("partners", "onboard", applied(shell, "acme"), "--dry-run")

    assert ran.code == 0
    assert "acme: propose" in ran.out
    assert status_of(shell.network, "acme") is None


def test_a_folder_is_onboarded_as_a_whole(shell: Shell) -> None:
    """All *.toml in it."""
    folder = shell.network.folder / "applications"
    folder.mkdir()
    for partner_id in ("acme", "books"):
        applied(shell, partner_id).rename(folder / f"{partner_id}.toml")
    shell.ada("partners", "onboard", folder)
    shell.bob("operators", "approve", "--all")

    assert {status_of(shell.network, name) for name in ("acme", "books")} == {PartnerStatus.ACTIVE}


def test_onboarding_may_be_repeated_at_any_time(shell: Shell) -> None:
    """Before and after the approval nothing is proposed twice."""
    file = applied(shell, "acme")
    shell.ada("partners", "onboard", file)
    count = decisions_in(shell.network)
    waiting = shell.ada("partners", "onboard", file)
    shell.bob("operators", "approve", "--all")
    done = shell.ada("partners", "onboard", file)

    assert (waiting.code, done.code, decisions_in(shell.network)) == (0, 0, count)
    assert "waits for approval already" in waiting.out
    assert "taken in already" in done.out


def test_a_corrected_application_replaces_the_waiting_one(shell: Shell) -> None:
    """The old proposal is stale: approving it takes in nobody."""
    key = new_key()[0]
    shell.ada("partners", "onboard", applied(shell, "acme", key))
    shell.ada("partners", "onboard", applied(shell, "acme", key, issue_price="1.50"))
    with reading(shell.network.engine) as connection:
        stale = load_decisions(connection, state=DecisionState.STALE)
    refused = shell.bob("operators", "approve", stale[0].decision_id)
    shell.bob("operators", "approve", "--all")

    with reading(shell.network.engine) as connection:
        card = load_terms(connection).cards["acme"][0]
    assert (refused.code, card.issue_price_micros) == (1, 1_500_000)


def test_another_application_of_an_active_partner_is_refused(shell: Shell) -> None:
    """Rates and keys of a partner have commands of their own."""
    shell.network.onboard("acme", RATES)
    ran = shell.ada("partners", "onboard", applied(shell, "acme"))

    assert ran.code == 1
    assert "ACTIVE already" in ran.err


def test_one_wrong_file_keeps_all_out_and_every_error_of_every_file_is_named(shell: Shell) -> None:
    """A list is onboarded whole or not at all."""
    good = applied(shell, "acme")
    bad = shell.file("bad.toml", applied(shell, "books").read_text().replace("DE89", "DE88").replace("Europe/Berlin", "Berlin"))
    worse = shell.file("worse.toml", "\x00")
    ran = shell.ada("partners", "onboard", good, bad, worse)

    assert ran.code == 1
    assert all(part in ran.err for part in ("bad.toml: iban", "bad.toml: time_zone", "worse.toml: not TOML"))
    assert status_of(shell.network, "acme") is None


def test_whoever_wants_the_others_leaves_broken_files_out(shell: Shell) -> None:
    """Each error is named as ever, and the exit code says that something is left to do."""
    bad = shell.file("bad.toml", applied(shell, "books").read_text().replace("DE89", "DE88"))
    ran = shell.ada("partners", "onboard", applied(shell, "acme"), bad, "--skip-broken")

    assert (ran.code, ran.err.count("bad.toml: iban")) == (1, 1)
    assert "these were left out" in ran.err
    assert (status_of(shell.network, "acme"), status_of(shell.network, "books")) == (PartnerStatus.APPLIED, None)


def test_without_broken_files_leaving_them_out_changes_nothing(shell: Shell) -> None:
    """Exit code 0."""
    ran = shell.ada("partners", "onboard", applied(shell, "acme"), "--skip-broken")

    assert (ran.code, status_of(shell.network, "acme")) == (0, PartnerStatus.APPLIED)


def test_a_rehearsal_with_broken_files_left_out_writes_nothing(shell: Shell) -> None:
    """It says what would be done, and what would not."""
    bad = shell.file("bad.toml", "partner_id = ")
    ran = shell.ada("partners", "onboard", applied(shell, "acme"), bad, "--skip-broken", "--dry-run")

    assert (ran.code, status_of(shell.network, "acme")) == (1, None)
    assert "acme: propose" in ran.out
    assert "bad.toml: not TOML" in ran.err


def test_of_files_that_name_one_partner_none_is_taken(shell: Shell) -> None:
    """Not the one that comes first by its name either."""
    one, other = applied(shell, "acme"), applied(shell, "books")
    twice = shell.file("a.toml", application_toml(application("books", RATES, new_key()[0])))
    ran = shell.ada("partners", "onboard", one, twice, other, "--skip-broken")

    assert (ran.code, status_of(shell.network, "books")) == (1, None)
    assert all(f"{file}: partner books: stands in" in ran.err for file in (twice, other))
    assert status_of(shell.network, "acme") is PartnerStatus.APPLIED


def test_a_key_that_a_partner_has_already_is_refused(shell: Shell) -> None:
    """KEY_ALREADY_REGISTERED, whoever brings it."""
    key = shell.network.onboard("acme", RATES)
    ran = shell.ada("partners", "onboard", applied(shell, "books", key))

    assert ran.code == 1
    assert "KEY_ALREADY_REGISTERED" in ran.err


def test_a_key_of_an_applicant_that_waits_is_refused(shell: Shell) -> None:
    """KEY_ALREADY_REGISTERED, though it is not active yet."""
    key = new_key()[0]
    shell.ada("partners", "onboard", applied(shell, "acme", key))
    ran = shell.ada("partners", "onboard", applied(shell, "books", key))

    assert ran.code == 1
    assert "KEY_ALREADY_REGISTERED" in ran.err


@pytest.mark.parametrize("second", ["acme", "books"])
def test_two_files_cannot_share_a_partner_or_a_key(shell: Shell, second: str) -> None:
    """Not even inside one list."""
    key = new_key()[0]
    one = applied(shell, "acme", key)
    one.rename(shell.network.folder / "one.toml")
    ran = shell.ada("partners", "onboard", shell.network.folder / "one.toml", applied(shell, second, key))

    assert ran.code == 1
    assert "stands in" in ran.err


def test_a_file_that_is_no_application_by_its_size_is_an_error_among_others(shell: Shell) -> None:
    """Limits on everything; it hides no other error."""
    big, bad = shell.file("big.toml", "#" * 65_537), shell.file("bad.toml", "#" * 65_536)
    ran = shell.ada("partners", "onboard", big, bad)

    assert ran.code == 1
    assert "big.toml: has more than 65536 bytes" in ran.err
    assert "bad.toml: audience" in ran.err


def test_a_p256_applicant_becomes_a_partner(shell: Shell) -> None:
    """Both algorithms go all the way."""
    shell.ada("partners", "onboard", applied(shell, "acme", PrivateKey(ec.generate_private_key(ec.SECP256R1()))))
    shell.bob("operators", "approve", "--all")

    assert status_of(shell.network, "acme") is PartnerStatus.ACTIVE
