"""Where each table's rows would live on a distributed PostgreSQL (Citus): the one map, which the keys must fit.

Rows of a member live together, by its bucket. The idempotency tables go by keys of their own, what partners are shown by
the partner, what their tills did alone by the terminal; everything small is copied to every machine, heads included. So a lock
never touches several of them.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sqlalchemy import ColumnElement, Select, String, Table, func, literal, literal_column, select

from gateway.storage import tables, tables_directory, tables_intake, tables_settlement, tables_terminals, tables_till

_OF_MEMBERS = (
    tables.entries,
    tables.postings,
    tables.members,
    tables.lots,
    tables.debts,
    tables_till.holds,
    tables_till.checkouts,
    tables_till.parked_refunds,
    tables_till.member_days,
)
_BY_BUCKET = {table.name: "bucket" for table in _OF_MEMBERS}
_BY_OWN_KEY = {
    "outcomes": "entry_id",
    "refusals": "entry_id",
    "member_identifiers": "identifier_hash",
    "sales": "sale_id",
    "terminal_days": "terminal_day",
}
_BY_PARTNER = {
    table.name: "partner_id"
    for table in (
        tables_settlement.statements,
        tables_settlement.statement_lines,
        tables_intake.acknowledgements,
        tables_intake.intake,
        tables_intake.partner_records,
    )
}
_BY_TERMINAL = {
    table.name: "terminal_id"
    for table in (
        tables_terminals.event_warnings,
        tables_terminals.terminal_conflicts,
        tables_terminals.terminal_events,
        tables_terminals.terminals,
    )
}

DISTRIBUTED: Mapping[str, str] = MappingProxyType(_BY_BUCKET | _BY_OWN_KEY | _BY_PARTNER | _BY_TERMINAL)
"""Column by table. Tables of one line above share it and lie together: a transaction of one member touches one machine."""

_TOGETHER = (
    _BY_BUCKET,
    {"outcomes": "", "refusals": ""},
    {"member_identifiers": ""},
    {"sales": ""},
    {"terminal_days": ""},
    _BY_PARTNER,
    _BY_TERMINAL,
)

REFERENCE: frozenset[str] = frozenset(
    table.name
    for table in (
        tables.heads,
        tables.positions,
        tables.proofs,
        tables.totals,
        tables.window_ranges,
        tables.windows,
        tables_directory.conformance_events,
        tables_directory.conformance_runs,
        tables_directory.decisions,
        tables_directory.issue_rates,
        tables_directory.network_terms,
        tables_directory.networks,
        tables_directory.offer_shares,
        tables_directory.offers,
        tables_directory.operators,
        tables_directory.partner_keys,
        tables_directory.partner_limits,
        tables_directory.partners,
        tables_directory.rate_cards,
        tables_directory.receipt_keys,
        tables_directory.signature_failures,
        tables_intake.dispute_steps,
        tables_intake.disputes,
        tables_intake.reconciliations,
        tables_settlement.adjustments,
        tables_settlement.carries,
        tables_settlement.instructions,
        tables_settlement.net_positions,
        tables_settlement.obligations,
        tables_settlement.payment_runs,
        tables_settlement.payments,
        tables_settlement.releases,
        tables_settlement.settlement_rules,
        tables_settlement.settlement_steps,
        tables_settlement.window_transitions,
    )
)
"""Tables that every machine has a copy of: read with any bucket, written rarely, or a row a lane."""


def companions(table: Table) -> frozenset[str]:
    """The tables that lie together with a distributed one, itself included."""
    return next(frozenset(group) for group in _TOGETHER if table.name in group)


def distributing() -> Iterator[tuple[str, Select[tuple[object]]]]:
    """By table, the calls that hand the tables over to Citus, in an order in which they can be run; rows move along."""
    for name in sorted(REFERENCE):
        yield name, select(func.create_reference_table(literal(name, String)))
    for group in _TOGETHER:
        first, *others = sorted(group)
        yield first, _distributed(first, "none")
        for name in others:
            yield name, _distributed(name, first)


def _distributed(name: str, together_with: str) -> Select[tuple[object]]:
    column = literal(DISTRIBUTED[name], String)
    # A literal of no type becomes Citus's own enumeration; the argument after it is `colocate_with`.
    by_hash: ColumnElement[str] = literal_column("'hash'")
    return select(func.create_distributed_table(literal(name, String), column, by_hash, literal(together_with, String)))
