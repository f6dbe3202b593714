"""Queues of several lanes: what goes into one batch together, what goes beside it, and what never waits for another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.domain.command import Command
from gateway.domain.receipt import Result
from gateway.ledger.audit import audit
from gateway.ledger.queues import ENOUGH
from gateway.storage.errors import ConstraintBroken
from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books
from tests.ledger.lanes import LANES, Lanes, by_id, names_by_lane, said, writing_in_lanes

_T = TypeVar("_T")
FOUR = [names[0] for names in names_by_lane(1)]  # a member of each lane
ALL = tuple(range(LANES))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month's network with four lanes; only to be copied."""
    network = month(tmp_path_factory.mktemp("queues") / "net", lanes=LANES)
    network.engine.dispose()
    return network


@pytest.fixture
def books(template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """With a member in each lane, named as in `FOUR`; it is 5 June 2026, noon."""
    network = template.copy(tmp_path / "net", url=network_url)
    opened = Books(network, now_ms=at("2026-06-01", "09:00"))
    opened.enrol(*FOUR)
    opened.now_ms = NOON
    yield opened
    opened.connection.close()
    network.engine.dispose()


def played(books: Books, play: Callable[[Lanes], Awaitable[_T]], *, enough: int = ENOUGH) -> _T:
    """What a play with a writer that knows the lanes answers; afterwards the books are proved."""

    async def run() -> _T:
        async with writing_in_lanes(books, enough=enough) as lanes:
            await lanes.submit(mine(books, 3))
            lanes.batches.clear()
            return await play(lanes)

    answered = asyncio.run(run())
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=books.now_ms).failures] == []
    return answered


def mine(books: Books, lane: int) -> Command:
    """An issue to the member of a lane, named by its id."""
    return replace(books.issue(FOUR[lane], "2.00"), member=by_id(FOUR[lane]))


async def together(lanes: Lanes, *commands: Command) -> list[str]:
    """Each by a caller of its own, all at once; a word for each."""
    answers = await asyncio.gather(*(lanes.submit(command) for command in commands))
    return [word for answer in answers for word in said(answer)]


def test_a_little_of_each_lane_makes_one_batch(books: Books) -> None:
    """In the order in which it came, and with all of their heads."""
    commands = [mine(books, lane) for lane in (2, 0, 3, 1)]

    async def play(lanes: Lanes) -> list[tuple[tuple[int, ...], list[Command]]]:
        assert await together(lanes, *commands) == ["booked"] * LANES
        return lanes.batches

    assert played(books, play) == [(ALL, commands)]


def test_a_batch_takes_no_further_lane_once_it_has_enough(books: Books) -> None:
    """What is left goes beside it: neither waits for the other."""
    here, there = [mine(books, 1) for _ in range(4)], [mine(books, 2) for _ in range(3)]

    async def play(lanes: Lanes) -> None:
        held = await lanes.held(lanes.gate(0), mine(books, 0))
        lanes.gate(1).opened.clear()
        lanes.gate(1).entered.clear()
        slow = [asyncio.create_task(lanes.submit(command)) for command in here]
        swift = [asyncio.create_task(lanes.submit(command)) for command in there]
        await asyncio.gather(*swift)
        assert lanes.gate(1).entered.is_set()
        assert [batch for batch, _ in lanes.batches] == [(2,)]
        lanes.gate(1).opened.set()
        lanes.gate(0).opened.set()
        await asyncio.gather(held, *slow)
        assert sorted(batch for batch, _ in lanes.batches) == [(0,), (1,), (2,)]

    played(books, play, enough=3)


def test_what_comes_to_other_lanes_meanwhile_waits_and_goes_together(books: Books) -> None:
    """As long as it is not enough for a batch beside the one that is under way, and that one is soon done."""

    async def play(lanes: Lanes) -> list[tuple[int, ...]]:
        answers = []
        for _ in range(20):
            first, *others = (asyncio.create_task(lanes.submit(mine(books, lane))) for lane in ALL)
            answers += [first, *others]
            await first
        await asyncio.gather(*answers)
        return [batch for batch, _ in lanes.batches]

    batches = played(books, play)

    assert len(batches) < 20 * LANES
    assert ALL in batches


def test_a_batch_that_is_stuck_holds_up_its_own_lanes_alone(books: Books) -> None:
    """Such as one that waits for somebody's lock: what little there is for others is booked beside it."""

    async def play(lanes: Lanes) -> list[str]:
        stuck = await lanes.held(lanes.gate(0), mine(books, 0))
        beside = await together(lanes, mine(books, 1), mine(books, 2))
        assert not stuck.done()
        lanes.gate(0).opened.set()
        return [*beside, *said(await stuck)]

    assert played(books, play) == ["booked"] * 3


def test_a_transfer_goes_with_others_and_takes_both_its_lanes(books: Books) -> None:
    """What was asked of the giver before comes before it."""
    books.book(books.issue(FOUR[0], "200.00"))
    gift = replace(books.transfer(FOUR[0], FOUR[2], 100), source=by_id(FOUR[0]), target=by_id(FOUR[2]))
    before = replace(books.redeem(FOUR[0], 1), member=by_id(FOUR[0]))

    async def play(lanes: Lanes) -> list[str]:
        words = await together(lanes, before, gift, mine(books, 1))
        assert [batch for batch, _ in lanes.batches] == [(0, 1, 2)]
        return words

    assert played(books, play) == ["booked", "INSUFFICIENT_POINTS", "booked"]


def test_a_card_leads_to_the_lane_of_its_member_although_a_batch_took_many(books: Books) -> None:
    """Not to the one in which it was sought: alone, it would be given back from there."""

    async def play(lanes: Lanes) -> list[tuple[int, ...]]:
        await together(lanes, *(books.issue(name, "2.00") for name in FOUR), *(mine(books, lane) for lane in ALL))
        assert [batch for batch, _ in lanes.batches] == [ALL]
        lanes.batches.clear()
        for name in FOUR:
            await lanes.submit(books.issue(name, "2.00"))
        return [batch for batch, _ in lanes.batches]

    assert played(books, play) == [(0,), (1,), (2,), (3,)]


def test_one_bad_command_harms_none_of_the_other_lanes(books: Books) -> None:
    """The batch runs again, each caller's commands in their own lanes."""

    async def play(lanes: Lanes) -> list[Sequence[Result]]:
        for gate in lanes.gates[:2]:
            gate.failure = ConstraintBroken("somebody else's")  # of the batch, and of what is alone in lane 1
        return await asyncio.gather(*(lanes.submit(mine(books, lane)) for lane in ALL))

    answers = played(books, play)

    assert [said(answer) for answer in answers] == [["booked"]] * LANES
