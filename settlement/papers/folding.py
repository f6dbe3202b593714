"""Which parties a picture names, and what it folds into one rest, so that 300 of them stay readable. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from settlement.papers.words import party

Pair = tuple[str, str]
"""Who pays, and who receives."""

REST = ""
"""Stands for all parties that are not named; no party is called so."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The parties that are named, largest first, and how many others the rest is; it comes last where there is any."""

    named: tuple[str, ...]
    others: int

    @property
    def shown(self) -> tuple[str, ...]:
        """Those that are named, and the rest."""
        return (*self.named, REST) if self.others else self.named

    def of(self, party_id: str) -> str:
        """The party itself, or the rest that it belongs to."""
        return party_id if party_id in self.named else REST

    def title(self, party_id: str) -> str:
        """What to call a party that is shown."""
        return party(party_id) if party_id != REST else f"{self.others} others"

    def pairs(self, amounts: Mapping[Pair, int]) -> dict[Pair, int]:
        """Amounts by pairs of parties that are shown, in their order."""
        sums: Counter[Pair] = Counter()
        for (payer, payee), amount in amounts.items():
            sums[self.of(payer), self.of(payee)] += amount
        return {(payer, payee): sums[payer, payee] for payer in self.shown for payee in self.shown if sums[payer, payee]}


def fold(sizes: Mapping[str, int], *, most: int) -> Folded:
    """The largest `most` parties by size, ties by id; a rest of a single party is named, too."""
    ordered = sorted(sizes, key=lambda party_id: (-sizes[party_id], party_id))
    named = ordered if len(ordered) <= most + 1 else ordered[:most]
    return Folded(tuple(named), len(ordered) - len(named))


def sides(amounts: Mapping[Pair, int]) -> tuple[Counter[str], Counter[str]]:
    """What each party pays, and what each receives."""
    pays: Counter[str] = Counter()
    receives: Counter[str] = Counter()
    for (payer, payee), amount in amounts.items():
        pays[payer] += amount
        receives[payee] += amount
    return pays, receives


def summed(pairs: Iterable[tuple[str, str, int]]) -> dict[Pair, int]:
    """Amounts by pair; what a party would pay itself is left out."""
    sums: Counter[Pair] = Counter()
    for payer, payee, amount in pairs:
        if payer != payee and amount:
            sums[payer, payee] += amount
    return dict(sums)
