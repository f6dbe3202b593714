"""The audit of who decides: every signature of every decision, and the directory's rows against what the decisions say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from gateway.domain.decision import Decision, DecisionKind, DecisionState, Operator, verify_decision
from gateway.domain.derivation import Directory, derive
from gateway.domain.documents import applied_at_ms, consent_string
from gateway.domain.errors import SignatureError
from gateway.domain.limits import LIMIT_NAMES, Limits
from gateway.domain.network import Network
from gateway.domain.settlement import SettlementRules
from gateway.domain.signing import load_verifier
from gateway.ledger.audit_failures import Failures
from gateway.storage.audit_reads import table_rows
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_network
from gateway.storage.tables_directory import (
    decisions,
    issue_rates,
    network_terms,
    offer_shares,
    offers,
    operators,
    partner_keys,
    partner_limits,
    partners,
    rate_cards,
    receipt_keys,
)
from gateway.storage.tables_settlement import settlement_rules

FOUNDERS = 2

_Rows = dict[object, tuple[object, ...]]


def prove_directory(connection: Connection, failures: Failures) -> int:
    """Signatures first, then each table; answers how many decisions there are."""
    kept = load_decisions(connection)
    network = load_network(connection)
    derived = Directory()
    with failures.reading("decisions"):
        derived = derive(kept)
    founding = _founding(kept)
    ids = [row.decision_id for row in table_rows(connection, decisions)]
    failures.compare("decisions", [("rows that stand twice", len(set(ids)), len(ids))])
    for decision in kept:
        with failures.reading(f"decision {decision.decision_id}"):
            _verify(failures, decision, network.audience, derived.operators, is_founding=decision.decision_id in founding)
    with failures.reading("offers"):
        _verify_consents(failures, derived, network.audience)
    for table, expected in _expected(derived):
        key = tuple(column.name for column in table.primary_key.columns)
        found = [row._asdict() for row in table_rows(connection, table)]
        if table is network_terms:
            # The first version is no decision's: it is part of what was founded.
            first = {"version": 1, "decision_id": ""}
            founded = [row for row in found if first.items() <= row.items()]
            failures.compare("network_terms 1", [("rows of the founding", 1, len(founded))])
            found = [row for row in found if row not in founded]
        if table is receipt_keys:
            found = _after_the_founding(failures, found, derived, network)
        rows = (
            (tuple(row[name] for name in key), tuple(value for name, value in row.items() if name not in key)) for row in found
        )
        failures.compare_rows(table.name, expected, rows)
    return len(kept)


def _after_the_founding(
    failures: Failures, found: list[dict[str, Any]], derived: Directory, network: Network
) -> list[dict[str, Any]]:
    """The rows of receipt keys without the first, which is no decision's but the end of its life."""
    founded = [row for row in found if row["key_id"] not in derived.receipt_keys]
    lives = [(row["valid_from_ms"], row["valid_until_ms"]) for row in founded]
    failures.compare("receipt_keys of the founding", [("lives", [(network.created_at_ms, derived.founding_key_until_ms)], lives)])
    return [row for row in found if row not in founded]


def _verify(failures: Failures, decision: Decision, audience: str, known: Mapping[str, Operator], *, is_founding: bool) -> None:
    where = f"decision {decision.decision_id}"
    try:
        verify_decision(decision, audience=audience, operators=known, is_founding=is_founding)
    except SignatureError as error:
        failures.add(where, "signatures", expected="two hands that hold", found=error.cause)
    may_be_approved = decision.state is DecisionState.APPLIED and not is_founding
    failures.compare(where, [("approval of what is not applied", False, decision.approval is not None and not may_be_approved)])


def _founding(kept: Sequence[Decision]) -> frozenset[str]:
    """The decisions that added the first operators, who had nobody to approve them."""
    added = [
        one
        for one in kept
        if one.kind is DecisionKind.ADD_OPERATOR and one.state is DecisionState.APPLIED and one.approval is None
    ]
    return frozenset(one.decision_id for one in sorted(added, key=applied_at_ms)[:FOUNDERS])


