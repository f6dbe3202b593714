"""settlement models and states: rules, transitions, payment runs and what became of them. Frozen once published."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


_FOLLOWS = (
    "previous_state || '>' || state IN ('>OPEN', 'OPEN>CLOSED', 'CLOSED>NETTED', 'NETTED>CONFIRMED', 'NETTED>DISPUTED', "
    "'CONFIRMED>DISPUTED', 'CONFIRMED>SETTLED', 'DISPUTED>NETTED')"
)
# No program before this one took a window further than NETTED.
_PREVIOUS = "CASE state WHEN 'OPEN' THEN '' WHEN 'CLOSED' THEN 'OPEN' ELSE 'CLOSED' END"

# How windows came to their states, as far as earlier nights tell, and that each was paid for by itself.
_FILLING = (
    """
    INSERT INTO window_transitions (window_id, number, previous_state, state, at_ms, made_by, decision_id)
    SELECT window_id, 1, '', 'OPEN',
        coalesce(
            (SELECT closed_at_ms FROM windows w WHERE w.window_id = windows.window_id - 1), (SELECT created_at_ms FROM networks)
        ),
        CASE window_id WHEN 1 THEN 'founding' ELSE 'night' END, ''
    FROM windows
    """,
    """
    INSERT INTO window_transitions (window_id, number, previous_state, state, at_ms, made_by, decision_id)
    SELECT window_id, 2, 'OPEN', 'CLOSED', closed_at_ms, 'night', '' FROM windows WHERE state <> 'OPEN'
    """,
    """
    INSERT INTO window_transitions (window_id, number, previous_state, state, at_ms, made_by, decision_id)
    SELECT window_id, 3, 'CLOSED', 'NETTED',
        coalesce(
            (SELECT done_at_ms FROM settlement_steps s WHERE s.window_id = windows.window_id AND s.step = 'publish'), closed_at_ms
        ),
        'night', ''
    FROM windows WHERE state = 'NETTED'
    """,
    """
    INSERT INTO payment_runs (window_id, first_window_id, rules_version)
    SELECT window_id, window_id, 0 FROM windows WHERE state = 'NETTED'
    """,
)


def upgrade() -> None:
    """From 0007 to 0008."""
    _make_tables()
    if op.get_bind().dialect.name == "sqlite":
        _change_on_sqlite()
    else:
        _change_on_postgresql()
    for statement in _FILLING:
        op.execute(statement)


def _change_on_postgresql() -> None:
    op.execute("ALTER TABLE obligations ADD COLUMN reference VARCHAR(40) COLLATE \"C\" NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE obligations ALTER COLUMN reference DROP DEFAULT")
    op.execute("ALTER TABLE obligations DROP CONSTRAINT pk_obligations")
    op.create_primary_key(
        "pk_obligations", "obligations", ["window_id", "payer_id", "payee_id", "kind", "rate_card_version", "reference"]
    )
    op.alter_column("statement_lines", "kind", type_=_chars(24), existing_nullable=False)
    op.execute('ALTER TABLE windows ADD COLUMN previous_state VARCHAR(16) COLLATE "C"')
    op.execute("ALTER TABLE windows ADD COLUMN rules_version INTEGER")
    op.execute(f"UPDATE windows SET previous_state = {_PREVIOUS}, rules_version = 0")  # noqa: S608 - our own names
    op.execute("ALTER TABLE windows ALTER COLUMN previous_state SET NOT NULL, ALTER COLUMN rules_version SET NOT NULL")
    op.create_check_constraint(op.f("ck_windows_transition"), "windows", _FOLLOWS)
    op.create_check_constraint(op.f("ck_windows_rules_version"), "windows", "rules_version >= 0")


def _change_on_sqlite() -> None:
    """SQLite cannot change a column or a constraint: a new table is made by the old one's own words, and filled."""
    last = "amount BIGINT NOT NULL"
    _remake(
        "obligations",
        {
            f"\t{last}": f"\t{last}, \n\treference VARCHAR(40) NOT NULL",
            "kind, rate_card_version)": "kind, rate_card_version, reference)",
        },
        {"reference": "''"},
    )
    _remake("statement_lines", {"kind VARCHAR(16)": "kind VARCHAR(24)"}, {})
    checks = (
        f"CONSTRAINT ck_windows_transition CHECK ({_FOLLOWS})",
        "CONSTRAINT ck_windows_rules_version CHECK (rules_version >= 0)",
    )
    columns = ("previous_state VARCHAR(16) NOT NULL", "rules_version INTEGER NOT NULL")
    _remake(
        "windows",
        {"CONSTRAINT": ", \n\t".join((*columns, *checks, "CONSTRAINT"))},
        {"previous_state": _PREVIOUS, "rules_version": "0"},
    )
    is_open = sa.text("state = 'OPEN'")
    op.create_index("uq_windows_one_open", "windows", ["state"], unique=True, sqlite_where=is_open, postgresql_where=is_open)


def _remake(table: str, words: dict[str, str], values: dict[str, str]) -> None:
    connection = op.get_bind()
    ask = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    created: str = connection.scalars(ask, {"name": table}).one()
    for old, new in words.items():
        created = created.replace(old, new, 1)
    columns = [row.name for row in connection.execute(sa.text(f"PRAGMA table_info({table})"))]
    selected = ", ".join((*columns, *values.values()))
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0007")
    op.execute(created)
    op.execute(f"INSERT INTO {table} SELECT {selected} FROM {table}_0007")  # noqa: S608 - our own names
    op.execute(f"DROP TABLE {table}_0007")


