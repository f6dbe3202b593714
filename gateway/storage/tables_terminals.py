"""Tables of terminals that work without a connection: where each chain stands, and the events themselves, as evidence.

All go by the terminal, so that on a distributed PostgreSQL a call touches one machine before it goes to the books. The audit
proves them by the signatures and by the decisions: `gateway.ledger.audit_terminals`.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, PrimaryKeyConstraint, Table

from gateway.storage.columns import chars
from gateway.storage.tables import metadata

_TERMINAL_ID = chars(65)  # partner/terminal

terminals = Table(
    "terminals",
    metadata,
    Column("terminal_id", _TERMINAL_ID, nullable=False),
    Column("last_counter", BigInteger, nullable=False),
    Column("last_hash", LargeBinary(32), nullable=False),
    Column("last_occurred_at_ms", BigInteger, nullable=False),
    Column("carried_out", BigInteger, nullable=False),
    Column("conflicts", Integer, nullable=False),
    Column("released", Integer, nullable=False),
    PrimaryKeyConstraint("terminal_id"),
    CheckConstraint("carried_out BETWEEN 0 AND last_counter", name="counters"),
    CheckConstraint("released BETWEEN 0 AND conflicts", name="conflicts"),
)

# As they were signed; never changed. `refused`: the reason for which the command never went to the books, or 0.
terminal_events = Table(
    "terminal_events",
    metadata,
    Column("terminal_id", _TERMINAL_ID, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("command", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("event_hash", LargeBinary(32), nullable=False),
    Column("entry_id", chars(40), nullable=False),  # of what it books; empty if it names no key
    Column("refused", Integer, nullable=False),
    PrimaryKeyConstraint("terminal_id", "counter"),
    CheckConstraint("counter >= 1", name="counter"),
    sqlite_with_rowid=False,
)

# The other content of a counter: with the event above, the proof that somebody signed twice.
terminal_conflicts = Table(
    "terminal_conflicts",
    metadata,
    Column("terminal_id", _TERMINAL_ID, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("event_hash", LargeBinary(32), nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("command", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("terminal_id", "counter", "event_hash"),
)

# Events that were booked although a cap or a suspension would have refused a command of then. Written with their entry.
event_warnings = Table(
    "event_warnings",
    metadata,
    Column("terminal_id", _TERMINAL_ID, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("partner_id", chars(32), nullable=False),  # whose cap or suspension
    Column("entry_id", chars(40), nullable=False),
    Column("booked_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("terminal_id", "counter", "ordinal"),
)
