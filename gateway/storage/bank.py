"""Whose account is where: what partners applied with, and what operators have decided since; there are no other rows of it."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway.domain.bank import BankAccount, account_in_application, account_of
from gateway.domain.decision import DecisionKind, DecisionState
from gateway.domain.documents import read_document
from gateway.storage.tables_directory import decisions, partners

_DECIDED = (
    select(decisions.c.decision_id, decisions.c.document)
    .where(decisions.c.kind == DecisionKind.BANK_DETAILS.value, decisions.c.state == DecisionState.APPLIED.value)
    .order_by(decisions.c.approved_at_ms)
)


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account, and the decision that it stands in; empty for what a partner applied with."""

    account: BankAccount
    decision_id: str


def load_known_accounts(connection: Connection) -> dict[str, KnownAccount]:
    """By party; the operator's only once it was decided."""
    applied = connection.execute(select(partners.c.partner_id, partners.c.application).order_by(partners.c.partner_id))
    known = {partner_id: KnownAccount(account_in_application(json.loads(application)), "") for partner_id, application in applied}
    for decision_id, content in connection.execute(_DECIDED):
        document = read_document(content)
        known[document["party_id"]] = KnownAccount(account_of(document["account"]), decision_id)
    return known


def load_accounts(connection: Connection) -> dict[str, BankAccount]:
    """The accounts alone."""
    return {party_id: known.account for party_id, known in load_known_accounts(connection).items()}
