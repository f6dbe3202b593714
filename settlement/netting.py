"""From obligations to few payments whose sums equal the net positions exactly. Pure.

The same input in any order gives the same output in the same order.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import Form, Netting
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


def fewest(positions: Iterable[NetPosition]) -> list[Payment]:
    """Payments from debtors to creditors, as few as can be where at most 12 parties of a currency have a position.

    Parties fall into groups that sum to zero each, as many as possible; a group of n pays n - 1 times, and no way of paying needs
    fewer, since whoever is joined by payments sums to zero. Beyond 12 parties they are one group: at most parties - 1 payments.
    Raises BooksBroken if the positions do not sum to zero.
    """
    payments = []
    for members in _by_currency(positions).values():
        owing = [position for position in members if position.amount]
        for group in _groups(owing) if len(owing) <= EXACT_PARTIES_MAX else [owing]:
            payments.extend(partner_to_partner(group))
    return sorted(payments)


def payments_of(debts: Iterable[Payment], netting: Netting, form: Form) -> list[Payment]:
    """Who pays whom for debts between pairs: as netted, and directly or with the operator in the middle. Ordered by key.

    Gross pays each direction of a pair by itself, bilateral what is left of a pair, multilateral what is left of a party.
    """
    owed: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for debt in debts:
        owed[debt.currency, debt.debtor_id, debt.creditor_id] += debt.amount
    pairs = [Payment(*key, amount) for key, amount in owed.items() if amount]
    if netting is Netting.MULTILATERAL:
        positions = positions_of(pairs)
        return fewest(positions) if form is Form.PARTNER_TO_PARTNER else through_operator(positions)
    if netting is Netting.BILATERAL:
        pairs = [
            Payment(currency, debtor, creditor, amount - back)
            for (currency, debtor, creditor), amount in owed.items()
            if amount > (back := owed.get((currency, creditor, debtor), 0))
        ]
    return sorted(pairs if form is Form.PARTNER_TO_PARTNER else _in_the_middle(pairs))


def debts_of(obligations: Iterable[Obligation]) -> list[Payment]:
    """The lines of others than oneself that are not zero, as debts."""
    return [
        Payment(line.currency, line.payer_id, line.payee_id, line.amount)
        for line in obligations
        if line.amount and not line.is_own
    ]


def positions_of(payments: Iterable[Payment]) -> list[NetPosition]:
    """What payments leave each party with."""
    amounts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for payment in payments:
        amounts[payment.currency, payment.debtor_id] -= payment.amount
        amounts[payment.currency, payment.creditor_id] += payment.amount
    return sorted(NetPosition(currency, party, amount) for (currency, party), amount in amounts.items())


EXACT_PARTIES_MAX = 12  # the search is 2^n: 4,096 sums, in milliseconds


def _groups(owing: Sequence[NetPosition]) -> list[list[NetPosition]]:
    """As many groups as possible that each sum to zero; the first found in the order of the parties."""
    size = len(owing)
    sums, most, last = [0] * (1 << size), [0] * (1 << size), [0] * (1 << size)
    for chosen in range(1, 1 << size):
        lowest = (chosen & -chosen).bit_length() - 1
        sums[chosen] = sums[chosen & (chosen - 1)] + owing[lowest].amount
        # Whichever party is added last: what it leaves behind has as many whole groups as the best order gives.
        most[chosen], last[chosen] = max((most[chosen & ~(1 << n)], -n) for n in range(size) if chosen >> n & 1)
        most[chosen] += sums[chosen] == 0
    groups: list[list[NetPosition]] = [[]]
    left = (1 << size) - 1
    while left:
        if sums[left] == 0 and groups[-1]:
            groups.append([])
        member = -last[left]
        groups[-1].append(owing[member])
        left &= ~(1 << member)
    return groups


def _in_the_middle(pairs: Iterable[Payment]) -> list[Payment]:
    """Each party's debts in one payment to the operator, and its claims in one from it."""
    sums: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for pair in pairs:
        if pair.debtor_id != OPERATOR:
            sums[pair.currency, pair.debtor_id, OPERATOR] += pair.amount
        if pair.creditor_id != OPERATOR:
            sums[pair.currency, OPERATOR, pair.creditor_id] += pair.amount
    return [Payment(*key, amount) for key, amount in sums.items()]


def _by_currency(positions: Iterable[NetPosition]) -> dict[str, list[NetPosition]]:
    found: defaultdict[str, list[NetPosition]] = defaultdict(list)
    for position in positions:
        found[position.currency].append(position)
    for currency, members in found.items():
        total = sum(position.amount for position in members)
        if total:
            raise BooksBroken(f"net positions in {currency} sum to {total}, not to zero")
    return dict(sorted(found.items()))
