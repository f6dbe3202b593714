"""What the nights have published and stored, compared with what is worked out by hand; each difference in a sentence."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tests.given import ZONE
from tests.settlement.by_hand import WindowByHand
from tests.settlement.naive_liability import Key, columns, follow
from tests.settlement.naive_liability import Raw as MovedRows
from tests.settlement.raw_rows import Raw, card_on, load_rows


@dataclass
class Comparison:
    """What was compared, and what differs."""

    figures: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def expect(self, what: str, name: str, *, by_hand: Any, found: Any) -> None:
        """Counts a figure, and notes it where it differs."""
        self.figures[what] += 1
        if by_hand != found:
            self.differences.append(f"{what} {name}: by hand {by_hand!r}, found {found!r}")


def compare_windows(engine: Engine, papers: Path) -> Comparison:
    """All closed windows: lines, nets, payments, statements and the events behind them, byte for byte."""
    raw, comparison = load_rows(engine), Comparison()
    _compare_lots(raw, comparison)
    previous: dict[str, str] = {}
    left: dict[tuple[str, str], int] = {}
    for window_id in sorted(raw.ranges):
        worked_out = WindowByHand(raw, window_id)
        comparison.figures["entries"] += len(worked_out.entries)
        _compare_lines(engine, worked_out, comparison)
        left = _compare_payments(engine, worked_out, left, comparison)
        _compare_papers(papers / f"window-{window_id:04}", worked_out, previous, comparison)
    return comparison


def compare_liability(engine: Engine, reports: list[Any]) -> Comparison:
    """Reports of `settlement liability --json`: each line, each sum, and the last closing against open lots less debt."""
    raw, comparison = load_rows(engine), Comparison()
    moved = MovedRows(raw.entries, raw.postings, raw.lots)
    for report in reports:
        _compare_report(moved, report, comparison)
    _compare_open_points(engine, reports[-1], comparison)
    return comparison


def months(first: str, last: str) -> Iterator[tuple[str, str]]:
    """First and last days of the months that two dates span."""
    day = date.fromisoformat(first)
    while day <= (end := date.fromisoformat(last)):
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield day.isoformat(), min(following - timedelta(days=1), end).isoformat()
        day = following


def _compare_lots(raw: Raw, comparison: Comparison) -> None:
    """Each lot is worth what its issuer's card said on the day of the sale that issued its points, whoever has it now."""
    for lot_id, lot in raw.lots.items():
        entry, first = raw.origins[lot_id]
        card = card_on(raw, first.issuer_id, entry.business_date)
        by_hand = (first.issuer_id, card.version, card.issue_price_micros, card.currency, first.expires_on, entry.entry_id)
        found = (lot.issuer_id, lot.rate_card_version, lot.price_micros, lot.currency, lot.expires_on, lot.origin_entry_id)
        comparison.expect("lot", lot_id, by_hand=by_hand, found=found)


def _compare_lines(engine: Engine, worked_out: WindowByHand, comparison: Comparison) -> None:
    window_id = worked_out.window.window_id
    names = ("kind", "currency", "points", "amount_micros", "amount")
    rows = _rows(engine, "SELECT * FROM obligations WHERE window_id = :window_id", window_id=window_id)
    found = {
        (row.payer_id, row.payee_id, row.kind, row.rate_card_version, row.reference): [getattr(row, name) for name in names]
        for row in rows
    }
    by_hand = {line.key: [line.kind, line.currency, line.points, line.micros, line.amount] for line in worked_out.lines}
    for key in sorted(found.keys() | by_hand.keys()):
        comparison.expect("line", f"{window_id} {key}", by_hand=by_hand.get(key), found=found.get(key))
    nets = {
        (row.currency, row.party_id): row.amount
        for row in _rows(engine, "SELECT * FROM net_positions WHERE window_id = :window_id", window_id=window_id)
    }
    for net in sorted(nets.keys() | worked_out.nets().keys()):
        comparison.expect("net", f"{window_id} {net}", by_hand=worked_out.nets().get(net), found=nets.get(net))
    for currency in {currency for currency, _ in nets}:
        zero = sum(amount for (of, _), amount in nets.items() if of == currency)
        comparison.expect("sum of nets", f"{window_id} {currency}", by_hand=0, found=zero)


def _compare_payments(
    engine: Engine, worked_out: WindowByHand, before: dict[tuple[str, str], int], comparison: Comparison
) -> dict[tuple[str, str], int]:
    """Payments and what is carried on move exactly the nets and what was carried before. Answers what is carried on."""
    window_id = worked_out.window.window_id
    paid, left = (
        _moved_by(_rows(engine, f"SELECT * FROM {table} WHERE window_id = :window_id", window_id=window_id))
        for table in ("instructions", "carries")
    )
    nets = worked_out.nets()
    for key in sorted({*nets, *before, *paid, *left}):
        owed = nets.get(key, 0) + before.get(key, 0)
        comparison.expect("payment", f"{window_id} {key}", by_hand=owed, found=paid.get(key, 0) + left.get(key, 0))
    return left


