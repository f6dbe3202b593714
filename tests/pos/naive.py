"""Each household's final balance, computed from the file and the rule of docs/replay.md alone. Knows nothing of the ledger.

    python tests/pos/naive.py FILE BALANCES.csv PARTNER=POINTS/USD:CENTS_A_POINT... [--anchor PARTNER]

compares with what `tallystick pos replay FILE --balances-out BALANCES.csv` wrote.
"""

import csv
import gzip
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

REDEEM_MILLIONTHS, RETURN_MILLIONTHS = 200_000, 160_000


def digits(text: str, start: int = 0) -> int:
    """Four bytes of the text's SHA-256, from `start`, as a number."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[start : start + 4], "big")


def cents(text: str) -> int:
    """Reads dollars."""
    whole, _, rest = text.partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0"))


def partner_of(store: str, partners: list[str], anchor: str | None) -> str:
    """By hash; half of the stores are the anchor's."""
    number, others = digits(f"store:{store}"), [one for one in partners if one != anchor]
    if anchor is None:
        return partners[number % len(partners)]
    return others[number // 2 % len(others)] if number % 2 else anchor


def balances(
    lines: Iterable[str], rates: dict[str, tuple[int, int, int]], anchor: str | None = None, seed: int = 7
) -> dict[str, int]:
    """`rates`: partner → (points, per so many dollars, millionths of a cent a point is worth)."""
    households: dict[str, list[dict[str, str]]] = {}
    final = {}
    for row in sorted(csv.DictReader(lines), key=lambda row: row["occurred_at_utc"][:10]):
        households.setdefault(row["household_id"], []).append(row)
    for household, rows in households.items():
        balance, due = 0, list[tuple[int, int]]()
        for i, row in enumerate(rows):
            draws = [digits(f"{seed}:{row['basket_id']}", start) for start in (0, 4, 8, 12)]
            points, dollars, worth = rates[partner_of(row["store_id"], sorted(rates), anchor)]
            eligible = max(cents(row["sales_usd"]) - cents(row["coupon_usd"]), 0)
            redeemed, paid, limit = 0, eligible, eligible // 2
            if draws[0] % 1_000_000 < REDEEM_MILLIONTHS and balance > 0 and limit > 0:
                redeemed = min(-(-limit * 1_000_000 // worth), balance)
                paid -= min(limit, redeemed * worth // 1_000_000)
            issued = paid * points // (dollars * 100)
            balance += issued - redeemed
            if draws[1] % 1_000_000 < RETURN_MILLIONTHS and eligible:
                rest = eligible + -eligible * (draws[2] % 4 + 1) // 4
                restored = redeemed + -redeemed * rest // eligible
                taken = issued - paid * rest // eligible * points // (dollars * 100)
                due.append((min(i + draws[3] % 4, len(rows) - 1), taken - restored))
            balance -= sum(lost for when, lost in due if when == i)
        final[household] = balance
    return final


if __name__ == "__main__":
    file, answers, *pairs = sys.argv[1:]
    anchor = pairs.pop() if "--anchor" in pairs else None
    rates = {}
    for pair in pairs:
        if pair != "--anchor":
            partner, _, terms = pair.partition("=")
            rate, _, worth = terms.partition(":")
            points, _, dollars = rate.partition("/")
            rates[partner] = (int(points), int(dollars or 1), cents(worth) * 10_000)
    with (gzip.open if file.endswith(".gz") else open)(file, "rt") as lines:
        computed = balances(lines, rates, anchor)
    told = {row["household_id"]: int(row["balance_points"]) for row in csv.DictReader(Path(answers).read_text().splitlines())}
    wrong = [one for one in computed.keys() | told.keys() if computed.get(one) != told.get(one)]
    sys.stdout.write(f"{len(computed)} households, {len(wrong)} differ, {sum(computed.values())} points in all\n")
    sys.exit(bool(wrong))
