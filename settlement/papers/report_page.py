"""The operator's report of a window as a page. Pure: facts in, bytes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.window import Window
from settlement.instruction import Instruction
from settlement.netting import NetPosition, through_operator
from settlement.obligation import Obligation, Total
from settlement.papers.figure import Figure
from settlement.papers.folding import sides, summed
from settlement.papers.rendering import page
from settlement.papers.report_figures import (
    WindowSum,
    flows_figure,
    liability_figure,
    map_figure,
    points_figure,
    trend_figure,
)
from settlement.papers.words import MODELS, Names, count, money, party
from settlement.report import Sheet

_PAYMENTS_FIRST = 10
_EXPLAINED = 3  # of those that pay, and of those that receive


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What the report is made of. `liability`: points and micros of value by currency and expiry month, at the cut-off.

    `windows`: this one and those before it, oldest first. `instructions`: those that this window's payment run made.
    """

    audience: str
    model: str
    window: Window
    names: Names
    obligations: Sequence[Obligation]
    positions: Sequence[NetPosition]
    instructions: Sequence[Instruction]
    movements: Sequence[Total]
    liability: Mapping[tuple[str, str], tuple[int, int]]
    windows: Sequence[WindowSum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """All about one currency: a sentence, the facts in short, who pays whom, pictures, every partner, every payment."""

    currency: str
    headline: str
    facts: Sequence[tuple[str, str, str]]
    reasons: Sequence[str]
    first_payments: Sheet
    payments_note: str
    figures: Sequence[Figure]
    partners: Sheet
    payments: Sheet | None


def report_html(facts: ReportFacts) -> bytes:
    """The page. The same facts give the same bytes."""
    used = {line.currency for line in facts.obligations} | {i.currency for i in facts.instructions}
    currencies = sorted(used | {position.currency for position in facts.positions})
    owed_in = sorted({currency for currency, _ in facts.liability})
    points = points_figure(facts.movements) if facts.movements else None
    figures = [
        *([points] if points else []),
        *(
            liability_figure(currency, {month: sums for (own, month), sums in facts.liability.items() if own == currency})
            for currency in owed_in
        ),
        *(
            trend_figure(currency, sums)
            for currency in sorted({one.currency for one in facts.windows})
            if len(sums := [one for one in facts.windows if one.currency == currency]) > 1
        ),
    ]
    return page(
        "report.html",
        facts=facts,
        moneys=[_money(facts, currency) for currency in currencies],
        figures=figures,
        why=MODELS.get(facts.model, ""),
    )


def _money(facts: ReportFacts, currency: str) -> Money:
    lines = [line for line in facts.obligations if line.currency == currency]
    positions = [position for position in facts.positions if position.currency == currency]
    instructions = [one for one in facts.instructions if one.currency == currency]
    before = summed((line.payer_id, line.payee_id, line.amount) for line in lines)
    # Without payments of its own, a window's nets wait for the payment run of its term: the pictures show the nets.
    left = [(one.debtor_id, one.creditor_id, one.amount) for one in instructions or through_operator(positions)]
    after = summed(left)
    gross, net = sum(before.values()), sum(position.amount for position in positions if position.amount > 0)
    paid = sum(one.amount for one in instructions)
    first = "Payments" if len(instructions) <= _PAYMENTS_FIRST else f"The {_PAYMENTS_FIRST} largest payments"
    return Money(
        currency=currency,
        headline=_headline(currency, instructions, positions, debts=len(before)),
        facts=[
            (
                "owed before netting",
                f"{money(gross, currency)} {currency}",
                f"{count(len(before), 'debt')} of one party to another",
            ),
            ("left after netting", f"{money(net, currency)} {currency}", _of_positions(positions)),
            ("to be paid", f"{money(paid, currency)} {currency}", f"in {count(len(instructions), 'payment')}"),
        ],
        reasons=_reasons(currency, positions, sides(before)),
        first_payments=_payments_sheet(first, currency, sorted(instructions, key=lambda one: -one.amount)[:_PAYMENTS_FIRST]),
        payments_note=_payments_note(currency, instructions),
        figures=[flows_figure(currency, before, after, is_due=bool(instructions)), map_figure(currency, lines)] if before else [],
        partners=_partners_sheet(currency, facts.names, before=sides(before), positions=positions),
        payments=_payments_sheet("All payments", currency, instructions) if len(instructions) > _PAYMENTS_FIRST else None,
    )


def _headline(currency: str, instructions: Sequence[Instruction], positions: Sequence[NetPosition], *, debts: int) -> str:
    if instructions:
        settled = (
            f"{count(len(instructions), 'payment settles', 'payments settle')} {count(debts, 'debt')}"
            if debts
            else (f"{count(len(instructions), 'payment is', 'payments are')} due")
        )
        return f"{settled} in {currency}."
    if any(position.amount for position in positions):
        return f"No payment is due in {currency} yet: what this window leaves goes into the payment run of its term."
    return f"Nobody owes anybody anything in {currency}."


def _reasons(currency: str, positions: Sequence[NetPosition], before: tuple[Mapping[str, int], Mapping[str, int]]) -> list[str]:
    """Why the largest debtors pay and the largest creditors receive, in a sentence for each."""
    owes, is_owed = before
    by_size = sorted(positions, key=lambda one: (one.amount, one.party_id))
    largest = [one for one in by_size[:_EXPLAINED] if one.amount < 0] + [
        one for one in by_size[::-1][:_EXPLAINED] if one.amount > 0
    ]
    return [
        f"{party(one.party_id)} {'pays' if one.amount < 0 else 'receives'} {money(abs(one.amount), currency)} {currency}: "
        f"it owes {money(owes[one.party_id], currency)} and is owed {money(is_owed[one.party_id], currency)}."
        for one in largest
    ]


def _of_positions(positions: Sequence[NetPosition]) -> str:
    pay = sum(1 for position in positions if position.amount < 0)
    receive = sum(1 for position in positions if position.amount > 0)
    return f"{count(pay, 'party pays', 'parties pay')}, {count(receive, 'receives', 'receive')}"


def _payments_sheet(title: str, currency: str, instructions: Sequence[Instruction]) -> Sheet:
    rows = [
        (party(one.debtor_id), party(one.creditor_id), money(one.amount, currency), one.instruction_id) for one in instructions
    ]
    return Sheet(title, ("pays", "receives", currency, "reference"), rows, frozenset({2}))


def _payments_note(currency: str, instructions: Sequence[Instruction]) -> str:
    others = sorted(instructions, key=lambda one: -one.amount)[_PAYMENTS_FIRST:]
    if not others:
        return ""
    rest = money(sum(one.amount for one in others), currency)
    return f"{len(others)} more payments with {rest} {currency} are in the list of all payments at the end."


def _partners_sheet(
    currency: str,
    names: Names,
    *,
    before: tuple[Mapping[str, int], Mapping[str, int]],
    positions: Sequence[NetPosition],
) -> Sheet:
    pays, receives = before
    rows = [
        (
            party(one.party_id),
            names.get(one.party_id, ""),
            money(pays[one.party_id], currency),
            money(receives[one.party_id], currency),
            "pays" if one.amount < 0 else "receives" if one.amount > 0 else "nothing",
            money(abs(one.amount), currency),
        )
        for one in positions
    ]
    gross = money(sum(pays.values()), currency)
    net = money(sum(one.amount for one in positions if one.amount > 0), currency)
    rows.append(("all", "", gross, gross, "in all", net))
    columns = ("party", "name", "owes before", "is owed before", "after netting", currency)
    return Sheet(f"Every party, in {currency}", columns, rows, frozenset({2, 3, 5}))
