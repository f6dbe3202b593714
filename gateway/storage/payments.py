"""Instructions on their way: what became of each outside, and whose exposure ends with it. Only added to.

Where an instruction stands is derived from its events; nothing here is a second record of it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from gateway.domain.entry import PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import PaymentEvent
from gateway.domain.units import MICROS
from gateway.domain.window import Window, WindowState
from gateway.storage.engine import upsert
from gateway.storage.tables import positions, totals, windows
from gateway.storage.tables_directory import rate_cards
from gateway.storage.tables_settlement import carries, instructions, payment_runs, payments, releases
from gateway.storage.windows import load_window, lock_all_heads, move_window

_SETTLED = WindowState.SETTLED.value


@dataclass(frozen=True, slots=True)
class Payable:
    """An instruction and what is left of it, in minor units; `status` in one word for people."""

    instruction_id: str
    window_id: int
    currency: str
    debtor_id: str
    creditor_id: str
    amount: int
    outstanding: int
    status: str


@dataclass(frozen=True, slots=True)
class Payment:
    """Something that became of an instruction, from number 1."""

    instruction_id: str
    number: int
    event: PaymentEvent
    amount: int
    bank_ref: str
    reason: str
    at_ms: int
    decision_id: str
    value_date: str = ""


def load_payments(connection: Connection, instruction_id: str) -> list[Payment]:
    """What became of an instruction, oldest first."""
    query = select(*(payments.c[name] for name in Payment.__slots__)).where(payments.c.instruction_id == instruction_id)
    return [
        Payment(row[0], row[1], PaymentEvent(row[2]), *row[3:]) for row in connection.execute(query.order_by(payments.c.number))
    ]


def count_failures(connection: Connection, run_id: int) -> dict[str, int]:
    """How many payments of each instruction of a run have failed; those without one are left out."""
    of_run = instructions.c.window_id == run_id, payments.c.event == PaymentEvent.FAILED.value
    same = instructions.c.instruction_id == payments.c.instruction_id
    query = select(payments.c.instruction_id, func.count()).join(instructions, same).where(*of_run)
    return {row[0]: row[1] for row in connection.execute(query.group_by(payments.c.instruction_id))}


def load_payable(connection: Connection, instruction_id: str) -> Payable | None:
    """An instruction of this id; None if there is none."""
    query = select(instructions).where(instructions.c.instruction_id == instruction_id)
    return next((_payable(connection, row) for row in connection.execute(query).all()), None)


def load_payables(connection: Connection, run_id: int) -> list[Payable]:
    """The instructions of a payment run, by currency, debtor and creditor."""
    columns = instructions.c.currency, instructions.c.debtor_id, instructions.c.creditor_id
    query = select(instructions).where(instructions.c.window_id == run_id).order_by(*columns)
    return [_payable(connection, row) for row in connection.execute(query).all()]


def keep_payment(connection: Connection, payment: Payment) -> None:
    """Adds an event; ask for the next number in the same transaction."""
    connection.execute(insert(payments).values({name: getattr(payment, name) for name in Payment.__slots__}))


def insert_carry(connection: Connection, payable: Payable, *, reason: str) -> None:
    """What is left of an instruction waits for the next payment run to be made."""
    connection.execute(
        insert(carries).values(
            window_id=payable.window_id,
            currency=payable.currency,
            debtor_id=payable.debtor_id,
            creditor_id=payable.creditor_id,
            reason=reason,
            amount=payable.outstanding,
            brought_window_id=0,
        )
    )


def run_windows(connection: Connection, run_id: int) -> range:
    """The windows that a payment run pays for; none where there is no such run."""
    first = connection.execute(select(payment_runs.c.first_window_id).where(payment_runs.c.window_id == run_id)).scalar()
    return range(first, run_id + 1) if first is not None else range(0)


def settle(connection: Connection, *, at_ms: int) -> list[int]:
    """Ends the exposure of whoever has nothing left to pay or to receive of a run, and settles windows in order.

    A window is SETTLED once every window before it is, and nothing is left of its run's instructions. Answers those that became
    so. Takes the locks of all heads: exposures are sums that batches add to. The caller's transaction must write.
    """
    lock_all_heads(connection)
    query = select(windows.c.window_id, windows.c.state).where(windows.c.state != WindowState.SETTLED.value)
    unsettled = {row.window_id: row.state for row in connection.execute(query.order_by(windows.c.window_id))}
    runs = select(payment_runs.c.window_id, payment_runs.c.first_window_id).where(payment_runs.c.window_id.in_(unsettled))
    for run_id, first in connection.execute(runs.order_by(payment_runs.c.window_id)).all():
        states = {unsettled.get(window_id, _SETTLED) for window_id in range(first, run_id + 1)}
        if states <= {WindowState.CONFIRMED.value, _SETTLED}:
            _release_whoever_is_done(connection, run_id, first)
    settled: list[int] = []
    for window_id in unsettled:
        window = load_window(connection, window_id)
        if window is None or window.state is not WindowState.CONFIRMED or not _is_paid(connection, window):
            break
        move_window(connection, window, WindowState.SETTLED, at_ms=at_ms, made_by="payments")
        _release(connection, window_id, sorted(_parties(connection, window_id)))
        settled.append(window_id)
    return settled


def is_released(connection: Connection, window_id: int, partner_id: str) -> bool:
    """Whether a partner's part in a window no longer counts for its exposure."""
    query = select(releases.c.window_id).where(releases.c.window_id == window_id, releases.c.partner_id == partner_id)
    return connection.execute(query).first() is not None


