"""The books as a journal: what the auditor's own tools accept, and that no false amount passes them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, and_, update

from gateway.domain.entry import PostingKind
from gateway.storage.engine import writing
from gateway.storage.tables import lots, postings
from gateway.storage.tables_settlement import net_positions
from settlement.journal import FORMATS
from settlement.journal_reading import journal_of
from tests.given import GivenNetwork, at
from tests.settlement.checkers import check
from tests.settlement.given import Shop, network_engine, redeem
from tests.settlement.night import two_nights

_ISSUED_600 = and_(postings.c.points == 600, postings.c.kind == PostingKind.ISSUE.value)
forms = pytest.mark.parametrize("form", list(FORMATS))


@pytest.fixture
def engine(closed_nights: GivenNetwork, tmp_path: Path) -> Engine:
    """Two nights."""
    return closed_nights.copy(tmp_path / "net").engine


def written(engine: Engine, file: Path, form: str, window_id: int | None = None) -> Path:
    """The journal as a file."""
    file.write_text("".join(journal_of(engine, FORMATS[form], window_id=window_id)), "ascii")
    return file


@forms
@pytest.mark.parametrize("window_id", [None, 1, 2])
def test_the_tool_accepts_the_books(engine: Engine, tmp_path: Path, form: str, window_id: int | None) -> None:
    """Of all closed windows, and of each alone, while the next one is open and has entries."""
    checked = check(form, written(engine, tmp_path / "books", form, window_id))

    assert checked.returncode == 0, checked.stderr


def test_both_engines_give_the_same_journal(copy_month: Callable[[str], Path], engine: Engine, tmp_path: Path) -> None:
    """Amounts, dates and order come from the entries."""
    other = two_nights(network_engine(copy_month("other")), tmp_path / "out")

    for form in FORMATS:
        assert (
            written(other, tmp_path / "other-books", form).read_bytes() == written(engine, tmp_path / "books", form).read_bytes()
        )


@forms
def test_no_amount_can_be_falsified(engine: Engine, tmp_path: Path, form: str) -> None:
    """Neither one side of a transaction, nor both sides of it, nor what must stand at the end."""
    text = written(engine, tmp_path / "books", form).read_text("ascii")
    both = text.replace("600 POINTS", "601 POINTS")
    amounts = [match for match in re.finditer(r"\d+ (POINTS|EUR)\n", text) if match[0][0] != "0"]
    one_by_one = [text[: at.start()] + _other(at[0]) + text[at.end() :] for at in amounts[:: max(1, len(amounts) // 5)]]

    for number, false in enumerate([both, *one_by_one]):
        assert false != text
        file = tmp_path / f"false-{number}"
        file.write_text(false, "ascii")
        assert check(form, file).returncode != 0, false


@forms
def test_a_cent_of_a_net_position_is_noticed(engine: Engine, tmp_path: Path, form: str) -> None:
    """Tools that allow for rounding by themselves are told not to."""
    with writing(engine) as connection:
        connection.execute(
            update(net_positions)
            .where(net_positions.c.window_id == 1, net_positions.c.party_id == "alpha")
            .values(amount=net_positions.c.amount + 1)
        )

    assert check(form, written(engine, tmp_path / "books", form)).returncode != 0


@forms
@pytest.mark.parametrize("window_id", [None, 1])
def test_a_posting_that_was_changed_in_the_books_is_noticed(
    engine: Engine, tmp_path: Path, form: str, window_id: int | None
) -> None:
    """What must stand at the end is not summed from the postings."""
    with writing(engine) as connection:
        connection.execute(update(postings).where(_ISSUED_600).values(points=599))

    assert check(form, written(engine, tmp_path / "books", form, window_id)).returncode != 0


@forms
@pytest.mark.parametrize("window_id", [None, 2])
def test_a_lot_that_was_changed_in_the_books_is_noticed(engine: Engine, tmp_path: Path, form: str, window_id: int | None) -> None:
    """Of all windows it contradicts the entries; of one, it changes only what the journal begins with."""
    with writing(engine) as connection:
        connection.execute(
            update(lots).where(lots.c.issuer_id == "bravo", lots.c.open_points > 0).values(open_points=lots.c.open_points - 1)
        )
    checked = check(form, written(engine, tmp_path / "books", form, window_id))

    assert (checked.returncode != 0) is (window_id is None)


@forms
def test_the_same_books_give_the_same_journal(engine: Engine, tmp_path: Path, form: str) -> None:
    """Also later, of a window that is closed."""
    first = written(engine, tmp_path / "one", form, 1).read_bytes()
    Shop(engine).book(redeem("n5", "charlie", "m1", 40), now_ms=at("2026-07-03"))

    assert written(engine, tmp_path / "two", form, 1).read_bytes() == first


def test_the_month_ends_in_the_oracles_balances(engine: Engine) -> None:
    """36, 250 and 687 points are open; the debt is paid."""
    text = "".join(journal_of(engine, FORMATS["hledger"], window_id=1))

    for expected in (
        "Alpha                     0 POINTS = -36 ",
        "Bravo                     0 POINTS = -250 ",
        "0 POINTS = -687 ",
    ):
        assert expected in text


def test_what_came_on_the_date_of_a_cut_off_after_it_is_the_next_days(engine: Engine) -> None:
    """Else no tool that knows only dates could say what stood at the cut-off."""
    text = "".join(journal_of(engine, FORMATS["hledger"], window_id=2))

    assert "2026-07-01 * " in text
    assert [line for line in text.splitlines() if line.startswith("2026-06-30")] == [
        "2026-06-30 * (opening) what was open before"
    ]


def test_a_network_without_a_closed_window_has_an_empty_journal(month_template: GivenNetwork, tmp_path: Path) -> None:
    """Both tools take it."""
    engine = month_template.copy(tmp_path / "net").engine
    for form in FORMATS:
        assert check(form, written(engine, tmp_path / form, form)).returncode == 0


def _other(amount: str) -> str:
    """Its last digit changed."""
    digits, rest = amount.split(" ", 1)
    return f"{digits[:-1]}{(int(digits[-1]) + 1) % 10} {rest}"
