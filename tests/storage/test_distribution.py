"""Whether the tables could be spread over several machines as they are: the rules for a distributed PostgreSQL."""

import pytest
from sqlalchemy import Engine, Table, UniqueConstraint, text
from sqlalchemy.dialects import postgresql

from gateway.storage import books
from gateway.storage.bulk import Lookup
from gateway.storage.distribution import DISTRIBUTED, REFERENCE, companions, distributing
from gateway.storage.engine import open_engine, reading
from gateway.storage.tables import metadata

TABLES = metadata.sorted_tables
SPREAD = [table for table in TABLES if table.name in DISTRIBUTED]
MEMBERS_TABLES = {"entries", "postings", "members", "lots", "debts", "holds", "checkouts", "parked_refunds", "member_days"}
# What partners, terms, heads and directory are is small and read with any member's rows.
COPIED = {"heads", "partners", "partner_keys", "rate_cards", "issue_rates", "network_terms", "networks", "windows"}


def test_each_table_has_one_place() -> None:
    """Spread by a column, or copied to every machine: a new table must be put on the map."""
    assert set(DISTRIBUTED) | REFERENCE == {table.name for table in TABLES}
    assert not set(DISTRIBUTED) & REFERENCE


def test_rows_of_a_member_lie_together_by_its_bucket() -> None:
    """A batch of one lane then asks few machines."""
    assert {name for name, column in DISTRIBUTED.items() if column == "bucket"} == MEMBERS_TABLES
    assert all(companions(metadata.tables[name]) == MEMBERS_TABLES for name in MEMBERS_TABLES)


def test_the_idempotency_tables_go_by_their_own_keys() -> None:
    """A key is unique over all buckets, so its row cannot lie with a member's."""
    assert DISTRIBUTED["outcomes"] == DISTRIBUTED["refusals"] == "entry_id"


def test_what_every_batch_reads_is_copied_to_every_machine() -> None:
    """Heads, terms and the directory."""
    assert COPIED <= REFERENCE


@pytest.mark.parametrize("table", SPREAD, ids=str)
def test_each_key_contains_the_column_that_a_table_is_spread_by(table: Table) -> None:
    """Else no machine alone could tell that a key is new."""
    column = table.c[DISTRIBUTED[table.name]]
    unique = [set(constraint.columns) for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    unique += [set(index.columns) for index in table.indexes if index.unique]

    assert column in table.primary_key.columns.values()
    assert all(column in columns for columns in unique)
    assert not column.nullable


@pytest.mark.parametrize("table", SPREAD, ids=str)
def test_tables_that_lie_together_go_by_columns_of_one_type(table: Table) -> None:
    """Else the same value would be on two machines."""
    types = {
        metadata.tables[name].c[DISTRIBUTED[name]].type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
        for name in companions(table)
    }

    assert len(types) == 1


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_no_table_rests_on_what_cannot_be_spread(table: Table) -> None:
    """No foreign key, no number that the database counts, no default that it makes up."""
    assert not table.foreign_keys
    assert not [column.name for column in table.columns if column.server_default is not None or column.identity is not None]
    assert table.autoincrement_column is None


@pytest.mark.postgres
def test_a_migrated_database_has_neither_foreign_keys_nor_sequences_nor_triggers(postgres_url: str) -> None:
    """The same, asked of PostgreSQL: migrations could bring them in."""
    engine = open_engine(postgres_url)

    assert _count(engine, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 0
    assert _count(engine, "SELECT count(*) FROM pg_class WHERE relkind = 'S'") == 0
    assert _count(engine, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
    engine.dispose()


def test_locks_are_taken_on_copied_tables_alone() -> None:
    """Citus refuses a SELECT … FOR UPDATE that touches several machines."""
    statements = [lookup._statement for lookup in vars(books).values() if isinstance(lookup, Lookup)]  # noqa: SLF001 - what it will run
    locking = [statement for statement in statements if "FOR UPDATE" in str(statement)]

    assert {str(table) for statement in locking for table in statement.get_final_froms()} == {"heads"}


def test_the_calls_hand_over_each_table_once_and_companions_after_the_first() -> None:
    """In an order in which Citus takes them."""
    calls = {name: str(call.compile(compile_kwargs={"literal_binds": True})) for name, call in distributing()}
    order = list(calls)

    assert sorted(order) == sorted(table.name for table in TABLES)
    assert "create_distributed_table('checkouts', 'bucket', 'hash', 'none')" in calls["checkouts"]
    assert "create_distributed_table('lots', 'bucket', 'hash', 'checkouts')" in calls["lots"]
    assert "create_reference_table('heads')" in calls["heads"]
    assert order.index("checkouts") < min(order.index(name) for name in MEMBERS_TABLES - {"checkouts"})


def _count(engine: Engine, query: str) -> int:
    with reading(engine) as connection:
        return int(connection.execute(text(query)).scalar_one())
