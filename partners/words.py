"""Decisions in words: what an operator reads before signing. Pure."""

from collections.abc import Callable, Mapping

from gateway.domain.bank import BankAccount, account_in_application, account_of, mask_iban
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import (
    Document,
    estimate_of,
    network_terms_of,
    offer_of,
    partner_limits_of,
    rate_card_of,
    read_document,
    settlement_rules_of,
    starts_as,
)
from gateway.domain.partner import PartnerStatus
from gateway.domain.settlement import SettlementRules
from gateway.domain.terms import NetworkTerms, Offer, RateCard
from gateway.domain.units import format_amount, format_micros
from gateway.limit_options import limits_words


def in_words(decision: Decision, *, in_full: bool = False) -> str:
    """One sentence with every fact that matters. IBANs are masked, since what was done is logged; `in_full`: for who signs."""
    document = read_document(decision.document)
    return _WORDS[decision.kind](document if in_full else _masked(document))


def rate_card_words(card: RateCard) -> str:
    """A rate card's prices, in minor units per point."""
    rates = ", ".join(f"{rate} per {unit}" for unit, rate in card.issue_rates.items()) or "issues nothing"
    return (
        f"{rates}; issue price {format_micros(card.issue_price_micros)}, face value {format_micros(card.face_value_micros)}, "
        f"reimbursement {format_micros(card.reimbursement_rate_micros)} (minor units of {card.currency} per point)"
    )


def offer_words(offer: Offer) -> str:
    """An offer's rule and who pays for it."""
    shares = ", ".join(f"{partner_id} {share}" for partner_id, share in offer.shares)
    return (
        f"{offer.bonus_points} points at {offer.partner_id} from {format_amount(offer.minimum_amount, offer.unit)} {offer.unit}, "
        f"{offer.first_date} to {offer.last_date}, paid for by {shares}"
    )


def terms_words(terms: NetworkTerms) -> str:
    """Network terms."""
    return (
        f"points expire {terms.expiry_rule}; {terms.debt_policy}; {terms.late_days_max} days late at most; redemption element "
        f"{format_micros(terms.redemption_element_micros)}, breakage rebate {terms.breakage_rebate_share}, "
        f"par value {format_micros(terms.par_value_micros)}; points are usable after {terms.usable_after_days} days, "
        f"paper receipts can be claimed for {terms.claim_days_max}; {limits_words(terms.limits)}"
    )


def account_words(account: BankAccount) -> str:
    """Where a party's money goes."""
    if not account.iban:
        return "no IBAN"
    named = [f"IBAN {account.iban}"]
    if account.bic:
        named.append(f"BIC {account.bic}")
    if account.creditor_id:
        named.append(f"creditor identifier {account.creditor_id}")
    if account.mandate:
        mandate = account.mandate
        named.append(f"mandate {mandate.mandate_id} of {mandate.signed_on} ({mandate.scheme})")
    return ", ".join(named)


_REHEARSES = {PartnerStatus.REHEARSING: "; it rehearses first, and books nothing here until it is activated"}


def _add_operator(document: Document) -> str:
    return f"add operator {document['operator_id']} ({document['name']}), key {document['public_key'][:16]}…"


def _onboard(document: Document) -> str:
    application = document["application"]
    key = application["key"]
    card = rate_card_of(application["rate_card"])
    return (
        f"take in {application['partner_id']} ({application['legal_name']}, {', '.join(application['roles'])}), "
        f"{account_words(account_in_application(application))}, key {key['key_id']} ({key['public_key'][:16]}…), "
        f"rates from {card.effective_from}: {rate_card_words(card)}{_REHEARSES.get(starts_as(document), '')}"
    )


def _activate(document: Document) -> str:
    override = document.get("override")
    if override:
        return f"activate {document['partner_id']} WITHOUT conformance: {override}"
    shown = document["conformance"]
    checks = ", ".join(f"{check['check']} {check['entry_id']}" for check in shown["checks"])
    return f"activate {document['partner_id']}, whose till has passed in {shown['audience']}: {checks}"


def _conformance_rule(document: Document) -> str:
    if document["is_required"]:
        return "new partners rehearse, and begin once their till has passed the conformance checks"
    return "new partners begin at once, without conformance checks"


def _cap(document: Document) -> str:
    cap, currency = document["net_debit_cap"], document["currency"]
    if cap is None:
        return f"lift the cap of {document['partner_id']}"
    return f"cap {document['partner_id']} at {format_amount(cap, currency)} {currency}"


def _rate_card(document: Document) -> str:
    card = rate_card_of(document["rate_card"])
    return f"rate card {card.version} of {card.partner_id} from {card.effective_from}: {rate_card_words(card)}"


def _network_terms(document: Document) -> str:
    terms = network_terms_of(document["network_terms"])
    return f"network terms {terms.version} from {terms.effective_from}: {terms_words(terms)}"


def _partner_limits(document: Document) -> str:
    own = partner_limits_of(document["partner_limits"])
    return f"limits {own.version} of {own.partner_id} from {own.effective_from}: {limits_words(own.limits)}"


