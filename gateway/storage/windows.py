"""Settlement windows in the store: the open one, the ranges of closed ones, and the cut-off itself."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from gateway.domain.chain import genesis_hash, window_hash
from gateway.domain.errors import BooksBroken
from gateway.domain.settlement import LAST_STEP, rules_of_window
from gateway.domain.window import LaneRange, Transition, Window, WindowState, changes_state
from gateway.storage.rules import load_rules, take_adjustments
from gateway.storage.tables import heads, window_ranges, windows
from gateway.storage.tables_settlement import settlement_steps, window_transitions


def load_windows(connection: Connection, *, before: int | None = None, limit: int | None = None) -> list[Window]:
    """Windows newest first, those with an id below `before`."""
    query = select(windows).order_by(windows.c.window_id.desc()).limit(limit)
    if before is not None:
        query = query.where(windows.c.window_id < before)
    rows = connection.execute(query).all()
    ranges = _load_ranges(connection, [row.window_id for row in rows])
    return [
        Window(
            row.window_id,
            WindowState(row.state),
            row.cut_off_date,
            row.closed_at_ms,
            row.window_hash,
            row.lanes,
            tuple(ranges[row.window_id]),
            row.rules_version,
        )
        for row in rows
    ]


def load_window(connection: Connection, window_id: int) -> Window | None:
    """One window; None if there is none of this id."""
    found = load_windows(connection, before=window_id + 1, limit=1)
    return found[0] if found and found[0].window_id == window_id else None


def open_window(connection: Connection) -> Window:
    """The window that takes entries. There always is one. Raises BooksBroken."""
    found = load_windows(connection, limit=1)
    if not found or found[0].state is not WindowState.OPEN:
        raise BooksBroken("no settlement window is open")
    return found[0]


def first_unconfirmed(connection: Connection) -> int:
    """The earliest window that operators have not confirmed: the open one, if all others are."""
    beyond = WindowState.CONFIRMED.value, WindowState.SETTLED.value
    return int(connection.execute(select(func.min(windows.c.window_id)).where(windows.c.state.not_in(beyond))).scalar_one())


def is_night_complete(connection: Connection, window_id: int) -> bool:
    """Whether the last step of a window's night is done: its files are written, and the books are proved with it."""
    last = settlement_steps.c.window_id == window_id, settlement_steps.c.step == LAST_STEP
    return connection.execute(select(settlement_steps.c.step).where(*last)).first() is not None


def entries_since_cut_off(connection: Connection) -> int:
    """How many entries the open window has so far, over all lanes."""
    booked = connection.execute(select(func.coalesce(func.sum(heads.c.last_sequence), 0))).scalar_one()
    closed = connection.execute(
        select(func.coalesce(func.sum(window_ranges.c.last_sequence - window_ranges.c.first_sequence + 1), 0))
    ).scalar_one()
    return int(booked) - int(closed)


def last_sequences(connection: Connection) -> list[tuple[int, int]]:
    """How far each lane has come, by lane."""
    query = select(heads.c.lane, heads.c.last_sequence).order_by(heads.c.lane)
    return [(lane, last) for lane, last in connection.execute(query)]


def close_window(
    connection: Connection,
    *,
    window_id: int | None,
    audience: str,
    at_ms: int,
    network_date: Callable[[int], str],
    lanes_from_now: int | None = None,
    made_by: str = "night",
) -> Window:
    """Cuts off the open window and opens the next, exactly: whatever commits later reads a head that names the next one.

    Takes the locks of all heads, in ascending order. Closed at `at_ms`, or at the last commit if that was later; the date
    is the network's at that moment. `lanes_from_now`: changes the map from buckets to lanes for the next window; lanes that
    are new begin, others keep their heads. The caller's transaction must write. Raises BooksBroken unless `window_id` is the
    open one; None: whichever is.
    """
    found = lock_all_heads(connection)
    present = open_window(connection)
    if present.window_id != (window_id or present.window_id) or any(head.window_id != present.window_id for head in found):
        raise BooksBroken(f"window {window_id or present.window_id} is not the open one of all lanes")
    previous = load_window(connection, present.window_id - 1)
    before = {lane.lane: lane.last for lane in previous.ranges} if previous else {}
    closed_at_ms = max([at_ms, *(head.last_commit_ms for head in found)])
    closed = replace(
        present,
        state=WindowState.CLOSED,
        cut_off_date=network_date(closed_at_ms),
        closed_at_ms=closed_at_ms,
        ranges=tuple(
            LaneRange(
                head.lane,
                before.get(head.lane, 0) + 1,
                head.last_sequence,
                head.chain_hash,
                head.refusals,
                head.refusals_hash,
            )
            for head in found
        ),
    )
    closed = replace(closed, window_hash=_hash(closed, previous.window_hash if previous else genesis_hash(audience, 0)))
    _save_closed(connection, closed, made_by)
    take_adjustments(connection, closed.window_id)
    _open_next(connection, closed, lanes=lanes_from_now or present.lanes, made_by=made_by)
    for lane in range(len(found), lanes_from_now or 0):
        insert_head(connection, audience, lane, lanes=lanes_from_now or 0, window_id=closed.window_id + 1, at_ms=closed_at_ms)
    return closed


