"""The night over several lanes: the same numbers, and windows that were cut off because the lanes changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.window import WindowState
from gateway.ledger.lane_map import change_lanes
from gateway.storage.engine import reading, writing
from gateway.storage.windows import load_windows
from settlement import store
from settlement.nightly import run_night
from tests.given import GivenNetwork, at, month
from tests.settlement.given import Shop, book_month, issue, oracle, oracle_obligations
from tests.settlement.night import MIDNIGHT_MS, make_night, run


def _change(network: GivenNetwork, lanes: int, *, at_ms: int) -> None:
    with writing(network.engine) as connection:
        change_lanes(connection, lanes, at_ms=at_ms)


def _states(network: GivenNetwork) -> list[tuple[int, WindowState]]:
    with reading(network.engine) as connection:
        return [(window.window_id, window.state) for window in reversed(load_windows(connection))]


@pytest.mark.parametrize("lanes", [2, 4])
def test_the_oracles_month_over_several_lanes(tmp_path: Path, lanes: int) -> None:
    """Its obligations and nets do not depend on where members live."""
    network = month(tmp_path / "net", lanes=lanes)
    book_month(network.engine)
    run(network.engine, tmp_path / "out")

    with reading(network.engine) as connection:
        lines = store.load_obligations(connection, 1)
        nets = {position.party_id[0].upper(): position.amount for position in store.load_positions(connection, 1)}
    assert {(li.payer_id, li.payee_id, li.rate_card_version, li.points, li.amount_micros) for li in lines} == oracle_obligations()
    assert nets == oracle()["at_redemption"]["net"]


def test_a_night_completes_what_was_cut_off_when_the_lanes_changed_and_closes_its_own_window(tmp_path: Path) -> None:
    """Twice a day they may change; each window is netted, oldest first, and the evening's entries are not left out."""
    network = month(tmp_path / "net")
    shop = book_month(network.engine)
    _change(network, 4, at_ms=at("2026-06-30", "14:00"))
    shop.book(issue("18", "alpha", "m1", 10_00), now_ms=at("2026-06-30", "15:00"))
    _change(network, 2, at_ms=at("2026-06-30", "16:00"))
    shop.book(issue("19", "alpha", "m2", 10_00), now_ms=at("2026-06-30", "17:00"))
    said: list[str] = []
    night = make_night(network.engine, tmp_path / "out")
    window = run_night(replace(night, progress=said.append))

    assert window is not None
    assert (window.window_id, window.lanes, len(window.ranges)) == (3, 2, 4)
    assert _states(network) == [(1, WindowState.NETTED), (2, WindowState.NETTED), (3, WindowState.NETTED), (4, WindowState.OPEN)]
    assert [line for line in said if "lanes changed" in line] == [
        f"window {window_id} was cut off when the lanes changed: completing it" for window_id in (1, 2)
    ]


def test_an_interrupted_night_closes_no_other_window_of_its_date_though_the_lanes_had_changed(tmp_path: Path) -> None:
    """The first window was cut off at noon, the second by the night: both are completed, and no third one closes."""
    network = month(tmp_path / "net")
    shop = Shop(network.engine)
    book_month(network.engine)
    _change(network, 2, at_ms=at("2026-06-30", "14:00"))
    shop.book(issue("18", "alpha", "m1", 10_00), now_ms=at("2026-06-30", "15:00"))
    night = make_night(network.engine, tmp_path / "out")

    def interrupt(step: str) -> None:
        if step == store.CLOSE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_night(replace(night, after_step=interrupt))
    shop.book(issue("20", "alpha", "m1", 10_00), now_ms=MIDNIGHT_MS)
    window = run(network.engine, tmp_path / "out")

    assert window is not None
    assert window.window_id == 2
    assert _states(network)[-1] == (3, WindowState.OPEN)


def test_a_change_of_lanes_with_nothing_after_it_is_completed_once(tmp_path: Path) -> None:
    """A run that finds no entries since, and no later time, closes no empty window."""
    network = month(tmp_path / "net")
    book_month(network.engine)
    _change(network, 2, at_ms=MIDNIGHT_MS)
    first, second = (run(network.engine, tmp_path / "out") for _ in range(2))

    assert first is not None
    assert (first.window_id, first.state) == (1, WindowState.NETTED)
    assert second is None
    assert _states(network)[-1] == (2, WindowState.OPEN)
