"""Bank details: what is well formed, what is shown of it, and whom a window waits for."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.bank import (
    IBAN_LENGTHS,
    BankAccount,
    Mandate,
    MandateScheme,
    account_of,
    account_plain,
    check_bic,
    check_creditor_id,
    check_iban,
    check_mandate_id,
    mask_iban,
    parties_without_account,
)
from gateway.domain.errors import InvalidValue

RIGHT = "DE89370400440532013000"


@pytest.mark.parametrize(
    "iban", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NL91ABNA0417164300", "MT84MALT011000012345MTLCAST001S"]
)
def test_a_true_iban_is_taken_without_its_spaces(iban: str) -> None:
    """Examples of ISO 13616."""
    assert check_iban(iban) == iban.replace(" ", "")


@given(st.integers(0, 21), st.sampled_from("0123456789"))
def test_one_mistyped_digit_of_an_iban_is_noticed(position: int, digit: str) -> None:
    """The check digits catch every single wrong digit."""
    wrong = RIGHT[:position] + digit + RIGHT[position + 1 :]
    if wrong == RIGHT:
        return

    with pytest.raises(InvalidValue):
        check_iban(wrong)


@pytest.mark.parametrize("country", sorted(IBAN_LENGTHS))
def test_an_iban_has_the_length_of_its_country(country: str) -> None:
    """Check digits alone would let through an account that is a few zeros longer or shorter."""
    right, longer, shorter = (_iban(country, IBAN_LENGTHS[country] + more) for more in (0, 1, -1))

    assert check_iban(right) == right
    for wrong in (longer, shorter):
        with pytest.raises(InvalidValue, match="IBAN"):
            check_iban(wrong)


def test_a_country_without_ibans_is_refused() -> None:
    """There is no account in the United States that begins with US."""
    with pytest.raises(InvalidValue, match="country that has IBANs"):
        check_iban(_iban("US", 22))


def test_a_refusal_does_not_repeat_the_iban() -> None:
    """Messages are logged."""
    wrong = "DE88370400440532013000"
    with pytest.raises(InvalidValue) as refused:
        check_iban(wrong)

    assert wrong not in str(refused.value)
    assert "DE88…3000" in str(refused.value)


def test_a_masked_iban_shows_country_check_digits_and_end() -> None:
    """Enough for whoever knows it, and too little to pay."""
    assert (mask_iban(RIGHT), mask_iban("DE8912")) == ("DE89…3000", "…")


@pytest.mark.parametrize("bic", ["ABNANL2A", "DEUTDEFF500", ""])
def test_bics_of_both_lengths_are_taken(bic: str) -> None:
    """And none, since within SEPA the IBAN is enough."""
    assert check_bic(bic) == bic


@pytest.mark.parametrize("bic", ["ABNANL2", "abnanl2a", "ABNA12NL", "ABNANL2AXX"])
def test_what_is_no_bic_is_refused(bic: str) -> None:
    """Too short, in small letters, with digits for the country, of ten characters."""
    with pytest.raises(InvalidValue):
        check_bic(bic)


def test_a_creditor_identifier_is_checked_without_its_business_code() -> None:
    """A firm may count its branches there; the check digits stay the same."""
    assert check_creditor_id("DE98 ZZZ0 9999 9999 99") == check_creditor_id("DE98ZZZ09999999999") == "DE98ZZZ09999999999"
    assert check_creditor_id("DE98A1B09999999999")


@pytest.mark.parametrize("creditor_id", ["DE97ZZZ09999999999", "DE98ZZZ", "98ZZZ09999999999"])
def test_what_is_no_creditor_identifier_is_refused(creditor_id: str) -> None:
    """Wrong check digits, nothing behind them, no country."""
    with pytest.raises(InvalidValue):
        check_creditor_id(creditor_id)


@pytest.mark.parametrize("mandate_id", ["M", "TALLY-2026/1", "x" * 35, "(a)+b?:c.d,e'f"])
def test_mandate_references_are_taken(mandate_id: str) -> None:
    """Of 1 to 35 characters, as a SEPA message carries them."""
    assert check_mandate_id(mandate_id) == mandate_id


@pytest.mark.parametrize("mandate_id", ["", "x" * 36, "/a", "a/", "a//b", "a b", "mändat"])
def test_references_that_a_bank_would_refuse_are_refused(mandate_id: str) -> None:
    """Slashes at the ends or doubled are kept for other systems' use."""
    with pytest.raises(InvalidValue):
        check_mandate_id(mandate_id)


def test_a_document_says_the_whole_account() -> None:
    """What was signed is what is paid to."""
    mandate = Mandate("TALLY-1", date(2026, 5, 1), MandateScheme.B2B)
    account = BankAccount(holder="Bravo", iban=RIGHT, bic="DEUTDEFF", mandate=mandate)

    assert account_of(account_plain(account)) == account


def test_whoever_has_named_no_account_is_named() -> None:
    """Once each, in the order of ids: unknown ones, and those that closed theirs."""
    accounts = {"alpha": BankAccount(holder="Alpha", iban=RIGHT), "bravo": BankAccount(holder="Bravo", iban="")}
    payments = [("delta", "alpha"), ("alpha", "bravo"), ("bravo", "delta")]

    assert parties_without_account(payments, accounts) == ["bravo", "delta"]


def _iban(country: str, length: int) -> str:
    """With check digits that fit."""
    account = "1".ljust(length - 4, "0")
    number = int("".join(str(int(character, 36)) for character in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"
