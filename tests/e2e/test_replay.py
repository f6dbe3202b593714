"""Real baskets with their returns, by the command a partner has, against `tallystick serve`: points and money in one call."""

import re
from pathlib import Path

import pytest

from tests.e2e.year import Year, play
from tests.pos.test_replay import SAMPLE


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """What sixteen households bought and brought back in a year."""
    return play(tmp_path_factory.mktemp("year") / "net", Path(SAMPLE))


@pytest.mark.slow
def test_a_year_of_baskets_and_returns_ends_where_a_naive_script_ends(year: Year) -> None:
    """To the point, household by household."""
    assert year.told == year.computed
    assert len(year.told) == 16


@pytest.mark.slow
def test_a_year_has_returns_and_points_that_pay(year: Year) -> None:
    """Some 16 % of the baskets come back, in part or whole; every receipt verified, every balance tied out."""
    checkouts, refunds = (int(re.findall(rf"{what} +(\d+)", year.printed)[0]) for what in ("checkouts", "refunds"))

    assert checkouts * 12 < refunds * 100 < checkouts * 20
    assert re.search(r"points given back +\+[1-9]", year.printed)
    assert re.search(r"equal the sum of their receipts +16\b", year.printed)


@pytest.mark.slow
def test_the_books_of_a_year_are_proved(year: Year) -> None:
    """Every entry and every receipt."""
    assert "books proved" in year.audited
