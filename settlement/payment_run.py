"""Payment runs: which windows are paid for together, and what of their debts is paid now. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.domain.settlement import CarryReason, Schedule, SettlementRules
from gateway.domain.window import Window, WindowState
from settlement.netting import Payment, payments_of


@dataclass(frozen=True, slots=True)
class Carry:
    """What a debtor still owes a creditor, in minor units, and a payment run left for a later one.

    `window_id` names the run that left it, `brought_window_id` the one that took it; 0 while it waits.
    """

    window_id: int
    currency: str
    debtor_id: str
    creditor_id: str
    reason: CarryReason
    amount: int
    brought_window_id: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Who pays whom now, and what waits for a later run; both by key."""

    payments: Sequence[Payment]
    carried: Sequence[Carry]


def plan_run(
    window_id: int,
    debts: Iterable[Payment],
    brought: Iterable[Carry],
    rules: SettlementRules,
    disputed: Iterable[Payment] = (),
) -> Plan:
    """Nets the debts of a run's windows with what earlier runs left, and leaves payments below the minimum for a later one.

    What is `disputed` of these windows and of those before is held out of the same debtor's debts to the same creditor, and
    carried. Payments and what is carried together move the net positions exactly. `window_id` names
    the run.
    """
    held = list(disputed)
    owed = [*debts, *(Payment(one.currency, one.debtor_id, one.creditor_id, one.amount) for one in brought)]
    payments = payments_of(_without(held, owed), rules.netting, rules.form)
    return Plan(
        [payment for payment in payments if payment.amount >= rules.minimum_amount],
        [
            Carry(window_id, small.currency, small.debtor_id, small.creditor_id, CarryReason.MINIMUM, small.amount)
            for small in payments
            if small.amount < rules.minimum_amount
        ]
        + [Carry(window_id, one.currency, one.debtor_id, one.creditor_id, CarryReason.DISPUTE, one.amount) for one in held],
    )


def _without(held: Iterable[Payment], debts: Iterable[Payment]) -> list[Payment]:
    """Debts less what is held out of them; more than there is, since returns were set off in the same line, turns one round."""
    left: Counter[tuple[str, str, str]] = Counter()
    for sign, some in ((1, debts), (-1, held)):
        for one in some:
            left[one.currency, one.debtor_id, one.creditor_id] += sign * one.amount
    return [
        Payment(currency, debtor, creditor, amount) if amount > 0 else Payment(currency, creditor, debtor, -amount)
        for (currency, debtor, creditor), amount in left.items()
        if amount
    ]


def due_terms(unpaid: Sequence[tuple[Window, Schedule]], network_date: str) -> list[list[Window]]:
    """The windows of each term that has ended and is confirmed as a whole, oldest first; those before it first.

    `unpaid`: closed windows that no run has gathered, oldest first. Terms go by cut-off dates; one that is not over by
    `network_date`, or of which a window is not confirmed, holds back all later ones.
    """
    terms: list[tuple[str, list[Window]]] = []
    for window, schedule in unpaid:
        if schedule is Schedule.WINDOW:
            continue
        term = term_of(window.cut_off_date, schedule)
        follows = terms and terms[-1][0] == term and terms[-1][1][-1].window_id == window.window_id - 1
        if follows:
            terms[-1][1].append(window)
        else:
            terms.append((term, [window]))
    due = []
    for term, windows in terms:
        is_over = term_of(network_date, _schedule_of(term)) > term
        if not is_over or any(window.state is not WindowState.CONFIRMED for window in windows):
            break
        due.append(windows)
    return due


def term_of(on: str, schedule: Schedule) -> str:
    """The term of a date: its month as 2026-06, its week as 2026-W26 (ISO 8601, from Monday)."""
    if schedule is Schedule.WEEKLY:
        year, week, _ = date.fromisoformat(on).isocalendar()
        return f"{year:04}-W{week:02}"
    return on[:7]


def _schedule_of(term: str) -> Schedule:
    return Schedule.WEEKLY if "W" in term else Schedule.MONTHLY