def _chars(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _make_tables() -> None:
    op.create_table(
        "adjustments",
        sa.Column("adjustment_id", _chars(40), nullable=False),
        sa.Column("kind", _chars(24), nullable=False),
        sa.Column("payer_id", _chars(32), nullable=False),
        sa.Column("payee_id", _chars(32), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", _chars(300), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('adjustment', 'write_off', 'fee_late')", name=op.f("ck_adjustments_kind")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_adjustments_amount")),
        sa.CheckConstraint("payer_id <> payee_id", name=op.f("ck_adjustments_two_parties")),
        sa.PrimaryKeyConstraint("adjustment_id", name=op.f("pk_adjustments")),
    )
    op.create_table(
        "carries",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", _chars(3), nullable=False),
        sa.Column("debtor_id", _chars(32), nullable=False),
        sa.Column("creditor_id", _chars(32), nullable=False),
        sa.Column("reason", _chars(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("brought_window_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reason IN ('minimum', 'dispute', 'default')", name=op.f("ck_carries_reason")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_carries_amount")),
        sa.CheckConstraint("brought_window_id = 0 OR brought_window_id > window_id", name=op.f("ck_carries_later")),
        sa.CheckConstraint("debtor_id <> creditor_id", name=op.f("ck_carries_two_parties")),
        sa.PrimaryKeyConstraint("window_id", "currency", "debtor_id", "creditor_id", "reason", name=op.f("pk_carries")),
    )
    op.create_table(
        "payment_runs",
        sa.Column("window_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_window_id", sa.BigInteger(), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.CheckConstraint("first_window_id BETWEEN 1 AND window_id", name=op.f("ck_payment_runs_range")),
        sa.PrimaryKeyConstraint("window_id", name=op.f("pk_payment_runs")),
    )
    op.create_table(
        "payments",
        sa.Column("instruction_id", _chars(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("event", _chars(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("bank_ref", _chars(64), nullable=False),
        sa.Column("reason", _chars(300), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("event IN ('paid', 'failed', 'carried', 'written_off')", name=op.f("ck_payments_event")),
        sa.CheckConstraint("number >= 1 AND amount >= 0 AND (event = 'failed') = (amount = 0)", name=op.f("ck_payments_amount")),
        sa.PrimaryKeyConstraint("instruction_id", "number", name=op.f("pk_payments")),
    )
    op.create_index(
        "uq_payments_bank_ref",
        "payments",
        ["instruction_id", "bank_ref"],
        unique=True,
        sqlite_where=sa.text("event = 'paid'"),
        postgresql_where=sa.text("event = 'paid'"),
    )
    op.create_table(
        "releases",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", _chars(32), nullable=False),
        sa.PrimaryKeyConstraint("window_id", "partner_id", name=op.f("pk_releases")),
    )
    op.create_table(
        "settlement_rules",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("from_window", sa.BigInteger(), nullable=False),
        sa.Column(
            "settlement_model",
            _chars(16),
            nullable=False,
        ),
        sa.Column("netting", _chars(16), nullable=False),
        sa.Column("form", _chars(24), nullable=False),
        sa.Column("schedule", _chars(16), nullable=False),
        sa.Column("minimum_amount", sa.BigInteger(), nullable=False),
        sa.Column("fixed_fee", sa.BigInteger(), nullable=False),
        sa.Column("entry_fee_micros", sa.BigInteger(), nullable=False),
        sa.Column("late_fee", sa.BigInteger(), nullable=False),
        sa.Column("due_days", sa.Integer(), nullable=False),
        sa.Column("alarm_percent", sa.Integer(), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint("form IN ('partner-to-partner', 'through-operator')", name=op.f("ck_settlement_rules_form")),
        sa.CheckConstraint("netting IN ('gross', 'bilateral', 'multilateral')", name=op.f("ck_settlement_rules_netting")),
        sa.CheckConstraint("schedule IN ('window', 'weekly', 'monthly')", name=op.f("ck_settlement_rules_schedule")),
        sa.CheckConstraint(
            "settlement_model IN ('at_redemption', 'at_issuance', 'at_par')", name=op.f("ck_settlement_rules_settlement_model")
        ),
        sa.CheckConstraint("alarm_percent BETWEEN 1 AND 100", name=op.f("ck_settlement_rules_alarm_percent")),
        sa.CheckConstraint(
            "minimum_amount >= 0 AND fixed_fee >= 0 AND entry_fee_micros >= 0 AND late_fee >= 0 AND due_days >= 0",
            name=op.f("ck_settlement_rules_not_negative"),
        ),
        sa.CheckConstraint("version >= 1 AND from_window >= 1", name=op.f("ck_settlement_rules_version")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_settlement_rules")),
    )
    op.create_table(
        "window_transitions",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("previous_state", _chars(16), nullable=False),
        sa.Column("state", _chars(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("made_by", _chars(70), nullable=False),
        sa.Column("decision_id", _chars(20), nullable=False),
        sa.CheckConstraint(
            _FOLLOWS,
            name=op.f("ck_window_transitions_transition"),
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_window_transitions_number")),
        sa.PrimaryKeyConstraint("window_id", "number", name=op.f("pk_window_transitions")),
    )
