"""Fifty windows close while tills issue by the clock: each receipt is in one of them, each nets to zero, nobody waits long."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from gateway.domain.terms import date_at
from gateway.domain.window import Window
from gateway.ledger.audit import audit
from gateway.storage.books import lock_heads
from gateway.storage.engine import reading, writing
from gateway.storage.tables import entries, postings, totals
from gateway.storage.windows import close_window, load_windows
from settlement.netting import net_positions
from settlement.nightly import window_obligations
from tests.given import AUDIENCE, ZONE, GivenNetwork, month
from tests.settlement.traffic import NOON_MS, Sold, sell_by_the_clock

WINDOWS = 50
EVERY_S = 0.1
END_S_MAX = 60
PAUSE_MS_MAX = 250


@pytest.mark.slow
def test_fifty_windows_close_under_two_hundred_issues_a_second(tmp_path: Path, network_url: str | None) -> None:
    """SQLite with its one lane and PostgreSQL with four. Tells the longest pause that a cut-off makes, and the slowest call."""
    network = month(tmp_path / "net", lanes=1 if network_url is None else 4, url=network_url)
    with traffic(network) as sold:
        began = time.monotonic()
        pauses_ms = []
        for number in range(WINDOWS):
            pauses_ms.append(cut_off(network.engine))
            time.sleep(max(began + (number + 1) * EVERY_S - time.monotonic(), 0))
    (result,) = sold
    longest = max(pauses_ms)
    facts = f"{len(result.places)} receipts, heads locked for {longest} ms at most, slowest call {result.slowest_ms} ms"
    print(f"{network.engine.dialect.name}: {facts}")  # noqa: T201 - what the test is asked to tell

    assert longest < PAUSE_MS_MAX
    with reading(network.engine) as connection:
        windows = list(reversed(load_windows(connection)))
    assert len(windows) == WINDOWS + 1
    check_each_receipt_is_in_one_window(network.engine, windows, result)
    check_each_window_nets_to_zero(network.engine, windows)
    assert [str(failure) for failure in audit(network.engine, full=True, now_ms=NOON_MS + 3_600_000).failures] == []
    network.engine.dispose()


def check_each_receipt_is_in_one_window(engine: Engine, windows: list[Window], sold: Sold) -> None:
    """By its lane and sequence; in the window that its entry names; most windows have some."""
    found: Counter[tuple[int, int]] = Counter()
    expected = {}
    for window in windows:
        for lane in window.ranges:
            for sequence in range(lane.first, lane.last + 1):
                found[lane.lane, sequence] += 1
                expected[lane.lane, sequence] = window.window_id
    with reading(engine) as connection:
        rows = connection.execute(select(entries.c.lane, entries.c.sequence, entries.c.window_id)).all()
    booked = {(lane, sequence): window_id for lane, sequence, window_id in rows}

    assert set(found.values()) == {1}
    assert len(set(sold.places)) == len(sold.places) == len(booked)
    assert set(sold.places) == set(booked)
    assert booked == expected | {place: WINDOWS + 1 for place in booked if place not in found}
    assert len(set(expected.values())) > WINDOWS // 2


def check_each_window_nets_to_zero(engine: Engine, windows: list[Window]) -> None:
    """In money, by its totals, which are those of its own postings."""
    with reading(engine) as connection:
        for window in windows:
            lines = window_obligations(connection, window.window_id)
            assert sum(position.amount for position in net_positions(lines)) == 0
        summed = connection.execute(
            select(totals.c.window_id, totals.c.lane, totals.c.kind, func.sum(totals.c.points)).group_by(
                totals.c.window_id, totals.c.lane, totals.c.kind
            )
        ).all()
        counted = connection.execute(
            select(entries.c.window_id, entries.c.lane, postings.c.kind, func.sum(postings.c.points))
            .join(postings, postings.c.entry_id == entries.c.entry_id)
            .group_by(entries.c.window_id, entries.c.lane, postings.c.kind)
        ).all()

    assert sorted(map(tuple, summed)) == sorted(map(tuple, counted))


def cut_off(engine: Engine) -> int:
    """Closes the open window; answers for how many milliseconds nobody else could book, COMMIT included."""
    with writing(engine) as connection:
        lock_heads(connection, range(4))
        locked_at = time.perf_counter_ns()
        close_window(
            connection,
            window_id=None,
            audience=AUDIENCE,
            at_ms=NOON_MS,
            network_date=lambda at_ms: date_at(at_ms, ZONE).isoformat(),
        )
    return (time.perf_counter_ns() - locked_at) // 1_000_000


@contextmanager
def traffic(network: GivenNetwork) -> Iterator[list[Sold]]:
    """Tills in a process of their own; what they sold is known at the end."""
    context = multiprocessing.get_context("spawn")
    started, stop = context.Event(), context.Event()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=sell_by_the_clock, args=(network.folder, theirs, started, stop))
    process.start()
    theirs.close()
    sold: list[Sold] = []
    try:
        assert started.wait(END_S_MAX)
        yield sold
    finally:
        stop.set()
        if ours.poll(END_S_MAX):
            sold.append(ours.recv())
        process.join(END_S_MAX)
    assert process.exitcode == 0
