"""Reads what papers are made of from the books; writes nothing. What is read is the same whenever it is asked."""

from sqlalchemy import Connection, Engine, func, select

from gateway.domain.bank_days import payment_date
from gateway.domain.settlement import Schedule
from gateway.domain.window import Window
from gateway.storage.directory import load_network, load_terms
from gateway.storage.engine import reading
from gateway.storage.rules import load_rules
from gateway.storage.tables import windows
from gateway.storage.tables_settlement import net_positions, obligations
from settlement import store
from settlement.liability_reading import liability_by_expiry_month
from settlement.papers.report_figures import WindowSum
from settlement.papers.report_page import ReportFacts
from settlement.papers.to_do import Due
from settlement.papers.words import Names

TREND_WINDOWS = 12


def load_due(connection: Connection, window: Window) -> Due | None:
    """The payments that the window's own run makes; None where a run of several windows does, later."""
    rules = load_rules(connection)[window.rules_version]
    if rules.schedule is not Schedule.WINDOW:
        return None
    on = payment_date(cut_off_date=window.cut_off_date, due_days=rules.due_days)
    return Due(on, store.load_instructions(connection, window.window_id))


def report_facts(engine: Engine, window: Window) -> ReportFacts:
    """Of a published window. Raises BooksBroken where a lot is missing."""
    liability = liability_by_expiry_month(engine, {lane.lane: lane.last for lane in window.ranges})
    with reading(engine) as connection:
        pricing = store.load_pricing(connection, window)
        due = load_due(connection, window)
        return ReportFacts(
            audience=load_network(connection).audience,
            model=pricing.model.value,
            window=window,
            names=load_names(connection),
            obligations=store.load_obligations(connection, window.window_id),
            positions=store.load_positions(connection, window.window_id),
            # A run that gathers several windows comes later, and has files of its own: this page stays what it is.
            instructions=due.payments if due else [],
            movements=store.load_totals(connection, window.window_id),
            liability=liability,
            windows=load_window_sums(connection, window.window_id),
        )


def load_names(connection: Connection) -> Names:
    """Legal names of all partners that there ever were."""
    return {partner_id: partner.legal_name for partner_id, partner in load_terms(connection).partners.items()}


def load_window_sums(connection: Connection, window_id: int) -> list[WindowSum]:
    """What the window and up to eleven before it came to, by currency, oldest first; without a debt a window is zero."""
    first = max(1, window_id - TREND_WINDOWS + 1)
    lines, nets = obligations.c, net_positions.c
    gross = {
        (number, currency): int(amount)
        for number, currency, amount in connection.execute(
            select(lines.window_id, lines.currency, func.sum(lines.amount))
            .where(lines.window_id.between(first, window_id), lines.payer_id != lines.payee_id)
            .group_by(lines.window_id, lines.currency)
        )
    }
    net = {
        (number, currency): int(amount)
        for number, currency, amount in connection.execute(
            select(nets.window_id, nets.currency, func.sum(nets.amount))
            .where(nets.window_id.between(first, window_id), nets.amount > 0)
            .group_by(nets.window_id, nets.currency)
        )
    }
    closed = connection.execute(
        select(windows.c.window_id, windows.c.cut_off_date)
        .where(windows.c.window_id.between(first, window_id))
        .order_by(windows.c.window_id)
    ).all()
    return [
        WindowSum(number, on, currency, gross.get((number, currency), 0), net.get((number, currency), 0))
        for currency in sorted({currency for _, currency in gross})
        for number, on in closed
    ]
