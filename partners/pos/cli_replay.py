"""`tallystick pos replay`: a file of real baskets, played as signed calls."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from gateway.domain.errors import InvalidValue
from gateway.domain.terms import parse_date
from gateway.domain.units import Rate, check_unit
from gateway.terminal import Refused, print_table
from partners.fields import read_toml
from partners.pos.errors import ProfileError
from partners.pos.files import read_text
from partners.pos.profile import Profile
from partners.pos.replay import Job, Replay, Summary
from partners.pos.replay_plan import Columns, Naming, Rule, Stores

_path = click.Path(path_type=Path, dir_okay=False)
_UNTIED_SHOWN_MAX = 10


@click.command()
@click.argument("file", type=_path)
@click.option(
    "--profiles",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A folder with one profile (pos.toml) a partner.",
)
@click.option(
    "--map", "map_file", type=_path, help='Stores of each partner: TOML (acme = ["319", "361"]) or CSV (store_id,partner_id).'
)
@click.option("--anchor", metavar="PARTNER", help="Without --map: gets half of the stores; the others share the rest by hash.")
@click.option("--redeem-share", default="0.2", show_default=True, help="Share of baskets that redeem, if there are points.")
@click.option("--return-share", default="0.16", show_default=True, help="Share of baskets of which a part comes back.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of all chance; needs a new --run to book anything new.")
@click.option(
    "--run",
    "run_name",
    default="replay",
    show_default=True,
    help="Begins every idempotency key: another name books the file once more.",
)
@click.option("--card-prefix", default="hh-", show_default=True, help="Stands before household ids in card numbers.")
@click.option("--unit", default="USD", show_default=True, help="Currency of the file.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Where the file calls it otherwise: occurred, basket, store, household, sales, discount (empty: none).",
)
@click.option("--from", "first_day", metavar="DATE", help="Leave out what the file has before.")
@click.option("--to", "last_day", metavar="DATE", help="Leave out what the file has after.")
@click.option(
    "--each-week", metavar="COMMAND", help="Run a shell command after each ISO week of the file; $TALLYSTICK_WEEK names it."
)
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), default=32, show_default=True, help="Calls at once, of each process."
)
@click.option("--balances-out", type=_path, help="Write each household's final balance to a CSV file.")
def replay(file: Path, profiles: Path, **options: Any) -> None:
    """Play FILE.csv or FILE.csv.gz, a row a basket, as signed calls of tills.

    Who redeems, and what is returned, is decided by a hash of seed and basket, so that playing again books nothing new
    and a replay that was interrupted goes on where it stopped. Everything is booked at the present time; the file's own
    stands in the receipt number. Ends with a summary that is compared with the ledger, household by household.
    """
    job = _job(file, _profiles(profiles), options)
    spans = job.events_by_span()
    if not spans:
        raise Refused(f"{file} has no baskets between these dates")
    with Replay(job, options["processes"]) as running:
        _play(running, spans, options["each_week"])
        summary = running.finish()
    if options["balances_out"] is not None:
        _write_balances(options["balances_out"], summary)
    _print_summary(file, summary)
    if summary.untied:
        shown = [f"{one.household_id}: ledger {one.balance_points}, receipts {one.receipts_points}" for one in summary.untied]
        raise Refused(f"{len(shown)} households do not tie out:\n  " + "\n  ".join(shown[:_UNTIED_SHOWN_MAX]))


def _job(file: Path, profiles: Mapping[str, Profile], options: Mapping[str, Any]) -> Job:
    mapped = _mapping(options["map_file"]) if options["map_file"] is not None else None
    for partner_id in {*(mapped or {}).values(), *filter(None, [options["anchor"]])} - profiles.keys():
        raise ProfileError(f"partner {partner_id} has no profile in the folder")
    return Job(
        file=file,
        profiles=profiles,
        stores=Stores(tuple(sorted(profiles)), mapped, options["anchor"]),
        rule=Rule(_share(options["redeem_share"]), _share(options["return_share"]), options["seed"]),
        unit=check_unit(options["unit"]),
        columns=_columns(options["columns"]),
        naming=Naming(options["run_name"], options["card_prefix"]),
        first_day=parse_date(options["first_day"]) if options["first_day"] else date.min,
        last_day=parse_date(options["last_day"]) if options["last_day"] else date.max,
        by_week=options["each_week"] is not None,
        concurrency=options["concurrency"],
    )


def _profiles(folder: Path) -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.toml")):
        profile = Profile.load(path)
        if profile.partner_id in profiles:
            raise ProfileError(f"{path}: {profile.partner_id} has a profile already; one a partner")
        profiles[profile.partner_id] = profile
    if not profiles:
        raise ProfileError(
            f"no profile (*.toml) in {folder}; write them with 'tallystick pos profile --out {folder}/PARTNER.toml'"
        )
    return profiles


def _mapping(path: Path) -> dict[str, str]:
    text = read_text(path)
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows or not {"store_id", "partner_id"} <= rows[0].keys():
            raise ProfileError(f"{path}: needs the columns store_id and partner_id")
        return {row["store_id"]: row["partner_id"] for row in rows}
    content = read_toml(text)
    if isinstance(content, str) or not all(isinstance(stores, list) for stores in content.values()):
        raise ProfileError(f'{path}: needs a list of stores for each partner, such as acme = ["319", "361"]')
    return {str(store): partner_id for partner_id, stores in content.items() for store in stores}


def _share(text: str) -> Rate:
    share = Rate.parse(text)
    if share.numerator > share.denominator:
        raise InvalidValue(f"share {text}: must be from 0 to 1")
    return share


def _columns(pairs: tuple[str, ...]) -> Columns:
    columns = Columns()
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or name not in Columns.__slots__ or (not column and name != "discount"):
            raise InvalidValue(f"--column {pair}: write NAME=COLUMN with a name out of {', '.join(Columns.__slots__)}")
        columns = replace(columns, **{name: column})
    return columns


def _play(running: Replay, spans: Mapping[str, int], each_week: str | None) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]} events/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("baskets", total=sum(spans.values()), rate="-")
        for span in spans:
            progress.update(task, description=span or "baskets")
            for events in running.play(span):
                progress.advance(task, events)
                progress.update(task, rate=f"{progress.tasks[0].speed or 0:,.0f}")
            if each_week is not None:
                _run(each_week, span)


def _run(command: str, week: str) -> None:
    sys.stdout.flush()
    environ = {**os.environ, "TALLYSTICK_WEEK": week}
    done = subprocess.run(["/bin/sh", "-c", command], env=environ, check=False)
    if done.returncode:
        raise Refused(f"'{command}' failed after week {week} with exit code {done.returncode}")


def _write_balances(path: Path, summary: Summary) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("household_id", "balance_points"))
        writer.writerows((one.household_id, one.balance_points) for one in summary.closings)


def _print_summary(file: Path, summary: Summary) -> None:
    counts, points = summary.totals.counts, summary.totals.points
    rows = [(kind, f"{counts[kind]:,}", "") for kind in ("enrolled", "checkouts", "refunds")]
    rows += [(f"points {kind}", "", f"{points[kind]:+,}") for kind in ("issued", "redeemed", "taken back", "given back")]
    rows += [(f"refused: {reason}", f"{count:,}", "") for reason, count in sorted(summary.totals.refused.items())]
    rows += [(kind, f"{counts[kind]:,}", "") for kind in ("nothing to pay", "booked before") if counts[kind]]
    rows += [("calls sent again", f"{summary.retries:,}", ""), ("receipts verified", f"{summary.receipts_verified:,}", "")]
    balances = sum(one.balance_points for one in summary.closings)
    rows.append(("balances in the ledger", f"{len(summary.closings):,}", f"{balances:+,}"))
    tied = len(summary.closings) - len(summary.untied)
    rows.append(("balances that equal the sum of their receipts", f"{tied:,}", ""))
    print_table(f"Replay of {file.name}", ("what", "number", "points"), rows, right=("number", "points"))
