"""What operators sign: the documents of decisions, and the values of the domain that each of them says.

A document is canonical JSON and holds everything that is applied, so that the directory can be derived again from the
applied decisions alone. `base` names the decision that a document builds on; once another one is applied, it is stale.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.domain.canonical import Plain, canonical
from gateway.domain.decision import Decision, Operator
from gateway.domain.errors import InvalidValue
from gateway.domain.estimate import BreakageEstimate
from gateway.domain.limits import LIMIT_NAMES, Limits, PartnerLimits, limits_of
from gateway.domain.network import ReceiptKey, SettlementModel
from gateway.domain.partner import KeyScope, Partner, PartnerKey, PartnerRole, PartnerStatus
from gateway.domain.settlement import Form, Netting, Schedule, SettlementRules
from gateway.domain.signing import Algorithm, signed_string
from gateway.domain.terms import CLAIM_DAYS, DebtPolicy, ExpiryRule, NetworkTerms, Offer, RateCard, parse_date
from gateway.domain.units import Rate

Document = Mapping[str, Any]


def read_document(document: bytes) -> Document:
    """The document as plain values. Raises InvalidValue unless it is canonical JSON of an object."""
    try:
        plain = json.loads(document)
    except ValueError:
        raise InvalidValue("document: no JSON") from None
    if not isinstance(plain, dict) or canonical(plain) != document:
        raise InvalidValue("document: not in canonical form")
    return plain


def base_of(document: Document) -> str:
    """Id of the decision that the document builds on; empty where it starts something new."""
    return str(document.get("base", ""))


def applied_at_ms(decision: Decision) -> int:
    """When an applied decision took effect: with its approval, or with its proposal where one signature is enough."""
    return (decision.approval or decision.proposal).at_ms


def rate_card_plain(card: RateCard) -> dict[str, Plain]:
    """A rate card inside a document."""
    return {
        "partner_id": card.partner_id,
        "version": card.version,
        "effective_from": card.effective_from.isoformat(),
        "issue_rates": {unit: str(rate) for unit, rate in card.issue_rates.items()},
        "issue_price_micros": card.issue_price_micros,
        "face_value_micros": card.face_value_micros,
        "reimbursement_rate_micros": card.reimbursement_rate_micros,
        "currency": card.currency,
    }


def rate_card_of(plain: Document) -> RateCard:
    """The inverse of `rate_card_plain`."""
    return RateCard(
        partner_id=plain["partner_id"],
        version=plain["version"],
        effective_from=parse_date(plain["effective_from"]),
        issue_rates={unit: Rate.parse(rate) for unit, rate in sorted(plain["issue_rates"].items())},
        issue_price_micros=plain["issue_price_micros"],
        face_value_micros=plain["face_value_micros"],
        reimbursement_rate_micros=plain["reimbursement_rate_micros"],
        currency=plain["currency"],
    )


def limits_plain(limits: Limits) -> dict[str, Plain]:
    """Limits inside a document: those that there are. `limits_of` is the inverse."""
    return {name: value for name in LIMIT_NAMES if (value := getattr(limits, name))}


def partner_limits_plain(own: PartnerLimits) -> dict[str, Plain]:
    """A partner's own limits inside a document."""
    return {
        "partner_id": own.partner_id,
        "version": own.version,
        "effective_from": own.effective_from.isoformat(),
        "limits": limits_plain(own.limits),
    }


def partner_limits_of(plain: Document) -> PartnerLimits:
    """The inverse of `partner_limits_plain`."""
    return PartnerLimits(plain["partner_id"], plain["version"], parse_date(plain["effective_from"]), limits_of(plain["limits"]))


def network_terms_plain(terms: NetworkTerms) -> dict[str, Plain]:
    """Network terms inside a document."""
    return {
        "version": terms.version,
        "effective_from": terms.effective_from.isoformat(),
        "expiry_rule": str(terms.expiry_rule),
        "debt_policy": terms.debt_policy.value,
        "late_days_max": terms.late_days_max,
        "redemption_element_micros": terms.redemption_element_micros,
        "breakage_rebate_share": str(terms.breakage_rebate_share),
        "par_value_micros": terms.par_value_micros,
        "usable_after_days": terms.usable_after_days,
        "claim_days_max": terms.claim_days_max,
        "limits": limits_plain(terms.limits),
    }


def network_terms_of(plain: Document) -> NetworkTerms:
    """The inverse of `network_terms_plain`; what was written before there were delays and limits has none."""
    return NetworkTerms(
        version=plain["version"],
        effective_from=parse_date(plain["effective_from"]),
        expiry_rule=ExpiryRule.parse(plain["expiry_rule"]),
        debt_policy=DebtPolicy(plain["debt_policy"]),
        late_days_max=plain["late_days_max"],
        redemption_element_micros=plain["redemption_element_micros"],
        breakage_rebate_share=Rate.parse(plain["breakage_rebate_share"]),
        par_value_micros=plain["par_value_micros"],
        usable_after_days=plain.get("usable_after_days", 0),
        claim_days_max=plain.get("claim_days_max", CLAIM_DAYS),
        limits=limits_of(plain.get("limits", {})),
    )


