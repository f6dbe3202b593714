"""A partner's statement as a page, made from the published document and nothing that could differ from it. Pure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.statement import PublishedStatement, StatementLine
from settlement.papers.bars import Bar, bars
from settlement.papers.figure import Figure
from settlement.papers.folding import REST, fold
from settlement.papers.rendering import page
from settlement.papers.to_do import Due, ToDo, to_do
from settlement.papers.words import MODELS, MOVEMENTS, Names, count, exact, money, party, price, reason_to
from settlement.report import Sheet
from settlement.seal import Seal

_NAMED = 8
EVENTS_SHOWN = 20
MOVEMENTS_SHOWN = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """All about one currency: what the partner pays or receives, why, and with whom."""

    headline: str
    todo: ToDo
    why: Sheet
    sums: str
    figure: Figure | None


def statement_html(
    published: PublishedStatement, *, seal: Seal, names: Names, first_lines: Sequence[StatementLine], due: Due | None
) -> bytes:
    """The page. `first_lines`: up to EVENTS_SHOWN events from the first one on. `due`: None where a later run gathers windows."""
    content = json.loads(published.statement)
    partner_id = content["partner_id"]
    currencies = sorted({line["currency"] for line in content["obligations"]} | {net["currency"] for net in content["net"]})
    control = content["control"]
    return page(
        "statement.html",
        content=content,
        name=names.get(partner_id, ""),
        moneys=[_money(content, currency, due) for currency in currencies],
        why=MODELS.get(content["model"], ""),
        prices=_prices_sheet(content),
        terms=_terms_note(content),
        movements=_movements_sheet(content),
        events=_events_sheet(partner_id, first_lines),
        events_note=_events_note(partner_id, shown=len(first_lines), lines=control["lines"]),
        sha256=published.sha256.hex(),
        seal=seal,
    )


def _money(content: Mapping[str, Any], currency: str, due: Due | None) -> Money:
    partner_id = content["partner_id"]
    lines = [line for line in content["obligations"] if line["currency"] == currency]
    net = sum(one["amount"] for one in content["net"] if one["currency"] == currency)
    owed = [line for line in lines if line["payer_id"] != line["payee_id"]]
    pays = sum(line["amount"] for line in owed if line["payer_id"] == partner_id)
    receives = sum(line["amount"] for line in owed if line["payee_id"] == partner_id)
    return Money(
        headline=_headline(net, currency),
        todo=to_do(partner_id, net, currency, due),
        why=_why_sheet(partner_id, lines, currency),
        sums=f"You are owed {money(receives, currency)} {currency} and owe {money(pays, currency)} {currency}; "
        f"the difference is {money(abs(receives - pays), currency)} {currency}.",
        figure=_with_whom(partner_id, owed, currency) if owed else None,
    )


def _headline(net: int, currency: str) -> str:
    if net == 0:
        return f"You have nothing to pay or to receive in {currency}"
    return f"You {'receive' if net > 0 else 'pay'} {money(abs(net), currency)} {currency}"


def _why_sheet(partner_id: str, lines: Sequence[Mapping[str, Any]], currency: str) -> Sheet:
    rows = []
    sums = [0, 0]
    told = Counter(_reason(partner_id, line) for line in lines)
    for line in sorted(lines, key=lambda one: _place(partner_id, one)):
        payer, payee = line["payer_id"], line["payee_id"]
        own_side = None if payer == payee else int(payer == partner_id)
        if own_side is not None:
            sums[own_side] += line["amount"]
        rows.append(
            (
                said if told[said := _reason(partner_id, line)] == 1 else f"{said}, rate card {line['rate_card_version']}",
                f"{line['points']:,}" if line["points"] else "",
                exact(line["amount_micros"], currency),
                *(money(line["amount"], currency) if side == own_side else "" for side in (0, 1)),
            )
        )
    if rows:
        rows.append(("all", "", "", money(sums[0], currency), money(sums[1], currency)))
    columns = ("why", "points", "before rounding", "you receive", "you pay")
    return Sheet(f"Lines of this statement, in {currency}", columns, rows, frozenset({1, 2, 3, 4}))


def _reason(partner_id: str, line: Mapping[str, Any]) -> str:
    """What a line is for; of an adjustment also its reference, under which two operators wrote the reason down."""
    said = reason_to(partner_id, kind=line["kind"], payer_id=line["payer_id"], payee_id=line["payee_id"])
    return f"{said} ({line['reference']})" if line["reference"] else said


def _place(partner_id: str, line: Mapping[str, Any]) -> tuple[bool, bool, int, str, str]:
    """What is received before what is paid, the largest first, and what nobody owes last."""
    payer, payee = line["payer_id"], line["payee_id"]
    return payer == payee, payer == partner_id, -line["amount"], payer, payee


def _with_whom(partner_id: str, owed: Sequence[Mapping[str, Any]], currency: str) -> Figure:
    pays: Counter[str] = Counter()
    receives: Counter[str] = Counter()
    for line in owed:
        if line["payer_id"] == partner_id:
            pays[line["payee_id"]] += line["amount"]
        else:
            receives[line["payer_id"]] += line["amount"]
    folded = fold(Counter({other: pays[other] + receives[other] for other in {*pays, *receives}}), most=_NAMED)
    sums = {
        other: (
            sum(receives[one] for one in receives if folded.of(one) == other),
            sum(pays[one] for one in pays if folded.of(one) == other),
        )
        for other in folded.shown
    }
    named = {other: folded.title(other) for other in folded.shown}
    shown = [*((named[other], *both) for other, both in sums.items()), ("all", sum(receives.values()), sum(pays.values()))]
    rows = [(name, *(money(amount, currency) for amount in (into, out, into - out))) for name, into, out in shown]
    picture = bars(
        f"others-{currency.lower()}-picture",
        [
            Bar(named[other], (0, 0) if other == REST else both, tuple(money(amount, currency) for amount in both))
            for other, both in sums.items()
        ],
        title=f"What others owe you and what you owe them, in {currency}",
        text="Two bars for each other party. The table beside it has every number.",
        series={"owes you": "receives", "you owe": "pays"},
    )
    return Figure(
        name=f"others-{currency.lower()}",
        title="With whom",
        lead="What others owe you and what you owe them, before it is set off.",
        pictures=[picture],
        sheet=Sheet(f"With whom, in {currency}", ("party", "owes you", "you owe", "difference"), rows, frozenset({1, 2, 3})),
        notes=[f"The {len(folded.named)} largest are named, {folded.others} others are summed up, without a bar."]
        if folded.others
        else [],
    )


def _prices_sheet(content: Mapping[str, Any]) -> Sheet:
    names = {"reimbursement_rate_micros": "paid for a point taken in", "issue_price_micros": "price of a point issued"}
    cards = content["rate_cards"]
    used = [name for name in names if any(name in card for card in cards)]
    rows = [
        (
            card["partner_id"],
            str(card["version"]),
            *(f"{price(card[name], card['currency'])} {card['currency']}" if name in card else "" for name in used),
        )
        for card in cards
    ]
    columns = ("rate card of", "version", *(names[name] for name in used))
    return Sheet("For each point", columns, rows, frozenset(range(1, len(columns))))


def _terms_note(content: Mapping[str, Any]) -> str:
    """What the network's own terms say of prices, where the model asks for them; else nothing."""
    terms = content.get("network_terms")
    if terms is None:
        return ""
    currency = terms["currency"]
    if content["model"] == "at_par":
        par_value = price(terms["par_value_micros"], currency)
        return f"By the network's terms, version {terms['version']}, a point is worth {par_value} {currency}."
    return (
        f"By the network's terms, version {terms['version']}, an expired point gives its issuer {terms['breakage_rebate_share']} "
        f"of {price(terms['redemption_element_micros'], currency)} {currency}."
    )


