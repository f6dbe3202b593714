"""The directory, derived from nothing but the applied decisions: what the tables must say.

The tables of partners, keys and terms are a convenience; the signed decisions are the proof. Whoever changes a table
by hand makes it differ from this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gateway.domain.canonical import canonical
from gateway.domain.decision import Decision, DecisionKind, DecisionState, Operator
from gateway.domain.documents import (
    Document,
    applicant_of,
    applied_at_ms,
    key_of,
    network_terms_of,
    offer_of,
    operator_of,
    partner_limits_of,
    rate_card_of,
    read_document,
    receipt_key_of,
    settlement_rules_of,
    starts_as,
)
from gateway.domain.limits import PartnerLimits
from gateway.domain.network import ReceiptKey
from gateway.domain.partner import Partner, PartnerKey, PartnerStatus
from gateway.domain.settlement import SettlementRules
from gateway.domain.terms import NetworkTerms, Offer, RateCard

STATUS_AFTER = {
    DecisionKind.SUSPEND_PARTNER: PartnerStatus.SUSPENDED,
    DecisionKind.RESUME_PARTNER: PartnerStatus.ACTIVE,
    DecisionKind.CLOSE_PARTNER: PartnerStatus.CLOSED,
    DecisionKind.ACTIVATE_PARTNER: PartnerStatus.ACTIVE,
}


# Rules for what is decided later, and what only reports ask for: the decision is all there is. What is decided about windows and
# debts has rows that the audit of settlement proves.
_CHANGES_NO_TERMS = frozenset(
    {
        DecisionKind.CONFORMANCE_RULE,
        DecisionKind.BREAKAGE_ESTIMATE,
        DecisionKind.BANK_DETAILS,
        DecisionKind.CONFIRM_WINDOW,
        DecisionKind.ADJUSTMENT,
        DecisionKind.WRITE_OFF,
        DecisionKind.END_DISPUTE,
    }
)


@dataclass(frozen=True, slots=True)
class Consent:
    """A funder's signature under an offer."""

    partner_id: str
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """A partner, the application it came with (canonical JSON), and the last decision about it."""

    partner: Partner
    application: bytes
    decision_id: str


@dataclass(slots=True)
class Directory:
    """Rows by their keys; rate cards, limits, network terms and offers with the decision that brought them.

    The first receipt key is part of what was founded; `founding_key_until_ms` is its end, once there is a second. `released`: by
    terminal, how many of its conflicts were known when it was last released.
    """

    operators: dict[str, Operator] = field(default_factory=dict)
    partners: dict[str, Joined] = field(default_factory=dict)
    keys: dict[str, PartnerKey] = field(default_factory=dict)
    cards: dict[tuple[str, int], tuple[RateCard, str]] = field(default_factory=dict)
    network: dict[int, tuple[NetworkTerms, str]] = field(default_factory=dict)
    limits: dict[tuple[str, int], tuple[PartnerLimits, str]] = field(default_factory=dict)
    offers: dict[str, tuple[Offer, tuple[Consent, ...], str]] = field(default_factory=dict)
    receipt_keys: dict[str, ReceiptKey] = field(default_factory=dict)
    founding_key_until_ms: int | None = None
    released: dict[str, int] = field(default_factory=dict)
    rules: dict[int, tuple[SettlementRules, str]] = field(default_factory=dict)


def derive(decisions: Iterable[Decision]) -> Directory:
    """The directory that the decisions make, in any order given; version 1 of the network terms is no decision's.

    A partner whose onboarding is not applied stands there as APPLIED. Raises InvalidValue, KeyError or TypeError on a
    document that cannot have been applied.
    """
    directory = Directory()
    kept = sorted(decisions, key=lambda decision: decision.proposal.at_ms)
    for decision in kept:
        if decision.kind is DecisionKind.ONBOARD_PARTNER and decision.state is not DecisionState.APPLIED:
            _join(directory, decision, read_document(decision.document), PartnerStatus.APPLIED)
    # No two decisions are applied in the same millisecond: governance sees to it.
    for decision in sorted((one for one in kept if one.state is DecisionState.APPLIED), key=applied_at_ms):
        _apply(directory, decision, read_document(decision.document))
    return directory


