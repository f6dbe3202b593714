"""Killed with SIGKILL after any step and run again: the same files, byte for byte, and nothing twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.storage.engine import reading
from gateway.storage.windows import load_windows
from settlement.cli_nightly import ANOTHER_AT_WORK, AWAITS_CONFIRMATION
from settlement.nightly import STEPS
from tests.given import GivenNetwork
from tests.patience import patience_s
from tests.settlement.given import network_engine
from tests.settlement.night import MIDNIGHT, MIDNIGHT_MS, files_of, finish, kill_after, run, start


@pytest.fixture(scope="module")
def undisturbed(booked_month: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a night that nobody disturbed, on SQLite: the other engine must give the same."""
    network = booked_month.copy(tmp_path_factory.mktemp("undisturbed") / "net")
    run(network.engine, network.folder / "statements", at_ms=MIDNIGHT_MS)
    network.engine.dispose()
    return files_of(network.folder / "statements")


KILLS = [("sqlite", step.name) for step in STEPS] + [
    pytest.param("postgresql", step.name, marks=pytest.mark.postgres) for step in STEPS
]


@pytest.mark.parametrize(("new_network_url", "step"), KILLS, indirect=["new_network_url"])
def test_a_night_killed_after_a_step_and_run_again_gives_the_same_bytes(
    step: str, copy_month: Callable[[str], Path], undisturbed: dict[str, bytes]
) -> None:
    """And closes one window only."""
    folder = copy_month("killed")
    kill_after(folder, step)

    code, _, errors = finish(folder, "settlement", "nightly", "--at", MIDNIGHT)

    engine = network_engine(folder)
    with reading(engine) as connection:
        windows = [window.window_id for window in load_windows(connection)]
    engine.dispose()
    assert code == AWAITS_CONFIRMATION, errors
    assert files_of(folder / "statements") == undisturbed
    assert windows == [2, 1]


def test_two_runs_at_once_are_refused(copy_month: Callable[[str], Path], undisturbed: dict[str, bytes]) -> None:
    """The second says so and changes nothing; the first goes on."""
    folder = copy_month("twice")
    first = start(folder, "settlement", "run", "--at", MIDNIGHT, "--pause-after", "close")
    assert first.stderr is not None
    assert any(line == "paused after close\n" for line in first.stderr)

    code, _, errors = finish(folder, "settlement", "nightly", "--at", MIDNIGHT)
    first.communicate("\n", timeout=patience_s(120))

    assert (code, first.returncode) == (ANOTHER_AT_WORK, 0)
    assert "another settlement run is at work" in errors
    assert files_of(folder / "statements") == undisturbed
