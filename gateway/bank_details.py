"""How two operators change where a party's money goes: the decision itself is what holds, and the audit proves it as others."""

from sqlalchemy import Connection

from gateway.domain.bank import BankAccount, account_of, account_plain
from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import Document, base_of
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.governance import Hand, Ruling, Rulings, propose
from gateway.storage.bank import KnownAccount, load_known_accounts


def known_account(connection: Connection, party_id: str) -> KnownAccount:
    """What is known of a party's account; of the operator's nothing at first. Raises DecisionRefused with UNKNOWN_PARTNER."""
    known = load_known_accounts(connection).get(party_id)
    if known is None and party_id != OPERATOR:
        raise DecisionRefused("UNKNOWN_PARTNER", f"{party_id} is no partner: see 'tallystick partners list'")
    return known or KnownAccount(BankAccount(holder="", iban=""), "")


def propose_account(connection: Connection, party_id: str, account: BankAccount, *, hand: Hand, now_ms: int) -> Decision:
    """Proposes the account that a party has from now on; one without an IBAN says that it has none any more.

    Raises InvalidValue; DecisionRefused with UNKNOWN_PARTNER, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH.
    """
    known = known_account(connection, party_id)
    if account == known.account:
        raise InvalidValue(f"{party_id} has this account already: name what is to change")
    named = account_plain(_checked(party_id, account))
    document: dict[str, Plain] = {"base": known.decision_id, "party_id": party_id, "account": named}
    return propose(connection, _RULINGS, DecisionKind.BANK_DETAILS, document, hand=hand, now_ms=now_ms)


def _checked(party_id: str, account: BankAccount) -> BankAccount:
    if account.iban and not account.holder:
        raise InvalidValue(f"account of {party_id}: in whose name is it? Say --holder")
    if account.creditor_id and party_id != OPERATOR:
        raise InvalidValue(f"account of {party_id}: only the operator collects, so only it has a creditor identifier")
    if account.mandate and party_id == OPERATOR:
        raise InvalidValue("account of the operator: who collects gives no mandate")
    if account.mandate and not account.iban:
        raise InvalidValue(f"account of {party_id}: there is no mandate without an IBAN")
    return account


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    party_id = document["party_id"]
    if known_account(connection, party_id).decision_id != base_of(document):
        return f"something else was decided about the account of {party_id} since: propose it anew"
    account_of(document["account"])
    return None


def _apply(_connection: Connection, _document: Document, _decision_id: str, _at_ms: int) -> None:
    """Nothing but the decision: it is what accounts are read from."""


BANK_DETAILS_RULING = Ruling(_stale_because, _apply)
_RULINGS: Rulings = {DecisionKind.BANK_DETAILS: BANK_DETAILS_RULING}
