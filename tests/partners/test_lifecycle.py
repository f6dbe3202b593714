"""A partner's life: which steps lead where, who must agree, and what is left when it leaves."""

import pytest
from sqlalchemy import insert

from gateway.domain.partner import PARTNER_TRANSITIONS, PartnerStatus
from gateway.key_file import new_key
from gateway.storage.directory import load_keys, load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.failures import SignatureFailure, save_signature_failures
from gateway.storage.tables import lots
from partners.application import application_toml
from tests.given import GivenNetwork, application, at
from tests.partners.shell import Shell

RATES = {"EUR": "1/2"}
COMMANDS = {PartnerStatus.ACTIVE: "resume", PartnerStatus.SUSPENDED: "suspend", PartnerStatus.CLOSED: "close"}


def status_of(network: GivenNetwork) -> PartnerStatus:
    """Where acme stands."""
    with reading(network.engine) as connection:
        return load_terms(connection).partners["acme"].status


def bring_to(shell: Shell, status: PartnerStatus) -> None:
    """Acme, standing there."""
    if status is PartnerStatus.REHEARSING:
        shell.ada("partners", "conformance", "require")
        shell.bob("operators", "approve", "--all")
    shell.ada("partners", "onboard", shell.file("acme.toml", application_toml(application("acme", RATES, new_key()[0]))))
    if status is not PartnerStatus.APPLIED:
        shell.bob("operators", "approve", "--all")
    if status in (PartnerStatus.SUSPENDED, PartnerStatus.CLOSED):
        shell.ada("partners", COMMANDS[status], "acme")
        shell.bob("operators", "approve", "--all")
    assert status_of(shell.network) is status


@pytest.mark.parametrize("target", [PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED, PartnerStatus.CLOSED])
@pytest.mark.parametrize("status", list(PartnerStatus))
def test_each_command_leads_where_the_table_says_or_is_refused(
    shell: Shell, status: PartnerStatus, target: PartnerStatus
) -> None:
    """One table of transitions; only two operators make a new partner active, and the same state again is a no-op."""
    bring_to(shell, status)
    ran = shell.ada("partners", COMMANDS[target], "acme")
    if target is PartnerStatus.CLOSED:
        shell.bob("operators", "approve", "--all")

    is_resumed = status not in (PartnerStatus.APPLIED, PartnerStatus.REHEARSING)
    is_allowed = target in PARTNER_TRANSITIONS[status] and (is_resumed or target is not PartnerStatus.ACTIVE)
    assert ran.code == (0 if is_allowed or status is target else 1)
    assert status_of(shell.network) is (target if is_allowed else status)


def test_suspending_takes_one_operator_and_closing_two(shell: Shell) -> None:
    """What protects and can be undone is done at once."""
    bring_to(shell, PartnerStatus.ACTIVE)
    shell.ada("partners", "close", "acme")
    before = status_of(shell.network)
    shell.ada("partners", "suspend", "acme")

    assert (before, status_of(shell.network)) == (PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED)


def test_closing_prints_the_open_lots_and_what_they_are_worth(shell: Shell) -> None:
    """Whoever approves knows what is left behind."""
    bring_to(shell, PartnerStatus.ACTIVE)
    texts = dict.fromkeys(("member_id", "business_date", "expires_on", "usable_from", "origin_entry_id"), "x")
    numbers = {
        "bucket": 0,
        "rate_card_version": 1,
        "arrival": 1,
        "points": 1000,
        "expired_points": 0,
        "held_points": 0,
        "currency": "EUR",
    }
    issued = texts | numbers | {"issuer_id": "acme"}
    with writing(shell.network.engine) as connection:
        connection.execute(insert(lots).values(issued | {"lot_id": "one", "open_points": 1000, "price_micros": 1_100_000}))
        connection.execute(insert(lots).values(issued | {"lot_id": "two", "open_points": 500, "price_micros": 1_150_000}))
        connection.execute(insert(lots).values(issued | {"lot_id": "spent", "open_points": 0, "price_micros": 1_150_000}))
    ran = shell.ada("partners", "close", "acme")

    assert "1,500 open points in 2 lots, worth 16.75 EUR" in ran.out
    assert "stay valid" in ran.out


