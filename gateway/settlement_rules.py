"""Settlement rules as operators decide them: a version holds from a cut-off on, and no window ever changes its own."""

from dataclasses import dataclass, fields, replace

from sqlalchemy import Connection, select, update

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import Document, settlement_rules_of, settlement_rules_plain
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.network import SettlementModel
from gateway.domain.settlement import Form, Netting, Schedule, check_rules
from gateway.domain.window import WindowState
from gateway.governance import Hand, Ruling, Rulings, propose
from gateway.storage.rules import insert_rules, load_rules
from gateway.storage.tables import windows
from gateway.storage.windows import entries_since_cut_off, lock_all_heads, open_window


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChange:
    """What new settlement rules say; None keeps what the last version says."""

    settlement_model: SettlementModel | None = None
    netting: Netting | None = None
    form: Form | None = None
    schedule: Schedule | None = None
    minimum_amount: int | None = None
    fixed_fee: int | None = None
    entry_fee_micros: int | None = None
    late_fee: int | None = None
    due_days: int | None = None
    alarm_percent: int | None = None


def propose_rules(connection: Connection, change: RulesChange, *, hand: Hand, now_ms: int) -> Decision:
    """Proposes the next version, for the open window where nothing is booked in it yet, else for the one after it.

    Raises InvalidValue; DecisionRefused with MODEL_IN_USE, UNKNOWN_OPERATOR or OPERATOR_KEY_MISMATCH.
    """
    last = load_rules(connection)[-1]
    changed = {field.name: value for field in fields(change) if (value := getattr(change, field.name)) is not None}
    first = first_window(connection)
    rules = check_rules(replace(last, version=last.version + 1, from_window=first, **changed))
    if settlement_rules_plain(rules) | _PLACE == settlement_rules_plain(last) | _PLACE:
        raise InvalidValue("these are the rules in force already: name what is to change")
    document: dict[str, Plain] = {"rules": settlement_rules_plain(rules)}
    return propose(connection, _RULINGS, DecisionKind.SETTLEMENT_RULES, document, hand=hand, now_ms=now_ms)


def first_window(connection: Connection) -> int:
    """From which window new rules hold: what is booked stays under the rules that it was booked under."""
    window_id = open_window(connection).window_id
    return window_id if entries_since_cut_off(connection) == 0 else window_id + 1


def _stale_because(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    rules = settlement_rules_of(document["rules"])
    lock_all_heads(connection)  # nothing is booked into the open window meanwhile
    known = load_rules(connection)
    if rules.version != known[-1].version + 1:
        return "the network has newer settlement rules than those that this document replaces: propose it anew"
    first = first_window(connection)
    if rules.from_window < first:
        return f"the rules would hold from window {rules.from_window}, which has entries by now: propose it anew"
    by_version = {one.version: one.settlement_model for one in known}
    query = select(windows.c.window_id, windows.c.rules_version).where(
        windows.c.state.not_in((WindowState.OPEN.value, WindowState.SETTLED.value))
    )
    unsettled = [
        window_id
        for window_id, version in connection.execute(query.order_by(windows.c.window_id))
        if by_version[version] is not rules.settlement_model
    ]
    if unsettled:
        raise DecisionRefused(
            "MODEL_IN_USE",
            f"window {unsettled[0]} was closed under another model than {rules.settlement_model} and is not settled yet"
            + (f", nor are {len(unsettled) - 1} more" if unsettled[1:] else ""),
        )
    return None


def _apply(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    rules = settlement_rules_of(document["rules"])
    insert_rules(connection, rules, decision_id)
    still_empty = windows.c.window_id == rules.from_window, windows.c.state == WindowState.OPEN.value
    connection.execute(update(windows).where(*still_empty).values(rules_version=rules.version))


_PLACE = {"version": 0, "from_window": 0}
SETTLEMENT_RULES_RULING = Ruling(_stale_because, _apply)
_RULINGS: Rulings = {DecisionKind.SETTLEMENT_RULES: SETTLEMENT_RULES_RULING}
