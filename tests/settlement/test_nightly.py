"""The night on a real database: the oracle's month, empty windows, late reversals, what an interrupted night leaves."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, update

from gateway.domain.errors import BooksBroken
from gateway.domain.settlement import Form
from gateway.domain.window import WindowState
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from gateway.storage.statements import load_statement, load_statement_lines, load_statement_windows
from gateway.storage.tables import outcomes, totals
from gateway.storage.tables_settlement import settlement_steps, statement_lines
from gateway.storage.windows import load_windows
from settlement import store
from settlement.nightly import STEPS, Night
from tests.given import at, month
from tests.settlement.given import Shop, book_month, issue, network_engine, oracle, oracle_obligations, redeem, reverse
from tests.settlement.night import MIDNIGHT_MS, files_of, make_night, run

NEXT_MIDNIGHT_MS = MIDNIGHT_MS + 86_400_000


@pytest.fixture
def engine(copy_month: Callable[[str], Path]) -> Iterator[Engine]:
    """The month's database, its window open."""
    opened = network_engine(copy_month("net"))
    yield opened
    opened.dispose()


def test_the_month_gives_the_oracles_obligations_and_nets(engine: Engine, tmp_path: Path) -> None:
    """From the ledger's own totals, after the expiry of step 13."""
    run(engine, tmp_path / "out")

    with reading(engine) as connection:
        lines = store.load_obligations(connection, 1)
        nets = {position.party_id[0].upper(): position.amount for position in store.load_positions(connection, 1)}
    assert {(li.payer_id, li.payee_id, li.rate_card_version, li.points, li.amount_micros) for li in lines} == oracle_obligations()
    assert nets == oracle()["at_redemption"]["net"]


def test_a_night_leaves_the_window_netted_and_the_next_one_open(engine: Engine, tmp_path: Path) -> None:
    """With every step recorded."""
    window = run(engine, tmp_path / "out")

    with reading(engine) as connection:
        states = [(w.window_id, w.state) for w in load_windows(connection)]
        done = store.done_steps(connection, 1)
    assert window is not None
    assert (window.cut_off_date, window.entries) == ("2026-06-30", 21)
    assert states == [(2, WindowState.OPEN), (1, WindowState.NETTED)]
    assert done == {step.name for step in STEPS}


def test_a_redeemer_recomputes_its_statement_from_its_own_receipts(engine: Engine, tmp_path: Path) -> None:
    """Each line names the receipt by its hash, and its own entry."""
    run(engine, tmp_path / "out")

    with reading(engine) as connection:
        receipts = {row.entry_id: hashlib.sha256(row.receipt).digest() for row in connection.execute(select(outcomes))}
        lines = load_statement_lines(connection, 1, "bravo", after=0, limit=100)
    own = [line for line in lines if line.payee_id == "bravo" or line.kind == "restoration"]
    assert [line.receipt_sha256 for line in own] == [receipts[line.own_entry_id] for line in own]
    assert [line.line_number for line in lines] == list(range(1, 8))


def test_an_issuer_is_told_its_own_issue_entry_also_of_transferred_points(engine: Engine, tmp_path: Path) -> None:
    """A lot carries the entry that issued it on."""
    shop = Shop(engine)
    shop.book(redeem("18", "delta", "m2", 120 + 4), now_ms=at("2026-06-29"))
    run(engine, tmp_path / "out")

    with reading(engine) as connection:
        lines = load_statement_lines(connection, 1, "charlie", after=0, limit=100)
    transferred = [line for line in lines if line.business_date == "2026-06-29"]
    assert [(line.points, line.own_entry_id) for line in transferred] == [(120, issue("3", "charlie", "m1", 0).entry_id)]


def test_the_files_are_what_the_store_holds(engine: Engine, tmp_path: Path) -> None:
    """Statements byte for byte; the manifest names every other file by its hash."""
    run(engine, tmp_path / "out")

    files = files_of(tmp_path / "out")
    manifest = json.loads(files["window-0001/operator.manifest.json"])["files"]
    with reading(engine) as connection:
        statement = load_statement(connection, 1, "alpha")
    assert statement is not None
    assert files["window-0001/alpha.json"] == statement.statement
    assert json.loads(statement.statement)["control"]["sha256"] == manifest["alpha.lines.csv"]
    assert {f"window-0001/{name}": value for name, value in manifest.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if "manifest" not in name
    }