def offer_plain(offer: Offer) -> dict[str, Plain]:
    """An offer inside a document, and what its funders sign."""
    return {
        "offer_id": offer.offer_id,
        "partner_id": offer.partner_id,
        "first_date": offer.first_date.isoformat(),
        "last_date": offer.last_date.isoformat(),
        "bonus_points": offer.bonus_points,
        "minimum_amount": offer.minimum_amount,
        "unit": offer.unit,
        "shares": [[partner_id, str(share)] for partner_id, share in offer.shares],
    }


def offer_of(plain: Document) -> Offer:
    """The inverse of `offer_plain`."""
    return Offer(
        offer_id=plain["offer_id"],
        partner_id=plain["partner_id"],
        first_date=parse_date(plain["first_date"]),
        last_date=parse_date(plain["last_date"]),
        bonus_points=plain["bonus_points"],
        minimum_amount=plain["minimum_amount"],
        unit=plain["unit"],
        shares=tuple((partner_id, Rate.parse(share)) for partner_id, share in plain["shares"]),
    )


def estimate_plain(estimate: BreakageEstimate) -> dict[str, Plain]:
    """A breakage estimate inside a document."""
    return {
        "partner_id": estimate.partner_id,
        "effective_from": estimate.effective_from.isoformat(),
        "expected_share": str(estimate.expected_share),
        "point_value_micros": estimate.point_value_micros,
    }


def estimate_of(plain: Document) -> BreakageEstimate:
    """The inverse of `estimate_plain`."""
    return BreakageEstimate(
        partner_id=plain["partner_id"],
        effective_from=parse_date(plain["effective_from"]),
        expected_share=Rate.parse(plain["expected_share"]),
        point_value_micros=plain["point_value_micros"],
    )


def key_plain(*, key_id: str, algorithm: Algorithm, public_key: bytes, scopes: Iterable[KeyScope]) -> dict[str, Plain]:
    """A partner's new key inside a document."""
    return {
        "key_id": key_id,
        "algorithm": algorithm.value,
        "public_key": public_key.hex(),
        "scopes": sorted(scope.value for scope in scopes),
    }


def key_of(plain: Document, *, valid_from_ms: int) -> PartnerKey:
    """The key that a document brings, valid from when it was applied."""
    return PartnerKey(
        key_id=plain["key_id"],
        partner_id=plain["key_id"].split("/")[0],
        algorithm=Algorithm(plain["algorithm"]),
        public_key=bytes.fromhex(plain["public_key"]),
        scopes=frozenset(KeyScope(scope) for scope in plain["scopes"]),
        valid_from_ms=valid_from_ms,
        retired_at_ms=None,
        revoked_at_ms=None,
    )


def receipt_key_plain(*, key_id: str, public_key: bytes) -> dict[str, Plain]:
    """The network's next receipt key inside a document."""
    return {"key_id": key_id, "public_key": public_key.hex()}


def receipt_key_of(plain: Document, *, valid_from_ms: int) -> ReceiptKey:
    """The receipt key that a document brings, valid from when it was applied."""
    return ReceiptKey(plain["key_id"], bytes.fromhex(plain["public_key"]), valid_from_ms, None)


def operator_plain(*, operator_id: str, name: str, algorithm: Algorithm, public_key: bytes) -> dict[str, Plain]:
    """A new operator inside a document."""
    return {"operator_id": operator_id, "name": name, "algorithm": algorithm.value, "public_key": public_key.hex()}


def operator_of(plain: Document, *, added_at_ms: int, decision_id: str) -> Operator:
    """The operator that a document adds."""
    return Operator(
        operator_id=plain["operator_id"],
        name=plain["name"],
        algorithm=Algorithm(plain["algorithm"]),
        public_key=bytes.fromhex(plain["public_key"]),
        added_at_ms=added_at_ms,
        decision_id=decision_id,
    )


def applicant_of(application: Document, *, status: PartnerStatus) -> Partner:
    """The partner that an application describes; without a cap until one is decided."""
    return Partner(
        partner_id=application["partner_id"],
        legal_name=application["legal_name"],
        status=status,
        settlement_currency=application["currency"],
        time_zone=application["time_zone"],
        net_debit_cap=None,
        roles=frozenset(PartnerRole(role) for role in application["roles"]),
    )


def starts_as(onboarding: Document) -> PartnerStatus:
    """Where a partner stands once its onboarding is approved. Where the document says nothing, it is active."""
    return PartnerStatus(onboarding.get("starts_as", PartnerStatus.ACTIVE))


def consent_string(*, audience: str, key_id: str, offer: Offer) -> bytes:
    """What a funder signs, with a key of its office, to be charged for its share of an offer."""
    return signed_string("TS1-CONSENT", audience, key_id, hashlib.sha256(canonical(offer_plain(offer))).hexdigest())


def settlement_rules_plain(rules: SettlementRules) -> dict[str, Plain]:
    """Settlement rules inside a document."""
    return {name: getattr(rules, name) for name in SettlementRules.__slots__}


def settlement_rules_of(plain: Document) -> SettlementRules:
    """The rules that a document says."""
    named = {
        "settlement_model": SettlementModel(plain["settlement_model"]),
        "netting": Netting(plain["netting"]),
        "form": Form(plain["form"]),
        "schedule": Schedule(plain["schedule"]),
    }
    return SettlementRules(**{name: plain[name] for name in SettlementRules.__slots__} | named)
