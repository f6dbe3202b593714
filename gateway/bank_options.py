"""The options by which an account is described, for a partner's and for the operator's; and how what was said is put together."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from gateway.domain.bank import (
    HOLDER_MAX,
    BankAccount,
    Mandate,
    MandateScheme,
    check_bic,
    check_creditor_id,
    check_iban,
    check_mandate_id,
    masked,
)
from gateway.domain.errors import InvalidValue
from gateway.domain.terms import parse_date

_ACCOUNT = (
    click.option("--holder", help="In whose name the account is, as the bank knows it."),
    click.option("--iban", help="The account; spaces do not matter. Another one ends a mandate, unless that is named anew."),
    click.option("--bic", help="The bank's BIC; '' for none. Within SEPA the IBAN is enough."),
    click.option("--no-account", "is_closed", is_flag=True, help="There is none any more: blocks CONFIRMED until there is."),
)
_MANDATE = (
    click.option("--mandate-id", help="Reference of the mandate by which the operator may collect; '' for none any more."),
    click.option("--mandate-date", help="When the partner signed it, YYYY-MM-DD."),
    click.option(
        "--mandate-scheme",
        type=click.Choice([scheme.value for scheme in MandateScheme]),
        default=MandateScheme.B2B.value,
        show_default=True,
        help="Of SEPA direct debits: between firms, or for anybody.",
    ),
)
_CREDITOR = (click.option("--creditor-id", help="SEPA creditor identifier, without which nothing is collected; '' for none."),)

Command = Callable[..., Any]


def partner_account_options(command: Command) -> Command:
    """The options of a partner's account."""
    return _with(command, _ACCOUNT + _MANDATE)


def operator_account_options(command: Command) -> Command:
    """The options of the operator's account."""
    return _with(command, _ACCOUNT + _CREDITOR)


def changed_account(last: BankAccount, options: Mapping[str, Any]) -> BankAccount:
    """The account with what was said; what was not said stays as it is. Raises InvalidValue."""
    if options["is_closed"]:
        return BankAccount(holder=last.holder, iban="", creditor_id=last.creditor_id)
    said: dict[str, Any] = {name: parse(text) for name, parse in _PARSE.items() if (text := options.get(name)) is not None}
    if said.get("iban", last.iban) != last.iban:
        said = {"bic": "", "mandate": None} | said
    if options.get("mandate_id") is not None:
        said["mandate"] = _mandate(options) if options["mandate_id"] else None
    return replace(last, **said)


def account_rows(account: BankAccount, *, in_full: bool) -> list[tuple[str, str]]:
    """An account as a table for people."""
    shown = account if in_full else masked(account)
    rows = [("holder", shown.holder or "-"), ("IBAN", shown.iban or "none"), ("BIC", shown.bic or "-")]
    if shown.creditor_id:
        rows.append(("creditor identifier", shown.creditor_id))
    if shown.mandate:
        rows.append(("mandate", f"{shown.mandate.mandate_id}, signed on {shown.mandate.signed_on}, {shown.mandate.scheme}"))
    return rows


def _mandate(options: Mapping[str, Any]) -> Mandate:
    if options["mandate_date"] is None:
        raise InvalidValue("a mandate has the date of its signature: say --mandate-date")
    scheme = MandateScheme(options["mandate_scheme"])
    return Mandate(check_mandate_id(options["mandate_id"]), parse_date(options["mandate_date"]), scheme)


def _check_holder(text: str) -> str:
    if not (0 < len(text) <= HOLDER_MAX and text.isprintable() and text == text.strip()):
        raise InvalidValue(f"holder {text!r}: must be 1 to {HOLDER_MAX} printable characters, without space at its ends")
    return text


def _with(command: Command, options: tuple[Command, ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


_PARSE = {"holder": _check_holder, "iban": check_iban, "bic": check_bic, "creditor_id": check_creditor_id}
