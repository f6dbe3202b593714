"""Who takes part and on what terms: read as a whole, into values of the domain.

Refuses nothing: what is in the tables was checked when it was decided. Each change made here bumps the directory's
version in the same transaction, so that the writer and running gateways notice with one indexed read.
"""

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, update

from gateway.domain.decision import DecisionKind, DecisionState, Operator
from gateway.domain.errors import BooksBroken
from gateway.domain.limits import LIMIT_NAMES, Limits, PartnerLimits, limits_of
from gateway.domain.network import Network, ReceiptKey, SettlementModel
from gateway.domain.partner import KeyScope, Partner, PartnerKey, PartnerRole, PartnerStatus
from gateway.domain.signing import Algorithm
from gateway.domain.terms import DebtPolicy, ExpiryRule, NetworkTerms, Offer, RateCard, Terms, parse_date
from gateway.domain.units import Rate
from gateway.storage.bulk import Lookup
from gateway.storage.tables import entries
from gateway.storage.tables_directory import (
    decisions,
    issue_rates,
    network_terms,
    networks,
    offer_shares,
    offers,
    operators,
    partner_keys,
    partner_limits,
    partners,
    rate_cards,
    receipt_keys,
)

_VERSION = Lookup(select(networks.c.directory_version), networks.c.network_id)
_BUMP = update(networks).where(networks.c.network_id == 1).values(directory_version=networks.c.directory_version + 1)
_NETWORK = select(
    networks.c.audience,
    networks.c.currency,
    networks.c.time_zone,
    networks.c.settlement_model,
    networks.c.lanes,
    networks.c.created_at_ms,
).where(networks.c.network_id == 1)
_PARTNERS = select(
    partners.c.partner_id,
    partners.c.legal_name,
    partners.c.status,
    partners.c.settlement_currency,
    partners.c.time_zone,
    partners.c.net_debit_cap,
    partners.c.application,
).order_by(partners.c.partner_id)
_CARDS = select(
    rate_cards.c.partner_id,
    rate_cards.c.version,
    rate_cards.c.effective_from,
    rate_cards.c.issue_price_micros,
    rate_cards.c.face_value_micros,
    rate_cards.c.reimbursement_rate_micros,
    rate_cards.c.currency,
).order_by(rate_cards.c.partner_id, rate_cards.c.version)
_ISSUE_RATES = select(
    issue_rates.c.partner_id, issue_rates.c.version, issue_rates.c.unit, issue_rates.c.numerator, issue_rates.c.denominator
).order_by(issue_rates.c.partner_id, issue_rates.c.version, issue_rates.c.unit)
_NETWORK_TERMS = select(
    network_terms.c.version,
    network_terms.c.effective_from,
    network_terms.c.expiry_rule,
    network_terms.c.debt_policy,
    network_terms.c.late_days_max,
    network_terms.c.redemption_element_micros,
    network_terms.c.breakage_rebate_share,
    network_terms.c.par_value_micros,
    network_terms.c.usable_after_days,
    network_terms.c.claim_days_max,
    *(network_terms.c[name] for name in LIMIT_NAMES),
).order_by(network_terms.c.version)
_LIMITS = select(
    partner_limits.c.partner_id,
    partner_limits.c.version,
    partner_limits.c.effective_from,
    *(partner_limits.c[name] for name in LIMIT_NAMES),
).order_by(partner_limits.c.partner_id, partner_limits.c.version)
_OFFERS = select(
    offers.c.offer_id,
    offers.c.partner_id,
    offers.c.first_date,
    offers.c.last_date,
    offers.c.bonus_points,
    offers.c.minimum_amount,
    offers.c.unit,
).order_by(offers.c.offer_id)
_SHARES = select(offer_shares.c.offer_id, offer_shares.c.partner_id, offer_shares.c.share).order_by(
    offer_shares.c.offer_id, offer_shares.c.position
)
_KEYS = select(
    partner_keys.c.key_id,
    partner_keys.c.partner_id,
    partner_keys.c.algorithm,
    partner_keys.c.public_key,
    partner_keys.c.scopes,
    partner_keys.c.valid_from_ms,
    partner_keys.c.retired_at_ms,
    partner_keys.c.revoked_at_ms,
).order_by(partner_keys.c.key_id)
_RECEIPT_KEYS = select(
    receipt_keys.c.key_id, receipt_keys.c.public_key, receipt_keys.c.valid_from_ms, receipt_keys.c.valid_until_ms
).order_by(receipt_keys.c.valid_from_ms, receipt_keys.c.key_id)
_OPERATORS = select(
    operators.c.operator_id,
    operators.c.name,
    operators.c.algorithm,
    operators.c.public_key,
    operators.c.added_at_ms,
    operators.c.decision_id,
).order_by(operators.c.added_at_ms, operators.c.operator_id)

