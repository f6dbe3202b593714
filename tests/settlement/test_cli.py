"""`tallystick settlement` as the finance team meets it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.console import Context
from settlement.cli import settlement
from settlement.nightly import STEPS
from tests.given import at
from tests.settlement.night import MIDNIGHT, files_of, kill_after

Command = Callable[..., Result]


@pytest.fixture
def folder(copy_month: Callable[[str], Path]) -> Path:
    """The month's network."""
    return copy_month("net")


@pytest.fixture
def command(folder: Path) -> Command:
    """Runs `tallystick settlement …` on 1 July, at noon."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(settlement, words, obj=Context(folder / "tallystick.toml", lambda: at("2026-07-01")))

    return run


def test_a_run_prints_who_owes_whom_before_and_after_and_names_its_files(command: Command) -> None:
    """The oracle's 8.04 and 4.16."""
    result = command("run", "--at", MIDNIGHT)

    assert result.exit_code == 0, result.output
    for expected in (
        "Before netting",
        "8.04",
        "After netting",
        "2.75",
        "-4.16",
        "25 files in",
        "alpha.json",
        "operator.report.txt",
    ):
        assert expected in result.stdout


def test_steps_are_listed_in_order(command: Command) -> None:
    """By the names that --pause-after takes."""
    output = command("steps").stdout

    assert sorted(STEPS, key=lambda step: output.index(f" {step.name} ")) == list(STEPS)


def test_windows_are_listed_newest_first(command: Command) -> None:
    """The open one has no date yet."""
    command("run", "--at", MIDNIGHT)

    output = command("list").stdout

    assert output.index("OPEN") < output.index("NETTED")
    assert "2026-06-30" in output


def test_an_open_window_shows_what_it_comes_to_so_far(command: Command) -> None:
    """Without a night."""
    assert "8.04" in command("show", "1").stdout


def test_a_statement_is_printed_for_people_and_byte_for_byte(command: Command, folder: Path) -> None:
    """As it was published."""
    command("run", "--at", MIDNIGHT)

    files = files_of(folder / "statements" / "window-0001")
    assert command("statement", "1", "alpha").stdout_bytes == files["alpha.txt"]
    assert command("statement", "1", "alpha", "--json").stdout_bytes == files["alpha.json"]


def test_files_can_be_written_again_the_same(command: Command, folder: Path, tmp_path: Path) -> None:
    """Elsewhere, and over themselves."""
    command("run", "--at", MIDNIGHT)
    published = files_of(folder / "statements")

    assert command("publish", "1", "--out", str(tmp_path / "again")).exit_code == 0
    assert command("publish", "1").exit_code == 0
    assert files_of(tmp_path / "again") == files_of(folder / "statements") == published


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--at", "2026-07-02T00:00:00Z"), "lies in the future"),
        (("run", "--at", "2026-06-30"), "write date, time and offset"),
        (("run", "--at", "yesterday"), "write date, time and offset"),
        (("show", "9"), "there is no window 9"),
        (("statement", "1", "alpha"), "no published statement of window 1"),
        (("publish", "1"), "window 1 is OPEN"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(command: Command, words: tuple[str, ...], message: str) -> None:
    """Exit code 1, or the umbrella's."""
    result = command(*words)

    assert result.exit_code == 1
    assert message in result.output + str(result.exception)


def test_no_night_is_closed_while_the_books_end_in_the_future(folder: Path) -> None:
    """Whoever's clock is wrong: the cut-off would lie elsewhere than its date says."""
    context = Context(folder / "tallystick.toml", lambda: at("2026-06-20"))
    result = CliRunner().invoke(settlement, ["run"], obj=context)

    assert result.exit_code == 1
    assert "mend the clock" in str(result.exception)


def test_a_folder_that_cannot_be_written_stops_the_night_and_the_next_run_completes_it(command: Command, folder: Path) -> None:
    """Nothing half published."""
    (folder / "statements").write_text("a file where the folder should be")
    refused = command("run", "--at", MIDNIGHT)
    (folder / "statements").unlink()

    completed = command("run", "--at", MIDNIGHT)

    assert refused.exit_code == 1
    assert "cannot write the files" in refused.output
    assert completed.exit_code == 0
    assert "alpha.json" in completed.stdout


def test_a_night_that_is_completed_with_another_folder_says_how_to_get_its_files(command: Command, folder: Path) -> None:
    """They were written before it was interrupted."""
    kill_after(folder, "publish")

    completed = command("run", "--at", MIDNIGHT, "--out", str(folder / "elsewhere"))

    assert completed.exit_code == 0
    assert "'tallystick settlement publish 1' writes them again" in completed.stdout