def _movements_sheet(content: Mapping[str, Any]) -> Sheet:
    sums: Counter[tuple[str, str, str]] = Counter()
    for moved in content["movements"]:
        sums[moved["kind"], moved["issuer_id"], moved["counterparty_id"]] += moved["points"]
    largest = sorted(sums, key=lambda key: (-sums[key], key))
    rows = [(_moved(*key), f"{sums[key]:,}") for key in largest[:MOVEMENTS_SHOWN]]
    title = f"The {MOVEMENTS_SHOWN} largest of {len(largest)} sums" if len(largest) > MOVEMENTS_SHOWN else "The largest first"
    return Sheet(title, ("what happened", "points"), rows, frozenset({1}))


def _moved(kind: str, issuer_id: str, counterparty_id: str) -> str:
    """What happened to whose points, and where, if not at their issuer's."""
    what = MOVEMENTS.get(kind, kind.replace("_", " "))
    return f"points of {issuer_id}" + (f" at {party(counterparty_id)}" if counterparty_id != issuer_id else "") + f": {what}"


def _events_sheet(partner_id: str, lines: Sequence[StatementLine]) -> Sheet:
    rows = []
    for line in lines:
        amount = f"{exact(line.amount_micros, line.currency)} {line.currency}"
        is_own, pays = line.payer_id == line.payee_id, line.payer_id == partner_id
        rows.append(
            (
                f"{line.line_number}",
                line.business_date,
                reason_to(partner_id, kind=line.kind, payer_id=line.payer_id, payee_id=line.payee_id, is_event=True),
                f"{line.points:,}",
                "" if is_own or pays else amount,
                amount if pays and not is_own else "",
                line.own_entry_id,
            )
        )
    columns = ("line", "date", "what happened", "points", "you receive", "you pay", "your entry")
    return Sheet("Events", columns, rows, frozenset({0, 3, 4, 5}))


def _events_note(partner_id: str, *, shown: int, lines: int) -> str:
    where = f"{partner_id}.lines.csv"
    if shown == lines:
        return f"{count(lines, 'event stands', 'events stand')} behind this statement; {where} has the same."
    return f"The first {shown} of {lines:,} events; {where} has them all."
