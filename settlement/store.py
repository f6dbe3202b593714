"""What the night reads of the books and keeps for itself. Each function takes a Connection; short ranges, short writes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, tuple_, update

from gateway.domain.decision import DecisionState
from gateway.domain.derivation import Directory, derive
from gateway.domain.documents import applied_at_ms
from gateway.domain.entry import PostingKind
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.network import SettlementModel
from gateway.domain.partner import PartnerStatus
from gateway.domain.settlement import CarryReason, Schedule, SettlementRules
from gateway.domain.terms import Terms, parse_date
from gateway.domain.window import LaneRange, Window, WindowState
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_network, load_terms
from gateway.storage.disputes import disputed_amounts, lock_window
from gateway.storage.engine import upsert
from gateway.storage.rules import load_rules
from gateway.storage.tables import entries, head_of, lots, outcomes, postings, totals, windows
from gateway.storage.tables_settlement import carries, instructions, net_positions, obligations, payment_runs, settlement_steps
from gateway.storage.windows import load_window, load_windows
from settlement.instruction import Instruction, instruct
from settlement.netting import NetPosition, Payment, debts_of
from settlement.obligation import Obligation, Total
from settlement.payment_run import Carry, plan_run
from settlement.plain import plain
from settlement.pricing import Cards, Prices
from settlement.statement import Event

LINE_KEY = ("payer_id", "payee_id", "kind", "rate_card_version", "reference")
"""What a line is known by within its window."""

CLOSE = "close"
"""The step that cuts off; its name is in the log of steps only where it was a night that did."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """How a window is priced: by its own rules for ever, at the prices that its entries were booked at."""

    rules: SettlementRules
    prices: Prices

    @property
    def model(self) -> SettlementModel:
        """Who owes whom."""
        return self.rules.settlement_model


def cards_of(terms: Terms) -> Cards:
    """All rate cards by partner and version."""
    return {(card.partner_id, card.version): card for versions in terms.cards.values() for card in versions}


def load_pricing(connection: Connection, window: Window) -> Pricing:
    """Of a window; of an open one, as if it were cut off now."""
    terms, network = load_terms(connection), load_network(connection)
    cards = cards_of(terms)
    in_force = terms.network[-1]
    if window.cut_off_date:
        # Whatever was decided after the cut-off, also on its very date, prices later windows.
        decided = _decided_by(connection, window.closed_at_ms).network
        known = [one for one in terms.network if one.version == 1 or one.version in decided]
        on = parse_date(window.cut_off_date)
        in_force = next((one for one in reversed(known) if one.effective_from <= on), known[0])
    return Pricing(load_rules(connection)[window.rules_version], Prices(cards, in_force, network.currency))


def load_members(connection: Connection, at_ms: int) -> list[str]:
    """Partners that were taking part at an instant, active or suspended, by id; told from the decisions alone."""
    joined = _decided_by(connection, at_ms).partners
    return sorted(partner_id for partner_id, one in joined.items() if one.partner.status in _TAKING_PART)


def count_entries(connection: Connection, window: Window) -> dict[str, int]:
    """How many entries of a closed window each partner booked; what nobody asked for is the operator's and left out."""
    counts: Counter[str] = Counter()
    for lane in window.ranges:
        query = select(entries.c.partner_id, func.count()).where(
            entries.c.lane == lane.lane, entries.c.sequence.between(lane.first, lane.last), entries.c.partner_id != OPERATOR
        )
        counts.update({row[0]: row[1] for row in connection.execute(query.group_by(entries.c.partner_id))})
    return dict(counts)


def load_totals(connection: Connection, window_id: int) -> list[Total]:
    """What moved in a window, summed over the lanes, ordered by key: pairs of partners, not entries."""
    keys = (totals.c.issuer_id, totals.c.counterparty_id, totals.c.rate_card_version, totals.c.kind)
    query = select(*keys, func.sum(totals.c.points)).where(totals.c.window_id == window_id).group_by(*keys).order_by(*keys)
    return [
        Total(issuer, counterparty, version, PostingKind(kind), int(points))
        for issuer, counterparty, version, kind, points in connection.execute(query)
    ]


def load_events(connection: Connection, lane: int, first: int, last: int, kinds: Iterable[PostingKind]) -> Iterator[Event]:
    """Postings of these kinds of a range of sequences, both ends included, in the order of the books."""
    query = (
        select(
            entries.c.sequence,
            entries.c.entry_id,
            entries.c.business_date,
            postings.c.kind,
            postings.c.issuer_id,
            postings.c.counterparty_id,
            postings.c.rate_card_version,
            postings.c.points,
            lots.c.origin_entry_id,
            outcomes.c.receipt,
        )
        .select_from(entries)
        .join(postings, and_(postings.c.bucket == entries.c.bucket, postings.c.entry_id == entries.c.entry_id))
        .join(lots, and_(lots.c.bucket == postings.c.bucket, lots.c.lot_id == postings.c.lot_id), isouter=True)
        .join(outcomes, outcomes.c.entry_id == head_of(entries), isouter=True)
        .where(entries.c.lane == lane, entries.c.sequence.between(first, last), postings.c.kind.in_(sorted(kinds)))
        .order_by(entries.c.sequence, postings.c.ordinal)
    )
    for sequence, entry_id, business_date, kind, *rest in connection.execute(query):
        yield Event(sequence, entry_id, business_date, PostingKind(kind), *rest)


