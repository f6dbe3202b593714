"""From obligations to few payments whose sums equal the net positions exactly. Pure.

The same input in any order gives the same output in the same order.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from settlement.obligation import Obligation


@dataclass(frozen=True, slots=True, order=True)
class NetPosition:
    """What a party receives in all (positive) or pays (negative), in minor units."""

    currency: str
    party_id: str
    amount: int


@dataclass(frozen=True, slots=True, order=True)
class Payment:
    """Money that is to move, in minor units; above zero."""

    currency: str
    debtor_id: str
    creditor_id: str
    amount: int


def net_positions(obligations: Iterable[Obligation]) -> list[NetPosition]:
    """The position of every party that has a line, also where it is zero. Sums to zero in each currency."""
    amounts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for line in obligations:
        amounts[line.currency, line.payer_id] -= line.amount
        amounts[line.currency, line.payee_id] += line.amount
    return sorted(NetPosition(currency, party, amount) for (currency, party), amount in amounts.items())


def bilateral(obligations: Iterable[Obligation]) -> list[Payment]:
    """Each pair's debts set off against each other: at most one payment for a pair and currency."""
    owed: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for line in obligations:
        first, second = sorted((line.payer_id, line.payee_id))
        owed[line.currency, first, second] += line.amount if line.payer_id == first else -line.amount
    return sorted(
        Payment(currency, first, second, amount) if amount > 0 else Payment(currency, second, first, -amount)
        for (currency, first, second), amount in owed.items()
        if amount and first != second
    )


def partner_to_partner(positions: Iterable[NetPosition]) -> list[Payment]:
    """The largest debtor pays the largest creditor, again and again: each payment ends at least one of the two.

    Hence at most parties - 1 payments in a currency. Ties go by id. Raises BooksBroken if the positions do not sum to zero.
    """
    payments = []
    for currency, members in _by_currency(positions).items():
        debtors = [(p.amount, p.party_id) for p in members if p.amount < 0]
        creditors = [(-p.amount, p.party_id) for p in members if p.amount > 0]
        heapq.heapify(debtors)
        heapq.heapify(creditors)
        while debtors:
            debt, debtor_id = heapq.heappop(debtors)
            claim, creditor_id = heapq.heappop(creditors)
            amount = min(-debt, -claim)
            payments.append(Payment(currency, debtor_id, creditor_id, amount))
            if debt + amount:
                heapq.heappush(debtors, (debt + amount, debtor_id))
            if claim + amount:
                heapq.heappush(creditors, (claim + amount, creditor_id))
    return sorted(payments)


def through_operator(positions: Iterable[NetPosition]) -> list[Payment]:
    """Debtors pay the operator, and it pays the creditors: one payment for each position that is not zero.

    The operator is a party here, so these too are at most parties - 1. Raises BooksBroken if they do not sum to zero.
    """
    return sorted(
        Payment(p.currency, p.party_id, OPERATOR, -p.amount)
        if p.amount < 0
        else Payment(p.currency, OPERATOR, p.party_id, p.amount)
        for members in _by_currency(positions).values()
        for p in members
        if p.amount and p.party_id != OPERATOR
    )


FORMS = {"partner-to-partner": partner_to_partner, "through-operator": through_operator}


def _by_currency(positions: Iterable[NetPosition]) -> dict[str, list[NetPosition]]:
    found: defaultdict[str, list[NetPosition]] = defaultdict(list)
    for position in positions:
        found[position.currency].append(position)
    for currency, members in found.items():
        total = sum(position.amount for position in members)
        if total:
            raise BooksBroken(f"net positions in {currency} sum to {total}, not to zero")
    return dict(sorted(found.items()))
