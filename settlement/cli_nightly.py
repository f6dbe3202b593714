"""`tallystick settlement nightly`: the night as a timer starts it, with an exit code for each way in which it may end."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import Connection

from gateway.console import Context, pass_context
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.settlement import LAST_STEP
from gateway.domain.window import WindowState
from gateway.ledger.clock_check import check_clock
from gateway.storage.engine import reading
from gateway.storage.figures import load_exposures
from gateway.storage.rules import load_rules
from gateway.storage.windows import entries_since_cut_off, load_windows, open_window
from settlement import store
from settlement.files import window_folder
from settlement.guard import NightAtWork, only_run
from settlement.netting import net_positions
from settlement.nightly import STEPS, Night, make_due_runs, run_night, window_obligations
from settlement.sealing import open_sealer

AWAITS_CONFIRMATION = 10
ANOTHER_AT_WORK = 11
BOOKS_NOT_PROVED = 12
FILES_NOT_WRITTEN = 13
HOOK_FAILED = 14

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@click.command()
@click.option("--at", "at_text", metavar="INSTANT", help="Instant of the cut-off; not in the future [default: now].")
@click.option("--out", "out_dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option("--dry-run", is_flag=True, help="Say what the night would do and what is owed so far; write nothing.")
@click.option(
    "--hook", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Program that gets the summary as JSON."
)
@click.option("--pause-after", type=click.Choice([step.name for step in STEPS]), help="As of 'settlement run': for rehearsals.")
@pass_context
def nightly(
    context: Context, at_text: str | None, out_dir: Path | None, hook: Path | None, pause_after: str | None, *, dry_run: bool
) -> None:
    """The night, for a timer: completes what was left, closes the window, nets it, and stops there for two operators.

    \b
    Exit codes:
      0   done, and nothing waits for confirmation
      1   refused: the message says what to do
      2   misuse
      10  done; netted windows wait for 'tallystick settlement confirm'
      11  another run is at work: nothing was done
      12  the books are not proved: nothing was cut off, or the window stays as it is
      13  the files cannot be written: mend that and run again
      14  done, but the hook failed

    Safe to kill and to repeat. Windows that earlier nights left are completed first, in order. The hook gets one JSON object on
    its standard input.
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    at_ms = instant(context, at_text)
    if dry_run:
        with reading(context.engine) as connection:
            _foretell(connection)
        return

    night = Night(
        engine=context.engine,
        out_dir=out_dir or context.config.statements_dir,
        sealer=open_sealer(context.engine, context.config.keys_dir),
        at_ms=at_ms,
        clock=context.clock,
        progress=lambda text: click.echo(text, err=True),
        after_step=pausing_after(pause_after),
    )
    try:
        _run(night)
    except NightAtWork as error:
        _end(ANOTHER_AT_WORK, str(error))
    except BooksBroken as error:
        _end(BOOKS_NOT_PROVED, str(error))
    except OSError as error:
        _end(FILES_NOT_WRITTEN, f"cannot write the files of the window: {error}; mend that and run again, nothing is lost")
    _tell(night, hook)


def pausing_after(wanted: str | None) -> Callable[[str], None]:
    """Waits for a line on standard input when a step of this name is done: for rehearsals."""

    def after_step(step: str) -> None:
        if step == wanted:
            click.echo(f"paused after {step}", err=True)
            sys.stdin.readline()

    return after_step


def instant(context: Context, text: str | None) -> int:
    """An instant with its offset, in unix milliseconds; now where nothing is said. Raises InvalidValue."""
    now_ms = context.clock()
    if text is None:
        return now_ms
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidValue(f"--at {text!r}: write date, time and offset, such as 2026-06-30T23:59:59+02:00")
    at_ms = (at - _EPOCH) // _MILLISECOND
    if at_ms > now_ms:
        raise InvalidValue(f"--at {text}: lies in the future")
    return at_ms


def _run(night: Night) -> None:
    with only_run(night.engine):
        with reading(night.engine) as connection:
            check_clock(connection, night.clock())
        run_night(night)
        for folder in make_due_runs(night.engine, night.out_dir, at_ms=night.at_ms, progress=night.progress):
            night.progress(f"payment run in {folder}")


def _tell(night: Night, hook: Path | None) -> None:
    """The summary, to people and to the hook; ends with the exit code that it asks for."""
    with reading(night.engine) as connection:
        summary = _summary(connection, night)
    text = json.dumps(summary, sort_keys=True)
    click.echo(text)
    if hook is not None:
        ended = subprocess.run([str(hook.resolve())], input=f"{text}\n", text=True, check=False)
        if ended.returncode:
            _end(HOOK_FAILED, f"the night is done, but {hook} ended with {ended.returncode}")
    if summary["awaits_confirmation"]:
        sys.exit(AWAITS_CONFIRMATION)


def _summary(connection: Connection, night: Night) -> dict[str, object]:
    """What a person, or a program on its behalf, wants to know in the morning; amounts in minor units."""
    windows = load_windows(connection)
    latest = store.latest_closed(connection)
    window_id = latest.window_id if latest else 0
    alarm_percent = load_rules(connection)[open_window(connection).rules_version].alarm_percent
    return {
        "window_id": window_id,
        "state": latest.state.value if latest else "",
        "cut_off_date": latest.cut_off_date if latest else "",
        "entries": latest.entries if latest else 0,
        "awaits_confirmation": sorted(window.window_id for window in windows if window.state is WindowState.NETTED),
        "net": [[one.currency, one.party_id, one.amount] for one in store.load_positions(connection, window_id)],
        "instructions": len(store.load_instructions(connection, window_id)),
        "alarms": [one.partner_id for one in load_exposures(connection) if one.is_alarming(alarm_percent)],
        "files": str(window_folder(night.out_dir, window_id)),
    }


def _foretell(connection: Connection) -> None:
    """Says what a run would find, and writes nothing."""
    for window_id, _ in store.unfinished_windows(connection, last_step=LAST_STEP):
        done = store.done_steps(connection, window_id)
        left = [step.name for step in STEPS if step.name not in done]
        click.echo(f"window {window_id}: would be completed: {', '.join(left)}")
    window_id = open_window(connection).window_id
    click.echo(f"window {window_id}: would be cut off, with {entries_since_cut_off(connection)} entries so far")
    for position in net_positions(window_obligations(connection, window_id)):
        click.echo(f"  {position.party_id} {position.amount} minor units of {position.currency} so far (+ receives)")


def _end(code: int, message: str) -> None:
    click.echo(f"tallystick: {message}", err=True)
    sys.exit(code)