def load_overdue_lots(
    connection: Connection, network_date: str, *, after: tuple[str, str, str] = ("", "", ""), limit: int
) -> list[tuple[str, str, str]]:
    """Open lots that are overdue on a date, as (last day, member, lot), in that order, beyond `after`."""
    query = (
        select(lots.c.expires_on, lots.c.member_id, lots.c.lot_id)
        .where(
            lots.c.open_points > 0,
            lots.c.open_points > lots.c.held_points,
            lots.c.expires_on < network_date,
            tuple_(lots.c.expires_on, lots.c.member_id, lots.c.lot_id) > tuple_(*after),
        )
        .order_by(lots.c.expires_on, lots.c.member_id, lots.c.lot_id)
        .limit(limit)
    )
    return [(expires_on, member_id, lot_id) for expires_on, member_id, lot_id in connection.execute(query)]


def load_obligations(connection: Connection, window_id: int) -> list[Obligation]:
    """The window's lines, ordered by key."""
    columns = [obligations.c[name] for name in Obligation.__slots__]
    query = select(*columns).where(obligations.c.window_id == window_id)
    ordered = query.order_by(*(obligations.c[name] for name in LINE_KEY))
    return [Obligation(*row) for row in connection.execute(ordered)]


def save_obligations(connection: Connection, window_id: int, lines: Sequence[Obligation]) -> None:
    """Stores lines of a window; the same ones again change nothing."""
    rows = [{"window_id": window_id, **plain(line)} for line in lines]
    upsert(connection, obligations, rows, replace=("currency", "points", "amount_micros", "amount"))


def load_positions(connection: Connection, window_id: int) -> list[NetPosition]:
    """The window's net positions, ordered by currency and party."""
    query = select(net_positions.c.currency, net_positions.c.party_id, net_positions.c.amount)
    ordered = query.where(net_positions.c.window_id == window_id).order_by(net_positions.c.currency, net_positions.c.party_id)
    return [NetPosition(*row) for row in connection.execute(ordered)]


def save_positions(connection: Connection, window_id: int, positions: Iterable[NetPosition]) -> None:
    """Stores the window's net positions in place of what an interrupted night left."""
    connection.execute(delete(net_positions).where(net_positions.c.window_id == window_id))
    rows = [{"window_id": window_id, **plain(position)} for position in positions]
    if rows:
        connection.execute(insert(net_positions), rows)


def load_instructions(connection: Connection, window_id: int) -> list[Instruction]:
    """The window's payment instructions, ordered by currency, debtor and creditor."""
    columns = [instructions.c[name] for name in Instruction.__slots__]
    query = select(*columns).where(instructions.c.window_id == window_id)
    ordered = query.order_by(instructions.c.currency, instructions.c.debtor_id, instructions.c.creditor_id)
    return [Instruction(*row) for row in connection.execute(ordered)]


def save_instructions(connection: Connection, window_id: int, made: Iterable[Instruction]) -> None:
    """Stores the window's instructions in place of what an interrupted night left."""
    connection.execute(delete(instructions).where(instructions.c.window_id == window_id))
    rows = [plain(instruction) for instruction in made]
    if rows:
        connection.execute(insert(instructions), rows)


def load_runs(connection: Connection) -> list[tuple[int, int]]:
    """All payment runs: the first and the last window of each, oldest first. The last one names it."""
    query = select(payment_runs.c.first_window_id, payment_runs.c.window_id).order_by(payment_runs.c.window_id)
    return [(first, last) for first, last in connection.execute(query)]


def load_unpaid(connection: Connection) -> list[tuple[Window, Schedule]]:
    """Closed windows that no payment run has gathered, oldest first, each with its schedule."""
    paid = {window_id for first, last in load_runs(connection) for window_id in range(first, last + 1)}
    rules = load_rules(connection)
    closed = (window for window in reversed(load_windows(connection)) if window.state is not WindowState.OPEN)
    return [(window, rules[window.rules_version].schedule) for window in closed if window.window_id not in paid]


def load_carries(connection: Connection, *, left_by: int | None = None, brought_to: int = 0) -> list[Carry]:
    """What the run named `left_by` left, or what the run named `brought_to` took in; by default, what waits. By key."""
    wanted = carries.c.brought_window_id == brought_to if left_by is None else carries.c.window_id == left_by
    query = select(*(carries.c[name] for name in Carry.__slots__)).where(wanted).order_by(*carries.primary_key.columns)
    return [
        Carry(
            row.window_id,
            row.currency,
            row.debtor_id,
            row.creditor_id,
            CarryReason(row.reason),
            row.amount,
            row.brought_window_id,
        )
        for row in connection.execute(query)
    ]


