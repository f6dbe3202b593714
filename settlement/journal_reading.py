"""Reads closed windows as a journal, in order and in bounded memory: what a journal needs is read in short ranges.

What the balances must come to is not summed from the postings that the journal lists. Points: what is open and owed now in lots
and debts, less the running totals of whatever came after a window. Money: the net positions. So a posting, a total or a lot that
was changed by hand makes the journal fail.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, and_, func, select

from gateway.domain.entry import EntryKind, PostingKind
from gateway.domain.settlement import PaymentEvent
from gateway.domain.terms import date_at
from gateway.domain.window import PUBLISHED, Window, WindowState
from gateway.storage.directory import load_network
from gateway.storage.engine import reading
from gateway.storage.tables import debts, entries, lots, postings, totals
from gateway.storage.tables_settlement import instructions, net_positions, obligations, payments
from gateway.storage.windows import load_windows
from settlement import journal
from settlement.journal import Amount, Balances, Format, Transaction
from settlement.store import load_obligations, load_positions, load_totals, short_ranges

_ENTRIES_PER_READ = 1_000


@dataclass(frozen=True, slots=True)
class _Days:
    """A window's days in the journal: whatever was booked on the date of the cut-off, but after it, is the next day's."""

    first: date
    last: date

    def of(self, day: date) -> date:
        return min(max(day, self.first), self.last)


def closed_windows(connection: Connection) -> list[Window]:
    """All of them, oldest first."""
    return [window for window in reversed(load_windows(connection)) if window.state is not WindowState.OPEN]


def journal_of(engine: Engine, form: Format, *, window_id: int | None = None) -> Iterator[str]:
    """The journal piece by piece, of one closed window with what was open before it, or of all; the same books, the same text."""
    with reading(engine) as connection:
        network = load_network(connection)
        every = closed_windows(connection)
        chosen = [window for window in every if window_id in (None, window.window_id)]
        first = chosen[0].window_id if chosen else 1
        balances = _balances_before(connection, first)
        yield form.head(
            f"Tallystick: {network.audience}, {_named(chosen)}",
            sorted(_accounts(connection, chosen) | balances.keys()),
            [journal.POINTS, *_currencies(connection, chosen)],
        )
    days = _days(every)
    nets: Counter[tuple[str, str]] = Counter()
    # Before the first window there is nothing: if the books say otherwise, the balances will.
    if chosen and chosen[0] is not every[0] and any(balances.values()):
        yield form.transaction(_opening(balances, days[first].first - timedelta(days=1)))
    for index, window in enumerate(chosen):
        yield from map(form.transaction, _movements(engine, window, days[window.window_id], network.time_zone))
        with reading(engine) as connection:
            yield from map(form.transaction, _owed(connection, window, days[window.window_id].last))
            _move_on(connection, window, balances, nets)
        # Of several windows of one date only the last can be asserted: tools know no time of the day.
        if index + 1 == len(chosen) or chosen[index + 1].cut_off_date != window.cut_off_date:
            yield form.balances(_asserted(window, days[window.window_id].last, balances, nets))
    with reading(engine) as connection:
        yield from _paid(connection, form, chosen, network.time_zone)


def _named(chosen: Sequence[Window]) -> str:
    if not chosen:
        return "no window is closed yet"
    ids = [window.window_id for window in chosen]
    return f"window {ids[0]}" if len(ids) == 1 else f"windows {ids[0]} to {ids[-1]}"


def _days(every: Sequence[Window]) -> dict[int, _Days]:
    found, before = {}, date.min
    for window in every:
        last = date.fromisoformat(window.cut_off_date)
        found[window.window_id] = _Days(min(before + timedelta(days=1), last), last)
        before = last
    return found


def _balances_before(connection: Connection, window_id: int) -> Counter[str]:
    """Open points, debt and points in transfer before a window: what there is now, less all that came since."""
    found: Counter[str] = Counter({journal.IN_TRANSFER: 0})
    for issuer_id, points in connection.execute(
        select(lots.c.issuer_id, func.sum(lots.c.open_points)).group_by(lots.c.issuer_id)
    ):
        found[journal.open_account(issuer_id)] -= int(points)
    found[journal.DEBT] += int(connection.execute(select(func.coalesce(func.sum(debts.c.open_points), 0))).scalar_one())
    key = (totals.c.issuer_id, totals.c.counterparty_id, totals.c.kind)
    query = select(*key, func.sum(totals.c.points)).where(totals.c.window_id >= window_id).group_by(*key)
    for issuer_id, counterparty_id, kind, points in connection.execute(query):
        moved: Counter[str] = Counter()
        journal.add_movement(moved, PostingKind(kind), issuer_id, counterparty_id, int(points))
        found.subtract(moved)
    return Counter({account: points for account, points in found.items() if _is_balance(account)})


def _is_balance(account: str) -> bool:
    return account in (journal.DEBT, journal.IN_TRANSFER) or account.startswith(_OPEN)


_OPEN = journal.open_account("")


def _opening(balances: Counter[str], on: date) -> Transaction:
    moved = Counter({account: points for account, points in balances.items() if points})
    moved[journal.OPENING] = -sum(moved.values())
    return Transaction(on, "what was open before", "opening", {}, journal.point_amounts(moved))


def _movements(engine: Engine, window: Window, days: _Days, time_zone: ZoneInfo) -> Iterator[Transaction]:
    """An entry each, in the order of the books; those that move no points, such as an enrolment, are left out."""
    for lane in window.ranges:
        for first, last in short_ranges(lane, _ENTRIES_PER_READ):
            with reading(engine) as connection:
                rows = connection.execute(_postings(lane.lane, first, last)).all()
            for _, group in groupby(rows, attrgetter("sequence")):
                entry = list(group)
                amounts = _moved(entry)
                if amounts:
                    yield _transaction(entry[0], days.of(date_at(entry[0].booked_at_ms, time_zone)), amounts)


def _postings(lane: int, first: int, last: int) -> Any:
    return (
        select(
            entries.c.sequence,
            entries.c.lane,
            entries.c.entry_id,
            entries.c.kind.label("entry_kind"),
            entries.c.partner_id,
            entries.c.business_date,
            entries.c.booked_at_ms,
            postings.c.kind,
            postings.c.issuer_id,
            postings.c.counterparty_id,
            postings.c.points,
        )
        .join_from(entries, postings, and_(postings.c.bucket == entries.c.bucket, postings.c.entry_id == entries.c.entry_id))
        .where(entries.c.lane == lane, entries.c.sequence.between(first, last))
        .order_by(entries.c.sequence, postings.c.ordinal)
    )


def _moved(entry: Sequence[Any]) -> tuple[Amount, ...]:
    moved: Counter[str] = Counter()
    for row in entry:
        journal.add_movement(moved, PostingKind(row.kind), row.issuer_id, row.counterparty_id, row.points)
    return journal.point_amounts(moved)


def _transaction(row: Any, on: date, amounts: tuple[Amount, ...]) -> Transaction:
    facts = {"lane": str(row.lane), "sequence": str(row.sequence), "business-date": row.business_date}
    title = f"{EntryKind(row.entry_kind).name.lower().replace('_', ' ')} by {row.partner_id}"
    return Transaction(on, title, row.entry_id, facts, amounts)


def _owed(connection: Connection, window: Window, on: date) -> Iterator[Transaction]:
    """What partners owe each other, a line each; nothing of it before it is netted."""
    if window.state not in PUBLISHED:
        return
    for number, line in enumerate(load_obligations(connection, window.window_id), start=1):
        if line.amount and not line.is_own:
            amounts = (
                Amount(journal.settlement_account(line.payer_id), line.currency, line.amount),
                Amount(journal.settlement_account(line.payee_id), line.currency, -line.amount),
            )
            facts = {"card": str(line.rate_card_version), "points": str(line.points)}
            title = f"{line.kind.replace('_', ' ')}: {line.payer_id} owes {line.payee_id}"
            yield Transaction(on, title, f"w{window.window_id}-{number}", facts, amounts)


def _move_on(connection: Connection, window: Window, balances: Counter[str], nets: Counter[tuple[str, str]]) -> None:
    """Takes the balances from the beginning of a window to its end, by its totals and net positions."""
    for total in load_totals(connection, window.window_id):
        moved: Counter[str] = Counter()
        journal.add_movement(moved, total.kind, total.issuer_id, total.counterparty_id, total.points)
        balances.update({account: points for account, points in moved.items() if _is_balance(account)})
    if window.state in PUBLISHED:
        for position in load_positions(connection, window.window_id):
            nets[position.party_id, position.currency] -= position.amount


def _asserted(window: Window, on: date, balances: Counter[str], nets: Counter[tuple[str, str]]) -> Balances:
    points = [Amount(account, journal.POINTS, held) for account, held in balances.items()]
    money = [Amount(journal.settlement_account(party_id), currency, owed) for (party_id, currency), owed in nets.items()]
    return Balances(on, f"what must stand at the end of window {window.window_id}", tuple(sorted(points + money)))


def _paid(connection: Connection, form: Format, chosen: Sequence[Window], time_zone: ZoneInfo) -> Iterator[str]:
    """Money that moved outside for the instructions of these windows, and what it must come to for each party."""
    query = (
        select(payments, instructions.c.debtor_id, instructions.c.creditor_id, instructions.c.currency)
        .join_from(payments, instructions, instructions.c.instruction_id == payments.c.instruction_id)
        .where(payments.c.event == PaymentEvent.PAID.value, _within(instructions.c.window_id, chosen))
        .order_by(payments.c.at_ms, payments.c.instruction_id, payments.c.number)
    )
    last = None
    for row in connection.execute(query):
        last = date_at(row.at_ms, time_zone)
        amounts = (
            Amount(journal.paid_account(row.creditor_id), row.currency, row.amount),
            Amount(journal.paid_account(row.debtor_id), row.currency, -row.amount),
        )
        title = f"{row.debtor_id} has paid {row.creditor_id}"
        yield form.transaction(Transaction(last, title, f"{row.instruction_id}-{row.number}", {}, amounts))
    if last is not None:
        yield form.balances(Balances(last, "what has moved outside", tuple(sorted(_paid_sums(connection, chosen)))))


def _paid_sums(connection: Connection, chosen: Sequence[Window]) -> Iterator[Amount]:
    found: Counter[tuple[str, str]] = Counter()
    for sign, party_id in ((1, instructions.c.creditor_id), (-1, instructions.c.debtor_id)):
        query = (
            select(party_id, instructions.c.currency, func.sum(payments.c.amount))
            .join_from(payments, instructions, instructions.c.instruction_id == payments.c.instruction_id)
            .where(payments.c.event == PaymentEvent.PAID.value, _within(instructions.c.window_id, chosen))
            .group_by(party_id, instructions.c.currency)
        )
        for name, currency, amount in connection.execute(query):
            found[name, currency] += sign * int(amount)
    yield from (Amount(journal.paid_account(name), currency, amount) for (name, currency), amount in found.items())


def _accounts(connection: Connection, chosen: Sequence[Window]) -> set[str]:
    """All that the journal names, by pairs of partners, not by entries."""
    found = {journal.OPENING, journal.DEBT, journal.IN_TRANSFER}
    query = select(totals.c.issuer_id, totals.c.counterparty_id, totals.c.kind).where(_within(totals.c.window_id, chosen))
    for issuer_id, counterparty_id, kind in connection.execute(query.distinct()):
        moved: Counter[str] = Counter()
        journal.add_movement(moved, PostingKind(kind), issuer_id, counterparty_id, 1)
        found |= moved.keys()
    for owing in (obligations.c.payer_id, obligations.c.payee_id):
        owed = connection.execute(select(owing).where(_within(obligations.c.window_id, chosen)).distinct())
        found |= {journal.settlement_account(party_id) for (party_id,) in owed}
    held = connection.execute(select(net_positions.c.party_id).where(_within(net_positions.c.window_id, chosen)).distinct())
    found |= {journal.settlement_account(party_id) for (party_id,) in held}
    for paying in (instructions.c.debtor_id, instructions.c.creditor_id):
        paid = connection.execute(select(paying).where(_within(instructions.c.window_id, chosen)).distinct())
        found |= {journal.paid_account(party_id) for (party_id,) in paid}
    return found


def _currencies(connection: Connection, chosen: Sequence[Window]) -> list[str]:
    query = select(obligations.c.currency).where(_within(obligations.c.window_id, chosen)).distinct()
    return sorted(connection.execute(query).scalars())


def _within(column: Any, chosen: Sequence[Window]) -> Any:
    return column.between(chosen[0].window_id, chosen[-1].window_id) if chosen else column.between(1, 0)
