"""Holds, checkouts, parked refunds and paper receipts: loaded for a batch and saved with it."""

import json
from collections.abc import Collection, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from gateway.domain.canonical import canonical
from gateway.domain.checkout import CheckoutState, ParkedRefund, sale_id
from gateway.domain.command import Checkout, ClaimReceipt, Command, Refund, VoidHold
from gateway.domain.entry import PostingKind
from gateway.domain.lot import Hold
from gateway.domain.outcome import Refusal
from gateway.domain.working import WorkingSet
from gateway.storage.bulk import BulkWrite, Lookup, Row, look_up
from gateway.storage.tables import postings
from gateway.storage.tables_till import checkouts, holds, parked_refunds, sales


def _columns(table: Table, kind: type[Any]) -> list[Column[Any]]:
    return [table.c[field.name] for field in fields(kind) if field.name in table.c]


_HOLDS = Lookup(select(*_columns(holds, Hold)), holds.c.hold_id)
_OPEN_HOLDS = Lookup(select(*_columns(holds, Hold)).where(holds.c.state == "OPEN"), holds.c.member_id)
_PARTS = Lookup(
    select(postings.c.entry_id, postings.c.lot_id, postings.c.points)
    .where(postings.c.kind == PostingKind.HOLD.value)
    .order_by(postings.c.entry_id, postings.c.ordinal),
    postings.c.entry_id,
)
_CHECKOUTS = Lookup(select(*checkouts.columns), checkouts.c.entry_id)
_CHECKOUT_NAMES = tuple(column.name for column in checkouts.columns)
_PARKED = Lookup(select(*parked_refunds.columns).where(parked_refunds.c.is_open == 1), parked_refunds.c.checkout_id)
_PARKED_NAMES = tuple(column.name for column in parked_refunds.columns)
_SALES = Lookup(select(sales.c.sale_id), sales.c.sale_id)

_INSERT_HOLDS = BulkWrite.insert(holds)
_UPDATE_HOLDS = BulkWrite.update(holds, ("state", "ended_by"))
_INSERT_CHECKOUTS = BulkWrite.insert(checkouts)
_UPDATE_CHECKOUTS = BulkWrite.update(checkouts, ("returned", "returned_earning", "returned_lines"))
_INSERT_PARKED = BulkWrite.insert(parked_refunds)
_UPDATE_PARKED = BulkWrite.update(parked_refunds, ("is_open",))
_INSERT_CLAIMS = BulkWrite.insert(sales)
_NOTE_SALES = BulkWrite.insert(sales, or_leave=True)


_NAMING_A_HOLD = VoidHold | Checkout
_OF_SALES = Checkout | ClaimReceipt


def load_named(connection: Connection, work: WorkingSet, commands: Sequence[Command]) -> list[str]:
    """What the commands name of holds, checkouts, parked refunds and receipts. Answers the entries that are needed with them."""
    asked_holds = {command.hold_id for command in commands if isinstance(command, _NAMING_A_HOLD) and command.hold_id}
    asked_checkouts = {command.checkout_id for command in commands if isinstance(command, Refund)}
    new_checkouts = {command.entry_id for command in commands if isinstance(command, _OF_SALES)}
    found_holds, found, waiting, claimed = look_up(
        connection,
        (_HOLDS, asked_holds),
        (_CHECKOUTS, asked_checkouts),
        (_PARKED, new_checkouts),
        (_SALES, _sales_named(work, commands)),
    )
    for row in found_holds:
        work.holds[row[0]] = Hold(*row)
    for row in found:
        state = _checkout(row)
        work.checkouts[state.entry_id] = state
    for row in waiting:
        parked = ParkedRefund(**dict(zip(_PARKED_NAMES, row, strict=True)) | {"is_open": True})
        work.parked.setdefault(parked.checkout_id, []).append(parked)
    work.sales.update(sale for (sale,) in claimed)
    its_entries = [entry_id for state in work.checkouts.values() for entry_id in (state.redeem_entry_id, state.issue_entry_id)]
    parked_entries = [parked.entry_id for some in work.parked.values() for parked in some]
    return [entry_id for entry_id in (*asked_checkouts, *its_entries, *parked_entries) if entry_id]


