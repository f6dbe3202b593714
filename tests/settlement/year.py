"""A year of real baskets, settled and worked out again by hand, by one command.

python -m tests.settlement.year FOLDER FILE.csv.gz [MODEL] [DAYS_A_WINDOW]

plays all of it into a new folder (the suite plays a sample), and exits with 1 if anything differs.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.commands import done, run_command
from tests.given import GivenNetwork
from tests.settlement.baskets import FIRST_DAY, Played, founded, play, read
from tests.settlement.recomputed import Comparison, compare_liability, compare_windows, months


@dataclass(frozen=True, slots=True)
class Year:
    """What was played, and what the comparisons say of it."""

    played: Played
    windows: Comparison
    liability: Comparison

    @property
    def network(self) -> GivenNetwork:
        """Where it was played."""
        return self.played.network


def settle(folder: Path, file: Path, model: str, *, days_a_window: int, lanes: int = 1) -> Year:
    """Plays the file under a model, and compares."""
    network = founded(folder, model, lanes=lanes)
    played = play(network, read(file), days_a_window=days_a_window)
    windows = compare_windows(network.engine, network.folder / "statements")
    reports = [_report(network, first, last) for first, last in months(FIRST_DAY, played.last_day)]
    return Year(played, windows, compare_liability(network.engine, reports))


def _report(network: GivenNetwork, first: str, last: str) -> Any:
    """The liability report of a period, by the command."""
    out = network.folder / "liability"
    done(run_command(network, "settlement", "liability", "--from", first, "--at", last, "--out", out))
    return json.loads((out / f"liability-{last}" / "operator.liability.json").read_bytes())


def _say(year: Year) -> str:
    lines = [f"{year.played.baskets} baskets to {year.played.last_day}, in commands:"]
    lines += [f"{count:>9} {what}" for what, count in sorted(year.played.results.items())]
    for comparison in (year.windows, year.liability):
        lines += [f"{count:>9} {what}" for what, count in comparison.figures.items()]
    different = year.windows.differences + year.liability.differences
    return "\n".join([*lines, f"{len(different):>9} differences", *(one[:2_000] for one in different[:20])]) + "\n"


if __name__ == "__main__":
    folder, file, *rest = sys.argv[1:]
    model, days = (*rest, *("at_redemption", "3")[len(rest) :])
    started = time.monotonic()
    year = settle(Path(folder) / "net", Path(file).resolve(), model, days_a_window=int(days))
    sys.stdout.write(f"{model}\n{_say(year)}{time.monotonic() - started:.0f} s\n")
    sys.exit(bool(year.windows.differences or year.liability.differences))
