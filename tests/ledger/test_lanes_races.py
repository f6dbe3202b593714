"""Lanes that commit side by side on PostgreSQL, while their number changes: nothing lost, nothing twice, all of it proved."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from gateway.domain.checkout import sale_id
from gateway.domain.command import Command
from gateway.domain.lanes import Misrouted
from gateway.domain.receipt import Answer, Result
from gateway.ledger.audit import audit
from gateway.ledger.batch import run_batch
from gateway.ledger.lane_map import change_lanes
from gateway.ledger.queues import ENOUGH
from gateway.storage.engine import writing
from gateway.storage.errors import ConstraintBroken
from gateway.storage.tables import entries, outcomes, windows
from tests.e2e.faults import wait_for_waiters
from tests.given import at, month
from tests.ledger.books import NOON, Books
from tests.ledger.lanes import LANES, Lanes, names_by_lane, said, writing_in_lanes

pytestmark = pytest.mark.postgres
CLIENTS, CALLS = 24, 12
MAPS = (7, 2, 1, 5)
RECEIPTS = ("R-1", "R-2", "R-3")
PEOPLE = [name for names in names_by_lane(4) for name in names]


@pytest.fixture
def books(tmp_path: Path, postgres_url: str) -> Iterator[Books]:
    """Four lanes, with four members in each; it is 5 June 2026, noon."""
    opened = Books(month(tmp_path / "net", lanes=LANES, url=postgres_url), now_ms=at("2026-06-01", "09:00"))
    opened.run(*(opened.enrolment(name, "alpha") for name in PEOPLE))
    opened.now_ms = NOON
    opened.run(*(opened.issue(name, "2000.00") for name in PEOPLE))
    yield opened
    opened.connection.close()
    opened.network.engine.dispose()


def _calls(books: Books, numbers: random.Random) -> list[Command]:
    """What one client sends: some commands are sent twice, as by a till that lost the answer."""
    calls: list[Command] = []
    for _ in range(CALLS):
        giver, taker = numbers.sample(PEOPLE, 2)
        wishes = (books.issue(giver, "4.00"), books.redeem(giver, 3), books.transfer(giver, taker, 5))
        again = calls[-1:] if numbers.random() < 0.2 else []
        calls += again or [numbers.choice(wishes)]
    return calls


@pytest.mark.parametrize("enough", [1, ENOUGH], ids=["lanes side by side", "lanes together"])
@pytest.mark.parametrize("seed", range(2))
def test_the_number_of_lanes_changes_while_everybody_books(books: Books, seed: int, enough: int) -> None:
    """More, fewer, one, and more again: each window by its own map, each command once, and no points made or lost."""
    numbers = random.Random(seed)
    calls = [_calls(books, numbers) for _ in range(CLIENTS)]

    async def client(lanes: Lanes, commands: Sequence[Command]) -> list[Result]:
        return [await _as_a_till(lanes, command) for command in commands]

    async def change() -> None:
        for number in MAPS:
            await asyncio.to_thread(_change, books, number)
            await asyncio.sleep(0.05)  # so that each map is used; nothing is waited for

    async def day() -> list[list[Result]]:
        async with writing_in_lanes(books, enough=enough) as lanes:
            answers, _ = await asyncio.gather(asyncio.gather(*(client(lanes, one) for one in calls)), change())
            return answers

    answers = asyncio.run(day())
    words = Counter(word for results in answers for word in said(results))
    different = {command.entry_id for commands in calls for command in commands}

    assert words.keys() <= {"booked", "again"}, words
    assert words["booked"] == len(different)
    assert books.rows(select(func.count()).select_from(outcomes))[0][0] == len(different) + 2 * len(PEOPLE)
    maps = {row.window_id: row.lanes for row in books.rows(select(windows))}
    assert [maps[number] for number in sorted(maps)] == [LANES, *MAPS]
    booked = books.rows(select(entries.c.window_id, entries.c.bucket, entries.c.lane))
    assert all(row.lane == row.bucket % maps[row.window_id] for row in booked)
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=NOON).failures] == []


async def _as_a_till(lanes: Lanes, command: Command) -> Result:
    """Repeats with the same key while it is told to: the lanes change faster here than a command may have to travel."""
    while True:
        (answer,) = await lanes.submit(command)
        if said([answer]) != ["REQUEST_IN_PROGRESS"]:
            return answer


def _change(books: Books, lanes: int) -> None:
    with writing(books.network.engine) as connection:
        change_lanes(connection, lanes, at_ms=NOON)


def test_claims_and_sales_of_the_same_receipts_in_two_lanes_never_wait_in_a_circle(books: Books, postgres_url: str) -> None:
    """Each lane claims what the other one sells. One waits for the other, and then hears that its receipt was claimed."""
    first, between, last = sorted(RECEIPTS, key=lambda number: sale_id("alpha", "2026-06-05", number))
    (ann, *_), (ben, *_) = names_by_lane(1)[:2]
    ours = (
        books.claim(ann, "10.00", first),
        books.checkout(ann, "10.00", receipt_number=between),
        books.checkout(ann, "10.00", receipt_number=last),
    )
    theirs = (books.claim(ben, "10.00", last), books.checkout(ben, "10.00", receipt_number=first))

    def batch(lane: int, commands: Sequence[Command]) -> Sequence[Result | Misrouted]:
        with books.network.engine.connect() as connection:
            return run_batch(connection, commands, lanes=(lane,), now_ms=NOON, settings=books.settings)

    with (
        ThreadPoolExecutor(2) as threads,
        psycopg.connect(postgres_url, autocommit=True) as third,
        psycopg.connect(postgres_url, autocommit=True) as watcher,
    ):
        with third.transaction(force_rollback=True):
            # Whoever comes to the receipt in the middle waits there, until this transaction is over.
            third.execute("INSERT INTO sales VALUES (%s, %s)", (sale_id("alpha", "2026-06-05", between), "nobody"))
            us = threads.submit(batch, 0, ours)
            wait_for_waiters(watcher, 1)
            them = threads.submit(batch, 1, theirs)
            wait_for_waiters(watcher, 2)
        booked, refused = us.result(), them.exception()
    alone = [books.run(command)[0] for command in theirs]

    assert said([one for one in booked if isinstance(one, Answer)]) == ["booked"] * 3
    assert isinstance(refused, ConstraintBroken)
    assert said(alone) == ["RECEIPT_ALREADY_CLAIMED", "booked"]
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=NOON).failures] == []