def make_run(connection: Connection, *, audience: str, windows: Sequence[Window]) -> list[Instruction]:
    """Makes the payment run of these windows, which follow each other, in place of what it was; answers its instructions.

    To be called only while none of its instructions can have been paid. The caller's transaction must write.
    """
    for window in windows:
        lock_window(connection, window.window_id)  # a dispute comes before, and is held out, or is told that it is too late
    last = windows[-1]
    run_id, rules = last.window_id, load_rules(connection)[last.rules_version]
    # What it left or took before: made anew, a run gives the same again.
    connection.execute(delete(carries).where(carries.c.window_id == run_id))
    connection.execute(update(carries).where(carries.c.brought_window_id == run_id).values(brought_window_id=0))
    connection.execute(delete(payment_runs).where(payment_runs.c.window_id == run_id))
    brought = [one for one in load_carries(connection) if one.window_id < run_id]
    debts = [debt for window in windows for debt in debts_of(load_obligations(connection, window.window_id))]
    run = {"window_id": run_id, "first_window_id": windows[0].window_id, "rules_version": rules.version}
    connection.execute(insert(payment_runs).values(run))
    plan = plan_run(run_id, debts, brought, rules, disputed_debts(connection, run_id))
    made = instruct(audience=audience, window_id=run_id, form=rules.form, payments=plan.payments)
    for one in brought:  # by name: what somebody leaves meanwhile is in no plan, and waits for the next run
        connection.execute(update(carries).where(*_is(one)).values(brought_window_id=run_id))
    if plan.carried:
        connection.execute(insert(carries), [plain(carry) for carry in plan.carried])
    save_instructions(connection, run_id, made)
    return made


def _is(carry: Carry) -> Sequence[ColumnElement[bool]]:
    names = (column.name for column in carries.primary_key.columns)
    return [carries.c[name] == getattr(carry, name) for name in names]


def disputed_debts(connection: Connection, run_id: int) -> list[Payment]:
    """What is disputed of the windows of a run and of those before, and so is not to be paid, by currency, debtor, creditor."""
    return [Payment(*key, amount) for key, amount in sorted(disputed_amounts(connection, run_id).items())]


def mark_step(connection: Connection, window_id: int, step: str, *, at_ms: int) -> None:
    """Notes that a step of a window is done."""
    upsert(connection, settlement_steps, [{"window_id": window_id, "step": step, "done_at_ms": at_ms}], replace=("done_at_ms",))


def done_steps(connection: Connection, window_id: int) -> frozenset[str]:
    """Steps of a window that are done."""
    return frozenset(
        connection.execute(select(settlement_steps.c.step).where(settlement_steps.c.window_id == window_id)).scalars()
    )


def unfinished_windows(connection: Connection, *, last_step: str) -> list[tuple[int, bool]]:
    """Closed windows in which the night's last step is not done, oldest first, and whether it was a night that closed them."""
    steps = settlement_steps.c
    finished = select(steps.window_id).where(steps.step == last_step)
    by_night = select(steps.window_id).where(steps.step == CLOSE, steps.window_id == windows.c.window_id).exists()
    query = select(windows.c.window_id, by_night).where(
        windows.c.state != WindowState.OPEN.value, windows.c.window_id.not_in(finished)
    )
    return [(window_id, bool(was)) for window_id, was in connection.execute(query.order_by(windows.c.window_id))]


def latest_closed(connection: Connection) -> Window | None:
    """The window that was closed last; None before the first cut-off."""
    return next((window for window in load_windows(connection, limit=2) if window.state is not WindowState.OPEN), None)


def existing_window(connection: Connection, window_id: int) -> Window:
    """The window of this id. Raises InvalidValue."""
    window = load_window(connection, window_id)
    if window is None:
        raise InvalidValue(f"there is no window {window_id}: 'tallystick settlement list' names them all")
    return window


def closed_window(connection: Connection, window_id: int | None) -> Window:
    """The window of this id, or the one that was closed last. Raises InvalidValue for none, and for one that is open."""
    window = existing_window(connection, window_id) if window_id is not None else latest_closed(connection)
    if window is None or window.state is WindowState.OPEN:
        raise InvalidValue("that window is still open: 'tallystick settlement run' closes it; --date names a day instead")
    return window


def short_ranges(lane: LaneRange, length: int) -> Iterator[tuple[int, int]]:
    """The sequences of a lane in pieces of at most `length`, both ends included."""
    for first in range(lane.first, lane.last + 1, length):
        yield first, min(first + length - 1, lane.last)


def _decided_by(connection: Connection, at_ms: int) -> Directory:
    decisions = [one for one in load_decisions(connection) if one.proposal.at_ms <= at_ms]
    return derive(one for one in decisions if one.state is not DecisionState.APPLIED or applied_at_ms(one) <= at_ms)


_TAKING_PART = frozenset({PartnerStatus.ACTIVE, PartnerStatus.SUSPENDED})
