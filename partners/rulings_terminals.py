"""Rulings about terminals: the end of a freeze."""

from sqlalchemy import Connection

from gateway.domain.documents import Document
from gateway.domain.errors import DecisionRefused
from gateway.domain.events import Terminal
from gateway.storage.terminals import load_terminal, lock_terminal, release


def known_terminal(connection: Connection, terminal_id: str) -> Terminal:
    """Where its chain stands. Raises DecisionRefused with UNKNOWN_TERMINAL."""
    terminal = load_terminal(connection, terminal_id)
    if terminal is None:
        partner_id = terminal_id.partition("/")[0]
        raise DecisionRefused(
            "UNKNOWN_TERMINAL", f"{terminal_id} has sent no events: see 'tallystick partners terminal show {partner_id}'"
        )
    return terminal


def stale_release(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The terminal must be frozen, by what the operator knew of."""
    known_terminal(connection, document["terminal_id"])
    terminal = lock_terminal(connection, document["terminal_id"])
    if not terminal.is_frozen:
        raise DecisionRefused("NOT_POSSIBLE", f"{terminal.terminal_id} is not frozen")
    return None if terminal.conflicts == document["conflicts"] else f"{terminal.terminal_id} has shown more conflicts since"


def apply_release(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> None:
    """Its events are taken again."""
    release(connection, document["terminal_id"], conflicts=document["conflicts"])
