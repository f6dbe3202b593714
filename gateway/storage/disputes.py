"""Disputes and how they came to where they stand. Each function takes a Connection."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from gateway.domain.dispute import GIVING_BACK, LIVE, Dispute, DisputeReason, DisputeState, DisputeStep, check_step, dispute_id
from gateway.domain.errors import InvalidValue
from gateway.domain.settlement import CarryReason
from gateway.storage.tables import windows
from gateway.storage.tables_intake import dispute_steps, disputes
from gateway.storage.tables_settlement import carries, payment_runs

_DISPUTE = tuple(disputes.c[name] for name in Dispute.__slots__)
_STEP = tuple(dispute_steps.c[name] for name in DisputeStep.__slots__)
_IS_LIVE = disputes.c.state.in_(sorted(state.value for state in LIVE))


def lock_window(connection: Connection, window_id: int) -> None:
    """The window's state is the caller's until the transaction ends: disputes and states of a window take turns."""
    connection.execute(select(windows.c.state).where(windows.c.window_id == window_id).with_for_update())


def load_dispute(connection: Connection, dispute_id: str, *, for_update: bool = False) -> Dispute | None:
    """The dispute of this id; `for_update`: it is the caller's until the transaction ends."""
    query = select(*_DISPUTE).where(disputes.c.dispute_id == dispute_id)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else _dispute(row)


def load_own_disputes(
    connection: Connection, partner_id: str, *, before: tuple[int, int] | None = None, limit: int
) -> list[Dispute]:
    """Those that a partner has opened or must answer, newest first; `before`: opened then at the latest, less so many."""
    query = select(*_DISPUTE).where(or_(disputes.c.opener_id == partner_id, disputes.c.respondent_id == partner_id))
    if before is not None:
        query = query.where(disputes.c.opened_at_ms <= before[0]).offset(before[1])
    ordered = query.order_by(disputes.c.opened_at_ms.desc(), disputes.c.dispute_id).limit(limit)
    return [_dispute(row) for row in connection.execute(ordered)]


def load_disputes(connection: Connection, *, last_window: int | None = None, is_live: bool = False) -> list[Dispute]:
    """All, oldest first; or those of windows up to one, or those that have not ended."""
    query = select(*_DISPUTE)
    if last_window is not None:
        query = query.where(disputes.c.window_id <= last_window)
    if is_live:
        query = query.where(_IS_LIVE)
    return [_dispute(row) for row in connection.execute(query.order_by(disputes.c.opened_at_ms, disputes.c.dispute_id))]


def live_count(connection: Connection, opener_id: str) -> int:
    """How many of those that a partner has opened have not ended."""
    query = select(func.count()).select_from(disputes).where(disputes.c.opener_id == opener_id, _IS_LIVE)
    return int(connection.execute(query).scalar_one())


def disputed_amounts(connection: Connection, run_id: int) -> dict[tuple[str, str, str], int]:
    """By currency, debtor and creditor, what a payment run must hold out.

    By disputes that have not ended, of windows that it or an earlier run has gathered: of others nothing is to be paid yet.
    """
    keys = disputes.c.currency, disputes.c.payer_id, disputes.c.payee_id
    covers = payment_runs.c.first_window_id <= disputes.c.window_id, payment_runs.c.window_id >= disputes.c.window_id
    gathered = select(payment_runs.c.window_id).where(*covers, payment_runs.c.window_id <= run_id).exists()
    query = select(*keys, func.sum(disputes.c.amount)).where(gathered, _IS_LIVE, disputes.c.amount > 0)
    rows = connection.execute(query.group_by(*keys))
    return {(currency, debtor, creditor): int(amount) for currency, debtor, creditor, amount in rows}


def held_amounts(connection: Connection, run_id: int) -> dict[tuple[str, str, str], int]:
    """The same, as the payment run of this name has held it out."""
    columns = carries.c.currency, carries.c.debtor_id, carries.c.creditor_id, carries.c.amount
    query = select(*columns).where(carries.c.window_id == run_id, carries.c.reason == CarryReason.DISPUTE.value)
    return {(currency, debtor, creditor): amount for currency, debtor, creditor, amount in connection.execute(query)}


def other_dispute(connection: Connection, window_id: int, lines: Mapping[str, int], *, opener_id: str) -> str | None:
    """The other party's dispute about an event, by the event's line in each statement: a live one, or one that gave it back."""
    for partner_id, line_number in lines.items():
        found = load_dispute(connection, dispute_id(partner_id, window_id, line_number)) if partner_id != opener_id else None
        if found is not None and found.state in LIVE | GIVING_BACK:
            return found.dispute_id
    return None


def next_opening_ms(connection: Connection, window_id: int, now_ms: int) -> int:
    """When a dispute of a locked window is opened: later than all others, so that their times tell their order."""
    last = connection.execute(select(func.max(disputes.c.opened_at_ms)).where(disputes.c.window_id == window_id)).scalar()
    return now_ms if last is None else max(now_ms, last + 1)


def insert_dispute(connection: Connection, dispute: Dispute, *, made_by: str) -> None:
    """Keeps a dispute that begins, with its first step."""
    connection.execute(insert(disputes).values(**{name: getattr(dispute, name) for name in Dispute.__slots__}))
    first = DisputeStep(dispute.dispute_id, 1, "", dispute.state, dispute.opened_at_ms, made_by, dispute.evidence, 0, "")
    _keep_step(connection, first)


def move_dispute(
    connection: Connection,
    dispute: Dispute,
    state: DisputeState,
    *,
    at_ms: int,
    made_by: str,
    note: str = "",
    amount: int = 0,
    decision_id: str = "",
) -> None:
    """A locked dispute comes to another state. Raises InvalidValue if it cannot."""
    check_step(dispute.state, state)
    number = len(load_steps(connection, [dispute.dispute_id])) + 1
    step = DisputeStep(dispute.dispute_id, number, dispute.state.value, state, at_ms, made_by, note, amount, decision_id)
    moved = update(disputes).where(disputes.c.dispute_id == dispute.dispute_id, disputes.c.state == dispute.state.value)
    if connection.execute(moved.values(previous_state=dispute.state.value, state=state.value)).rowcount != 1:
        raise InvalidValue(f"dispute {dispute.dispute_id} is {dispute.state} no more: look at it again")
    _keep_step(connection, step)


def load_steps(connection: Connection, dispute_ids: Collection[str]) -> list[DisputeStep]:
    """Of some disputes, by dispute and number."""
    query = select(*_STEP).where(dispute_steps.c.dispute_id.in_(sorted(dispute_ids)))
    rows = connection.execute(query.order_by(dispute_steps.c.dispute_id, dispute_steps.c.number))
    return [DisputeStep(**row._asdict() | {"state": DisputeState(row.state)}) for row in rows]


def _keep_step(connection: Connection, step: DisputeStep) -> None:
    connection.execute(insert(dispute_steps).values(**{name: getattr(step, name) for name in DisputeStep.__slots__}))


def _dispute(row: Row[tuple[object, ...]]) -> Dispute:
    values = row._asdict()
    return Dispute(**values | {"reason": DisputeReason(row.reason), "state": DisputeState(row.state)})