def load_holds(connection: Connection, work: WorkingSet, member_ids: Collection[str]) -> None:
    """The open holds of members, and the parts of these and of those that commands have named."""
    for row in _OPEN_HOLDS(connection, member_ids):
        hold = work.holds.setdefault(row[0], Hold(*row))
        work.accounts[hold.member_id].holds[hold.hold_id] = hold
    parts: dict[str, list[tuple[str, int]]] = {}
    for entry_id, lot_id, points in _PARTS(connection, {hold.hold_id for hold in work.holds.values() if hold.is_open}):
        parts.setdefault(entry_id, []).append((lot_id, points))
    for hold_id, its_parts in parts.items():
        work.holds[hold_id].parts = tuple(its_parts)


def save_sales(connection: Connection, work: WorkingSet) -> None:
    """Receipts that are claimed, which nobody else may; and those of sales, as far as nobody has them yet.

    In one order over both, so that lanes which claim what the other one sells do not wait in a circle.
    """
    names = sorted(work.new_claims | work.new_sales)
    for is_claim, some in groupby(names, key=work.new_claims.__contains__):
        write, its_entries = (_INSERT_CLAIMS, work.new_claims) if is_claim else (_NOTE_SALES, work.new_sales)
        write(connection, [(name, its_entries[name]) for name in some])


def save_till(connection: Connection, work: WorkingSet) -> None:
    """Holds, checkouts and parked refunds that the batch has made or changed."""
    changed_holds = work.changed_holds.values()
    _INSERT_HOLDS(connection, [_hold_row(hold) for hold in changed_holds if hold.hold_id in work.new_holds])
    _UPDATE_HOLDS(
        connection,
        [(hold.state, hold.ended_by, hold.hold_id, hold.bucket) for hold in changed_holds if hold.hold_id not in work.new_holds],
    )
    changed = work.changed_checkouts.values()
    _INSERT_CHECKOUTS(connection, [_checkout_row(state) for state in changed if state.entry_id in work.new_checkouts])
    _UPDATE_CHECKOUTS(
        connection,
        [
            (state.returned, state.returned_earning, _lines(state), state.entry_id, state.bucket)
            for state in changed
            if state.entry_id not in work.new_checkouts
        ],
    )
    new = {parked.entry_id for parked in work.new_parked}
    _INSERT_PARKED(connection, [_parked_row(parked) for parked in work.new_parked])
    _UPDATE_PARKED(
        connection, [(0, parked.entry_id, parked.bucket) for parked in work.completed_parked if parked.entry_id not in new]
    )


def _sales_named(work: WorkingSet, commands: Sequence[Command]) -> set[str]:
    named = set()
    for command in commands:
        if isinstance(command, _OF_SALES) and command.receipt_number:
            on = work.business_date(command) if command.partner_id in work.terms.partners else None
            if on is not None and not isinstance(on, Refusal):
                named.add(sale_id(command.partner_id, on.isoformat(), command.receipt_number))
    return named


def _checkout(row: Row) -> CheckoutState:
    values = dict(zip(_CHECKOUT_NAMES, row, strict=True))
    lines = values.pop("returned_lines")
    return CheckoutState(**values, returned_lines=json.loads(lines) if lines else {})


def _checkout_row(state: CheckoutState) -> Row:
    return (*(getattr(state, name) for name in _CHECKOUT_NAMES if name != "returned_lines"), _lines(state))


def _lines(state: CheckoutState) -> str:
    return canonical(state.returned_lines).decode("ascii") if state.returned_lines else ""


def _hold_row(hold: Hold) -> Row:
    return tuple(getattr(hold, column.name) for column in holds.columns)


def _parked_row(parked: ParkedRefund) -> Row:
    return tuple(int(value) if isinstance(value := getattr(parked, name), bool) else value for name in _PARKED_NAMES)
