"""Merges through the writer over several lanes, on both engines: where they go, and what must not overtake them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.domain.receipt import Answer, Result
from tests.given import at, month
from tests.ledger.books import NOON, Books
from tests.ledger.lanes import LANES, Lanes
from tests.ledger.test_lanes_of_writer import FOUR, PAIRS, played


@pytest.fixture
def books(tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """Four lanes with a member in each."""
    opened = Books(month(tmp_path / "net", lanes=LANES, url=network_url), now_ms=at("2026-06-01", "09:00"))
    opened.enrol(*FOUR)
    opened.now_ms = NOON
    yield opened
    opened.connection.close()
    opened.network.engine.dispose()


@pytest.mark.parametrize("pair", PAIRS[:4])
def test_a_merge_finds_both_lanes_and_so_does_what_comes_back_later(books: Books, pair: tuple[int, int]) -> None:
    """Nothing of one batch overtakes it; a reversal of before takes the old lane and the new one."""
    source, target = FOUR[pair[0]], FOUR[pair[1]]
    bought = books.issue(source, "100.00")

    async def play(lanes: Lanes) -> Sequence[Result]:
        merge = books.merge(source, target)
        first = await lanes.submit(bought, merge, books.redeem(source, 20), books.issue(target, "10.00"))
        return [*first, *await lanes.submit(books.reverse(bought, amount="40.00"), books.issue(source, "2.00"))]

    results = played(books, play)

    assert [result.refusal for result in results if isinstance(result, Answer)] == [None] * 6
    assert books.balance(source) == books.balance(target) == (16, 0)
