"""The ledger's tables. Constraints are named from the first migration on: they are the second line of defence.

Keys obey what a distributed PostgreSQL will ask: rows of a member carry its bucket in their primary key (at its end, so
that a look-up by id alone finds the index), no foreign key, no database sequence, no trigger.
`info={"ledger": True}` marks what the audit must prove, column by column.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    case,
    text,
)

from gateway.domain.units import INT64_MAX
from gateway.storage.columns import chars, follows

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)
LEDGER = {"ledger": True}
FACTS_MAX = 16_384

heads = Table(
    "heads",
    metadata,
    Column("lane", Integer, nullable=False, autoincrement=False),
    Column("window_id", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("last_commit_ms", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
    Column("refusals", BigInteger, nullable=False),
    Column("refusals_hash", LargeBinary(32), nullable=False),
    Column("lanes", Integer, nullable=False),  # how many are in force: the same in all heads
    PrimaryKeyConstraint("lane"),
    CheckConstraint("last_sequence >= 0 AND refusals >= 0", name="counts"),
    CheckConstraint("lane >= 0 AND lanes >= 1", name="lanes"),
    info=LEDGER,
)

entries = Table(
    "entries",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("lane", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("window_id", BigInteger, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("key_id", chars(100), nullable=False),
    Column("idempotency_key", chars(64), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("business_date", chars(10), nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("booked_at_ms", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("unit", chars(48), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("original_entry_id", chars(40), nullable=False),
    Column("offer_id", chars(64), nullable=False),
    Column("receipt_number", chars(64), nullable=False),
    Column("entry_hash", LargeBinary(32), nullable=False),
    Column("head_entry_id", chars(40), nullable=False),  # of the command's first entry, where this is a further one
    Column("facts", chars(FACTS_MAX), nullable=False),  # canonical JSON of what else the entry commits to
    PrimaryKeyConstraint("entry_id", "bucket"),
    CheckConstraint("sequence >= 1", name="sequence"),
    CheckConstraint("kind BETWEEN 1 AND 21", name="kind"),
    Index("ix_entries_lane_sequence", "lane", "sequence"),
    Index(
        "ix_entries_original",
        "original_entry_id",
        sqlite_where=text("original_entry_id <> ''"),
        postgresql_where=text("original_entry_id <> ''"),
    ),
    Index("ix_entries_member", "member_id", "sequence"),
    info=LEDGER,
)

postings = Table(
    "postings",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("lot_id", chars(48), nullable=False),
    Column("issuer_id", chars(32), nullable=False),
    Column("counterparty_id", chars(32), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("cause_lot_id", chars(48), nullable=False),
    PrimaryKeyConstraint("entry_id", "ordinal", "bucket"),
    CheckConstraint("points > 0", name="points"),
    CheckConstraint("kind BETWEEN 1 AND 15", name="kind"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

members = Table(
    "members",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("enrolled_by", chars(32), nullable=False),
    Column("open_points", BigInteger, nullable=False),
    Column("debt_points", BigInteger, nullable=False),
    Column("next_arrival", Integer, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("held_points", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("is_paused", Integer, nullable=False),
    Column("language", chars(2), nullable=False),
    Column("merged_into", chars(64), nullable=False),
    PrimaryKeyConstraint("member_id", "bucket"),
    CheckConstraint("open_points >= 0 AND debt_points >= 0", name="not_negative"),
    CheckConstraint("held_points BETWEEN 0 AND open_points", name="held"),
    CheckConstraint("status BETWEEN 1 AND 4 AND is_paused BETWEEN 0 AND 1", name="status"),
    CheckConstraint("(status = 4) = (merged_into <> '')", name="merged"),
    Index(
        "ix_members_merged",
        "merged_into",
        sqlite_where=text("merged_into <> ''"),
        postgresql_where=text("merged_into <> ''"),
    ),
    sqlite_with_rowid=False,
    info=LEDGER,
)

lots = Table(
    "lots",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("lot_id", chars(48), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("issuer_id", chars(32), nullable=False),
    Column("price_micros", BigInteger, nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("business_date", chars(10), nullable=False),
    Column("expires_on", chars(10), nullable=False),
    Column("arrival", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("open_points", BigInteger, nullable=False),
    Column("expired_points", BigInteger, nullable=False),
    Column("origin_entry_id", chars(40), nullable=False),
    Column("held_points", BigInteger, nullable=False),  # open, but set aside
    Column("usable_from", chars(10), nullable=False),  # the first date of use; empty for at once
    PrimaryKeyConstraint("lot_id", "bucket"),
    CheckConstraint("open_points >= 0 AND expired_points >= 0 AND open_points + expired_points <= points", name="within_issue"),
    CheckConstraint("held_points BETWEEN 0 AND open_points", name="held"),
    Index("ix_lots_open", "member_id", sqlite_where=text("open_points > 0"), postgresql_where=text("open_points > 0")),
    Index(  # in which overdue lots are met: those of a member side by side
        "ix_lots_expiry",
        "expires_on",
        "member_id",
        "lot_id",
        sqlite_where=text("open_points > 0"),
        postgresql_where=text("open_points > 0"),
    ),
    sqlite_with_rowid=False,
    info=LEDGER,
)

debts = Table(
    "debts",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("issuer_id", chars(32), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("cause_lot_id", chars(48), nullable=False),
    Column("arrival", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("open_points", BigInteger, nullable=False),
    PrimaryKeyConstraint("entry_id", "ordinal", "bucket"),
    CheckConstraint("open_points BETWEEN 0 AND points", name="within_debt"),
    Index("ix_debts_open", "member_id", sqlite_where=text("open_points > 0"), postgresql_where=text("open_points > 0")),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# The idempotency table, distributed by its own key: entry_id is derived from (partner, idempotency key).
outcomes = Table(
    "outcomes",
    metadata,
    Column("entry_id", chars(40), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("idempotency_key", chars(64), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("receipt_key_id", chars(64), nullable=False),
    PrimaryKeyConstraint("entry_id"),
    info=LEDGER,
)

# Final refusals: remembered for their fingerprint, numbered and chained like entries, but without a sequence.
refusals = Table(
    "refusals",
    metadata,
    Column("entry_id", chars(40), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("lane", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("idempotency_key", chars(64), nullable=False),
    Column("reason", Integer, nullable=False),
    Column("refused_at_ms", BigInteger, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("receipt_key_id", chars(64), nullable=False),
    Column("refusal_hash", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("entry_id", "fingerprint"),
    CheckConstraint("number >= 1", name="number"),
    Index("ix_refusals_lane_number", "lane", "number"),
    info=LEDGER,
)

member_identifiers = Table(
    "member_identifiers",
    metadata,
    Column("identifier_hash", chars(64), nullable=False),
    Column("kind", chars(16), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("tail", chars(4), nullable=False),  # what may be shown of it
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("entry_id", chars(40), nullable=False),  # that gave it to the member
    Column("used_by", chars(40), nullable=False),
    PrimaryKeyConstraint("identifier_hash"),
    CheckConstraint("kind IN ('card', 'phone', 'email', 'qr', 'token')", name="kind"),
    CheckConstraint("kind = 'token' OR (valid_until_ms = 0 AND used_by = '')", name="token"),
    Index("ix_member_identifiers_member", "member_id"),
    info=LEDGER,
)

# Running sums of postings, so that closing and netting a window costs pairs of partners, not entries.
totals = Table(
    "totals",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("issuer_id", chars(32), nullable=False),
    Column("counterparty_id", chars(32), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False),
    PrimaryKeyConstraint("window_id", "lane", "issuer_id", "counterparty_id", "rate_card_version", "kind"),
    CheckConstraint("points > 0 AND postings > 0", name="positive"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# Exposure of a partner, by lane: open lots at their issue price, and what it owes for unsettled windows, in micros.
positions = Table(
    "positions",
    metadata,
    Column("lane", Integer, nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("currency", chars(3), nullable=False),
    Column("open_value_micros", BigInteger, nullable=False),
    Column("net_debit_micros", BigInteger, nullable=False),
    PrimaryKeyConstraint("lane", "partner_id", "currency"),
    # Beyond 64 bits SQLite would go on with floats.
    CheckConstraint(
        f"open_value_micros BETWEEN -{INT64_MAX} AND {INT64_MAX} AND net_debit_micros BETWEEN -{INT64_MAX} AND {INT64_MAX}",
        name="in_64_bits",
    ),
    sqlite_with_rowid=False,
    info=LEDGER,
)

windows = Table(
    "windows",
    metadata,
    Column("window_id", BigInteger, nullable=False, autoincrement=False),
    Column("state", chars(16), nullable=False),
    Column("cut_off_date", chars(10), nullable=False),
    Column("closed_at_ms", BigInteger, nullable=False),
    Column("window_hash", LargeBinary(32), nullable=False),
    Column("lanes", Integer, nullable=False),  # in force while it was open
    Column("previous_state", chars(16), nullable=False),  # that it came from: no UPDATE can skip a state
    Column("rules_version", Integer, nullable=False),  # of the settlement rules in force when it opened
    PrimaryKeyConstraint("window_id"),
    CheckConstraint("window_id >= 1", name="window_id"),
    CheckConstraint("state IN ('OPEN', 'CLOSED', 'NETTED', 'CONFIRMED', 'SETTLED', 'DISPUTED')", name="state"),
    CheckConstraint("lanes >= 1", name="lanes"),
    CheckConstraint(follows("previous_state", "state"), name="transition"),
    CheckConstraint("rules_version >= 0", name="rules_version"),
    Index(
        "uq_windows_one_open", "state", unique=True, sqlite_where=text("state = 'OPEN'"), postgresql_where=text("state = 'OPEN'")
    ),
    info=LEDGER,
)

window_ranges = Table(
    "window_ranges",
    metadata,
    Column("window_id", BigInteger, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
    Column("refusals", BigInteger, nullable=False),  # of the lane, by the end of the window
    Column("refusals_hash", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("window_id", "lane"),
    CheckConstraint("last_sequence >= first_sequence - 1", name="range"),
    CheckConstraint("refusals >= 0", name="refusals"),
    info=LEDGER,
)

# Up to where the audit has proven each lane, so that the next one goes on from there.
proofs = Table(
    "proofs",
    metadata,
    Column("lane", Integer, nullable=False, autoincrement=False),
    Column("window_id", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
    Column("refusals", BigInteger, nullable=False),
    Column("refusals_hash", LargeBinary(32), nullable=False),
    Column("proven_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("lane"),
)


def head_of(table: FromClause) -> ColumnElement[str]:
    """The first entry of the command that booked an entry, by whose id its receipt is found; `table` has entries' columns."""
    return case((table.c.head_entry_id == "", table.c.entry_id), else_=table.c.head_entry_id)
