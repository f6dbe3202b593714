"""From instructions to what a bank is asked to do: transfers, direct debits, and requests to who must pay by itself. Pure.

SEPA moves euros alone. Another currency is transferred by a file of its own, which asks for no SEPA; nobody is debited in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.domain.bank import Accounts, BankAccount, Mandate, MandateScheme, mask_iban
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from settlement.instruction import Instruction
from settlement.sepa import NAME_MAX, is_within_sepa, is_written, sepa_text

SEPA_CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Transfer:
    """The operator pays a partner. `is_sepa`: in euros, between accounts within SEPA."""

    instruction: Instruction
    account: BankAccount
    is_sepa: bool


@dataclass(frozen=True, slots=True)
class Debit:
    """The operator collects from a partner by its mandate."""

    instruction: Instruction
    account: BankAccount
    mandate: Mandate


@dataclass(frozen=True, slots=True)
class Request:
    """A partner is asked to pay whom it owes: `account` is the creditor's."""

    instruction: Instruction
    account: BankAccount


@dataclass(slots=True)
class Plan:
    """What is asked of whom: transfers by currency, debits by scheme, requests by debtor; each in the instructions' order."""

    transfers: dict[str, list[Transfer]] = field(default_factory=dict)
    debits: dict[MandateScheme, list[Debit]] = field(default_factory=dict)
    requests: dict[str, list[Request]] = field(default_factory=dict)


def bank_blockers(instructions: Iterable[Instruction], accounts: Accounts) -> list[str]:
    """Why these instructions cannot be handed to a bank, party by party in the order of ids; empty if they can."""
    parties = {party for one in instructions for party in (one.debtor_id, one.creditor_id)}
    return [f"{party}: {why}" for party in sorted(parties) if (why := _why_blocked(accounts.get(party)))]


def plan_payments(instructions: Sequence[Instruction], accounts: Accounts) -> Plan:
    """Each instruction once, by what its two parties have. Raises InvalidValue, naming all blockers."""
    blockers = bank_blockers(instructions, accounts)
    if blockers:
        raise InvalidValue("no bank can take these payments:\n  " + "\n  ".join(blockers))
    plan = Plan()
    for one in instructions:
        debtor, creditor = accounts[one.debtor_id], accounts[one.creditor_id]
        is_sepa = one.currency == SEPA_CURRENCY and is_within_sepa(debtor.iban) and is_within_sepa(creditor.iban)
        if one.debtor_id == OPERATOR:
            plan.transfers.setdefault(one.currency, []).append(Transfer(one, creditor, is_sepa))
        elif one.creditor_id == OPERATOR and creditor.creditor_id and debtor.mandate and is_sepa:
            plan.debits.setdefault(debtor.mandate.scheme, []).append(Debit(one, debtor, debtor.mandate))
        else:
            plan.requests.setdefault(one.debtor_id, []).append(Request(one, creditor))
    return plan


def bank_name(account: BankAccount) -> str:
    """The holder as a bank file names it."""
    return sepa_text(account.holder, length_max=NAME_MAX)


def _why_blocked(account: BankAccount | None) -> str:
    if account is None or not account.iban:
        return "has no IBAN"
    if not is_written(account.holder):
        return f"the holder of {mask_iban(account.iban)} has no name in Latin letters that a bank could write; say --holder"
    return ""