def consents_of(document: Document) -> tuple[Consent, ...]:
    """The funders' signatures that an offer's document carries, in the order of its shares."""
    return tuple(Consent(one["partner_id"], one["key_id"], bytes.fromhex(one["signature"])) for one in document["consents"])


def _apply(directory: Directory, decision: Decision, document: Document) -> None:
    kind, decision_id, at_ms = decision.kind, decision.decision_id, applied_at_ms(decision)
    if kind is DecisionKind.ADD_OPERATOR:
        operator = operator_of(document, added_at_ms=at_ms, decision_id=decision_id)
        directory.operators[operator.operator_id] = operator
    elif kind is DecisionKind.ONBOARD_PARTNER:
        application = document["application"]
        _join(directory, decision, document, starts_as(document))
        key = key_of(application["key"], valid_from_ms=at_ms)
        directory.keys[key.key_id] = key
        directory.cards[application["partner_id"], 1] = rate_card_of(application["rate_card"]), decision_id
    elif kind in STATUS_AFTER:
        _stand(directory, document["partner_id"], decision, STATUS_AFTER[kind])
    elif kind is DecisionKind.NET_DEBIT_CAP:
        joined = directory.partners[document["partner_id"]]
        partner = replace(joined.partner, net_debit_cap=document["net_debit_cap"])
        directory.partners[document["partner_id"]] = replace(joined, partner=partner, decision_id=decision_id)
    elif kind is DecisionKind.ADD_KEY:
        key = key_of(document["key"], valid_from_ms=at_ms)
        directory.keys[key.key_id] = key
    elif kind in (DecisionKind.RETIRE_KEY, DecisionKind.REVOKE_KEY):
        known = directory.keys[document["key_id"]]
        is_retired = kind is DecisionKind.RETIRE_KEY
        end = {"retired_at_ms": document["retired_at_ms"]} if is_retired else {"revoked_at_ms": at_ms}
        directory.keys[known.key_id] = replace(known, **end)
    elif kind is DecisionKind.RECEIPT_KEY:
        _rotate(directory, receipt_key_of(document["receipt_key"], valid_from_ms=at_ms), at_ms + document["overlap_ms"])
    elif kind is DecisionKind.RELEASE_TERMINAL:
        directory.released[document["terminal_id"]] = document["conflicts"]
    elif kind not in _CHANGES_NO_TERMS:
        _replace_terms(directory, kind, document, decision_id)


def _replace_terms(directory: Directory, kind: DecisionKind, document: Document, decision_id: str) -> None:
    if kind is DecisionKind.RATE_CARD:
        card = rate_card_of(document["rate_card"])
        directory.cards[card.partner_id, card.version] = card, decision_id
    elif kind is DecisionKind.NETWORK_TERMS:
        terms = network_terms_of(document["network_terms"])
        directory.network[terms.version] = terms, decision_id
    elif kind is DecisionKind.SETTLEMENT_RULES:
        rules = settlement_rules_of(document["rules"])
        directory.rules[rules.version] = rules, decision_id
    elif kind is DecisionKind.PARTNER_LIMITS:
        own = partner_limits_of(document["partner_limits"])
        directory.limits[own.partner_id, own.version] = own, decision_id
    else:
        offer = offer_of(document["offer"])
        directory.offers[offer.offer_id] = offer, consents_of(document), decision_id


def _join(directory: Directory, decision: Decision, document: Document, status: PartnerStatus) -> None:
    application = document["application"]
    directory.partners[application["partner_id"]] = Joined(
        applicant_of(application, status=status), canonical(application), decision.decision_id
    )


def _rotate(directory: Directory, key: ReceiptKey, until_ms: int) -> None:
    if directory.receipt_keys:
        *_, last = directory.receipt_keys.values()
        directory.receipt_keys[last.key_id] = replace(last, valid_until_ms=until_ms)
    else:
        directory.founding_key_until_ms = until_ms
    directory.receipt_keys[key.key_id] = key


def _stand(directory: Directory, partner_id: str, decision: Decision, status: PartnerStatus) -> None:
    joined = directory.partners[partner_id]
    since_ms = applied_at_ms(decision) if status is PartnerStatus.SUSPENDED else None
    partner = replace(joined.partner, status=status, suspended_at_ms=since_ms)
    directory.partners[partner_id] = replace(joined, partner=partner, decision_id=decision.decision_id)
