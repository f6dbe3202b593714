"""Five weeks of real baskets: nets, statements and the roll-forward are what a script finds that shares no code with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.storage.engine import writing
from tests.settlement.baskets import CARDS, CHARITY
from tests.settlement.raw_rows import card_on, load_rows
from tests.settlement.recomputed import compare_windows
from tests.settlement.year import Year, settle

# All baskets of sixty households of dunnhumby's "The Complete Journey" (CC0), in the first five weeks of 2017.
SAMPLE = Path(__file__).with_name("baskets_sample.csv")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[("at_redemption", 1), ("at_issuance", 4), ("at_par", 1)], ids=lambda param: param[0])
def year(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Year:
    """Under each model, one of them in four lanes; a night every week."""
    model, lanes = request.param
    return settle(tmp_path_factory.mktemp(model) / "net", SAMPLE, model, days_a_window=7, lanes=lanes)


def test_lines_nets_payments_and_statements_are_what_a_naive_script_finds(year: Year) -> None:
    """Every line, every byte of every statement and of the events behind it."""
    figures = year.windows.figures

    assert year.windows.differences == []
    assert (figures["partners"], figures["statement"], figures["entries"]) == (5, 5 * len([*CARDS, CHARITY]), _entries(year))


def test_the_roll_forward_is_what_a_naive_script_finds(year: Year) -> None:
    """June and what was played of July: each line, each sum, and in the end open lots less debt."""
    assert year.liability.differences == []
    assert (year.liability.figures["roll-forward"], year.liability.figures["open lots less debt"]) == (2, len(CARDS))


def test_in_five_weeks_everything_happens(year: Year) -> None:
    """Else the scripts would agree about nothing."""
    raw = load_rows(year.network.engine)
    kinds = {posting.kind for some in raw.postings.values() for posting in some}
    of_lines = {row.kind for row in _rows(year, "SELECT DISTINCT kind FROM obligations")}

    assert set(range(1, 11)) <= kinds, "from issue to expiry undone"
    assert {"fee_fixed", "fee_entry"} < of_lines
    assert {row.currency for row in _rows(year, "SELECT DISTINCT currency FROM lots")} == {"EUR", "CHF", "JPY"}


def test_some_of_it_is_priced_by_a_card_that_another_one_has_replaced(year: Year) -> None:
    """Offline sales at the card of their date, captures at that of their hold, reversals at the original's."""
    raw = load_rows(year.network.engine)
    replaced = set()
    for entry in raw.entries:
        for posting in raw.postings[entry.entry_id]:
            booked_on = raw.windows[entry.window_id].cut_off_date or year.played.last_day
            if posting.kind <= 5 and card_on(raw, posting.counterparty_id, booked_on).version > posting.rate_card_version:
                replaced.add(entry.kind)

    assert {2, 3, 4, 5} <= replaced


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE obligations SET amount = amount + 1 WHERE window_id = 2",
        "UPDATE net_positions SET amount = amount + 1 WHERE window_id = 2 AND party_id = 'bravo'",
        "UPDATE postings SET points = points + 1 WHERE kind = 2",
        "UPDATE lots SET price_micros = price_micros + 1 WHERE issuer_id = 'isle'",
        "UPDATE rate_cards SET reimbursement_rate_micros = 1, issue_price_micros = 1 WHERE partner_id = 'hill' AND version = 2",
    ],
)
def test_what_is_changed_by_hand_is_found(change: str, tmp_path: Path, copied: Callable[[Path], Any]) -> None:
    """A cent of a line or of a net, a point of a redemption, what a lot is worth, a price of a card."""
    network = copied(tmp_path / "net")
    with writing(network.engine) as connection:
        connection.execute(text(change))
    compared = compare_windows(network.engine, network.folder / "statements")
    network.engine.dispose()

    assert compared.differences


@pytest.fixture
def copied(year: Year) -> Callable[[Path], Any]:
    """Makes a copy of what was played."""
    year.network.engine.dispose()
    return year.network.copy


def _entries(year: Year) -> int:
    return int(_rows(year, "SELECT count(*) AS entries FROM entries")[0].entries)


def _rows(year: Year, query: str) -> list[Any]:
    with year.network.engine.connect() as connection:
        return list(connection.execute(text(query)))
