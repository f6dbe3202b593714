"""Tables of what partners send about settlement, signed and as it came, and of what follows from it.

A row of `intake` is what a partner signed, byte for byte, and is never changed; the other tables say what follows from it. The
audit proves both: `gateway.ledger.audit_intake`.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table

from gateway.domain.dispute import DisputeReason, steps_between
from gateway.storage.columns import chars
from gateway.storage.tables import metadata

_STEPS = ", ".join(f"'{present}>{target}'" for present, target in steps_between())
_FOLLOWS = f"previous_state || '>' || state IN ({_STEPS})"

# A signed request: with key, time and nonce its eight lines can be written again, and the signature proven by anybody.
# `content_at` and `content_bytes` say where a chunk's content lies in the message; 0 for what has none.
intake = Table(
    "intake",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("intake_id", chars(80), nullable=False),
    Column("method", chars(100), nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("created", chars(13), nullable=False),
    Column("nonce", chars(22), nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("content_at", Integer, nullable=False),
    Column("content_bytes", Integer, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner_id", "intake_id"),
    CheckConstraint("content_at >= 0 AND content_bytes >= 0", name="content"),
)

# A partner's own record, whole once all its chunks have come and have its hash together; completed_at_ms is 0 until then.
partner_records = Table(
    "partner_records",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("record_id", chars(40), nullable=False),
    Column("window_id", BigInteger, nullable=False),  # 0: it goes by a business date
    Column("business_date", chars(10), nullable=False),  # empty: it goes by a window
    Column("sha256", LargeBinary(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("received_bytes", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("completed_at_ms", BigInteger, nullable=False),
    Column("bad_lines", BigInteger, nullable=False),  # that a reconciliation could not read
    PrimaryKeyConstraint("partner_id", "record_id"),
    CheckConstraint("(window_id = 0) <> (business_date = '')", name="scope"),
    CheckConstraint("received BETWEEN 0 AND chunks AND received_bytes BETWEEN 0 AND bytes", name="received"),
    CheckConstraint("completed_at_ms = 0 OR (received = chunks AND received_bytes = bytes)", name="completed"),
)

# That a partner has signed the hash of its statement.
acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("partner_id", chars(32), nullable=False),
    Column("window_id", BigInteger, nullable=False),
    Column("statement_sha256", LargeBinary(32), nullable=False),
    Column("acknowledged_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner_id", "window_id"),
)

# A line of the opener's statement, and how the dispute about it stands.
disputes = Table(
    "disputes",
    metadata,
    Column("dispute_id", chars(40), nullable=False),
    Column("opener_id", chars(32), nullable=False),
    Column("respondent_id", chars(32), nullable=False),
    Column("window_id", BigInteger, nullable=False),
    Column("line_number", BigInteger, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("receipt_sha256", LargeBinary(32), nullable=False),
    Column("kind", chars(24), nullable=False),
    Column("payer_id", chars(32), nullable=False),
    Column("payee_id", chars(32), nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", chars(24), nullable=False),
    Column("evidence", chars(200), nullable=False),
    Column("deadline", chars(10), nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("previous_state", chars(16), nullable=False),
    Column("state", chars(16), nullable=False),
    PrimaryKeyConstraint("dispute_id"),
    CheckConstraint(_FOLLOWS, name="state"),
    CheckConstraint(f"reason IN ({', '.join(repr(reason.value) for reason in DisputeReason)})", name="reason"),
    CheckConstraint("payer_id <> payee_id AND opener_id <> respondent_id", name="two_parties"),
    CheckConstraint("points > 0 AND amount_micros >= 0 AND amount >= 0", name="amount"),
    Index("ix_disputes_opener", "opener_id", "dispute_id"),
    Index("ix_disputes_respondent", "respondent_id", "dispute_id"),
    Index("ix_disputes_window", "window_id"),
)

# How each dispute came to each of its states, from 1: who, when and why. Only added to.
dispute_steps = Table(
    "dispute_steps",
    metadata,
    Column("dispute_id", chars(40), nullable=False),
    Column("number", Integer, nullable=False),
    Column("previous_state", chars(16), nullable=False),
    Column("state", chars(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("made_by", chars(100), nullable=False),  # a key id, "deadline", or operators' ids
    Column("note", chars(300), nullable=False),
    Column("amount", BigInteger, nullable=False),  # that is owed back; 0 where nothing is
    Column("decision_id", chars(20), nullable=False),  # of the operators; else empty
    PrimaryKeyConstraint("dispute_id", "number"),
    CheckConstraint(_FOLLOWS, name="state"),
    CheckConstraint("number >= 1 AND amount >= 0", name="number"),
)

# A partner's record was compared with the books: what came out, by class. The items are in the file of `result_sha256`.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("run_id", chars(40), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("window_id", BigInteger, nullable=False),  # 0: it goes by a business date
    Column("business_date", chars(10), nullable=False),  # empty: it goes by a window
    Column("record_id", chars(40), nullable=False),  # that came through the gateway; empty for a file
    Column("file_sha256", LargeBinary(32), nullable=False),
    Column("file_lines", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),  # of the partner's in that window, or on that date
    Column("matched", BigInteger, nullable=False),
    Column("missing_here", BigInteger, nullable=False),
    Column("missing_at_partner", BigInteger, nullable=False),
    Column("amount_differs", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("result_sha256", LargeBinary(32), nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("run_id"),
    CheckConstraint("(window_id = 0) <> (business_date = '')", name="scope"),
    CheckConstraint(
        "matched >= 0 AND missing_here >= 0 AND missing_at_partner >= 0 AND amount_differs >= 0 AND duplicate >= 0 AND late >= 0",
        name="counts",
    ),
    Index("ix_reconciliations_partner", "partner_id", "window_id"),
)