def _moved_by(rows: list[Any]) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        found[row.currency, row.creditor_id] += row.amount
        found[row.currency, row.debtor_id] -= row.amount
    return dict(found)


def _compare_papers(folder: Path, worked_out: WindowByHand, previous: dict[str, str], comparison: Comparison) -> None:
    """`previous`: the hash of each partner's last statement; brought up to date."""
    written = sorted(file.name.removesuffix(".lines.csv") for file in folder.glob("*.lines.csv"))
    comparison.expect("partners", folder.name, by_hand=worked_out.partners(), found=written)
    for partner_id in worked_out.partners():
        by_hand = worked_out.statement(partner_id, previous.get(partner_id, ""))
        events = worked_out.events(partner_id)
        found = (folder / f"{partner_id}.json").read_bytes()
        comparison.expect("statement", f"{folder.name} {partner_id}", by_hand=by_hand, found=found)
        listed = (folder / f"{partner_id}.lines.csv").read_text("utf-8")
        comparison.expect("list of events", f"{folder.name} {partner_id}", by_hand=events, found=listed)
        comparison.figures["events"] += events.count("\n") - 1
        previous[partner_id] = hashlib.sha256(found).hexdigest()


def _compare_report(moved: MovedRows, report: Any, comparison: Comparison) -> None:
    first, last = report["from"], report["at"]
    opening = follow(moved.booked(ZONE, "", (date.fromisoformat(first) - timedelta(days=1)).isoformat())).sums(moved)
    closing = follow(moved.booked(ZONE, "", last)).sums(moved)
    within = columns(moved, moved.booked(ZONE, first, last))
    found = {(line["issuer_id"], line["expiry_month"], line["currency"]): line for line in report["roll_forward"]}
    by_hand = {
        key: _row(key, opening.get(key, (0, 0)), within.get(key, {}), closing.get(key, (0, 0)))
        for key in {*opening, *closing, *within}
    }
    for key in sorted(found.keys() | by_hand.keys()):
        comparison.expect("line of the roll-forward", f"{last} {key}", by_hand=by_hand.get(key), found=found.get(key))
    points = [name for name in _row(("", "", ""), (0, 0), {}, (0, 0)) if name.endswith("_points")]
    sums = {one["issuer_id"]: one for one in report["issuers"]}
    for issuer_id in sorted({key[0] for key in by_hand} | sums.keys()):
        of_issuer = {name: sum(row[name] for key, row in by_hand.items() if key[0] == issuer_id) for name in points}
        shown = {name: sums[issuer_id][name] for name in points}
        comparison.expect("issuer of the roll-forward", f"{last} {issuer_id}", by_hand=of_issuer, found=shown)
    whole = {name: sum(row[name] for row in by_hand.values()) for name in points}
    comparison.expect("roll-forward", last, by_hand=whole, found={name: report["network"][name] for name in points})
    comparison.expect("substitutions", last, by_hand=0, found=whole["substituted_points"])


def _row(key: Key, opening: tuple[int, int], moved: dict[str, int], closing: tuple[int, int]) -> dict[str, Any]:
    """As the report has it; what a debt owes makes a line smaller."""
    named = ("issued", "reversed", "redeemed", "restored", "expired", "substituted", "transferred_in", "transferred_out")
    signs = dict(zip(named, (1, -1, -1, 1, -1, 1, 1, -1), strict=True))
    columns_of = {name: moved.get(name, 0) for name in named}
    assert opening[0] + sum(signs[name] * points for name, points in columns_of.items()) == closing[0], key
    return {
        "issuer_id": key[0],
        "expiry_month": key[1],
        "currency": key[2],
        "opening_points": opening[0],
        **{f"{name}_points": points for name, points in columns_of.items()},
        "closing_points": closing[0],
        "opening_value_micros": opening[1],
        "opening_value": round(Fraction(opening[1], 1_000_000)),
        "closing_value_micros": closing[1],
        "closing_value": round(Fraction(closing[1], 1_000_000)),
    }


def _compare_open_points(engine: Engine, report: Any, comparison: Comparison) -> None:
    """What the books keep of each lot and each debt, against the last report's closing points, issuer by issuer."""
    opened: Counter[str] = Counter()
    for row in _rows(engine, "SELECT issuer_id, open_points FROM lots"):
        opened[row.issuer_id] += row.open_points
    for row in _rows(engine, "SELECT lots.issuer_id, debts.open_points FROM debts JOIN lots ON lots.lot_id = debts.cause_lot_id"):
        opened[row.issuer_id] -= row.open_points
    for one in report["issuers"]:
        comparison.expect("open lots less debt", one["issuer_id"], by_hand=opened[one["issuer_id"]], found=one["closing_points"])


def _rows(engine: Engine, query: str, **values: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(query), values))
