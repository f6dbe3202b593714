"""Network terms as operators decide them: a version replaces the last one from a date on, never from a past one."""

from dataclasses import dataclass, fields, replace
from datetime import date

from sqlalchemy import Connection, insert, select

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import Document, base_of, network_terms_of, network_terms_plain
from gateway.domain.errors import InvalidValue
from gateway.domain.limits import LIMIT_NAMES, Limits, check_limits
from gateway.domain.terms import DebtPolicy, ExpiryRule, NetworkTerms, date_at
from gateway.domain.units import MICROS, Rate
from gateway.governance import Hand, Ruling, propose
from gateway.storage.directory import has_entries, load_network, load_terms
from gateway.storage.tables_directory import network_terms

LATE_DAYS_MAX = 31
USABLE_AFTER_DAYS_MAX = 366
CLAIM_DAYS_MAX = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsChange:
    """What new network terms say; None keeps what the last version says."""

    expiry_rule: ExpiryRule | None = None
    debt_policy: DebtPolicy | None = None
    late_days_max: int | None = None
    redemption_element_micros: int | None = None
    breakage_rebate_share: Rate | None = None
    par_value_micros: int | None = None
    usable_after_days: int | None = None
    claim_days_max: int | None = None
    limits: Limits | None = None


_CHANGEABLE = tuple(field.name for field in fields(TermsChange))

DEFAULT_TERMS = NetworkTerms(
    version=0,
    effective_from=date.min,
    expiry_rule=ExpiryRule(after_months=24),
    debt_policy=DebtPolicy.DEBT,
    late_days_max=3,
    redemption_element_micros=MICROS,
    breakage_rebate_share=Rate(0, 1),
    par_value_micros=MICROS,
)
"""What a network gets where its founder says nothing."""


def next_terms(last: NetworkTerms, effective_from: date, change: TermsChange) -> NetworkTerms:
    """The version after `last`. Raises InvalidValue where a value is out of range."""
    changed = {name: value for name in _CHANGEABLE if (value := getattr(change, name)) is not None}
    return _checked(replace(last, version=last.version + 1, effective_from=effective_from, **changed))


def propose_network_terms(
    connection: Connection, effective_from: date, change: TermsChange, *, hand: Hand, now_ms: int
) -> Decision:
    """Proposes the next version. Raises InvalidValue or DecisionRefused."""
    terms = next_terms(load_terms(connection).network[-1], effective_from, change)
    document: dict[str, Plain] = {"base": _last_decision(connection), "network_terms": network_terms_plain(terms)}
    rulings = {DecisionKind.NETWORK_TERMS: NETWORK_TERMS_RULING}
    return propose(connection, rulings, DecisionKind.NETWORK_TERMS, document, hand=hand, now_ms=now_ms)


def insert_network_terms(connection: Connection, terms: NetworkTerms, decision_id: str) -> None:
    """Keeps a version; without a decision's id it is the one that the network is founded with."""
    plain = network_terms_plain(terms) | {name: getattr(terms.limits, name) for name in LIMIT_NAMES}
    values = {name: value for name, value in plain.items() if name != "limits"}
    connection.execute(insert(network_terms).values(**values, decision_id=decision_id))


def too_early(connection: Connection, effective_from: date, *, last: date, today: date) -> str | None:
    """Why a version cannot replace the last one from this date: entries of past dates keep their prices."""
    if effective_from < last:
        return f"effective from {effective_from}: the last version began on {last}; a new one cannot begin before it"
    if effective_from < today and has_entries(connection):
        return (
            f"effective from {effective_from}: that date has passed ({today} today), and what was booked since keeps its prices"
        )
    return None


def _checked(terms: NetworkTerms) -> NetworkTerms:
    if not 0 <= terms.late_days_max <= LATE_DAYS_MAX:
        raise InvalidValue(f"late days {terms.late_days_max}: must lie within 0 and {LATE_DAYS_MAX}")
    if terms.breakage_rebate_share.numerator > terms.breakage_rebate_share.denominator:
        raise InvalidValue(f"breakage rebate {terms.breakage_rebate_share}: must be a share from 0 to 1")
    if not 0 <= terms.usable_after_days <= USABLE_AFTER_DAYS_MAX:
        raise InvalidValue(f"usable after days {terms.usable_after_days}: must lie within 0 and {USABLE_AFTER_DAYS_MAX}")
    if not 0 <= terms.claim_days_max <= CLAIM_DAYS_MAX:
        raise InvalidValue(f"claim days {terms.claim_days_max}: must lie within 0 and {CLAIM_DAYS_MAX}")
    check_limits(terms.limits)
    return terms


def _stale_because(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> str | None:
    if base_of(document) != _last_decision(connection):
        return "the network has newer terms than those that this document replaces: propose it anew"
    terms = network_terms_of(document["network_terms"])
    last = load_terms(connection).network[-1]
    today = date_at(at_ms, load_network(connection).time_zone)
    return too_early(connection, terms.effective_from, last=last.effective_from, today=today)


def _apply(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    insert_network_terms(connection, network_terms_of(document["network_terms"]), decision_id)


def _last_decision(connection: Connection) -> str:
    query = select(network_terms.c.decision_id).order_by(network_terms.c.version.desc()).limit(1)
    return str(connection.execute(query).scalar_one())


NETWORK_TERMS_RULING = Ruling(_stale_because, _apply)