def run_through(night: Night, last: str, *, leaving_out: Sequence[str] = ()) -> None:
    """The steps of window 1 as far as the one named last, as a night that was killed after it."""
    names = [step.name for step in STEPS]
    for step in STEPS[: names.index(last) + 1]:
        if step.name not in leaving_out:
            step.run(night, 1, step.name)


def test_statements_of_a_window_that_is_not_netted_are_nobodys_business(engine: Engine, tmp_path: Path) -> None:
    """They show with the state, not with the rows."""
    night = make_night(engine, tmp_path / "out")
    run_through(night, "instructions")

    with reading(engine) as connection:
        before = load_statement(connection, 1, "alpha"), load_statement_windows(connection, "alpha", limit=10)
    run(engine, tmp_path / "out")
    with reading(engine) as connection:
        after = load_statement_windows(connection, "alpha", limit=10)
    assert before == (None, [])
    assert [window.window_id for window in after] == [1]


def test_an_empty_window_closes(engine: Engine, tmp_path: Path) -> None:
    """With a report, and no statement."""
    run(engine, tmp_path / "out")
    window = run(engine, tmp_path / "out", at_ms=NEXT_MIDNIGHT_MS)

    assert window is not None
    assert (window.window_id, window.entries, window.state) == (2, 0, WindowState.NETTED)
    assert not [name for name in files_of(tmp_path / "out" / "window-0002") if not name.startswith("operator.")]


def test_the_same_night_twice_does_nothing(engine: Engine, tmp_path: Path) -> None:
    """No window, no file, no byte."""
    run(engine, tmp_path / "out")
    before = files_of(tmp_path / "out")

    assert run(engine, tmp_path / "out") is None
    assert files_of(tmp_path / "out") == before


def test_a_reversal_of_a_settled_redemption_turns_the_debt_round_in_the_next_window(engine: Engine, tmp_path: Path) -> None:
    """At the card of the redemption."""
    run(engine, tmp_path / "out")
    Shop(engine).book(reverse("19", "charlie", "7"), now_ms=at("2026-07-01"))
    run(engine, tmp_path / "out", at_ms=at("2026-07-01", "23:59:59"))

    with reading(engine) as connection:
        [line] = store.load_obligations(connection, 2)
    assert (line.payer_id, line.payee_id, line.kind, line.points, line.amount) == ("charlie", "alpha", "restoration", 200, 200)


def test_statements_are_chained_also_past_windows_without_one(engine: Engine, tmp_path: Path) -> None:
    """The next statement names the hash of the last, however long ago."""
    run(engine, tmp_path / "out")
    run(engine, tmp_path / "out", at_ms=NEXT_MIDNIGHT_MS)
    Shop(engine).book(redeem("20", "delta", "m1", 10), now_ms=at("2026-07-02"))
    run(engine, tmp_path / "out", at_ms=at("2026-07-02", "23:59:59"))

    files = files_of(tmp_path / "out")
    third = json.loads(files["window-0003/delta.json"])
    assert third["previous_sha256"] == hashlib.sha256(files["window-0001/delta.json"]).hexdigest()


def test_through_the_operator_every_payment_has_it_on_one_side(tmp_path: Path) -> None:
    """One payment for each position."""
    network = month(tmp_path / "net")
    network.settlement_rules(RulesChange(form=Form.THROUGH_OPERATOR))
    book_month(network.engine)
    run(network.engine, tmp_path / "out")

    with reading(network.engine) as connection:
        made = store.load_instructions(connection, 1)
    assert {(i.debtor_id, i.creditor_id, i.amount) for i in made} == {
        ("alpha", "operator", 416),
        ("operator", "bravo", 275),
        ("operator", "charlie", 41),
        ("operator", "delta", 100),
    }


