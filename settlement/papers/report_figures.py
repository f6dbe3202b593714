"""The pictures of the operator's report, each with its table. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.entry import PostingKind
from gateway.domain.units import MICROS, div_half_even
from settlement.obligation import Obligation, Total
from settlement.papers.bars import Bar, bars
from settlement.papers.figure import Figure
from settlement.papers.flows import flows
from settlement.papers.folding import REST, Folded, Pair, fold, sides, summed
from settlement.papers.heat_map import heat_map
from settlement.papers.trend import Point, trend
from settlement.papers.words import count, money, reason
from settlement.report import Sheet

_NAMED_IN_MAP = 6
_NAMED_IN_FLOWS = 6
_NAMED_IN_BARS = 8
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class WindowSum:
    """What a window came to in a currency, in minor units: owed between different parties, and left after netting."""

    window_id: int
    cut_off_date: str
    currency: str
    gross: int
    net: int


def flows_figure(currency: str, before: Mapping[Pair, int], after: Mapping[Pair, int], *, is_due: bool) -> Figure:
    """Debts before netting, and what moves after it. `is_due`: payments of this window; else what it adds to a later run."""
    folded = fold(_sizes(before, after), most=_NAMED_IN_FLOWS)
    both = folded.pairs(before), folded.pairs(after)
    sums = [sides(amounts) for amounts in both]
    tallest = max((amount for side in sums for counter in side for amount in counter.values()), default=0)
    gross, net = sum(before.values()), sum(after.values())
    words = ("Before netting", "After netting")
    rows = [
        (folded.title(party), *(_money_or_dash(counter[party], currency) for side in sums for counter in side))
        for party in folded.shown
    ]
    rows.append(("all", *(money(amount, currency) for amount in (gross, gross, net, net))))
    return Figure(
        name=f"flows-{currency.lower()}",
        title="Before and after netting",
        lead=f"What partners owe each other is set off: {money(gross, currency)} {currency} owed become "
        f"{money(net, currency)} {currency} that {'move' if is_due else 'are left'}.",
        pictures=[
            flows(f"flow-{number}-{currency.lower()}", folded, amounts, currency, title=title, total=total, tallest=tallest)
            for number, (title, amounts, total) in enumerate(zip(words, both, (gross, net), strict=True))
        ],
        sheet=Sheet(
            f"Before and after netting, in {currency}",
            ("party", "owes before", "is owed before", "pays after", "receives after"),
            rows,
            frozenset({1, 2, 3, 4}),
        ),
        notes=_folded_notes(folded, owes=True),
    )


def map_figure(currency: str, lines: Sequence[Obligation]) -> Figure:
    """Who owes whom before netting, and what for."""
    before = summed((line.payer_id, line.payee_id, line.amount) for line in lines)
    folded = fold(_sizes(before), most=_NAMED_IN_MAP)
    amounts = folded.pairs(before)
    reasons: dict[Pair, Counter[str]] = {}
    for line in lines:
        if not line.is_own:
            pair = folded.of(line.payer_id), folded.of(line.payee_id)
            reasons.setdefault(pair, Counter())[line.kind] += line.points
    rows = [
        (folded.title(payer), folded.title(payee), money(amount, currency), _what_for(reasons[payer, payee]))
        for (payer, payee), amount in amounts.items()
    ]
    rows.append(("all", "", money(sum(before.values()), currency), ""))
    own = sum(line.amount for line in lines if line.is_own)
    dropped = (
        f"Partners' own points at their own tills, {money(own, currency)} {currency}, are owed by nobody to anybody and left out."
    )
    return Figure(
        name=f"map-{currency.lower()}",
        title="Who owes whom, and what for",
        lead="Each row pays, each column receives; the stronger a colour, the more. This is before anything is set off.",
        pictures=[heat_map(f"map-{currency.lower()}-picture", folded, amounts, currency)],
        sheet=Sheet(
            f"Debts before netting, in {currency}", ("pays", "receives", f"{currency}", "what for"), rows, frozenset({2})
        ),
        notes=[*([dropped] if own else []), *_folded_notes(folded, picture="has no colour", owes=True)],
        is_wide=True,
    )


def points_figure(movements: Sequence[Total]) -> Figure:
    """Points issued by each partner and redeemed at each, with what was taken back of both."""
    columns: dict[PostingKind, Counter[str]] = {kind: Counter() for kind in _POINT_COLUMNS}
    for total in movements:
        kind = PostingKind.CLAWBACK if total.kind is PostingKind.CLAWBACK_TO_DEBT else total.kind
        if kind is PostingKind.EXPIRY_UNDONE:
            columns[PostingKind.EXPIRE][total.issuer_id] -= total.points
        elif kind in columns:
            # A lot's issuer gave its points out; its counterparty is where they were redeemed, or taken back.
            party = total.issuer_id if kind is PostingKind.ISSUE else total.counterparty_id
            columns[kind][party] += total.points
    sizes = columns[PostingKind.ISSUE] + columns[PostingKind.REDEEM]
    folded = fold(Counter({party: sizes[party] for counter in columns.values() for party in counter}), most=_NAMED_IN_BARS)
    shown = {kind: _by_shown(folded, counter) for kind, counter in columns.items()}
    rows = [(folded.title(party), *(f"{shown[kind][party]:,}" for kind in _POINT_COLUMNS)) for party in folded.shown]
    totals = [sum(columns[kind].values()) for kind in _POINT_COLUMNS]
    rows.append(("all", *(f"{total:,}" for total in totals)))
    picture = bars(
        "points-picture",
        [
            Bar(
                folded.title(party),
                # As long as all others together, its bar would leave nothing to see of the named ones.
                tuple(0 if party == REST else shown[kind][party] for kind in _POINT_BARS),
                tuple(f"{shown[kind][party]:,}" for kind in _POINT_BARS),
            )
            for party in folded.shown
        ],
        title="Points issued and redeemed by partner",
        text="Two bars for each partner. The table beside it has every number.",
        series={"issued": "pays", "redeemed": "receives"},  # who issues will owe, who redeems is owed
    )
    return Figure(
        name="points",
        title="Points issued and redeemed",
        lead=f"{count(totals[0], 'point was', 'points were')} issued and {count(totals[2], 'point', 'points')} redeemed.",
        pictures=[picture],
        sheet=Sheet("Points by partner", ("partner", *_POINT_COLUMNS.values()), rows, frozenset({1, 2, 3, 4, 5})),
        notes=[
            "Issued and expired count for the partner whose points they are, the others for the one at whose tills it happened.",
            "Issued, less taken back, redeemed and expired, with what was given back: by so many the open points grew.",
            *_folded_notes(folded, picture="has no bar"),
        ],
    )


def liability_figure(currency: str, months: Mapping[str, tuple[int, int]]) -> Figure:
    """Open points by the month in which they expire: points, and micros of what they are worth at issue price."""
    early = sorted(months)[:_MONTHS] if len(months) > _MONTHS + 1 else sorted(months)
    later = [month for month in sorted(months) if month not in early]
    named = [(month, *months[month]) for month in early]
    if later:
        named.append((f"later, to {later[-1]}", sum(months[m][0] for m in later), sum(months[m][1] for m in later)))
    # Each line and the sum are rounded by themselves, from the exact value.
    values = [(name, points, div_half_even(micros, MICROS)) for name, points, micros in named]
    total_points = sum(points for points, _ in months.values())
    total = div_half_even(sum(micros for _, micros in months.values()), MICROS)
    rows = [(name, f"{points:,}", money(amount, currency)) for name, points, amount in values]
    rows.append(("all", f"{total_points:,}", money(total, currency)))
    picture = bars(
        f"liability-{currency.lower()}-picture",
        [Bar(name, (amount,), (money(amount, currency),)) for name, _, amount in values],
        title=f"Value of open points by expiry month, in {currency}",
        text="One bar for each month. The table beside it has every number.",
        series={"value": "pays"},
    )
    return Figure(
        name=f"liability-{currency.lower()}",
        title="What members may still redeem, by the month in which it expires",
        lead=f"{count(total_points, 'point is', 'points are')} open at the cut-off, worth {money(total, currency)} {currency} at "
        "the prices at which they were issued.",
        pictures=[picture],
        sheet=Sheet(f"Open points by expiry month, in {currency}", ("expires in", "points", currency), rows, frozenset({1, 2})),
        notes=["Open points are those of lots, less what members owe. Each line is rounded by itself, and so is the sum."],
    )


def trend_figure(currency: str, sums: Sequence[WindowSum]) -> Figure:
    """The last windows, oldest first; two at least, for one is no trend."""
    rows = [
        (f"{one.window_id}", one.cut_off_date, money(one.gross, currency), money(one.net, currency)) for one in reversed(sums)
    ]
    picture = trend(
        f"trend-{currency.lower()}-picture",
        [Point(f"{one.window_id} · {one.cut_off_date}", (one.gross, one.net)) for one in sums],
        currency,
        title=f"Owed before netting and left after it, in {currency}",
        series=("owed before netting", "left after netting"),
    )
    return Figure(
        name=f"trend-{currency.lower()}",
        title=f"The last {count(len(sums), 'window')}",
        lead="What partners owed each other window by window, and what was left to pay after netting; the numbers in the "
        "picture are this window's.",
        pictures=[picture],
        sheet=Sheet(f"Windows, in {currency}", ("window", "cut off on", "before", "after"), rows, frozenset({0, 2, 3})),
    )


_POINT_COLUMNS = {
    PostingKind.ISSUE: "issued",
    PostingKind.CLAWBACK: "taken back",
    PostingKind.REDEEM: "redeemed",
    PostingKind.RESTORE: "given back",
    PostingKind.EXPIRE: "expired",
}
_POINT_BARS = (PostingKind.ISSUE, PostingKind.REDEEM)


def _sizes(*many: Mapping[Pair, int]) -> Counter[str]:
    """How large a party is in a picture: all that it pays or receives."""
    sizes: Counter[str] = Counter()
    for amounts in many:
        for side in sides(amounts):
            sizes.update(side)
    return sizes


def _by_shown(folded: Folded, amounts: Counter[str]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for party, amount in amounts.items():
        sums[folded.of(party)] += amount
    return sums


def _what_for(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason(kind)}: {points:,}" if points else reason(kind) for kind, points in sorted(reasons.items()))


def _money_or_dash(amount: int, currency: str) -> str:
    return money(amount, currency) if amount else "–"


def _folded_notes(folded: Folded, *, picture: str = "", owes: bool = False) -> list[str]:
    """`picture`: what becomes of the rest there; `owes`: the sums are of debts."""
    if REST not in folded.shown:
        return []
    among = ", also what they owe among themselves" if owes else ""
    drawn = f", and their sum {picture}" if picture else ""
    others = f"the other {folded.others} are summed up as “{folded.title(REST)}”{among}{drawn}"
    return [f"The {len(folded.named)} largest parties are named; {others}. The list of every partner is at the end."]