_SUSPENSIONS = (
    select(decisions.c.document, decisions.c.proposed_at_ms)
    .where(decisions.c.kind == DecisionKind.SUSPEND_PARTNER.value, decisions.c.state == DecisionState.APPLIED.value)
    .order_by(decisions.c.proposed_at_ms)
)

_ANY_ENTRY = select(entries.c.entry_id).limit(1)


def directory_version(connection: Connection) -> int:
    """The directory's version: one indexed read, cheap enough for every batch. Raises BooksBroken without a network."""
    for (version,) in _VERSION(connection, (1,)):
        return int(version)
    raise BooksBroken("the database holds no network")


def bump_directory_version(connection: Connection) -> None:
    """To be called in the transaction of each change to partners, keys, terms or offers."""
    connection.execute(_BUMP)


def load_network(connection: Connection) -> Network:
    """The network's row. Raises BooksBroken without one."""
    row = connection.execute(_NETWORK).one_or_none()
    if row is None:
        raise BooksBroken("the database holds no network")
    return Network(
        audience=row.audience,
        currency=row.currency,
        time_zone=ZoneInfo(row.time_zone),
        settlement_model=SettlementModel(row.settlement_model),
        lanes=row.lanes,
        created_at_ms=row.created_at_ms,
    )


def load_terms(connection: Connection) -> Terms:
    """Partners, rate cards, network terms and offers as this transaction sees them. Raises BooksBroken without a network."""
    version = directory_version(connection)  # first: what follows may be newer, never older than it says
    network = load_network(connection)
    members = {row.partner_id: _partner(row) for row in connection.execute(_PARTNERS)}
    if any(partner.status is PartnerStatus.SUSPENDED for partner in members.values()):
        members = _with_suspensions(connection, members)
    zones = {name: ZoneInfo(name) for name in {partner.time_zone for partner in members.values()}}
    return Terms(
        version=version,
        audience=network.audience,
        time_zone=network.time_zone,
        partners=members,
        cards=_load_cards(connection),
        network=tuple(_network_terms(row) for row in connection.execute(_NETWORK_TERMS)),
        offers=_load_offers(connection),
        zones={partner_id: zones[partner.time_zone] for partner_id, partner in members.items()},
        partner_limits=_load_limits(connection),
    )


def load_keys(connection: Connection) -> dict[str, PartnerKey]:
    """All keys that partners ever registered, by key id; which are usable, `PartnerKey.unusable_because` says."""
    return {row.key_id: _key(row) for row in connection.execute(_KEYS)}


def load_receipt_keys(connection: Connection) -> tuple[ReceiptKey, ...]:
    """All keys that ever signed receipts, oldest first. The one in use has no end."""
    return tuple(
        ReceiptKey(row.key_id, row.public_key, row.valid_from_ms, row.valid_until_ms) for row in connection.execute(_RECEIPT_KEYS)
    )


def load_operators(connection: Connection) -> dict[str, Operator]:
    """All operators by id, in the order in which they were added."""
    return {
        row.operator_id: Operator(
            operator_id=row.operator_id,
            name=row.name,
            algorithm=Algorithm(row.algorithm),
            public_key=row.public_key,
            added_at_ms=row.added_at_ms,
            decision_id=row.decision_id,
        )
        for row in connection.execute(_OPERATORS)
    }


def has_entries(connection: Connection) -> bool:
    """Whether anything was ever booked: until then terms may be set for past dates."""
    return connection.execute(_ANY_ENTRY).first() is not None


