"""How two operators confirm a window: each signs the hash of its statements, net positions and payment instructions.

Confirmed is what was seen: if any of it is made anew between the two signatures, the second one finds the first one stale.
"""

import hashlib

from sqlalchemy import Connection, literal, select

from gateway.domain.bank import parties_without_account
from gateway.domain.canonical import Plain, canonical
from gateway.domain.decision import Decision, DecisionKind, DecisionState
from gateway.domain.documents import Document, read_document
from gateway.domain.errors import BooksBroken, DecisionRefused
from gateway.domain.ids import OPERATOR
from gateway.domain.window import Window, WindowState
from gateway.governance import Hand, Ruling, Rulings, approve, propose
from gateway.storage.bank import load_accounts
from gateway.storage.decisions import load_decision, load_decisions
from gateway.storage.disputes import disputed_amounts, held_amounts, lock_window
from gateway.storage.payments import settle
from gateway.storage.rules import is_paid_for
from gateway.storage.tables_settlement import instructions, net_positions, statements
from gateway.storage.windows import first_unconfirmed, is_night_complete, load_window, move_window


def confirmed_sha256(connection: Connection, window: Window) -> bytes:
    """SHA-256 over what is confirmed of a window: its own hash, each statement's, the net positions, and who pays whom."""
    return hashlib.sha256(canonical(_confirmed(connection, window))).digest()


def confirm(connection: Connection, window_id: int, *, hand: Hand, now_ms: int) -> Decision:
    """Signs a window: the first operator proposes that it is CONFIRMED, the second makes it so. Confirmed already: as it is.

    Raises DecisionRefused with UNKNOWN_WINDOW, NOT_POSSIBLE, DISPUTES_WAIT, IBAN_MISSING, UNKNOWN_OPERATOR,
    OPERATOR_KEY_MISMATCH or DUAL_CONTROL_REQUIRED.
    """
    window = _existing(connection, window_id)
    document: dict[str, Plain] = {
        "window_id": window_id,
        "cut_off_date": window.cut_off_date,
        "sha256": confirmed_sha256(connection, window).hex(),
    }
    for decision in load_decisions(connection):
        if decision.kind is DecisionKind.CONFIRM_WINDOW and decision.document == canonical(document):
            if decision.state is DecisionState.APPLIED and window.state is WindowState.CONFIRMED:
                return decision
            if decision.state is DecisionState.PROPOSED:
                return approve(connection, _RULINGS, decision.decision_id, hand=hand, now_ms=now_ms)
    return propose(connection, _RULINGS, DecisionKind.CONFIRM_WINDOW, document, hand=hand, now_ms=now_ms)


def without_account(connection: Connection, window_id: int) -> list[str]:
    """Which partners are to pay or to be paid for a window, and have named no account, by id.

    While no payment run has gathered it, whoever has a net position in it may have to.
    """
    parties = select(instructions.c.debtor_id, instructions.c.creditor_id).where(instructions.c.window_id == window_id)
    if not is_paid_for(connection, window_id):
        nets = net_positions.c
        parties = select(nets.party_id, literal(OPERATOR)).where(nets.window_id == window_id, nets.amount != 0)
    payments = [(debtor_id, creditor_id) for debtor_id, creditor_id in connection.execute(parties)]
    return [party for party in parties_without_account(payments, load_accounts(connection)) if party != OPERATOR]


def _confirmed(connection: Connection, window: Window) -> Plain:
    window_id = window.window_id
    made = select(statements.c.partner_id, statements.c.sha256).where(statements.c.window_id == window_id)
    nets = select(net_positions.c.currency, net_positions.c.party_id, net_positions.c.amount)
    nets = nets.where(net_positions.c.window_id == window_id)
    paying = select(*(instructions.c[name] for name in _INSTRUCTION)).where(instructions.c.window_id == window_id)
    return {
        "format": "tallystick-confirmed-1",
        "window_id": window_id,
        "window_sha256": window.window_hash.hex(),
        "statements": {partner_id: sha256.hex() for partner_id, sha256 in connection.execute(made)},
        "net": [list(row) for row in sorted(map(tuple, connection.execute(nets)))],
        "instructions": [list(row) for row in sorted(map(tuple, connection.execute(paying)))],
    }


_INSTRUCTION = ("instruction_id", "currency", "debtor_id", "creditor_id", "amount")


def _existing(connection: Connection, window_id: int) -> Window:
    window = load_window(connection, window_id)
    if window is None:
        raise DecisionRefused("UNKNOWN_WINDOW", f"there is no window {window_id}: 'tallystick settlement list' names them all")
    return window


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    lock_window(connection, document["window_id"])  # a dispute comes before, or is told that it is too late
    window = _existing(connection, document["window_id"])
    if window.state is not WindowState.NETTED:
        raise DecisionRefused(
            "NOT_POSSIBLE", f"window {window.window_id} is {window.state}; only one that is NETTED is confirmed"
        )
    if not is_night_complete(connection, window.window_id):
        raise DecisionRefused(
            "NOT_POSSIBLE",
            f"the night of window {window.window_id} did not come to its end: 'tallystick settlement nightly' completes it",
        )
    earlier = first_unconfirmed(connection)
    if earlier < window.window_id:
        # What waits of the earlier one was taken in by this one: making its payments anew would pay that twice.
        raise DecisionRefused("NOT_POSSIBLE", f"window {earlier} comes first: windows are confirmed in their order")
    if is_paid_for(connection, window.window_id) and (
        held_amounts(connection, window.window_id) != disputed_amounts(connection, window.window_id)
    ):
        raise DecisionRefused(
            "DISPUTES_WAIT",
            f"window {window.window_id} has disputes that are not held out yet: run 'tallystick settlement disputes take'",
        )
    nameless = without_account(connection, window.window_id)
    if nameless:
        raise DecisionRefused("IBAN_MISSING", f"window {window.window_id}: no account is known of {', '.join(nameless)}")
    if confirmed_sha256(connection, window).hex() != document["sha256"]:
        return f"window {window.window_id} was made anew since: look at it again"
    return None


def _apply(connection: Connection, document: Document, decision_id: str, at_ms: int) -> None:
    decision = load_decision(connection, decision_id)
    if decision is None or decision.approval is None:
        raise BooksBroken(f"decision {decision_id} confirms a window and is not signed by two")
    made_by = f"{decision.proposal.operator_id}, {decision.approval.operator_id}"
    window = _existing(connection, document["window_id"])
    move_window(connection, window, WindowState.CONFIRMED, at_ms=at_ms, made_by=made_by, decision_id=decision_id)
    settle(connection, at_ms=at_ms)  # nobody may have to pay anything


def window_of(decision: Decision) -> int:
    """The window that a decision confirms."""
    return int(read_document(decision.document)["window_id"])


CONFIRM_RULING = Ruling(_stale_because, _apply)
_RULINGS: Rulings = {DecisionKind.CONFIRM_WINDOW: CONFIRM_RULING}
