"""Killed with SIGKILL, or without a disk, between COMMIT and files: the next run writes what an undisturbed one would have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import tallystick
from gateway.confirming import confirm
from gateway.domain.command import Enrol
from gateway.domain.settlement import Schedule
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import writing
from settlement.cli_nightly import AWAITS_CONFIRMATION, FILES_NOT_WRITTEN
from tests.given import GivenNetwork, at
from tests.postgres import ENGINES
from tests.settlement.given import Shop, card_hash
from tests.settlement.night import MIDNIGHT_MS, files_of, finish_with_a_full_disk, kill_when_it_says, run
from tests.settlement.office import Office, line_between, served

NEXT_NIGHT = ("settlement", "nightly", "--at", "2026-07-01T23:59:59+02:00")
WEEK_LATER = ("settlement", "nightly", "--at", "2026-07-07T23:59:59+02:00")
MADE, WRITTEN = "made, writing its files", "payment run in"
Built = dict[str, GivenNetwork]


@pytest.fixture(scope="module")
def built(booked_month: GivenNetwork, month_over: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """By name: a month with a dispute, and terms that a night a week later pays for. Only to be copied."""
    made = {name: booked_month.copy(tmp_path_factory.mktemp(name) / "net") for name in ("weekly", "monthly")}
    made["disputed"] = month_over.copy(tmp_path_factory.mktemp("disputed") / "net")
    with served(made["disputed"]) as gateway:
        alpha = Office(gateway, "alpha")
        alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    for name in ("weekly", "monthly"):
        _confirmed_terms(made[name], Schedule(name))
    return made


def _confirmed_terms(network: GivenNetwork, schedule: Schedule) -> None:
    """Window 1 is paid for by itself; 2 and 3 cost each partner 1.00, and are paid for together."""
    network.now_ms = MIDNIGHT_MS - 7_200_000
    run(network.engine, network.folder / "statements", at_ms=network.now_ms)
    network.settlement_rules(RulesChange(schedule=schedule, fixed_fee=1_00))
    for number in (1, 2):
        newcomer = f"new-{number}"
        enrol = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key=newcomer, card_hash=card_hash(newcomer))
        network.now_ms += 3_600_000
        Shop(network.engine).book_all([enrol], now_ms=network.now_ms - 1)
        run(network.engine, network.folder / "statements", at_ms=network.now_ms)
    for window_id in (1, 2, 3):
        for hand in network.hands:
            with writing(network.engine) as connection:
                confirm(connection, window_id, hand=hand, now_ms=network.now_ms)
    network.engine.dispose()


@pytest.fixture(scope="module")
def undisturbed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of the night that nobody disturbed, on SQLite: the other engine must give the same."""
    found = {}
    for name, words in (("disputed", NEXT_NIGHT), ("weekly", WEEK_LATER), ("monthly", WEEK_LATER)):
        network = built[name].copy(tmp_path_factory.mktemp("undisturbed") / "net")
        assert command(network, *words).exit_code == AWAITS_CONFIRMATION
        found[name] = files_of(network.folder / "statements")
    return found


@pytest.fixture
def copied(built: Built, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Callable[[str], GivenNetwork]:
    """A copy of one of them, on both engines."""
    return lambda name: built[name].copy(tmp_path / name, url=new_network_url())


def command(network: GivenNetwork, *words: str) -> Result:
    """`tallystick …` in this process, in the week after."""
    arguments = ["--config", str(network.folder / "tallystick.toml"), *words]
    return CliRunner().invoke(tallystick, arguments, obj=lambda: at("2026-07-08"))


@pytest.mark.parametrize("name", ["weekly", "monthly"])
@pytest.mark.parametrize("phrase", [MADE, WRITTEN])
def test_a_night_killed_while_it_writes_a_terms_run_gives_the_same_bytes(
    name: str, phrase: str, copied: Callable[[str], GivenNetwork], undisturbed: dict[str, dict[str, bytes]]
) -> None:
    """Before the first file, and after the last; half a folder that it left is swept away."""
    network = copied(name)
    kill_when_it_says(network.folder, phrase, *WEEK_LATER)
    partial = network.folder / "statements" / ".payments-0003.partial"
    if phrase == MADE:
        partial.mkdir()
        (partial / "operator.instructions.json").write_text("half an instr")
    ended = command(network, *WEEK_LATER)
    network.engine.dispose()

    assert ended.exit_code == AWAITS_CONFIRMATION
    assert files_of(network.folder / "statements") == undisturbed[name]


def test_a_window_that_a_term_gathered_is_published_again_with_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """The run has files of its own: what it pays stands in no window's."""
    network = built["monthly"].copy(tmp_path / "net")
    before = files_of(network.folder / "statements" / "window-0003")
    command(network, *WEEK_LATER)
    shutil.rmtree(network.folder / "statements" / "window-0003")

    assert command(network, "settlement", "publish", "3").exit_code == 0
    assert files_of(network.folder / "statements" / "window-0003") == before


@pytest.mark.parametrize("by_hand", [False, True])
def test_files_of_payments_made_anew_are_written_by_whoever_comes_next(
    copied: Callable[[str], GivenNetwork], undisturbed: dict[str, dict[str, bytes]], *, by_hand: bool
) -> None:
    """Killed between COMMIT of the disputes that it took and the first file: by the next night, or `disputes take`."""
    network = copied("disputed")
    kill_when_it_says(network.folder, "payments made anew", *NEXT_NIGHT)
    stale = files_of(network.folder / "statements")
    if by_hand:
        assert "payments made anew" in command(network, "settlement", "disputes", "take").output
        assert command(network, "settlement", "disputes", "take").output == "Nothing to do.\n"
    mended = files_of(network.folder / "statements" / "window-0001")
    ended = command(network, *NEXT_NIGHT)
    network.engine.dispose()

    whole = undisturbed["disputed"]
    wanted = {name.removeprefix("window-0001/"): content for name, content in whole.items() if name.startswith("window-0001/")}
    assert stale.items() - whole.items()
    assert (mended == wanted) == by_hand
    assert ended.exit_code == AWAITS_CONFIRMATION
    assert files_of(network.folder / "statements") == whole


@pytest.mark.postgres
@pytest.mark.parametrize("new_network_url", ENGINES[1:], indirect=True)
@pytest.mark.parametrize(
    ("words", "size", "code"), [(WEEK_LATER, 4_096, FILES_NOT_WRITTEN), (("settlement", "pay"), 128, 1)], ids=["night", "pay"]
)
def test_a_disk_that_is_full_leaves_no_folder_and_the_next_run_writes_it(
    words: tuple[str, ...],
    size: int,
    code: int,
    copied: Callable[[str], GivenNetwork],
    undisturbed: dict[str, dict[str, bytes]],
) -> None:
    """Of a window and its statements, and of a term's run alone; the message says what to do."""
    network = copied("monthly")
    before = files_of(network.folder / "statements")
    ended, _, errors = finish_with_a_full_disk(network.folder, *words, size=size)
    visible = {name for name in files_of(network.folder / "statements") if not name.startswith(".")}
    again = command(network, *WEEK_LATER)
    network.engine.dispose()

    assert (ended, "mend that and run again" in errors, "Traceback" in errors) == (code, True, False)
    assert visible == set(before)
    assert again.exit_code == AWAITS_CONFIRMATION
    assert files_of(network.folder / "statements") == undisturbed["monthly"]
