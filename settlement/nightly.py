"""The night: steps that are recorded, each safe to repeat. Killed after any of them and run again, it gives the same bytes.

Writes are short, so that a gateway on the same SQLite file goes on; nothing that is written depends on when the run ran.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine

from gateway.domain.errors import BooksBroken
from gateway.domain.lot import EXPIRED_TOGETHER_MAX, together
from gateway.domain.settlement import LAST_STEP, Schedule
from gateway.domain.terms import date_at
from gateway.domain.window import Window, WindowState
from gateway.ledger.audit import audit
from gateway.ledger.expiry import expire_lots
from gateway.ledger.pace import Pace
from gateway.storage.directory import load_network, load_terms
from gateway.storage.engine import reading, refresh_statistics, writing
from gateway.storage.payments import settle
from gateway.storage.rules import load_adjustments, load_rules
from gateway.storage.windows import close_window, entries_since_cut_off, move_window, open_window
from settlement import store
from settlement.compiling import compile_lines, make_statements
from settlement.disputing import overdue_events, take_disputes
from settlement.files import payments_folder, stale_windows, write_payments, write_window
from settlement.netting import net_positions
from settlement.obligation import MODELS, Obligation, adjustment_lines, fee_lines, line_key
from settlement.payment_run import due_terms
from settlement.sealing import Sealer
from settlement.window import is_another_night, is_same_cut_off

_LOTS_PER_READ = 2_000  # a reader holds up nobody; how many are written at once, time decides
_LOTS_PER_PROGRESS = 50_000
# Sized so that on SQLite a write takes a few milliseconds: the gateway waits for it.
_OBLIGATIONS_PER_WRITE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a run works on. `sealer` signs statements, `at_ms` is the instant of the cut-off.

    `clock` only dates the log of steps; `after_step` is called when a step is committed.
    """

    engine: Engine
    out_dir: Path
    sealer: Sealer
    at_ms: int
    clock: Callable[[], int]
    progress: Callable[[str], None]
    after_step: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the night, and what it does in a sentence. `run` takes the night, the window's id and the step's name."""

    name: str
    about: str
    run: Callable[[Night, int, str], None]


def run_night(night: Night) -> Window | None:
    """Completes what an interrupted night left, or a change of lanes cut off; then closes the open window.

    The open one stays if it was a night of the same date that had been interrupted. Answers the latest window that is
    complete; None if there was nothing to do. Raises DomainError, StoreError, OSError.
    """
    with writing(night.engine) as connection:
        refresh_statistics(connection)
    with reading(night.engine) as connection:
        unfinished = store.unfinished_windows(connection, last_step=LAST_STEP)
        network = load_network(connection)
    network_date = date_at(night.at_ms, network.time_zone).isoformat()
    night.sealer.require(night.at_ms)  # asked before anything is cut off that cannot be signed
    completed = None
    for window_id, was_closed_by_night in unfinished:
        why = "was interrupted" if was_closed_by_night else "was cut off when the lanes changed"
        night.progress(f"window {window_id} {why}: completing it")
        _run_steps(night, window_id, AFTER_CLOSE)
        completed = _window(night, window_id)
    if completed and unfinished[-1][1] and not is_another_night(completed=completed, network_date=network_date):
        return completed
    with reading(night.engine) as connection:
        entries = entries_since_cut_off(connection)
        if is_same_cut_off(latest=store.latest_closed(connection), network_date=network_date, open_entries=entries):
            return completed
        window_id = open_window(connection).window_id
    # Up to the cut-off the steps are always run: what fell due since an interrupted night belongs to this one.
    _run_steps(night, window_id, BEFORE_CLOSE, is_repeated=True)
    _run_steps(night, window_id, AFTER_CLOSE)
    return _window(night, window_id)


def expire_overdue(
    engine: Engine, *, at_ms: int, pace: Pace | None = None, progress: Callable[[str], None] = lambda _line: None
) -> int:
    """Lets all lots expire that are overdue by the network's date at that instant; answers the points.

    Safe to repeat, also beside a night or another one like it: whoever comes second finds nothing left of a lot.
    """
    with reading(engine) as connection:
        network_date = date_at(at_ms, load_network(connection).time_zone).isoformat()
        terms = load_terms(connection)  # of which only what never changes is asked: the network's time zone
    pace = pace or Pace()
    after, expired_points, lots = ("", "", ""), 0, 0
    with engine.connect() as ledger:
        while True:
            with reading(engine) as connection:
                overdue = store.load_overdue_lots(connection, network_date, after=after, limit=_LOTS_PER_READ)
            if not overdue:
                return expired_points
            groups = together(overdue)
            if len(overdue) == _LOTS_PER_READ and len(groups[-1].lot_ids) < EXPIRED_TOGETHER_MAX:
                del groups[-1]  # more of it may follow: what expires together must not depend on where a run began
            expired_points += expire_lots(ledger, groups, now_ms=at_ms, load_terms=lambda _connection: terms, pace=pace)
            met = sum(len(group.lot_ids) for group in groups)
            after, lots = overdue[met - 1], lots + met
            if lots % _LOTS_PER_PROGRESS < met:
                progress(f"  {lots} lots expired")


def make_due_runs(
    engine: Engine, out_dir: Path, *, at_ms: int, progress: Callable[[str], None] = lambda _line: None
) -> list[Path]:
    """Makes the payment runs of terms that are over and confirmed, where windows are not paid for one by one.

    Answers the folders that it wrote, also of runs that were made before and not written. Safe to repeat. Raises OSError.
    """
    with writing(engine) as connection:
        network = load_network(connection)
        for windows in due_terms(store.load_unpaid(connection), date_at(at_ms, network.time_zone).isoformat()):
            store.make_run(connection, audience=network.audience, windows=windows)
        settle(connection, at_ms=at_ms)  # of a term in which nobody has to pay anything
    with reading(engine) as connection:
        rules = load_rules(connection)
        ends = [store.existing_window(connection, last) for _, last in store.load_runs(connection)]
    written = []
    for window in ends:
        by_term = rules[window.rules_version].schedule is not Schedule.WINDOW
        if by_term and not payments_folder(out_dir, window.window_id).exists():
            progress(f"payment run {window.window_id}: made, writing its files")
            written.append(write_payments(engine, out_dir, audience=network.audience, window=window))
    return written


def window_obligations(connection: Connection, window_id: int) -> list[Obligation]:
    """Who owes whom in a window under its own rules, by its totals: traffic, fees and adjustments. So far, where it is open."""
    window = store.existing_window(connection, window_id)
    pricing = store.load_pricing(connection, window)
    lines = MODELS[pricing.model](store.load_totals(connection, window_id), pricing.prices)
    if window.state is WindowState.OPEN:
        return sorted((*lines, *adjustment_lines(load_adjustments(connection, 0))), key=line_key)
    members = store.load_members(connection, window.closed_at_ms) if pricing.rules.fixed_fee else []
    entries = store.count_entries(connection, window) if pricing.rules.entry_fee_micros else {}
    lines += fee_lines(pricing.rules, pricing.prices.currency, members, entries)
    return sorted((*lines, *adjustment_lines(load_adjustments(connection, window_id))), key=line_key)


def _run_steps(night: Night, window_id: int, steps: Sequence[Step], *, is_repeated: bool = False) -> None:
    with reading(night.engine) as connection:
        done = frozenset() if is_repeated else store.done_steps(connection, window_id)
    for step in steps:
        if step.name not in done:
            night.progress(f"window {window_id}: {step.name}")
            step.run(night, window_id, step.name)
            night.after_step(step.name)


def _prove(night: Night, window_id: int, step: str) -> None:
    report = audit(night.engine, full=False, now_ms=night.clock(), progress=lambda line: night.progress(f"  {line}"))
    if not report.is_proved:
        causes = "\n  ".join(map(str, report.failures))
        raise BooksBroken(f"the books are not proved, so the night stops here:\n  {causes}")
    night.progress(f"  {report.proven_entries} of {report.entries} entries proved anew")
    _mark(night, window_id, step)


def _expire(night: Night, window_id: int, step: str) -> None:
    night.progress(f"  {expire_overdue(night.engine, at_ms=night.at_ms, progress=night.progress)} points expired")
    _mark(night, window_id, step)


def _disputes(night: Night, window_id: int, step: str) -> None:
    with reading(night.engine) as connection:
        network = load_network(connection)
        today = date_at(night.at_ms, network.time_zone).isoformat()
        events = overdue_events(connection, today)
    with writing(night.engine) as connection:
        now_ms = night.clock()
        taken = take_disputes(connection, audience=network.audience, network_date=today, now_ms=now_ms, events=events)
        store.mark_step(connection, window_id, step, at_ms=night.clock())
    with reading(night.engine) as connection:  # as well what was made anew by one that was ended before it wrote
        stale = {window.window_id for window in stale_windows(connection, night.out_dir, audience=network.audience)}
    for made_anew in sorted(stale | set(taken.windows)):
        night.progress(f"  window {made_anew}: payments made anew")
        write_window(
            night.engine, night.out_dir, audience=network.audience, window=_window(night, made_anew), sealer=night.sealer
        )


def _close(night: Night, window_id: int, step: str) -> None:
    with reading(night.engine) as connection:
        network = load_network(connection)
    with writing(night.engine) as connection:
        close_window(
            connection,
            window_id=window_id,
            audience=network.audience,
            at_ms=night.at_ms,
            network_date=lambda at_ms: date_at(at_ms, network.time_zone).isoformat(),
        )
        store.mark_step(connection, window_id, step, at_ms=night.clock())


def _obligations(night: Night, window_id: int, step: str) -> None:
    with reading(night.engine) as connection:
        lines = window_obligations(connection, window_id)
    for start in range(0, len(lines), _OBLIGATIONS_PER_WRITE):
        with writing(night.engine) as connection:
            store.save_obligations(connection, window_id, lines[start : start + _OBLIGATIONS_PER_WRITE])
    _mark(night, window_id, step)


def _net(night: Night, window_id: int, step: str) -> None:
    with reading(night.engine) as connection:
        positions = net_positions(store.load_obligations(connection, window_id))
    with writing(night.engine) as connection:
        store.save_positions(connection, window_id, positions)
        store.mark_step(connection, window_id, step, at_ms=night.clock())


def _statements(night: Night, window_id: int, step: str) -> None:
    with reading(night.engine) as connection:
        window = store.existing_window(connection, window_id)
    controls = compile_lines(night.engine, window, progress=night.progress)
    make_statements(night.engine, window, controls)
    _mark(night, window_id, step)


def _instructions(night: Night, window_id: int, step: str) -> None:
    """Where windows are not paid for one by one, a payment run makes them later, of confirmed windows."""
    with reading(night.engine) as connection:
        audience = load_network(connection).audience
        window = store.existing_window(connection, window_id)
        is_own_run = store.load_pricing(connection, window).rules.schedule is Schedule.WINDOW
    with writing(night.engine) as connection:
        if is_own_run:
            store.make_run(connection, audience=audience, windows=[window])
        store.mark_step(connection, window_id, step, at_ms=night.clock())


def _publish(night: Night, window_id: int, step: str) -> None:
    """The store first: whoever sees a file can ask the gateway for the same statement."""
    with writing(night.engine) as connection:
        window = store.existing_window(connection, window_id)
        if window.state is WindowState.CLOSED:  # else a run that could not write its files has come so far before
            move_window(connection, window, WindowState.NETTED, at_ms=night.clock(), made_by="night")
        audience = load_network(connection).audience
    write_window(night.engine, night.out_dir, audience=audience, window=window, sealer=night.sealer)
    _mark(night, window_id, step)


def _mark(night: Night, window_id: int, step: str) -> None:
    with writing(night.engine) as connection:
        store.mark_step(connection, window_id, step, at_ms=night.clock())


def _window(night: Night, window_id: int) -> Window:
    with reading(night.engine) as connection:
        return store.existing_window(connection, window_id)


BEFORE_CLOSE = (
    Step("prove-before", "The audit proves the books as they are.", _prove),
    Step("expire", "Lots that are overdue by the network's date expire.", _expire),
    Step("disputes", "What nobody answered is accepted, what ended is owed anew, disputed amounts are held out.", _disputes),
    Step(store.CLOSE, "The open window is cut off by sequence, and the next one opens.", _close),
)
AFTER_CLOSE = (
    Step("obligations", "Who owes whom: one line, rounded once, for each pair, kind and rate card version.", _obligations),
    Step("net", "The net position of each party; they sum to zero.", _net),
    Step("statements", "The events behind the lines, read from the entries, and each partner's statement.", _statements),
    Step("instructions", "Who pays whom, where each window is paid for by itself.", _instructions),
    Step("publish", "The window is netted: partners see their statements, and the files are written.", _publish),
    Step(LAST_STEP, "The audit proves the books with the closed window and what was made of it.", _prove),
)
STEPS = BEFORE_CLOSE + AFTER_CLOSE
