"""The night beside a busy gateway: the cut-off is exact, nothing is lost and nothing is in two windows."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries, heads, postings, totals
from gateway.storage.windows import load_windows
from tests.settlement.given import network_engine
from tests.settlement.night import MIDNIGHT_MS, run
from tests.settlement.traffic import keep_booking

NIGHTS = 4


def test_entries_that_come_during_the_night_are_in_exactly_one_window(copy_month: Callable[[str], Path], tmp_path: Path) -> None:
    """Their window is that of their sequence, and each window's totals are those of its own postings."""
    folder = copy_month("busy")
    context = multiprocessing.get_context("spawn")
    started, stop = context.Event(), context.Event()
    traffic = context.Process(target=keep_booking, args=(folder, started, stop))
    traffic.start()
    engine = network_engine(folder)
    try:
        assert started.wait(60)
        for night in range(NIGHTS):
            run(engine, tmp_path / "out", at_ms=MIDNIGHT_MS + night * 1_000)
    finally:
        stop.set()
        traffic.join(60)

    with reading(engine) as connection:
        ranges = [
            (window.window_id, lane.first, lane.last) for window in reversed(load_windows(connection)) for lane in window.ranges
        ]
        last = connection.execute(select(heads.c.last_sequence)).scalar_one()
        found = connection.execute(select(entries.c.sequence, entries.c.window_id).order_by(entries.c.sequence)).all()
        summed = connection.execute(
            select(totals.c.window_id, totals.c.kind, func.sum(totals.c.points)).group_by(totals.c.window_id, totals.c.kind)
        ).all()
        counted = connection.execute(
            select(entries.c.window_id, postings.c.kind, func.sum(postings.c.points))
            .join(postings, postings.c.entry_id == entries.c.entry_id)
            .group_by(entries.c.window_id, postings.c.kind)
        ).all()
    engine.dispose()
    expected = [(sequence, window_id) for window_id, first, end in ranges for sequence in range(first, end + 1)]
    expected += [(sequence, NIGHTS + 1) for sequence in range(ranges[-1][2] + 1, last + 1)]
    assert traffic.exitcode == 0
    assert [tuple(row) for row in found] == expected
    assert sorted(map(tuple, summed)) == sorted(map(tuple, counted))