def insert_open_window(
    connection: Connection, window_id: int, *, lanes: int, rules_version: int, at_ms: int, made_by: str
) -> None:
    """Opens a window under a version of the settlement rules; a constraint allows one at a time."""
    connection.execute(
        insert(windows).values(
            window_id=window_id,
            state=WindowState.OPEN.value,
            cut_off_date="",
            closed_at_ms=0,
            window_hash=b"",
            lanes=lanes,
            previous_state="",
            rules_version=rules_version,
        )
    )
    _keep_transition(connection, window_id, "", WindowState.OPEN, at_ms=at_ms, made_by=made_by)


def insert_head(connection: Connection, audience: str, lane: int, *, lanes: int, window_id: int, at_ms: int) -> None:
    """Begins a lane: nothing is booked in it yet."""
    genesis = genesis_hash(audience, lane)
    connection.execute(
        insert(heads).values(
            lane=lane,
            window_id=window_id,
            last_sequence=0,
            last_commit_ms=at_ms,
            chain_hash=genesis,
            refusals=0,
            refusals_hash=genesis,
            lanes=lanes,
        )
    )


def move_window(
    connection: Connection, window: Window, target: WindowState, *, at_ms: int, made_by: str, decision_id: str = ""
) -> bool:
    """Moves a window on along the domain's table, and keeps who did it; False where it is there already.

    The caller's transaction must write. Raises InvalidValue where the table does not allow it, BooksBroken if the window is no
    longer where `window` says.
    """
    if not changes_state(present=window.state, target=target):
        return False
    moved = connection.execute(
        update(windows)
        .where(windows.c.window_id == window.window_id, windows.c.state == window.state.value)
        .values(state=target.value, previous_state=window.state.value)
    )
    if moved.rowcount != 1:
        raise BooksBroken(f"window {window.window_id} is no longer {window.state}")
    _keep_transition(
        connection, window.window_id, window.state.value, target, at_ms=at_ms, made_by=made_by, decision_id=decision_id
    )
    return True


def load_transitions(connection: Connection, window_id: int) -> list[Transition]:
    """How a window came to where it stands, oldest first."""
    wanted = window_transitions.c
    query = select(*(wanted[name] for name in Transition.__slots__)).where(wanted.window_id == window_id).order_by(wanted.number)
    return [
        Transition(row.window_id, row.number, row.previous_state, WindowState(row.state), *row[4:])
        for row in connection.execute(query)
    ]


def lock_all_heads(connection: Connection) -> Sequence[Any]:
    """All heads, in ascending order of their lanes: nobody books until the caller's transaction ends."""
    # Whoever waited in the first statement does not see lanes that began meanwhile; the second one does.
    connection.execute(select(heads.c.lane).order_by(heads.c.lane).with_for_update()).all()
    return connection.execute(select(heads).order_by(heads.c.lane).with_for_update()).all()


def _keep_transition(
    connection: Connection, window_id: int, previous: str, state: WindowState, *, at_ms: int, made_by: str, decision_id: str = ""
) -> None:
    count = select(func.count()).select_from(window_transitions).where(window_transitions.c.window_id == window_id)
    connection.execute(
        insert(window_transitions).values(
            window_id=window_id,
            number=connection.execute(count).scalar_one() + 1,
            previous_state=previous,
            state=state.value,
            at_ms=at_ms,
            made_by=made_by,
            decision_id=decision_id,
        )
    )


def _hash(closed: Window, previous_hash: bytes) -> bytes:
    return window_hash(
        previous_hash,
        window_id=closed.window_id,
        cut_off_date=closed.cut_off_date,
        closed_at_ms=closed.closed_at_ms,
        lanes=closed.lanes,
        ranges=[astuple(lane) for lane in closed.ranges],
    )


def _save_closed(connection: Connection, closed: Window, made_by: str) -> None:
    _keep_transition(
        connection, closed.window_id, WindowState.OPEN.value, closed.state, at_ms=closed.closed_at_ms, made_by=made_by
    )
    connection.execute(
        update(windows)
        .where(windows.c.window_id == closed.window_id)
        .values(
            state=closed.state.value,
            previous_state=WindowState.OPEN.value,
            cut_off_date=closed.cut_off_date,
            closed_at_ms=closed.closed_at_ms,
            window_hash=closed.window_hash,
        )
    )
    connection.execute(
        insert(window_ranges),
        [
            {
                "window_id": closed.window_id,
                "lane": lane.lane,
                "first_sequence": lane.first,
                "last_sequence": lane.last,
                "chain_hash": lane.chain_hash,
                "refusals": lane.refusals,
                "refusals_hash": lane.refusals_hash,
            }
            for lane in closed.ranges
        ],
    )


def _open_next(connection: Connection, closed: Window, *, lanes: int, made_by: str) -> None:
    window_id = closed.window_id + 1
    version = rules_of_window(load_rules(connection), window_id).version
    insert_open_window(connection, window_id, lanes=lanes, rules_version=version, at_ms=closed.closed_at_ms, made_by=made_by)
    connection.execute(update(heads).values(window_id=window_id, last_commit_ms=closed.closed_at_ms, lanes=lanes))


def _load_ranges(connection: Connection, window_ids: list[int]) -> defaultdict[int, list[LaneRange]]:
    found: defaultdict[int, list[LaneRange]] = defaultdict(list)
    if window_ids:
        query = select(window_ranges).where(window_ranges.c.window_id.between(min(window_ids), max(window_ids)))
        for row in connection.execute(query.order_by(window_ranges.c.window_id, window_ranges.c.lane)):
            found[row.window_id].append(
                LaneRange(row.lane, row.first_sequence, row.last_sequence, row.chain_hash, row.refusals, row.refusals_hash)
            )
    return found