def _verify_consents(failures: Failures, derived: Directory, audience: str) -> None:
    for offer, consents, _ in derived.offers.values():
        for consent in consents:
            where = f"offer {offer.offer_id}: consent of {consent.partner_id}"
            key = derived.keys.get(consent.key_id)
            if key is None or key.partner_id != consent.partner_id:
                failures.add(where, "key", expected="a key of the funder", found=consent.key_id)
                continue
            message = consent_string(audience=audience, key_id=consent.key_id, offer=offer)
            try:
                load_verifier(key.algorithm, key.public_key)(consent.signature, message)
            except SignatureError as error:
                failures.add(where, "signature", expected="one that holds", found=error.cause)


def _expected(derived: Directory) -> Iterator[tuple[Table, _Rows]]:
    """By table: the rows without their keys, in the order of the table's columns."""
    yield (
        operators,
        {
            (one.operator_id,): (one.name, one.algorithm.value, one.public_key, one.added_at_ms, one.decision_id)
            for one in derived.operators.values()
        },
    )
    yield (
        partners,
        {
            (partner_id,): (
                joined.partner.legal_name,
                joined.partner.status.value,
                joined.partner.settlement_currency,
                joined.partner.time_zone,
                joined.partner.net_debit_cap,
                joined.application,
                joined.decision_id,
            )
            for partner_id, joined in derived.partners.items()
        },
    )
    yield (
        partner_keys,
        {
            (key.key_id,): (
                key.partner_id,
                key.algorithm.value,
                key.public_key,
                " ".join(sorted(scope.value for scope in key.scopes)),
                key.valid_from_ms,
                key.retired_at_ms,
                key.revoked_at_ms,
            )
            for key in derived.keys.values()
        },
    )
    yield (
        receipt_keys,
        {(key.key_id,): (key.public_key, key.valid_from_ms, key.valid_until_ms) for key in derived.receipt_keys.values()},
    )
    yield from _expected_terms(derived)


def _expected_terms(derived: Directory) -> Iterator[tuple[Table, _Rows]]:
    yield (
        rate_cards,
        {
            key: (
                card.effective_from.isoformat(),
                card.issue_price_micros,
                card.face_value_micros,
                card.reimbursement_rate_micros,
                card.currency,
                decision_id,
            )
            for key, (card, decision_id) in derived.cards.items()
        },
    )
    yield (
        issue_rates,
        {
            (*key, unit): (rate.numerator, rate.denominator)
            for key, (card, _) in derived.cards.items()
            for unit, rate in card.issue_rates.items()
        },
    )
    yield (
        network_terms,
        {
            (version,): (
                terms.effective_from.isoformat(),
                str(terms.expiry_rule),
                terms.debt_policy.value,
                terms.late_days_max,
                terms.redemption_element_micros,
                str(terms.breakage_rebate_share),
                terms.par_value_micros,
                decision_id,
                terms.usable_after_days,
                terms.claim_days_max,
                *_limits(terms.limits),
            )
            for version, (terms, decision_id) in derived.network.items()
        },
    )
    yield (
        partner_limits,
        {
            key: (own.effective_from.isoformat(), *_limits(own.limits), decision_id)
            for key, (own, decision_id) in derived.limits.items()
        },
    )
    yield (
        settlement_rules,
        {
            (version,): (*(getattr(rules, name) for name in SettlementRules.__slots__ if name != "version"), decision_id)
            for version, (rules, decision_id) in derived.rules.items()
        },
    )
    yield from _expected_offers(derived)


def _expected_offers(derived: Directory) -> Iterator[tuple[Table, _Rows]]:
    yield (
        offers,
        {
            (offer.offer_id,): (
                offer.partner_id,
                offer.first_date.isoformat(),
                offer.last_date.isoformat(),
                offer.bonus_points,
                offer.minimum_amount,
                offer.unit,
                decision_id,
            )
            for offer, _, decision_id in derived.offers.values()
        },
    )
    yield offer_shares, {key: row for offer, consents, _ in derived.offers.values() for key, row in _shares(offer, consents)}


def _limits(limits: Limits) -> tuple[int, ...]:
    return tuple(getattr(limits, name) for name in LIMIT_NAMES)


def _shares(offer: Any, consents: Any) -> Iterator[tuple[tuple[str, str], tuple[object, ...]]]:
    for position, ((partner_id, share), consent) in enumerate(zip(offer.shares, consents, strict=True)):
        yield (offer.offer_id, partner_id), (position, str(share), consent.key_id, consent.signature)
