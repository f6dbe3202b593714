"""Who owes whom, before and after netting, as rows for a terminal and as a text file. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.units import format_amount
from gateway.domain.window import Window
from settlement.instruction import Instruction
from settlement.netting import NetPosition, bilateral
from settlement.obligation import Obligation
from settlement.text import table


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of the report; the columns at the indexes in `right` are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: frozenset[int]


def window_title(window: Window) -> str:
    """Names a window in a line."""
    when = f"cut off on {window.cut_off_date}: {window.entries} entries" if window.ranges else "so far"
    return f"Window {window.window_id}, {window.state}, {when}"


def sheets(
    *, obligations: Sequence[Obligation], positions: Sequence[NetPosition], instructions: Sequence[Instruction]
) -> list[Sheet]:
    """The report of a window: obligations, pairs, net positions, payments."""
    return [_gross(obligations), _pairs(obligations), _net(positions), _payments(instructions)]


def report_text(audience: str, window: Window, content: Sequence[Sheet]) -> str:
    """The report as a file."""
    head = f"Settlement of {audience}, window {window.window_id}, cut off on {window.cut_off_date}: {window.entries} entries\n"
    return head + "".join(f"\n{sheet.title}\n\n{_sheet_text(sheet)}" for sheet in content)


def windows_sheet(windows: Sequence[Window]) -> Sheet:
    """All windows, as given."""
    rows = [(str(w.window_id), w.state.value, w.cut_off_date or "-", str(w.entries) if w.ranges else "-") for w in windows]
    return Sheet("Settlement windows", ("window", "state", "cut off on", "entries"), rows, frozenset({0, 3}))


def _sheet_text(sheet: Sheet) -> str:
    return table(sheet.columns, sheet.rows, right=sheet.right) if sheet.rows else "Nothing.\n"


def _gross(obligations: Sequence[Obligation]) -> Sheet:
    rows = [
        (
            line.payer_id,
            line.payee_id,
            line.kind,
            str(line.rate_card_version),
            str(line.points),
            format_amount(line.amount, line.currency),
            line.currency,
            "own, drops out" if line.is_own else "",
        )
        for line in obligations
    ]
    for currency in sorted({line.currency for line in obligations}):
        gross = sum(line.amount for line in obligations if line.currency == currency and not line.is_own)
        rows.append(("all", "", "", "", "", format_amount(gross, currency), currency, "without own"))
    columns = ("pays", "receives", "for", "card", "points", "amount", "", "note")
    return Sheet("Before netting", columns, rows, frozenset({3, 4, 5}))


def _pairs(obligations: Sequence[Obligation]) -> Sheet:
    rows = [(p.debtor_id, p.creditor_id, format_amount(p.amount, p.currency), p.currency) for p in bilateral(obligations)]
    return Sheet("Pair by pair", ("pays", "receives", "amount", ""), rows, frozenset({2}))


def _net(positions: Sequence[NetPosition]) -> Sheet:
    rows = [(p.party_id, format_amount(p.amount, p.currency), p.currency) for p in positions]
    return Sheet("Net", ("party", "net (+ receives)", ""), rows, frozenset({1}))


def _payments(instructions: Sequence[Instruction]) -> Sheet:
    rows = [(i.debtor_id, i.creditor_id, format_amount(i.amount, i.currency), i.currency, i.instruction_id) for i in instructions]
    return Sheet("After netting", ("pays", "receives", "amount", "", "instruction"), rows, frozenset({2}))
