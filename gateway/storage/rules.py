"""Versions of the settlement rules, and what is owed beside traffic until a cut-off takes it. Only added to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from gateway.domain.network import SettlementModel
from gateway.domain.settlement import Adjustment, AdjustmentKind, Form, Netting, Schedule, SettlementRules, founding_rules
from gateway.storage.tables_directory import networks
from gateway.storage.tables_settlement import adjustments, payment_runs, settlement_rules


def load_rules(connection: Connection) -> tuple[SettlementRules, ...]:
    """All versions, oldest first; the first is the founding's, number 0. A version stands at the place of its number."""
    model = SettlementModel(connection.execute(select(networks.c.settlement_model)).scalar_one())
    rows = connection.execute(select(*_COLUMNS).order_by(settlement_rules.c.version))
    return (founding_rules(model), *(_rules(row) for row in rows))


def newest_rules(connection: Connection) -> SettlementRules:
    """What the next window opens with."""
    return load_rules(connection)[-1]


def insert_rules(connection: Connection, rules: SettlementRules, decision_id: str) -> None:
    """Keeps a version that two operators have decided."""
    connection.execute(
        insert(settlement_rules).values(
            **{name: getattr(rules, name) for name in SettlementRules.__slots__}, decision_id=decision_id
        )
    )


def load_adjustments(connection: Connection, window_id: int) -> list[Adjustment]:
    """What a window has taken in beside traffic, by id; 0: what waits for the next cut-off."""
    query = select(*_ADJUSTMENT).where(adjustments.c.window_id == window_id).order_by(adjustments.c.adjustment_id)
    return [Adjustment(row[0], AdjustmentKind(row[1]), *row[2:]) for row in connection.execute(query)]


def insert_adjustments(connection: Connection, made: Sequence[Adjustment]) -> None:
    """Keeps what waits for the next cut-off."""
    rows = [{name: getattr(one, name) for name in Adjustment.__slots__} | {"window_id": 0} for one in made]
    if rows:
        connection.execute(insert(adjustments), rows)


def adjustment_exists(connection: Connection, adjustment_id: str) -> bool:
    """Whether there is one of this id, taken by a window or waiting."""
    return connection.execute(select(adjustments.c.kind).where(adjustments.c.adjustment_id == adjustment_id)).first() is not None


def take_adjustments(connection: Connection, window_id: int) -> None:
    """All that waits goes into a window: to be called in the transaction of its cut-off."""
    connection.execute(update(adjustments).where(adjustments.c.window_id == 0).values(window_id=window_id))


def is_paid_for(connection: Connection, window_id: int) -> bool:
    """Whether a payment run has gathered a window."""
    covers = payment_runs.c.first_window_id <= window_id, payment_runs.c.window_id >= window_id
    return connection.execute(select(payment_runs.c.window_id).where(*covers)).first() is not None


_COLUMNS = tuple(settlement_rules.c[name] for name in SettlementRules.__slots__)
_ADJUSTMENT = tuple(adjustments.c[name] for name in Adjustment.__slots__)


def _rules(row: Any) -> SettlementRules:
    values = row._asdict()
    values |= {"settlement_model": SettlementModel(row.settlement_model), "netting": Netting(row.netting)}
    return SettlementRules(**values | {"form": Form(row.form), "schedule": Schedule(row.schedule)})
