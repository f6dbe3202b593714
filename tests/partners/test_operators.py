"""Two hands: who may propose, who may approve, and what becomes of a proposal that time has overtaken."""

import pytest
from sqlalchemy import update

from gateway.domain.decision import DecisionState, verify_decision
from gateway.key_file import new_key
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import directory_version, load_network, load_operators, load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.tables_directory import decisions
from tests.given import GivenNetwork
from tests.partners.shell import Shell

ACME = {"EUR": "1/2"}


def cap_proposed(shell: Shell, amount: str = "1000.00") -> str:
    """Id of ada's proposal to cap acme."""
    ran = shell.ada("partners", "cap", "set", "acme", amount)
    assert ran.code == 0, ran.err
    return ran.out.split()[1].rstrip(":")


def cap_of(network: GivenNetwork) -> int | None:
    """The cap in force."""
    with reading(network.engine) as connection:
        return load_terms(connection).partners["acme"].net_debit_cap


def test_a_key_is_made_in_a_file_of_its_owner_alone(shell: Shell) -> None:
    """The public key is printed, the private one stays."""
    file = shell.network.folder / "cy.pem"
    ran = shell.run("operators", "keygen", "--out", file)

    assert (ran.code, len(bytes.fromhex(ran.out.strip())), file.stat().st_mode & 0o777) == (0, 32, 0o600)


def test_a_key_is_never_overwritten(shell: Shell) -> None:
    """Making a key twice under one name is refused."""
    ran = shell.run("operators", "keygen", "--out", shell.network.folder / "ada.pem")

    assert ran.code == 1


def test_the_first_two_operators_sign_for_themselves(shell: Shell) -> None:
    """They are there, in order, each with a decision of their own."""
    ran = shell.run("operators", "list")

    assert ran.code == 0
    assert ran.out.index("ada") < ran.out.index("bob")


def test_a_third_operator_cannot_sign_for_itself(shell: Shell) -> None:
    """Who is no operator proposes nothing."""
    shell.run("operators", "keygen", "--out", shell.network.folder / "cy.pem")
    ran = shell.run("operators", "add", "cy", "--name", "Cy", "--key", shell.network.folder / "cy.pem")

    assert ran.code == 1
    assert "UNKNOWN_OPERATOR" in ran.err


def test_a_third_operator_takes_two(shell: Shell) -> None:
    """One of the founders proposes, the other approves."""
    public_key = new_key()[0].public_bytes().hex()
    shell.ada("operators", "add", "cy", "--name", "Cy", "--public-key", public_key)
    before = shell.run("operators", "list").out
    shell.bob("operators", "approve", "--all")

    assert "cy" not in before
    assert "cy" in shell.run("operators", "list").out


@pytest.mark.parametrize("weak", [bytes(32), bytes([1]) + bytes(31), bytes([255]) * 32])
def test_a_weak_key_makes_no_operator(shell: Shell, weak: bytes) -> None:
    """Keys of small order, and encodings that are not canonical, are refused."""
    ran = shell.ada("operators", "add", "cy", "--name", "Cy", "--public-key", weak.hex())

    assert ran.code == 1
    assert "WEAK_PUBLIC_KEY" in ran.err


def test_an_operator_cannot_have_another_ones_key(shell: Shell) -> None:
    """Two operators with one key would be one hand."""
    public_key = shell.network.hands[0].key.public_bytes().hex()
    ran = shell.ada("operators", "add", "cy", "--name", "Cy", "--public-key", public_key)

    assert ran.code == 1
    assert "KEY_ALREADY_REGISTERED" in ran.err


def test_a_proposal_is_shown_in_words(shell: Shell) -> None:
    """An approver reads what is at stake."""
    shell.network.onboard("acme", ACME)
    cap_proposed(shell)
    ran = shell.run("operators", "proposals")

    assert "by ada: cap acme at 1000.00 EUR" in ran.out


def test_the_proposer_cannot_approve(shell: Shell) -> None:
    """DUAL_CONTROL_REQUIRED, and nothing changes."""
    shell.network.onboard("acme", ACME)
    ran = shell.ada("operators", "approve", cap_proposed(shell))

    assert ran.code == 1
    assert "DUAL_CONTROL_REQUIRED" in ran.err
    assert cap_of(shell.network) is None


def test_the_proposers_key_cannot_approve_under_another_name(shell: Shell) -> None:
    """DUAL_CONTROL_REQUIRED: two names with one key are one hand."""
    shell.network.onboard("acme", ACME)
    key = shell.network.folder / "ada.pem"
    ran = shell.run("operators", "approve", cap_proposed(shell), "--operator", "bob", "--key", key)

    assert ran.code == 1
    assert "DUAL_CONTROL_REQUIRED" in ran.err


