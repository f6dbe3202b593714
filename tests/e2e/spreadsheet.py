"""Nets as a finance team works them out in a spreadsheet: from files of entries, rate cards and windows, and nothing else.

Sum up points by window, issuer, redeemer and card; times the redeemer's reimbursement rate; round half to even, once.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import NamedTuple

ENTRIES = ("partner_id", "entry_id", "kind", "business_date", "lane", "sequence", "card", "issuer_id", "points")
CARDS = ("partner_id", "card", "effective_from", "cents_a_point", "currency")
WINDOWS = ("window_id", "lane", "first", "last")


class Pair(NamedTuple):
    """A line of the spreadsheet: what an issuer owes a redeemer in a window at one card; negative: the other way round."""

    window_id: int
    issuer_id: str
    redeemer_id: str
    card: int


def write(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A file with a header."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])


def owed(folder: Path, partner_id: str = "*") -> dict[Pair, int]:
    """Cents by pair, rounded once."""
    return {pair: int(cents.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)) for pair, cents in exact(folder, partner_id).items()}


def exact(folder: Path, partner_id: str = "*") -> dict[Pair, Decimal]:
    """Cents by pair, as the entries of a partner's file say, or those of all; pairs at zero points left out."""
    points: Counter[Pair] = Counter()
    windows = _read(folder / "windows.csv")
    for file in sorted(folder.glob(f"{partner_id}.entries.csv")):
        for row in _read(file):
            points[Pair(_window_of(row, windows), row["issuer_id"], row["partner_id"], int(row["card"]))] += int(row["points"])
    prices = {(row["partner_id"], int(row["card"])): Decimal(row["cents_a_point"]) for row in _read(folder / "rate_cards.csv")}
    return {pair: sum_ * prices[pair.redeemer_id, pair.card] for pair, sum_ in points.items() if sum_}


def nets(pairs: dict[Pair, int]) -> dict[int, dict[str, int]]:
    """By window and partner: what it receives (positive) or pays. What a partner owes itself drops out."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for pair, cents in pairs.items():
        found[pair.window_id][pair.redeemer_id] += cents
        found[pair.window_id][pair.issuer_id] -= cents
    return {window_id: dict(some) for window_id, some in found.items()}


def _window_of(row: dict[str, str], windows: list[dict[str, str]]) -> int:
    lane, sequence = row["lane"], int(row["sequence"])
    return next(int(w["window_id"]) for w in windows if w["lane"] == lane and int(w["first"]) <= sequence <= int(w["last"]))


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))
