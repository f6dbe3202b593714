"""The files of a payment run that go to the bank and to who must pay by itself: a folder that appears whole or not at all."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from sqlalchemy import Connection

from gateway.domain.bank import Accounts, BankAccount
from gateway.domain.bank_days import payment_date
from gateway.domain.canonical import Plain
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.window import Window, WindowState
from gateway.storage.bank import load_accounts
from gateway.storage.directory import load_network
from gateway.storage.payments import count_failures, load_payables
from gateway.storage.rules import load_rules
from settlement.banking import SEPA_CURRENCY, Plan, plan_payments
from settlement.instruction import Instruction
from settlement.pain import Order, credit_transfers, direct_debits
from settlement.payment_request import payment_request
from settlement.store import load_instructions
from settlement.whole import write_whole

_NOT_KNOWN = BankAccount(holder="", iban="")  # of who neither pays nor collects in this run
_FORMAT = "tallystick-payments-1"
_PAYABLE = (WindowState.CONFIRMED, WindowState.SETTLED)


def bank_folder(out_dir: Path, run_id: int) -> Path:
    """Where they go. Not the folder of the run's own files: each of the two is replaced as a whole."""
    return out_dir / f"bank-{run_id:04}"


def write_bank_files(connection: Connection, out_dir: Path, window: Window, *, on: date | None) -> Path | None:
    """Writes all of them for the payment run of a confirmed window, and answers their folder; None if nobody is to pay.

    `on`: when money is to move; None: when it is due by the window's rules. Asked for is what is left to be paid; while nothing
    more is recorded, the same again gives the same bytes, and what is no longer asked for is gone from the folder. Raises
    InvalidValue, naming whoever has no account; OSError; then a folder that stood before is as it was.
    """
    if window.state not in _PAYABLE:
        raise InvalidValue(f"window {window.window_id} is {window.state}: a bank is asked only for what two operators confirmed")
    instructions = _still_to_be_paid(connection, window.window_id)
    folder, manifest = bank_folder(out_dir, window.window_id), f"{OPERATOR}.payments.json"
    if not instructions:
        if folder.exists():  # nobody may send to a bank what was asked for before
            write_whole(folder, [], manifest=manifest, head={"format": _FORMAT, "window_id": window.window_id})
        return None
    accounts = load_accounts(connection)
    plan = plan_payments(instructions, accounts)
    audience = load_network(connection).audience
    rules = load_rules(connection)[window.rules_version]
    due = payment_date(cut_off_date=window.cut_off_date, due_days=rules.due_days)
    order = Order(
        audience=audience,
        window_id=window.window_id,
        closed_at_ms=window.closed_at_ms,
        on=on or due,
        due=due,
        account=accounts.get(OPERATOR, _NOT_KNOWN),
        failures=count_failures(connection, window.window_id),
    )
    head: dict[str, Plain] = {
        "format": _FORMAT,
        "audience": audience,
        "window_id": window.window_id,
        "on": order.on.isoformat(),
    }
    return write_whole(folder, bank_files(order, plan, accounts), manifest=manifest, head=head)


def _still_to_be_paid(connection: Connection, run_id: int) -> list[Instruction]:
    """What is left of a run's instructions: not what was paid, is carried to another run, or was written off."""
    left = {one.instruction_id: one.outstanding for one in load_payables(connection, run_id) if one.outstanding}
    made = load_instructions(connection, run_id)
    return [replace(one, amount=left[one.instruction_id]) for one in made if one.instruction_id in left]


def bank_files(order: Order, plan: Plan, accounts: Accounts) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Each file by name. What the operator sends to its bank begins with its id, what a partner is asked with the partner's."""
    for currency, transfers in sorted(plan.transfers.items()):
        yield f"{OPERATOR}.pain.001.{currency}.xml", [credit_transfers(order, currency, transfers)]
    if plan.debits:
        yield f"{OPERATOR}.pain.008.{SEPA_CURRENCY}.xml", [direct_debits(order, plan.debits)]
    for debtor_id, requests in sorted(plan.requests.items()):
        yield f"{debtor_id}.payment-request.html", [payment_request(order, debtor_id, accounts[debtor_id], requests)]