def _is_paid(connection: Connection, window: Window) -> bool:
    query = select(payment_runs.c.window_id).where(
        payment_runs.c.first_window_id <= window.window_id, payment_runs.c.window_id >= window.window_id
    )
    run_id = connection.execute(query).scalar()
    return run_id is not None and not any(one.outstanding for one in load_payables(connection, run_id))


def _release_whoever_is_done(connection: Connection, run_id: int, first: int) -> None:
    payables = load_payables(connection, run_id)
    parties = {party for one in payables for party in (one.debtor_id, one.creditor_id)} - {OPERATOR}
    waiting = {party for one in payables if one.outstanding for party in (one.debtor_id, one.creditor_id)}
    for window_id in range(first, run_id + 1):
        _release(connection, window_id, sorted(parties - waiting))


def _release(connection: Connection, window_id: int, parties: Sequence[str]) -> None:
    """Takes what a window added to the net debit of these parties out of it, lane by lane; once."""
    fresh = [party for party in parties if not is_released(connection, window_id, party)]
    if not fresh:
        return
    connection.execute(insert(releases), [{"window_id": window_id, "partner_id": party} for party in fresh])
    added: Counter[tuple[int, str, str]] = Counter()
    for row in connection.execute(_OWED, {"window_id": window_id}):
        owed = _SIGN[row.kind] * row.points * row.reimbursement_rate_micros
        for party, micros in ((row.issuer_id, owed), (row.counterparty_id, -owed)):
            if party in fresh:
                added[row.lane, party, row.currency] -= micros
    for party, currency, micros in _carried(connection, window_id):
        if party in fresh:
            added[0, party, currency] += micros
    rows = [
        {"lane": lane, "partner_id": party, "currency": currency, "open_value_micros": 0, "net_debit_micros": micros}
        for (lane, party, currency), micros in sorted(added.items())
        if micros
    ]
    upsert(connection, positions, rows, add=("net_debit_micros",))


def _carried(connection: Connection, run_id: int) -> list[tuple[str, str, int]]:
    """What a run leaves is owed on, and what it took in no longer is: party, currency and micros."""
    found = []
    query = select(carries).where((carries.c.window_id == run_id) | (carries.c.brought_window_id == run_id))
    for row in connection.execute(query):
        sign = 1 if row.window_id == run_id else -1
        found.append((row.debtor_id, row.currency, sign * row.amount * MICROS))
        found.append((row.creditor_id, row.currency, -sign * row.amount * MICROS))
    return [one for one in found if one[0] != OPERATOR]


def _parties(connection: Connection, window_id: int) -> set[str]:
    """Whoever has part in a window, by its totals and by what its run carries."""
    query = select(totals.c.issuer_id, totals.c.counterparty_id).where(totals.c.window_id == window_id).distinct()
    parties = {party for row in connection.execute(query) for party in row}
    return parties | {party for party, _, _ in _carried(connection, window_id)}


def _payable(connection: Connection, row: Any) -> Payable:
    events = load_payments(connection, row.instruction_id)
    outstanding = row.amount - sum(one.amount for one in events)
    return Payable(
        instruction_id=row.instruction_id,
        window_id=row.window_id,
        currency=row.currency,
        debtor_id=row.debtor_id,
        creditor_id=row.creditor_id,
        amount=row.amount,
        outstanding=outstanding,
        status=_status(events, outstanding),
    )


def _status(events: Sequence[Payment], outstanding: int) -> str:
    if not events:
        return "open"
    if outstanding == 0:
        return events[-1].event.value.replace("_", " ")
    return "failed" if events[-1].event is PaymentEvent.FAILED else "part-paid"


_SIGN = {PostingKind.REDEEM.value: 1, PostingKind.RESTORE.value: -1}
_OWED = (
    select(
        totals.c.lane,
        totals.c.issuer_id,
        totals.c.counterparty_id,
        totals.c.kind,
        totals.c.points,
        rate_cards.c.reimbursement_rate_micros,
        rate_cards.c.currency,
    )
    .join(
        rate_cards,
        (rate_cards.c.partner_id == totals.c.counterparty_id) & (rate_cards.c.version == totals.c.rate_card_version),
    )
    .where(
        totals.c.window_id == bindparam("window_id"),
        totals.c.kind.in_(sorted(_SIGN)),
        totals.c.issuer_id != totals.c.counterparty_id,
    )
)
