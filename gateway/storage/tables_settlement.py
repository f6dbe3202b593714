"""Tables of the night: settlement writes them, the gateway serves each partner its own."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, PrimaryKeyConstraint, Table

from gateway.storage.columns import chars
from gateway.storage.tables import LEDGER, metadata

# One rounded line per (payer, payee, kind, rate card version): both sides use its integer. payer = payee is shown gross only.
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
    PrimaryKeyConstraint("window_id", "payer_id", "payee_id", "kind", "rate_card_version"),
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
    Column("kind", chars(16), nullable=False),
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