def _load_cards(connection: Connection) -> dict[str, tuple[RateCard, ...]]:
    rates: defaultdict[tuple[str, int], dict[str, Rate]] = defaultdict(dict)
    for rate in connection.execute(_ISSUE_RATES):
        rates[rate.partner_id, rate.version][rate.unit] = Rate(rate.numerator, rate.denominator)
    cards: defaultdict[str, list[RateCard]] = defaultdict(list)
    for row in connection.execute(_CARDS):
        cards[row.partner_id].append(
            RateCard(
                partner_id=row.partner_id,
                version=row.version,
                effective_from=parse_date(row.effective_from),
                issue_rates=rates.get((row.partner_id, row.version), {}),
                issue_price_micros=row.issue_price_micros,
                face_value_micros=row.face_value_micros,
                reimbursement_rate_micros=row.reimbursement_rate_micros,
                currency=row.currency,
            )
        )
    return {partner_id: tuple(versions) for partner_id, versions in cards.items()}


def _load_limits(connection: Connection) -> dict[str, tuple[PartnerLimits, ...]]:
    found: defaultdict[str, list[PartnerLimits]] = defaultdict(list)
    for row in connection.execute(_LIMITS):
        own = PartnerLimits(row.partner_id, row.version, parse_date(row.effective_from), _limits(row))
        found[own.partner_id].append(own)
    return {partner_id: tuple(versions) for partner_id, versions in found.items()}


def _limits(row: Any) -> Limits:
    return limits_of({name: getattr(row, name) for name in LIMIT_NAMES})


def _load_offers(connection: Connection) -> dict[str, Offer]:
    shares: defaultdict[str, list[tuple[str, Rate]]] = defaultdict(list)
    for share in connection.execute(_SHARES):
        shares[share.offer_id].append((share.partner_id, Rate.parse(share.share)))
    return {
        row.offer_id: Offer(
            offer_id=row.offer_id,
            partner_id=row.partner_id,
            first_date=parse_date(row.first_date),
            last_date=parse_date(row.last_date),
            bonus_points=row.bonus_points,
            minimum_amount=row.minimum_amount,
            unit=row.unit,
            shares=tuple(shares[row.offer_id]),
        )
        for row in connection.execute(_OFFERS)
    }


def _partner(row: Any) -> Partner:
    return Partner(
        partner_id=row.partner_id,
        legal_name=row.legal_name,
        status=PartnerStatus(row.status),
        settlement_currency=row.settlement_currency,
        time_zone=row.time_zone,
        net_debit_cap=row.net_debit_cap,
        roles=frozenset(PartnerRole(role) for role in json.loads(row.application)["roles"]),
    )


def _with_suspensions(connection: Connection, members: dict[str, Partner]) -> dict[str, Partner]:
    """Those that are suspended, with the time of the decision that last suspended them."""
    since: dict[str, int] = {}
    for document, at_ms in connection.execute(_SUSPENSIONS):
        since[json.loads(document)["partner_id"]] = at_ms
    return {
        partner_id: replace(partner, suspended_at_ms=since.get(partner_id))
        if partner.status is PartnerStatus.SUSPENDED
        else partner
        for partner_id, partner in members.items()
    }


def _key(row: Any) -> PartnerKey:
    return PartnerKey(
        key_id=row.key_id,
        partner_id=row.partner_id,
        algorithm=Algorithm(row.algorithm),
        public_key=row.public_key,
        scopes=frozenset(KeyScope(scope) for scope in row.scopes.split()),
        valid_from_ms=row.valid_from_ms,
        retired_at_ms=row.retired_at_ms,
        revoked_at_ms=row.revoked_at_ms,
    )


def _network_terms(row: Any) -> NetworkTerms:
    return NetworkTerms(
        version=row.version,
        effective_from=parse_date(row.effective_from),
        expiry_rule=ExpiryRule.parse(row.expiry_rule),
        debt_policy=DebtPolicy(row.debt_policy),
        late_days_max=row.late_days_max,
        redemption_element_micros=row.redemption_element_micros,
        breakage_rebate_share=Rate.parse(row.breakage_rebate_share),
        par_value_micros=row.par_value_micros,
        usable_after_days=row.usable_after_days,
        claim_days_max=row.claim_days_max,
        limits=_limits(row),
    )