def _offer(document: Document) -> str:
    offer = offer_of(document["offer"])
    return f"offer {offer.offer_id}: {offer_words(offer)}"


def _breakage_estimate(document: Document) -> str:
    estimate = estimate_of(document["estimate"])
    value = estimate.point_value_micros
    how = f"redeemed ones worth {format_micros(value)} minor units to their members" if value else "taken at their issue price"
    return (
        f"of all points that {estimate.partner_id} issues, {estimate.expected_share} are expected to be redeemed, "
        f"from {estimate.effective_from}; {how}"
    )


def _receipt_key(document: Document) -> str:
    key = document["receipt_key"]
    return (
        f"receipts are signed by the new key {key['key_id']} ({key['public_key'][:16]}…), and the one before stays valid for "
        f"{document['overlap_ms'] // 60_000} minutes"
    )


def rules_words(rules: SettlementRules) -> str:
    """Settlement rules; amounts in minor units."""
    return (
        f"model {rules.settlement_model}, netting {rules.netting}, {rules.form}, paid by {rules.schedule}, from "
        f"{rules.minimum_amount} minor units, due in {rules.due_days} days; fees in minor units: {rules.fixed_fee} a window, "
        f"{format_micros(rules.entry_fee_micros)} an entry, {rules.late_fee} for paying late; "
        f"alarm at {rules.alarm_percent} % of a cap"
    )


def _settlement_rules(document: Document) -> str:
    rules = settlement_rules_of(document["rules"])
    return f"settlement rules {rules.version} from window {rules.from_window}: {rules_words(rules)}"


def _confirm(document: Document) -> str:
    return (
        f"confirm window {document['window_id']}, cut off on {document['cut_off_date']}: "
        f"statements, nets and instructions with the hash {document['sha256']}"
    )


def _adjustment(document: Document) -> str:
    amount = f"{format_amount(document['amount'], document['currency'])} {document['currency']}"
    return f"{document['payer_id']} owes {document['payee_id']} {amount}: {document['reason']}"


def _end_dispute(document: Document) -> str:
    amount = format_amount(document["amount"], document["currency"])
    back = f"; {amount} {document['currency']} go back to {document['payer_id']}" if document["amount"] else ""
    return (
        f"end dispute {document['dispute_id']} of {document['opener_id']} about window {document['window_id']}: "
        f"{document['state']}{back}: {document['reason']}"
    )


def _write_off(document: Document) -> str:
    amount = f"{format_amount(document['amount'], document['currency'])} {document['currency']}"
    return (
        f"write off {amount} that {document['debtor_id']} owes {document['creditor_id']} by {document['instruction_id']}, "
        f"which the operator bears: {document['reason']}"
    )


def _masked(document: Document) -> Document:
    return {
        name: value | {"iban": mask_iban(value["iban"])} if isinstance(value, dict) and value.get("iban") else value
        for name, value in document.items()
    }


def _bank_details(document: Document) -> str:
    account = account_of(document["account"])
    return f"pay and collect for {document['party_id']}: {account.holder or 'nobody'}, {account_words(account)}"


_WORDS: Mapping[DecisionKind, Callable[[Document], str]] = {
    DecisionKind.ADD_OPERATOR: _add_operator,
    DecisionKind.ONBOARD_PARTNER: _onboard,
    DecisionKind.SUSPEND_PARTNER: lambda document: f"suspend {document['partner_id']}",
    DecisionKind.RESUME_PARTNER: lambda document: f"resume {document['partner_id']}",
    DecisionKind.CLOSE_PARTNER: lambda document: f"close {document['partner_id']} for good",
    DecisionKind.ACTIVATE_PARTNER: _activate,
    DecisionKind.CONFORMANCE_RULE: _conformance_rule,
    DecisionKind.ADD_KEY: lambda document: f"add key {document['key']['key_id']} for {', '.join(document['key']['scopes'])}",
    DecisionKind.RETIRE_KEY: lambda document: f"retire key {document['key_id']}",
    DecisionKind.REVOKE_KEY: lambda document: f"revoke key {document['key_id']}",
    DecisionKind.RATE_CARD: _rate_card,
    DecisionKind.NET_DEBIT_CAP: _cap,
    DecisionKind.NETWORK_TERMS: _network_terms,
    DecisionKind.PARTNER_LIMITS: _partner_limits,
    DecisionKind.OFFER: _offer,
    DecisionKind.RECEIPT_KEY: _receipt_key,
    DecisionKind.BREAKAGE_ESTIMATE: _breakage_estimate,
    DecisionKind.SETTLEMENT_RULES: _settlement_rules,
    DecisionKind.CONFIRM_WINDOW: _confirm,
    DecisionKind.ADJUSTMENT: _adjustment,
    DecisionKind.WRITE_OFF: _write_off,
    DecisionKind.BANK_DETAILS: _bank_details,
    DecisionKind.END_DISPUTE: _end_dispute,
    DecisionKind.RELEASE_TERMINAL: lambda document: (
        f"release terminal {document['terminal_id']} in spite of {document['conflicts']} conflicts"
    ),
}
