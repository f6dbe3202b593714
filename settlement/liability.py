"""The roll-forward of points: what was open, what came, what went, what is open; by issuer, expiry month and price. Pure.

A debt belongs to the lot whose reversal made it, so what is open in a place is its open lots less the debts of its lots. Where
another lot stands in for one that was reversed, its place gives (substituted, negative) and that of the reversed one gets.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken

SIGNS = {
    "issued": 1,
    "reversed": -1,
    "redeemed": -1,
    "restored": 1,
    "expired": -1,
    "substituted": 1,
    "transferred_in": 1,
    "transferred_out": -1,
}
"""The columns between opening and closing, and whether they add to what is open."""


class Place(NamedTuple):
    """Where a lot belongs. `expiry_month` is YYYY-MM, the price in millionths of a minor unit of `currency` per point.

    `estimate` numbers the issuer's breakage estimates by date: the one in force when the points were issued; -1: none.
    """

    issuer_id: str
    expiry_month: str
    currency: str
    price_micros: int
    estimate: int = -1

    @property
    def group(self) -> tuple[str, str, str]:
        """The line of the roll-forward that it belongs to."""
        return self.issuer_id, self.expiry_month, self.currency


Open = Counter[Place]
"""Open lots less debt, by place; what is zero may be missing."""


@dataclass(slots=True)
class Movements:
    """What moved up to some point of the books, or between two of them.

    `points` by place and column. `sales`: amounts of goods that points of a place came with, less what was returned, in
    minor units. `redeemed_at` by redeemer, less what was restored; `reimbursed_micros` the same by issuer and currency.
    """

    points: Counter[tuple[Place, str]] = field(default_factory=Counter)
    sales: Counter[Place] = field(default_factory=Counter)
    redeemed_at: Counter[str] = field(default_factory=Counter)
    reimbursed_micros: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take(self, kind: PostingKind, points: int, *, own: Place | None, cause: Place | None) -> None:
        """A posting of a lot in `own`, on account of one in `cause`."""
        for place, column, moved in _effects(kind, points, own=own, cause=cause):
            self.points[place, column] += moved

    def __add__(self, other: "Movements") -> "Movements":
        """Both, one after the other."""
        whole = Movements()
        for one in (self, other):
            whole.points.update(one.points)
            whole.sales.update(one.sales)
            whole.redeemed_at.update(one.redeemed_at)
            whole.reimbursed_micros.update(one.reimbursed_micros)
        return whole

    def open_points(self) -> Open:
        """What they leave open."""
        found: Open = Counter()
        for (place, column), moved in self.points.items():
            found[place] += SIGNS[column] * moved
        return found


@dataclass(frozen=True, slots=True)
class RollForward:
    """A line: `columns` between opening and closing points, and what both are worth at issue prices, in micros."""

    issuer_id: str
    expiry_month: str
    currency: str
    opening_points: int
    columns: Mapping[str, int]
    closing_points: int
    opening_value_micros: int
    closing_value_micros: int


def roll_forward(before: Movements, within: Movements) -> list[RollForward]:
    """A line for each issuer, expiry month and currency in which anything was open or moved, in this order."""
    opening, closing = before.open_points(), (before + within).open_points()
    columns: dict[tuple[str, str, str], Counter[str]] = {}
    for (place, column), moved in within.points.items():
        columns.setdefault(place.group, Counter())[column] += moved
    opened, closed = _by_group(opening), _by_group(closing)
    none: Counter[str] = Counter()
    lines = []
    for group in sorted({*columns, *opened, *closed}):
        moved_here = columns.get(group, none)
        (opening_points, opening_micros), (closing_points, closing_micros) = opened.get(group, (0, 0)), closed.get(group, (0, 0))
        if opening_points or closing_points or opening_micros or closing_micros or any(moved_here.values()):
            named = {column: moved_here[column] for column in SIGNS}
            lines.append(RollForward(*group, opening_points, named, closing_points, opening_micros, closing_micros))
    return lines


def prove(before: Movements, within: Movements, found: Open) -> None:
    """Raises BooksBroken unless the postings lead to what is open, place by place, and nothing was lost on its way.

    `found`: open lots less debts, as the running values of the books say at the end of `within`.
    """
    rolled = (before + within).open_points()
    for place in sorted({*rolled, *found}):
        if rolled[place] != found[place]:
            raise BooksBroken(
                f"points of {place.issuer_id} that expire in {place.expiry_month}, at {place.price_micros} micros of "
                f"{place.currency}: the postings lead to {rolled[place]}, open lots less debt are {found[place]}; "
                f"run 'tallystick audit --full'"
            )
    for movements in (before, within):
        _prove_moves(movements)


def by_expiry_month(found: Open) -> dict[tuple[str, str], tuple[int, int]]:
    """Points, and their value at issue prices in micros, by currency and expiry month, all issuers together; ordered."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for place, points in found.items():
        so_far, value_micros = sums.get((place.currency, place.expiry_month), (0, 0))
        sums[place.currency, place.expiry_month] = so_far + points, value_micros + points * place.price_micros
    return {key: sums[key] for key in sorted(sums) if sums[key] != (0, 0)}


