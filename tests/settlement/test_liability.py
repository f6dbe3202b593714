"""`tallystick settlement liability`: the oracle's month, periods, proofs, files, the list of what came from which receipt."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text, update

from gateway.console import Context
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.ids import entry_id
from gateway.storage.engine import reading, writing
from gateway.storage.tables import lots
from settlement.attribution import attribution_lines
from settlement.cli import settlement
from settlement.liability_reading import liability_by_expiry_month
from settlement.liability_store import load_ends
from settlement.nightly import expire_overdue
from settlement.store import existing_window
from tests.given import at
from tests.settlement.given import Shop, issue, network_engine, redeem
from tests.settlement.night import files_of, run

Command = Callable[..., Result]
JUNE, MIDNIGHT_MS = ("--at", "2026-06-30"), at("2026-06-30", "23:00")


@pytest.fixture
def folder(copy_month: Callable[[str], Path]) -> Path:
    """The month, expiry of step 13 included."""
    copied = copy_month("net")
    engine = network_engine(copied)
    expire_overdue(engine, at_ms=MIDNIGHT_MS)
    engine.dispose()
    return copied


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    """Its database."""
    opened = network_engine(folder)
    yield opened
    opened.dispose()


@pytest.fixture
def command(folder: Path) -> Command:
    """Runs `tallystick settlement …` on 1 July, at noon."""

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(settlement, words, obj=Context(folder / "tallystick.toml", lambda: at("2026-07-01")))

    return invoke


def report_of(command: Command, *words: str) -> Any:
    """The report as its JSON says."""
    result = command("liability", "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_month_rolls_forward_as_the_oracle_says(command: Command) -> None:
    """973 points are open, of which A has 36, B 250 and C 687; A was substituted 300 by C."""
    report = report_of(command, *JUNE)

    network, issuers = report["network"], {one["issuer_id"]: one for one in report["issuers"]}
    names = ("issued", "reversed", "redeemed", "restored", "expired", "substituted")
    assert [network[f"{name}_points"] for name in names] == [2_373, 350, 1_150, 300, 200, 0]
    assert {issuer: one["closing_points"] for issuer, one in issuers.items()} == {"alpha": 36, "bravo": 250, "charlie": 687}
    assert {issuer: one["substituted_points"] for issuer, one in issuers.items()} == {"alpha": 300, "bravo": 0, "charlie": -300}
    assert (network["closing_points"], network["transferred_in_points"], network["transferred_out_points"]) == (973, 120, 120)


def test_open_points_are_worth_their_issue_prices(command: Command) -> None:
    """By currency, exact and rounded: 36 at 1.15, 250 at 1.20, 687 at 1.05 cents."""
    (value,) = report_of(command, *JUNE)["network"]["values"]

    exact = 36 * 1_150_000 + 250 * 1_200_000 + 687 * 1_050_000
    assert (value["currency"], value["closing_value_micros"], value["closing_value"]) == ("EUR", exact, 1_063)


def test_a_period_begins_where_the_one_before_ended(command: Command) -> None:
    """Closing of the first part is opening of the second, line by line; a late entry counts on the day of its booking."""
    first = report_of(command, "--at", "2026-06-16")
    second = report_of(command, "--from", "2026-06-17", *JUNE)

    def points(report: Any, name: str) -> dict[tuple[str, str], int]:
        return {(one["issuer_id"], one["expiry_month"]): one[name] for one in report["roll_forward"] if one[name]}

    assert points(first, "closing_points") == points(second, "opening_points")
    assert sum(points(second, "issued_points").values()) == 50 + 300 + 102 + 4  # of step 11, which occurred on 14 June, 50


def test_a_debt_belongs_to_the_month_of_the_points_that_were_reversed(command: Command) -> None:
    """After step 8 member 2 owes alpha 200 points of a lot that expires in June 2027."""
    report = report_of(command, "--at", "2026-06-10")

    line = next(one for one in report["roll_forward"] if (one["issuer_id"], one["expiry_month"]) == ("alpha", "2027-06"))
    assert (line["reversed_points"], line["closing_points"], line["closing_value"]) == (200, -200, -220)


def test_books_that_do_not_add_up_give_no_report(command: Command, engine: Engine, tmp_path: Path) -> None:
    """One point too many in one lot is an error that names its place, and no file appears."""
    with writing(engine) as connection:
        connection.execute(update(lots).where(lots.c.issuer_id == "bravo", lots.c.open_points == 250).values(open_points=249))

    result = command("liability", *JUNE, "--out", str(tmp_path / "out"))

    assert isinstance(result.exception, BooksBroken)
    assert "points of bravo that expire in 2027-06" in str(result.exception)
    assert "the postings lead to 250, open lots less debt are 249" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_files_are_the_same_bytes_whatever_was_booked_since(command: Command, engine: Engine, tmp_path: Path) -> None:
    """A date that is over does not change; the JSON on the terminal is the file."""
    assert command("liability", *JUNE, "--out", str(tmp_path / "first")).exit_code == 0
    Shop(engine).book(issue("later", "alpha", "m1", 99_00), now_ms=at("2026-07-01", "09:00"))
    assert command("liability", *JUNE, "--out", str(tmp_path / "again")).exit_code == 0
    assert command("liability", *JUNE, "--out", str(tmp_path / "first")).exit_code == 0

    files = files_of(tmp_path / "first")
    assert files == files_of(tmp_path / "again")
    assert sorted(name.rpartition("/")[2] for name in files) == [
        "operator.attribution.csv",
        "operator.liability.csv",
        "operator.liability.json",
        "operator.liability.txt",
        "operator.manifest.json",
    ]
    assert files["liability-2026-06-30/operator.liability.json"] == command("liability", *JUNE, "--json").stdout_bytes


def test_a_spreadsheet_reads_the_lines_that_the_json_has(command: Command, tmp_path: Path) -> None:
    """With what is carried for them."""
    command("liability", *JUNE, "--out", str(tmp_path))
    content = (tmp_path / "liability-2026-06-30" / "operator.liability.csv").read_text("utf-8").splitlines()

    rows = list(csv.DictReader(content))
    report = report_of(command, *JUNE)
    for line, row in zip(report["roll_forward"], rows, strict=True):
        assert {name: str(value) for name, value in line.items()}.items() <= row.items()
    assert {row["breakage_remaining"] for row in rows} >= {str(one["remaining"]) for one in report["breakage"]}


def attributed(engine: Engine, *, entries_per_read: int = 2_000) -> list[dict[str, str]]:
    """All of the list."""
    with reading(engine) as connection:
        ends = load_ends(connection)
    content = b"".join(attribution_lines(engine, after={}, ends=ends, entries_per_read=entries_per_read))
    return list(csv.DictReader(content.decode().splitlines()))


def test_redeemed_points_name_the_receipt_that_they_came_from(engine: Engine) -> None:
    """The oracle's R1: 600 of step 1, 85 of step 2, 15 of step 3; its reversal gives back the newest first."""
    step = {entry_id("alpha", "1"): 1, entry_id("bravo", "2"): 2, entry_id("charlie", "3"): 3}
    rows = [row for row in attributed(engine) if row["redeemer_id"] == "bravo"]

    assert [(row["kind"], step[row["issue_entry_id"]], int(row["points"])) for row in rows] == [
        *(("redemption", 1, 600), ("redemption", 2, 85), ("redemption", 3, 15)),
        *(("restoration", 3, -15), ("restoration", 2, -85), ("restoration", 1, -200)),
    ]
    assert rows[0]["issue_business_date"] == "2026-06-01"
    assert attributed(engine, entries_per_read=1) == attributed(engine)


