"""`tallystick settlement reconcile`: a record of the oracle's month against the books, on both engines."""

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.console import Context
from gateway.storage.engine import reading
from gateway.storage.reconciliations import load_reconciliations
from settlement.cli import settlement
from tests.given import GivenNetwork, at
from tests.settlement.given import Shop, issue, network_engine

Command = Callable[..., Result]
Rows = list[dict[str, str]]

HEADER = "idempotency_key,kind,points,business_date,receipt_number"
# What alpha did in the oracle's month: the points are the oracle's.
ALPHA = [
    "1,issue,600,2026-06-01,",
    "5,issue,200,2026-06-06,",
    "6,reverse_issue,150,2026-06-08,",
    "8,reverse_issue,200,2026-06-10,",
    "10,issue,32,2026-06-16,",
    "11,issue,50,2026-06-14,",
    "17,redeem,150,2026-06-26,",
    "17i,issue,4,2026-06-26,",
]


@pytest.fixture
def folder(month_over: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Path:
    """The month's network, its window closed and netted."""
    return month_over.copy(tmp_path / "net", url=new_network_url()).folder


@pytest.fixture
def command(folder: Path) -> Command:
    """Reconciles lines of alpha's as its record."""

    def reconcile(lines: list[str], *words: str, header: str = HEADER, partner: str = "alpha") -> Result:
        record = folder / "record.csv"
        record.write_text("\n".join((header, *lines)) + "\n", "utf-8")
        context = Context(folder / "tallystick.toml", lambda: at("2026-07-02"))
        return CliRunner().invoke(settlement, ["reconcile", str(record), "--partner", partner, *words], obj=context)

    return reconcile


def counts(result: Result) -> dict[str, int]:
    """By class, of a run as JSON."""
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    names = ("matched", "missing_here", "missing_at_partner", "amount_differs", "duplicate", "late")
    return {name: run[name] for name in names if run[name]}


def items(result: Result) -> Rows:
    """Of a run as JSON."""
    with Path(json.loads(result.stdout)["items_file"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_record_that_agrees_is_matched_line_by_line(command: Command) -> None:
    """Every entry of the partner's that moved points, and no other."""
    result = command(ALPHA, "--json")

    assert counts(result) == {"matched": 8}
    assert json.loads(result.stdout)["entries"] == 8


def test_each_discrepancy_has_its_class_and_its_item(command: Command) -> None:
    """One of each kind that a closed window can have."""
    lines = ["2026-x,issue,77,2026-06-03,", ALPHA[0], ALPHA[0], *ALPHA[1:4], "10,issue,33,2026-06-16,", "11,issue,50,2026-06-17,"]
    result = command(lines, "--json")

    assert counts(result) == {
        "matched": 4,
        "missing_here": 1,
        "missing_at_partner": 2,
        "amount_differs": 1,
        "duplicate": 1,
        "late": 1,
    }
    differing = next(row for row in items(result) if row["class"] == "amount_differs")
    assert (differing["points_here"], differing["points_partner"], differing["difference"]) == ("32", "33", "1")
    assert differing["line_number"] == "8"


def test_a_summary_says_what_each_class_means(command: Command) -> None:
    """For people."""
    result = command(ALPHA[:-1])

    assert result.exit_code == 0, result.output
    assert "alpha: 7 lines against 8 entries, window 1" in result.stdout
    assert "in the books, not in the record" in result.stdout


def test_a_page_shows_what_does_not_match(command: Command) -> None:
    """Each class with its items and what to do; a hostile receipt number stays text."""
    record = [*ALPHA[:4], "10,issue,33,2026-06-16,<b>1</b>", "11,issue,50,2026-06-17,", "2026-x,issue,77,2026-06-03,"]
    run = json.loads(command(record, "--json").stdout)
    page = Path(run["page_file"]).read_text("utf-8")

    assert Path(run["page_file"]).with_suffix(".csv") == Path(run["items_file"])
    assert "5 items need a look, of 9 items" in page
    headings = ["Missing here", "Missing at partner", "Amount differs", "Late"]
    assert re.findall("<h2>(.*)</h2>", page) == ["What was found", *headings, "To check it"]
    assert "&lt;b&gt;1&lt;/b&gt;</td>" in page
    assert "2026-x" in page
    assert run["result_sha256"] in page


def test_a_page_says_that_all_is_well(command: Command) -> None:
    """Without a picture of nothing."""
    page = Path(json.loads(command(ALPHA, "--json").stdout)["page_file"]).read_text("utf-8")

    assert "Record and books agree: 8 events, and all are the same" in page
    assert "<svg" not in page


def test_a_page_shows_the_first_hundred_of_a_class_and_says_so(command: Command) -> None:
    """A record of another day has a million of them."""
    run = json.loads(command([f"n{number},issue,5,2026-06-03," for number in range(120)], "--json").stdout)
    page = Path(run["page_file"]).read_text("utf-8")

    assert (run["missing_here"], page.count('<td data-column="key"')) == (120, 100 + len(ALPHA))
    assert f"The first 100 of 120; {Path(run['items_file']).name} has them all." in page


def test_the_same_record_again_is_the_same_run(command: Command, folder: Path) -> None:
    """And the same file, byte for byte; nothing is kept twice."""
    first = json.loads(command(ALPHA, "--json").stdout)
    content, page = (Path(first[name]).read_bytes() for name in ("items_file", "page_file"))
    again = json.loads(command(ALPHA, "--json").stdout)

    assert again == first | {"is_repeated": True}
    assert (Path(first["items_file"]).read_bytes(), Path(first["page_file"]).read_bytes()) == (content, page)
    assert hashlib.sha256(content).hexdigest() == first["result_sha256"]
    engine = network_engine(folder)
    with reading(engine) as connection:
        assert [one.run_id for one in load_reconciliations(connection)] == [first["run_id"]]


def test_a_day_is_reconciled_by_its_business_date(command: Command) -> None:
    """What was booked later counts for its day."""
    result = command(["11,issue,50,2026-06-14,"], "--date", "2026-06-14", "--json")

    assert counts(result) == {"matched": 1}


def test_what_was_booked_in_a_later_window_is_late(command: Command, folder: Path) -> None:
    """The partner has it in its record of the month, the books have it in July."""
    engine = network_engine(folder)
    Shop(engine).book(issue("slow", "alpha", "m1", 40_00, occurred_at_ms=at("2026-06-30")), now_ms=at("2026-07-01"))
    result = command([*ALPHA, "slow,issue,20,2026-06-30,"], "--window", "1", "--json")

    assert counts(result) == {"matched": 8, "late": 1}
    assert next(row for row in items(result) if row["class"] == "late")["note"] == "booked in window 2"


def test_a_record_with_wrong_lines_changes_nothing_and_names_them_all(command: Command, folder: Path) -> None:
    """By number, the first on the terminal and all in a file."""
    before = sorted(path.name for path in (folder / "statements").iterdir())
    wrong = [f"k{index},issue,1.5,2026-06-01," for index in range(30)]
    result = command([ALPHA[0], *wrong, ALPHA[1]])

    assert result.exit_code == 1
    assert "30 lines are wrong, so nothing was compared" in result.output
    assert "line 3: points '1.5'" in result.output
    errors = (folder / "statements" / "alpha.reconciliation.window-0001.errors.csv").read_text("utf-8").splitlines()
    assert [line.partition(",")[0] for line in errors] == ["line_number", *map(str, range(3, 33))]
    engine = network_engine(folder)
    with reading(engine) as connection:
        assert load_reconciliations(connection) == []
    assert sorted(path.name for path in (folder / "statements").iterdir() if "errors" not in path.name) == before


def test_what_a_spreadsheet_would_compute_stays_text(command: Command) -> None:
    """A receipt number of a partner's must not run on the desk of whoever opens the items."""
    result = command([*ALPHA, '"-1+1",issue,5,2026-06-01,"=HYPERLINK(""http://x"",""y"")"'], "--json", "--window", "1")
    assert result.exit_code == 1  # a key has no plus sign

    result = command([*ALPHA, '"-11",issue,5,2026-06-01,"=HYPERLINK(""http://x"",""y"")"'], "--json", "--window", "1")
    item = next(row for row in items(result) if row["class"] == "missing_here")

    assert (item["idempotency_key"], item["receipt_number"]) == ("'-11", '\'=HYPERLINK("http://x","y")')


@pytest.mark.parametrize(
    ("words", "partner", "said"),
    [
        (("--window", "2"), "alpha", "still open"),
        (("--window", "9"), "alpha", "there is no window 9"),
        ((), "nobody", "there is no partner nobody"),
        (("--date", "01.06.2026"), "alpha", "01.06.2026"),
    ],
)
def test_what_cannot_be_reconciled_is_refused_in_a_sentence(
    command: Command, words: tuple[str, ...], partner: str, said: str
) -> None:
    """Nothing is read of the record."""
    result = command(ALPHA, *words, partner=partner)

    assert result.exit_code != 0
    assert said in str(result.exception) + result.output


def test_runs_are_listed_newest_first(command: Command, folder: Path) -> None:
    """With the counts of each class."""
    command(ALPHA)
    result = CliRunner().invoke(settlement, ["reconciliations"], obj=Context(folder / "tallystick.toml", lambda: 0))

    assert "missing at partner" in result.stdout.replace("\n", " ") or "missing" in result.stdout
    assert "alpha" in result.stdout


def test_a_disk_that_is_full_leaves_neither_run_nor_file(command: Command, folder: Path) -> None:
    """Nothing is half there; the next run does it all."""
    out = folder / "full"
    out.write_text("no folder", "utf-8")
    result = command(ALPHA, "--out", str(out / "below"))

    assert result.exit_code == 1
    assert "nothing is lost" in result.output + str(result.exception)
    engine = network_engine(folder)
    with reading(engine) as connection:
        assert load_reconciliations(connection) == []