def _effects(kind: PostingKind, points: int, *, own: Place | None, cause: Place | None) -> Iterator[tuple[Place, str, int]]:
    if kind in _OF_LOT:
        assert own is not None, "such a posting names its lot"
        column, sign = _OF_LOT[kind]
        yield own, column, sign * points
    if kind in _OF_CAUSE:
        assert cause is not None, "such a posting names the lot that was reversed"
        column, sign = _OF_CAUSE[kind]
        yield cause, column, sign * points
    if kind in _STANDS_IN and own != cause:
        assert own is not None, "something stands in"
        assert cause is not None, "for something"
        yield own, "substituted", -points
        yield cause, "substituted", points


# What a posting does where its lot belongs, and where the lot belongs whose reversal it is about.
_OF_LOT = {
    PostingKind.ISSUE: ("issued", 1),
    PostingKind.REDEEM: ("redeemed", 1),
    PostingKind.RESTORE: ("restored", 1),
    PostingKind.EXPIRE: ("expired", 1),
    PostingKind.EXPIRY_UNDONE: ("expired", -1),
    PostingKind.TRANSFER_OUT: ("transferred_out", 1),
    PostingKind.TRANSFER_IN: ("transferred_in", 1),
}
_OF_CAUSE = {
    PostingKind.CLAWBACK: ("reversed", 1),
    PostingKind.CLAWBACK_TO_DEBT: ("reversed", 1),
    PostingKind.DEBT_OUT: ("transferred_out", -1),
    PostingKind.DEBT_IN: ("transferred_in", -1),
}
_STANDS_IN = (PostingKind.CLAWBACK, PostingKind.DEBT_PAID)
NAMES_CAUSE = frozenset({*_OF_CAUSE, *_STANDS_IN})
"""Kinds of postings that are about a reversed lot."""
COUNTED = NAMES_CAUSE | _OF_LOT.keys()
"""Kinds of postings that the roll-forward counts: the others leave what is open as it is."""


def _by_group(opened: Open) -> dict[tuple[str, str, str], tuple[int, int]]:
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for place, points in opened.items():
        so_far, value_micros = sums.get(place.group, (0, 0))
        sums[place.group] = so_far + points, value_micros + points * place.price_micros
    return sums


def _prove_moves(movements: Movements) -> None:
    """What one member gives another one gets, from the same place to the same; what stands in, stands in for something."""
    moved: Counter[Place] = Counter()
    substituted = 0
    for (place, column), points in movements.points.items():
        if column in {"transferred_in", "transferred_out"}:
            moved[place] += SIGNS[column] * points
        substituted += points if column == "substituted" else 0
    for place, points in moved.items():
        if points:
            raise BooksBroken(f"points of {place.issuer_id}, {place.expiry_month}: {points} were transferred from or to nobody")
    if substituted:
        raise BooksBroken(f"substitutions sum to {substituted}, not to nothing")


def columns_of(lines: Iterable[RollForward]) -> dict[str, int]:
    """The columns of lines, summed up."""
    sums = dict.fromkeys(SIGNS, 0)
    for line in lines:
        for column, moved in line.columns.items():
            sums[column] += moved
    return sums