def test_a_till_writes_no_formula_into_a_spreadsheet(engine: Engine) -> None:
    """Its receipt numbers are any printable text."""
    shop, number = Shop(engine), '=SUM("A1", A2)'
    bought = replace(issue("x1", "alpha", "m2", 9_999_00), receipt_number=number)
    shop.book_all([bought, redeem("x2", "alpha", "m2", 124), redeem("x3", "alpha", "m2", 1)], now_ms=at("2026-07-01", "09:00"))

    assert attributed(engine)[-1]["issue_receipt_number"] == f"'{number}"


@pytest.mark.parametrize("new_network_url", ["sqlite"], indirect=True)
def test_the_log_can_be_copied_back_between_two_pieces(engine: Engine) -> None:
    """Nothing that is read here keeps a transaction open: a checkpoint ends while the list is half read."""
    with reading(engine) as connection:
        ends = load_ends(connection)
    lines = attribution_lines(engine, after={}, ends=ends, entries_per_read=1)
    next(lines)
    next(lines)
    Shop(engine).book(issue("between", "alpha", "m1", 10_00), now_ms=at("2026-07-01"))

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        busy, *_ = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
    assert busy == 0
    assert next(lines)


def test_a_closed_window_has_its_liability_by_expiry_month_for_ever(engine: Engine, tmp_path: Path) -> None:
    """By one function, from its ranges, whatever is booked after the cut-off."""
    run(engine, tmp_path / "out")
    with reading(engine) as connection:
        window = existing_window(connection, 1)
    ends = {lane.lane: lane.last for lane in window.ranges}
    before = liability_by_expiry_month(engine, ends)
    Shop(engine).book_all(
        [issue("after", "bravo", "m1", 500_00), redeem("spent", "delta", "m1", 800)], now_ms=at("2026-07-01", "09:00")
    )

    exact = 36 * 1_150_000 + 250 * 1_200_000 + 687 * 1_050_000
    assert liability_by_expiry_month(engine, ends) == before == {("EUR", "2027-06"): (973, exact)}