def test_a_stranger_cannot_approve(shell: Shell) -> None:
    """The key must be the one that the operator was added with."""
    shell.network.onboard("acme", ACME)
    proposed = cap_proposed(shell)
    shell.run("operators", "keygen", "--out", shell.network.folder / "eve.pem")
    ran = shell.run("operators", "approve", proposed, "--operator", "bob", "--key", shell.network.folder / "eve.pem")

    assert ran.code == 1
    assert "OPERATOR_KEY_MISMATCH" in ran.err


def test_approving_all_leaves_out_ones_own(shell: Shell) -> None:
    """Who proposed everything that waits approves nothing with --all."""
    shell.network.onboard("acme", ACME)
    cap_proposed(shell)
    ran = shell.ada("operators", "approve", "--all")

    assert ran.code == 1
    assert "DUAL_CONTROL_REQUIRED" in ran.err


def test_an_approved_decision_is_applied_and_may_be_approved_again(shell: Shell) -> None:
    """Repeating an approval is harmless."""
    shell.network.onboard("acme", ACME)
    proposed = cap_proposed(shell)
    codes = [shell.bob("operators", "approve", proposed).code for _ in range(2)]

    assert (codes, cap_of(shell.network)) == ([0, 0], 100_000)


def test_an_approval_of_what_time_has_overtaken_is_stale(shell: Shell) -> None:
    """APPROVAL_STALE: two proposals on one base; the second to be approved changes nothing, then or later."""
    shell.network.onboard("acme", ACME)
    first, second = cap_proposed(shell, "1000.00"), cap_proposed(shell, "2000.00")
    shell.bob("operators", "approve", first)
    refused = [shell.bob("operators", "approve", second) for _ in range(2)]

    assert [ran.code for ran in refused] == [1, 1]
    assert all("APPROVAL_STALE" in ran.err for ran in refused)
    assert cap_of(shell.network) == 100_000
    with reading(shell.network.engine) as connection:
        assert [one.decision_id for one in load_decisions(connection, state=DecisionState.STALE)] == [second]


def test_one_refused_approval_does_not_hold_up_the_others(shell: Shell) -> None:
    """Each is applied in a transaction of its own."""
    shell.network.onboard("acme", ACME)
    proposed = cap_proposed(shell)
    ran = shell.bob("operators", "approve", "d0000000000000000", proposed)

    assert ran.code == 1
    assert "UNKNOWN_DECISION" in ran.err
    assert cap_of(shell.network) == 100_000


def test_a_document_that_was_changed_after_signing_is_not_applied(shell: Shell) -> None:
    """DECISION_TAMPERED: the proposal's signature no longer holds."""
    shell.network.onboard("acme", ACME)
    proposed = cap_proposed(shell)
    with writing(shell.network.engine) as connection:
        row = decisions.c.decision_id == proposed
        document = next(one for one in load_decisions(connection) if one.decision_id == proposed).document
        connection.execute(update(decisions).where(row).values(document=document.replace(b"100000", b"900000")))
    ran = shell.bob("operators", "approve", proposed)

    assert ran.code == 1
    assert "DECISION_TAMPERED" in ran.err
    assert cap_of(shell.network) is None


def test_every_applied_decision_proves_itself(shell: Shell) -> None:
    """The audit needs nothing but the row and the operators' public keys."""
    shell.network.onboard("acme", ACME)
    shell.bob("operators", "approve", cap_proposed(shell))

    with reading(shell.network.engine) as connection:
        operators, audience = load_operators(connection), load_network(connection).audience
        for number, decision in enumerate(load_decisions(connection)):
            verify_decision(decision, audience=audience, operators=operators, is_founding=number < 2)


def test_decisions_are_never_made_in_the_same_millisecond(network: GivenNetwork) -> None:
    """Their order can be told from the signed times, though the clock stands still."""
    network.onboard("acme", ACME)
    network.cap("acme", 5)

    with reading(network.engine) as connection:
        marks = [mark.at_ms for one in load_decisions(connection) for mark in (one.proposal, one.approval) if mark]
    assert len(set(marks)) == len(marks)


def test_each_change_bumps_the_version_that_gateways_watch(network: GivenNetwork) -> None:
    """A running gateway notices with one read."""
    with reading(network.engine) as connection:
        before = directory_version(connection)
    network.onboard("acme", ACME)

    with reading(network.engine) as connection:
        assert directory_version(connection) > before
