"""What tills leave open: holds, checkouts that may come back, refunds that wait for their sale, paper receipts, and days.

All but paper receipts are running values that entries prove. A paper receipt is named by a hash, and belongs to one entry
for ever.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table, text

from gateway.storage.columns import chars
from gateway.storage.tables import FACTS_MAX, LEDGER, metadata

_OPEN = "state = 'OPEN'"

holds = Table(
    "holds",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("hold_id", chars(40), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("business_date", chars(10), nullable=False),
    Column("rate_card_version", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("state", chars(16), nullable=False),
    Column("ended_by", chars(40), nullable=False),
    Column("key_id", chars(100), nullable=False),
    PrimaryKeyConstraint("hold_id", "bucket"),
    CheckConstraint("points > 0", name="points"),
    CheckConstraint("state IN ('OPEN', 'CAPTURED', 'VOIDED', 'LAPSED')", name="state"),
    CheckConstraint("(state = 'OPEN') = (ended_by = '')", name="ended_once"),
    Index("ix_holds_open", "member_id", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
    Index("ix_holds_due", "expires_at_ms", "hold_id", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
    sqlite_with_rowid=False,
    info=LEDGER,
)

checkouts = Table(
    "checkouts",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("unit", chars(48), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("earning", BigInteger, nullable=False),
    Column("redeem_entry_id", chars(40), nullable=False),
    Column("issue_entry_id", chars(40), nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("returned_earning", BigInteger, nullable=False),
    Column("returned_lines", chars(FACTS_MAX), nullable=False),  # canonical JSON: smallest units by line; empty for none
    PrimaryKeyConstraint("entry_id", "bucket"),
    CheckConstraint("earning BETWEEN 0 AND total", name="earning"),
    CheckConstraint("returned BETWEEN 0 AND total", name="returned"),
    CheckConstraint("returned_earning BETWEEN 0 AND earning", name="returned_earning"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

parked_refunds = Table(
    "parked_refunds",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("entry_id", chars(40), nullable=False),
    Column("checkout_id", chars(40), nullable=False),
    Column("member_id", chars(64), nullable=False),
    Column("partner_id", chars(32), nullable=False),
    Column("is_open", Integer, nullable=False),
    PrimaryKeyConstraint("entry_id", "bucket"),
    CheckConstraint("is_open IN (0, 1)", name="is_open"),
    Index("ix_parked_refunds_open", "checkout_id", sqlite_where=text("is_open = 1"), postgresql_where=text("is_open = 1")),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# Distributed by its own key, as outcomes are: whoever claims a receipt may live in any bucket.
sales = Table(
    "sales",
    metadata,
    Column("sale_id", chars(40), nullable=False),
    Column("entry_id", chars(40), nullable=False),
    PrimaryKeyConstraint("sale_id"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# What a member did in a business date, by partner: points issued, and points redeemed or set aside.
member_days = Table(
    "member_days",
    metadata,
    Column("bucket", Integer, nullable=False),
    Column("member_day", chars(80), nullable=False),  # the member's id, "/", the date
    Column("partner_id", chars(32), nullable=False),
    Column("issued_points", BigInteger, nullable=False),
    Column("redeemed_points", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_day", "partner_id", "bucket"),
    # What is redeemed has no such check: it would refuse to take away what a hold gives back.
    CheckConstraint("issued_points >= 0", name="issued"),
    sqlite_with_rowid=False,
    info=LEDGER,
)

# The same of a terminal: a row a lane, and the sum counts. A hold may end in another lane than it was placed in.
terminal_days = Table(
    "terminal_days",
    metadata,
    Column("terminal_day", chars(120), nullable=False),  # partner, "/", terminal, "/", the date
    Column("lane", Integer, nullable=False),
    Column("issued_points", BigInteger, nullable=False),
    Column("redeemed_points", BigInteger, nullable=False),
    PrimaryKeyConstraint("terminal_day", "lane"),
    CheckConstraint("issued_points >= 0", name="issued"),
    sqlite_with_rowid=False,
    info=LEDGER,
)