def test_a_lot_that_is_missing_is_named(command: Command, engine: Engine) -> None:
    """Rather than left out."""
    with writing(engine) as connection:
        connection.execute(lots.delete().where(lots.c.issuer_id == "bravo", lots.c.open_points == 250))

    assert "names a lot that is missing" in str(command("liability", *JUNE).exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--at", "2026-07-02"), "lies in the future"),
        (("--at", "30.06.2026"), "must be YYYY-MM-DD"),
        (("--at", "2026-06-20", "--from", "2026-06-21"), "must not lie after"),
        (("--cover-below", "much"), "--cover-below: rate 'much'"),
        (("--redeemed-above", "-1"), "--redeemed-above: rate '-1'"),
    ],
)
def test_a_question_without_an_answer_is_refused(command: Command, words: tuple[str, ...], message: str) -> None:
    """By the umbrella, with exit code 1."""
    error = command("liability", *words).exception

    assert isinstance(error, InvalidValue)
    assert message in str(error)


def test_the_terminal_shows_every_table_and_each_alarm(command: Command) -> None:
    """With thresholds that this month crosses: bravo's tills took more points than it issued, and covers are thin."""
    shown = command("liability", *JUNE, "--redeemed-above", "1", "--cover-below", "1.05").stdout

    for expected in ("Points, rolled forward", "Breakage", "Cover of what is open", "Who redeems whose points", "±120", "10.63"):
        assert expected in shown
    assert [line for line in shown.splitlines() if line.startswith("ALARM")] == [
        "ALARM charlie: cover in EUR is below 105/100",
        "ALARM bravo: 400 points redeemed here against 335 issued, more than 1 for each",
    ]


def test_an_alarm_is_raised_beyond_the_threshold_alone(command: Command) -> None:
    """At exactly 400 redeemed for 335 issued there is none; delta, which issues nothing, never has one."""
    assert report_of(command, *JUNE, "--redeemed-above", "400/335")["alarms"] == []
    assert len(report_of(command, *JUNE, "--redeemed-above", "399/335")["alarms"]) == 1