def test_an_unknown_partner_is_refused_by_every_command(shell: Shell) -> None:
    """UNKNOWN_PARTNER, and where to look."""
    commands = (("suspend", "nobody"), ("resume", "nobody"), ("close", "nobody"), ("cap", "set", "nobody", "1"))
    ran = [shell.ada("partners", *words) for words in commands] + [shell.run("partners", "show", "nobody")]

    assert all(one.code == 1 and "UNKNOWN_PARTNER" in one.err for one in ran)


def test_showing_a_partner_tells_what_it_applied_with(shell: Shell) -> None:
    """Name, bank account and standing on one screen."""
    bring_to(shell, PartnerStatus.ACTIVE)
    ran = shell.run("partners", "show", "acme")

    assert all(part in ran.out for part in ("Acme GmbH", "DE89…3000", "ACTIVE", "no open points"))


def test_listing_partners_counts_their_usable_keys(shell: Shell) -> None:
    """A partner without a usable key can do nothing."""
    bring_to(shell, PartnerStatus.ACTIVE)
    shell.ada("partners", "keys", "revoke", "acme/till-1/1")
    row = next(line for line in shell.run("partners", "list").out.splitlines() if "acme" in line)

    assert row.split()[-1] == "0"


@pytest.mark.parametrize(("amount", "cap"), [("1000.00", 100_000), ("0", 0), ("none", None)])
def test_a_cap_is_set_in_major_units_or_lifted(shell: Shell, amount: str, cap: int | None) -> None:
    """By two operators."""
    bring_to(shell, PartnerStatus.ACTIVE)
    shell.ada("partners", "cap", "set", "acme", amount)
    shell.bob("operators", "approve", "--all")

    with reading(shell.network.engine) as connection:
        assert load_terms(connection).partners["acme"].net_debit_cap == cap


@pytest.mark.parametrize("amount", ["-1", "1.234", "many", "9" * 12])
def test_an_amount_that_is_no_cap_is_refused(shell: Shell, amount: str) -> None:
    """Not negative, not finer than the currency, not beyond reason."""
    bring_to(shell, PartnerStatus.ACTIVE)
    ran = shell.run("partners", "cap", "set", *_acting(shell), "--", "acme", amount)

    assert ran.code == 1


def test_the_true_cause_of_a_failed_signature_is_shown_to_the_operator(shell: Shell) -> None:
    """The caller was told only SIGNATURE_INVALID."""
    bring_to(shell, PartnerStatus.ACTIVE)
    failure = SignatureFailure(
        "acme", at("2026-06-01"), "acme/till-1/1", "/x/Issue", "127.0.0.1", "key revoked", "TS1-REQUEST\nx\n"
    )
    with writing(shell.network.engine) as connection:
        save_signature_failures(connection, [failure])
    ran = shell.run("partners", "signatures", "tail", "acme")

    assert all(part in ran.out for part in ("2026-06-01 10:00:00", "key revoked", "    TS1-REQUEST"))


def test_no_failed_signatures_are_said_so(shell: Shell) -> None:
    """Silence would leave doubt."""
    bring_to(shell, PartnerStatus.ACTIVE)

    assert "No signature of acme has failed" in shell.run("partners", "signatures", "tail", "acme").out


def test_the_keys_of_a_suspended_partner_stay(shell: Shell) -> None:
    """Its office still reads statements."""
    bring_to(shell, PartnerStatus.SUSPENDED)

    with reading(shell.network.engine) as connection:
        assert load_keys(connection)["acme/till-1/1"].unusable_because(shell.network.now_ms + 1_000) is None


def _acting(shell: Shell) -> tuple[str, ...]:
    return "--operator", "ada", "--key", str(shell.network.folder / "ada.pem")
