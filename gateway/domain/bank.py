"""Bank accounts as values: numbers that can be checked without asking a bank, and whom a window cannot be paid without.

Says that a number is well formed, not that it is anybody's. An IBAN is shown in full only where somebody asked for that.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from gateway.domain.canonical import Plain
from gateway.domain.errors import InvalidValue

HOLDER_MAX = 70  # of a name in a SEPA message: EPC132-08, AT-P001

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_CREDITOR_ID = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Z0-9]{1,28}")
_MANDATE_ID = re.compile(r"[A-Za-z0-9+?:().,'-][A-Za-z0-9/+?:().,'-]{0,33}[A-Za-z0-9+?:().,'-]|[A-Za-z0-9+?:().,'-]")
_MASKED_FROM = 12
_CHECKED_OVER = 97  # ISO 7064, MOD 97-10

# Characters of an IBAN by country: the IBAN registry of ISO 13616, release 101.
_COUNTRIES_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {country: length for length, countries in _COUNTRIES_BY_LENGTH.items() for country in countries.split()}


class MandateScheme(StrEnum):
    """Under which rules of SEPA a mandate was signed: for anybody, or between firms."""

    CORE = "CORE"
    B2B = "B2B"


@dataclass(frozen=True, slots=True)
class Mandate:
    """Leave to collect by SEPA direct debit: its reference, when the debtor signed it, and under which scheme."""

    mandate_id: str
    signed_on: date
    scheme: MandateScheme


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """Where a party pays from and is paid. `iban` is empty for who has none; `bic` where the bank is known by the IBAN alone.

    `creditor_id` is the operator's, who collects; `mandate` a partner's, who lets it.
    """

    holder: str
    iban: str
    bic: str = ""
    creditor_id: str = ""
    mandate: Mandate | None = None


Accounts = Mapping[str, BankAccount]
"""By party: a partner's id, or the operator's."""


def parties_without_account(payments: Iterable[tuple[str, str]], accounts: Accounts) -> list[str]:
    """Who is to pay or to be paid (debtor, creditor) and has named no IBAN, by id: what blocks a window's CONFIRMED."""
    parties = {party for payment in payments for party in payment}
    return sorted(party for party in parties if party not in accounts or not accounts[party].iban)


def check_iban(text: str) -> str:
    """The IBAN without spaces; raises InvalidValue unless country, length and check digits (mod 97, ISO 7064) hold."""
    iban = text.replace(" ", "")
    length = IBAN_LENGTHS.get(iban[:2])
    if length is None or _IBAN.fullmatch(iban) is None:
        raise InvalidValue(f"IBAN {mask_iban(iban)}: must be two letters of a country that has IBANs, two digits and the account")
    if len(iban) != length:
        raise InvalidValue(f"IBAN {mask_iban(iban)}: has {len(iban)} characters, and one of {iban[:2]} has {length}")
    if _remainder(iban[4:] + iban[:4]) != 1:
        raise InvalidValue(f"IBAN {mask_iban(iban)}: its check digits do not fit; was it mistyped?")
    return iban


def mask_iban(iban: str) -> str:
    """An IBAN for logs, terminals and messages: country, check digits and the last four characters, for whoever knows it."""
    return f"{iban[:4]}…{iban[-4:]}" if len(iban) > _MASKED_FROM else "…"


def masked(account: BankAccount) -> BankAccount:
    """The account with its IBAN masked."""
    return replace(account, iban=mask_iban(account.iban)) if account.iban else account


def check_bic(text: str) -> str:
    """Returns the BIC, or empty for none; raises InvalidValue unless it has the form of ISO 9362."""
    bic = text.replace(" ", "")
    if bic and _BIC.fullmatch(bic) is None:
        raise InvalidValue(f"BIC {text!r}: must be 8 or 11 characters, such as ABNANL2A")
    return bic


def check_creditor_id(text: str) -> str:
    """Returns the SEPA creditor identifier, or empty for none; raises InvalidValue unless its check digits hold.

    They go over the country's own number without the business code in the characters 5 to 7 (EPC262-08).
    """
    creditor_id = text.replace(" ", "")
    if creditor_id and (_CREDITOR_ID.fullmatch(creditor_id) is None or _remainder(creditor_id[7:] + creditor_id[:4]) != 1):
        raise InvalidValue(f"creditor identifier {text!r}: must be a SEPA creditor identifier such as DE98ZZZ09999999999")
    return creditor_id


def check_mandate_id(text: str) -> str:
    """Returns the reference; raises InvalidValue unless a SEPA message can carry it."""
    if _MANDATE_ID.fullmatch(text) is None or "//" in text:
        raise InvalidValue(
            f"mandate {text!r}: must be 1 to 35 of A-Z, a-z, 0-9 and +?/-:().,' without a slash at its ends or two in a row"
        )
    return text


def account_plain(account: BankAccount) -> dict[str, Plain]:
    """An account inside a document: what there is of it."""
    named: dict[str, Plain] = {"holder": account.holder, "iban": account.iban}
    named |= {name: value for name in ("bic", "creditor_id") if (value := getattr(account, name))}
    if account.mandate:
        named["mandate"] = mandate_plain(account.mandate)
    return named


def account_of(plain: Mapping[str, Any]) -> BankAccount:
    """The inverse of `account_plain`."""
    mandate = plain.get("mandate")
    return BankAccount(
        holder=plain["holder"],
        iban=plain["iban"],
        bic=plain.get("bic", ""),
        creditor_id=plain.get("creditor_id", ""),
        mandate=mandate_of(mandate) if mandate else None,
    )


def mandate_plain(mandate: Mandate) -> dict[str, Plain]:
    """A mandate inside a document."""
    return {"id": mandate.mandate_id, "signed_on": mandate.signed_on.isoformat(), "scheme": mandate.scheme.value}


def mandate_of(plain: Mapping[str, Any]) -> Mandate:
    """The inverse of `mandate_plain`."""
    return Mandate(plain["id"], date.fromisoformat(plain["signed_on"]), MandateScheme(plain["scheme"]))


def account_in_application(application: Mapping[str, Any]) -> BankAccount:
    """The account that a partner applied with."""
    return account_of(dict(application) | {"holder": application["legal_name"], "iban": application.get("iban", "")})


def _remainder(characters: str) -> int:
    return int("".join(str(int(character, 36)) for character in characters)) % _CHECKED_OVER
