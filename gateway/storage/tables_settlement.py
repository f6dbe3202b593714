"""Tables of the night: settlement writes them, the gateway serves each partner its own."""

from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, text

from gateway.domain.network import SettlementModel
from gateway.domain.settlement import AdjustmentKind, CarryReason, Form, Netting, PaymentEvent, Schedule
from gateway.storage.columns import chars, follows
from gateway.storage.tables import LEDGER, metadata


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


# By what rules windows are settled, by version from 1. Version 0 is what the network was founded with, and has no row.
settlement_rules = Table(
    "settlement_rules",
    metadata,
    Column("version", Integer, nullable=False, autoincrement=False),
    Column("from_window", BigInteger, nullable=False),
    Column("settlement_model", chars(16), nullable=False),
    Column("netting", chars(16), nullable=False),
    Column("form", chars(24), nullable=False),
    Column("schedule", chars(16), nullable=False),
    Column("minimum_amount", BigInteger, nullable=False),
    Column("fixed_fee", BigInteger, nullable=False),
    Column("entry_fee_micros", BigInteger, nullable=False),
    Column("late_fee", BigInteger, nullable=False),
    Column("due_days", Integer, nullable=False),
    Column("alarm_percent", Integer, nullable=False),
    Column("decision_id", chars(20), nullable=False),
    PrimaryKeyConstraint("version"),
    CheckConstraint("version >= 1 AND from_window >= 1", name="version"),
    CheckConstraint(_one_of("settlement_model", SettlementModel), name="settlement_model"),
    CheckConstraint(_one_of("netting", Netting), name="netting"),
    CheckConstraint(_one_of("form", Form), name="form"),
    CheckConstraint(_one_of("schedule", Schedule), name="schedule"),
    CheckConstraint(
        "minimum_amount >= 0 AND fixed_fee >= 0 AND entry_fee_micros >= 0 AND late_fee >= 0 AND due_days >= 0",
        name="not_negative",
    ),
    CheckConstraint("alarm_percent BETWEEN 1 AND 100", name="alarm_percent"),
)