def test_lines_that_a_killed_night_left_half_written_come_out_the_same(
    engine: Engine, copy_month: Callable[[str], Path], tmp_path: Path
) -> None:
    """Killed in the middle of a step, not after it."""
    run(engine, tmp_path / "whole")
    other = network_engine(copy_month("other"))
    night = make_night(other, tmp_path / "killed")
    run_through(night, "statements")
    with writing(other) as connection:
        connection.execute(delete(statement_lines).where(statement_lines.c.line_number > 2))
        connection.execute(delete(settlement_steps).where(settlement_steps.c.step == "statements"))

    run(other, tmp_path / "killed")

    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_a_killed_night_is_completed_before_the_next_ones_window_closes(engine: Engine, tmp_path: Path) -> None:
    """A run on a later date does both."""
    night = make_night(engine, tmp_path / "out")
    run_through(night, "obligations")

    window = run(engine, tmp_path / "out", at_ms=NEXT_MIDNIGHT_MS)

    assert window is not None
    assert window.window_id == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"window-0001", "window-0002"}


def test_books_that_are_not_proved_stop_the_night_before_the_cut_off(engine: Engine, tmp_path: Path) -> None:
    """The audit names what is wrong, and the window stays open."""
    with writing(engine) as connection:
        connection.execute(update(totals).where(totals.c.kind == 2).values(points=totals.c.points + 1))

    with pytest.raises(BooksBroken, match="the books are not proved"):
        run(engine, tmp_path / "out")

    with reading(engine) as connection:
        assert [window.state for window in load_windows(connection)] == [WindowState.OPEN]


def test_totals_that_disagree_with_the_entries_are_not_published(engine: Engine, tmp_path: Path) -> None:
    """Also if they went wrong after the audit: statements are compiled from the entries, and must agree."""
    with writing(engine) as connection:
        connection.execute(update(totals).where(totals.c.kind == 2).values(points=totals.c.points + 1))
    night = make_night(engine, tmp_path / "out")
    run_through(night, "net", leaving_out=["prove-before"])
    statements = next(step for step in STEPS if step.name == "statements")

    with pytest.raises(BooksBroken, match="nothing is published"):
        statements.run(night, 1, statements.name)

    assert not (tmp_path / "out").exists()


def test_a_night_that_could_not_write_its_files_is_completed_later(engine: Engine, tmp_path: Path) -> None:
    """Partners see the window already: the store comes first."""
    night = make_night(engine, tmp_path / "out")
    run_through(night, "instructions")
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="out"):
        run_through(night, "publish", leaving_out=[step.name for step in STEPS if step.name != "publish"])
    (tmp_path / "out").unlink()

    completed = run(engine, tmp_path / "out")

    assert completed is not None
    assert (completed.window_id, completed.state) == (1, WindowState.NETTED)
    assert (tmp_path / "out" / "window-0001").is_dir()


def test_what_a_night_that_was_killed_while_writing_files_left_is_swept_away(engine: Engine, tmp_path: Path) -> None:
    """A folder appears whole."""
    partial = tmp_path / "out" / ".window-0001.partial"
    partial.mkdir(parents=True)
    (partial / "alpha.json").write_text("half a statem")

    run(engine, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["window-0001"]


def test_all_overdue_lots_expire_however_many(engine: Engine, tmp_path: Path) -> None:
    """In several writes; a lot is usable through its last day."""
    shop = Shop(engine)
    number = 120
    shop.book_all([issue(f"e{index}", "alpha", "m2", 2_00) for index in range(number)], now_ms=at("2027-06-30"))

    run(engine, tmp_path / "early", at_ms=at("2027-06-30", "23:59:59"))
    with reading(engine) as connection:
        before = store.load_overdue_lots(connection, "2027-07-01", limit=1_000)
    run(engine, tmp_path / "late", at_ms=at("2027-07-01", "00:00:01"))
    with reading(engine) as connection:
        after = store.load_overdue_lots(connection, "2027-07-01", limit=1_000)

    assert (len(before) > number, after) == (True, [])
