"""What each kind of decision builds on, and what it changes: one function a kind, all in the approval's transaction."""

from gateway.adjusting import ADJUSTMENT_RULING, WRITE_OFF_RULING
from gateway.bank_details import BANK_DETAILS_RULING
from gateway.breakage_estimates import BREAKAGE_ESTIMATE_RULING
from gateway.confirming import CONFIRM_RULING
from gateway.domain.decision import DecisionKind
from gateway.ending_disputes import END_DISPUTE_RULING
from gateway.governance import Ruling, Rulings
from gateway.network_terms import NETWORK_TERMS_RULING
from gateway.receipt_keys import RECEIPT_KEY_RULING
from gateway.settlement_rules import SETTLEMENT_RULES_RULING
from partners import rulings_conformance, rulings_keys, rulings_limits, rulings_partner, rulings_terminals, rulings_terms

RULINGS: Rulings = {
    DecisionKind.ADD_OPERATOR: Ruling(rulings_keys.stale_operator, rulings_keys.apply_operator),
    DecisionKind.ONBOARD_PARTNER: Ruling(rulings_partner.stale_onboarding, rulings_partner.apply_onboarding),
    DecisionKind.SUSPEND_PARTNER: Ruling(rulings_partner.stale_suspension, rulings_partner.apply_suspension),
    DecisionKind.RESUME_PARTNER: Ruling(rulings_partner.stale_resumption, rulings_partner.apply_resumption),
    DecisionKind.CLOSE_PARTNER: Ruling(rulings_partner.stale_closure, rulings_partner.apply_closure),
    DecisionKind.ACTIVATE_PARTNER: Ruling(rulings_conformance.stale_activation, rulings_conformance.apply_activation),
    DecisionKind.CONFORMANCE_RULE: Ruling(rulings_conformance.stale_rule, rulings_conformance.apply_rule),
    DecisionKind.NET_DEBIT_CAP: Ruling(rulings_partner.stale_cap, rulings_partner.apply_cap),
    DecisionKind.ADD_KEY: Ruling(rulings_keys.stale_key, rulings_keys.apply_key),
    DecisionKind.RETIRE_KEY: Ruling(rulings_keys.stale_retirement, rulings_keys.apply_retirement),
    DecisionKind.REVOKE_KEY: Ruling(rulings_keys.stale_revocation, rulings_keys.apply_revocation),
    DecisionKind.RATE_CARD: Ruling(rulings_terms.stale_rate_card, rulings_terms.apply_rate_card),
    DecisionKind.OFFER: Ruling(rulings_terms.stale_offer, rulings_terms.apply_offer),
    DecisionKind.PARTNER_LIMITS: Ruling(rulings_limits.stale_limits, rulings_limits.apply_limits),
    DecisionKind.RELEASE_TERMINAL: Ruling(rulings_terminals.stale_release, rulings_terminals.apply_release),
    DecisionKind.NETWORK_TERMS: NETWORK_TERMS_RULING,
    DecisionKind.RECEIPT_KEY: RECEIPT_KEY_RULING,
    DecisionKind.BREAKAGE_ESTIMATE: BREAKAGE_ESTIMATE_RULING,
    DecisionKind.SETTLEMENT_RULES: SETTLEMENT_RULES_RULING,
    DecisionKind.CONFIRM_WINDOW: CONFIRM_RULING,
    DecisionKind.ADJUSTMENT: ADJUSTMENT_RULING,
    DecisionKind.WRITE_OFF: WRITE_OFF_RULING,
    DecisionKind.BANK_DETAILS: BANK_DETAILS_RULING,
    DecisionKind.END_DISPUTE: END_DISPUTE_RULING,
}