# How each window came to each of its states, from 1: who and when. Only added to.
window_transitions = Table(
    "window_transitions",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("previous_state", chars(16), nullable=False),
    Column("state", chars(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("made_by", chars(70), nullable=False),  # "founding", "night", "lanes", "payments", or operators' ids
    Column("decision_id", chars(20), nullable=False),  # of the operators; else empty
    PrimaryKeyConstraint("window_id", "number"),
    CheckConstraint(follows("previous_state", "state"), name="transition"),
    CheckConstraint("number >= 1", name="number"),
)

# What is owed beside traffic. The next cut-off takes it into its window as a line; until then window_id is 0.
adjustments = Table(
    "adjustments",
    metadata,
    Column("adjustment_id", chars(40), nullable=False),
    Column("kind", chars(24), nullable=False),
    Column("payer_id", chars(32), nullable=False),
    Column("payee_id", chars(32), nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", chars(300), nullable=False),
    Column("decision_id", chars(20), nullable=False),  # of two operators; empty for a fee, which the rules say
    Column("window_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("adjustment_id"),
    CheckConstraint(_one_of("kind", AdjustmentKind), name="kind"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("payer_id <> payee_id", name="two_parties"),
)

# A payment run pays for the windows from `first_window_id` to `window_id`, the last of them, which names it.
payment_runs = Table(
    "payment_runs",
    metadata,
    Column("window_id", BigInteger, nullable=False, autoincrement=False),
    Column("first_window_id", BigInteger, nullable=False),
    Column("rules_version", Integer, nullable=False),
    PrimaryKeyConstraint("window_id"),
    CheckConstraint("first_window_id BETWEEN 1 AND window_id", name="range"),
)

# The operator's carry accounts: what a debtor still owes a creditor and a payment run left for a later one, which takes all
# that waits. Until then brought_window_id is 0.
carries = Table(
    "carries",
    metadata,
    Column("window_id", BigInteger, nullable=False),  # names the payment run that left it
    Column("currency", chars(3), nullable=False),
    Column("debtor_id", chars(32), nullable=False),
    Column("creditor_id", chars(32), nullable=False),
    Column("reason", chars(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("brought_window_id", BigInteger, nullable=False),  # names the payment run that took it
    PrimaryKeyConstraint("window_id", "currency", "debtor_id", "creditor_id", "reason"),
    CheckConstraint(_one_of("reason", CarryReason), name="reason"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debtor_id <> creditor_id", name="two_parties"),
    CheckConstraint("brought_window_id = 0 OR brought_window_id > window_id", name="later"),
)

# What became of instructions outside, from 1 for each. Only added to; where an instruction stands follows from it.
payments = Table(
    "payments",
    metadata,
    Column("instruction_id", chars(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("event", chars(16), nullable=False),
    Column("amount", BigInteger, nullable=False),  # that moved, or that no longer will; 0 where a payment failed
    Column("bank_ref", chars(64), nullable=False),
    Column("reason", chars(300), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("decision_id", chars(20), nullable=False),  # of two operators, where it took them; else empty
    Column("value_date", chars(10), nullable=False),  # on which the bank booked it; else empty
    PrimaryKeyConstraint("instruction_id", "number"),
    CheckConstraint(_one_of("event", PaymentEvent), name="event"),
    CheckConstraint("number >= 1 AND amount >= 0 AND (event = 'failed') = (amount = 0)", name="amount"),
    Index(
        "uq_payments_bank_ref",
        "instruction_id",
        "bank_ref",
        unique=True,
        sqlite_where=text("event = 'paid'"),
        postgresql_where=text("event = 'paid'"),
    ),
)

# Whose part in which window no longer counts for its exposure: its money has moved.
releases = Table(
    "releases",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    PrimaryKeyConstraint("window_id", "partner_id"),
)

# One rounded line per (payer, payee, kind, rate card version, reference): both sides use its integer. payer = payee is shown
# gross only.
obligations = Table(
    "obligations",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("payer_id", chars(32), nullable=False),
    Column("payee_id", chars(32), nullable=False),
    Column("kind", chars(24), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reference", chars(40), nullable=False),  # names the adjustment behind the line; empty for traffic and its fees
    PrimaryKeyConstraint("window_id", "payer_id", "payee_id", "kind", "rate_card_version", "reference"),
    CheckConstraint("points >= 0 AND amount >= 0", name="not_negative"),
    info=LEDGER,
)

# Net position in minor units; positive: the party receives. Sums to zero per window and currency.
net_positions = Table(
    "net_positions",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("party_id", chars(32), nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("window_id", "currency", "party_id"),
    info=LEDGER,
)

instructions = Table(
    "instructions",
    metadata,
    Column("instruction_id", chars(64), nullable=False),
    Column("window_id", BigInteger, nullable=False),
    Column("form", chars(24), nullable=False),  # "partner-to-partner" or "through-operator"
    Column("currency", chars(3), nullable=False),
    Column("debtor_id", chars(32), nullable=False),
    Column("creditor_id", chars(32), nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("instruction_id"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debtor_id <> creditor_id", name="two_parties"),
    info=LEDGER,
)

# The statement as canonical JSON, byte for byte as in its file.
statements = Table(
    "statements",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("lines", BigInteger, nullable=False),
    PrimaryKeyConstraint("window_id", "partner_id"),
    info=LEDGER,
)

statement_lines = Table(
    "statement_lines",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("line_number", BigInteger, nullable=False),
    Column("kind", chars(24), nullable=False),
    Column("payer_id", chars(32), nullable=False),
    Column("payee_id", chars(32), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("business_date", chars(10), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("own_entry_id", chars(40), nullable=False),
    Column("receipt_sha256", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("window_id", "partner_id", "line_number"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# The night's own log: which step of which window is done. Safe to repeat from any of them.
settlement_steps = Table(
    "settlement_steps",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("step", chars(24), nullable=False),
    Column("done_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("window_id", "step"),
)
