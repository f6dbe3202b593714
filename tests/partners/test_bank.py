"""Where money goes: what an application names, and how two operators change it."""

from datetime import date

import pytest

from gateway.domain.bank import BankAccount, Mandate, MandateScheme
from gateway.domain.ids import OPERATOR
from gateway.key_file import new_key
from gateway.ledger.audit import audit
from gateway.storage.bank import load_accounts
from gateway.storage.engine import reading
from partners.application import Application, application_toml, parse_application, read_application
from tests.given import AUDIENCE, IBANS, application_table, signed
from tests.partners.shell import Shell

OTHER = "NL91ABNA0417164300"
MANDATE = {"id": "TALLY-1", "signed_on": date(2026, 5, 1), "scheme": "B2B"}


def applied(**named: object) -> Application:
    """Acme's signed application."""
    key, _ = new_key()
    read = read_application(application_table("acme", {"EUR": "1/2"}, key) | named, audience=AUDIENCE, is_signed=False)
    assert isinstance(read, Application), read
    return signed(read, key)


def take_in(shell: Shell, **named: object) -> None:
    """Acme, active."""
    shell.ada("partners", "onboard", shell.file("acme.toml", application_toml(applied(**named))))
    shell.bob("operators", "approve", "--all")


def account_of_party(shell: Shell, party_id: str) -> BankAccount | None:
    """Where its money goes now."""
    with reading(shell.network.engine) as connection:
        return load_accounts(connection).get(party_id)


def test_an_application_may_name_bic_and_mandate() -> None:
    """What is written is what is read."""
    application = applied(bic="DEUTDEFF", mandate=MANDATE)

    assert application.mandate == Mandate("TALLY-1", date(2026, 5, 1), MandateScheme.B2B)
    assert parse_application(application_toml(application), audience=AUDIENCE) == application


def test_an_application_without_them_signs_what_it_always_did() -> None:
    """Applications of before stay proven."""
    assert {"bic", "mandate"}.isdisjoint(applied().plain())


@pytest.mark.parametrize(
    ("named", "part"),
    [
        ({"bic": "DEUT"}, "bic"),
        ({"mandate": MANDATE | {"id": "a//b"}}, "mandate.id"),
        ({"mandate": MANDATE | {"scheme": "COR1"}}, "mandate.scheme"),
        ({"mandate": {"id": "a", "scheme": "CORE"}}, "mandate.signed_on"),
        ({"mandate": MANDATE | {"until": "2027"}}, "mandate.until"),
    ],
)
def test_what_a_bank_would_refuse_is_named(named: dict[str, object], part: str) -> None:
    """Before anybody signs."""
    key, _ = new_key()
    errors = read_application(application_table("acme", {"EUR": "1/2"}, key) | named, audience=AUDIENCE, is_signed=False)

    assert isinstance(errors, tuple)
    assert [error.split(":")[0] for error in errors] == [part]


def test_the_account_of_an_application_is_the_partners_account(shell: Shell) -> None:
    """In the name of the firm."""
    take_in(shell, mandate=MANDATE)

    mandate = Mandate("TALLY-1", date(2026, 5, 1), MandateScheme.B2B)
    assert account_of_party(shell, "acme") == BankAccount(holder="Acme GmbH", iban=IBANS[0], mandate=mandate)


def test_another_account_takes_two_operators(shell: Shell) -> None:
    """Until then money goes where it went. The audit proves the decision as any other."""
    take_in(shell)
    shell.ada("partners", "bank", "propose", "acme", "--iban", OTHER, "--bic", "ABNANL2A")
    before = account_of_party(shell, "acme")
    shell.bob("operators", "approve", "--all")

    assert before == BankAccount(holder="Acme GmbH", iban=IBANS[0])
    assert account_of_party(shell, "acme") == BankAccount(holder="Acme GmbH", iban=OTHER, bic="ABNANL2A")
    assert audit(shell.network.engine, full=True, now_ms=0, progress=lambda _line: None).is_proved


def test_a_mandate_ends_with_the_account_that_it_was_given_for(shell: Shell) -> None:
    """Unless it is named anew."""
    take_in(shell, mandate=MANDATE)
    shell.ada("partners", "bank", "propose", "acme", "--iban", OTHER)
    shell.bob("operators", "approve", "--all")
    without = account_of_party(shell, "acme")
    shell.ada("partners", "bank", "propose", "acme", "--mandate-id", "TALLY-2", "--mandate-date", "2026-06-01")
    shell.bob("operators", "approve", "--all")

    assert without is not None
    assert without.mandate is None
    assert (found := account_of_party(shell, "acme")) is not None
    assert found.mandate == Mandate("TALLY-2", date(2026, 6, 1), MandateScheme.B2B)


def test_the_second_of_two_proposals_is_stale(shell: Shell) -> None:
    """Whoever approves it sees that something else was decided meanwhile."""
    take_in(shell)
    for iban in (OTHER, IBANS[1]):
        shell.ada("partners", "bank", "propose", "acme", "--iban", iban)
    ran = shell.bob("operators", "approve", "--all")

    assert ran.code == 1
    assert "APPROVAL_STALE" in ran.err


def test_an_account_can_end(shell: Shell) -> None:
    """Nobody is paid on an account that was closed."""
    take_in(shell, mandate=MANDATE)
    shell.ada("partners", "bank", "propose", "acme", "--no-account")
    shell.bob("operators", "approve", "--all")

    assert account_of_party(shell, "acme") == BankAccount(holder="Acme GmbH", iban="")


def test_the_operators_account_is_decided_in_the_same_way(shell: Shell) -> None:
    """With the creditor identifier by which it collects."""
    options = ("--holder", "Coalition AG", "--iban", OTHER, "--creditor-id", "DE98ZZZ09999999999")
    shell.ada("network", "bank", "propose", *options)
    shell.bob("operators", "approve", "--all")

    expected = BankAccount(holder="Coalition AG", iban=OTHER, creditor_id="DE98ZZZ09999999999")
    assert account_of_party(shell, OPERATOR) == expected
    assert "Coalition AG" in shell.run("network", "bank", "show").out


@pytest.mark.parametrize(
    "words",
    [
        ("partners", "bank", "propose", "acme"),
        ("partners", "bank", "propose", "acme", "--iban", "DE88370400440532013000"),
        ("partners", "bank", "propose", "acme", "--mandate-id", "a"),
        ("partners", "bank", "propose", "acme", "--holder", " Acme"),
        ("partners", "bank", "propose", "nobody", "--iban", OTHER),
        ("network", "bank", "propose", "--iban", OTHER),
    ],
)
def test_what_changes_nothing_or_is_not_well_formed_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    """Nothing is proposed then."""
    take_in(shell)
    ran = shell.ada(*words)

    assert ran.code != 0
    assert "Nothing waits" in shell.run("operators", "proposals").out


def test_an_iban_is_shown_in_full_only_to_who_asks_or_approves(shell: Shell) -> None:
    """What is done goes to logs; what waits is compared with what the partner says on the telephone."""
    take_in(shell)
    done = shell.ada("partners", "bank", "propose", "acme", "--iban", OTHER).out
    waiting = shell.run("operators", "proposals").out
    shown, in_full = (shell.run("partners", "bank", "show", "acme", *words).out for words in ((), ("--in-full",)))

    assert OTHER not in done
    assert OTHER in waiting
    assert IBANS[0] not in shown
    assert IBANS[0] in in_full
