"""The writer over several lanes, on both engines: where commands go, in which order, and what the callers hear."""

import asyncio
import itertools
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

from gateway.domain.command import Command
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Result
from gateway.ledger.audit import audit
from gateway.ledger.lane_map import change_lanes
from gateway.storage.engine import open_engine, writing
from gateway.storage.errors import StoreContention
from gateway.storage.tables import entries
from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books, refusal_of
from tests.ledger.lanes import LANES, Lanes, by_id, names_by_lane, said, writing_in_lanes

_T = TypeVar("_T")
PAIRS = list(itertools.permutations(range(LANES), 2))
FOUR = [names[0] for names in names_by_lane(1)]  # a member of each lane


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month's network with four lanes; only to be copied."""
    network = month(tmp_path_factory.mktemp("lanes") / "net", lanes=LANES)
    network.engine.dispose()
    return network


@pytest.fixture
def books(template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """With a member in each lane, named as in `FOUR`; it is 5 June 2026, noon."""
    yield from _opened(template.copy(tmp_path / "net", url=network_url))


@pytest.fixture
def postgres_books(template: GivenNetwork, tmp_path: Path, postgres_url: str) -> Iterator[Books]:
    """The same on PostgreSQL alone: where lanes commit side by side."""
    yield from _opened(template.copy(tmp_path / "net", url=postgres_url))


def _opened(network: GivenNetwork) -> Iterator[Books]:
    books = Books(network, now_ms=at("2026-06-01", "09:00"))
    books.enrol(*FOUR)
    books.now_ms = NOON
    yield books
    books.connection.close()
    network.engine.dispose()


def played(books: Books, play: Callable[[Lanes], Awaitable[_T]], *, queue_max: int = 1_000, batch_max: int = 100) -> _T:
    """What a play with a new writer answers; afterwards the books are proved."""

    async def run() -> _T:
        async with writing_in_lanes(books, queue_max=queue_max, batch_max=batch_max) as lanes:
            return await play(lanes)

    answered = asyncio.run(run())
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=books.now_ms).failures] == []
    return answered


async def warmed(books: Books, lanes: Lanes) -> Sequence[Result]:
    """The writer knows the lanes and the members of `FOUR`; each lane has carried out a batch. Answers a call for all four."""
    for name in FOUR:
        await lanes.submit(replace(books.issue(name, "2.00"), member=by_id(name)))
    answers = await lanes.submit(*(books.issue(name, "2.00") for name in FOUR))
    lanes.batches.clear()
    return answers


def test_a_writer_learns_the_number_of_lanes_from_the_first_that_gives_something_back(books: Books) -> None:
    """From then on a member's id leads to its lane at once."""

    async def play(lanes: Lanes) -> None:
        for name in FOUR:
            await lanes.submit(replace(books.issue(name, "20.00"), member=by_id(name)))
        lanes.batches.clear()
        for name in FOUR:
            await lanes.submit(replace(books.issue(name, "20.00"), member=by_id(name)))
        assert [lane for lane, _ in lanes.batches] == [(0,), (1,), (2,), (3,)]

    played(books, play)

    assert [books.balance(name) for name in FOUR] == [(20, 0)] * LANES


def test_a_card_is_sought_once_and_found_from_then_on(books: Books) -> None:
    """An entry that is reversed may be sought: its reversal ends in its lane, by two trips at most."""

    async def play(lanes: Lanes) -> None:
        await lanes.submit(replace(books.issue(FOUR[3], "2.00"), member=by_id(FOUR[3])))
        bought = [books.issue(name, "20.00") for name in FOUR]
        for command in bought:
            await lanes.submit(command)
        for lane, (name, command) in enumerate(zip(FOUR, bought, strict=True)):
            lanes.batches.clear()
            await lanes.submit(books.issue(name, "20.00"))
            await lanes.submit(books.reverse(command))
            (issued, _), *_, (reversed_at_last, _) = lanes.batches
            assert (issued, reversed_at_last, len(lanes.batches) <= 3) == ((lane,), (lane,), True)

    played(books, play)

    assert [books.balance(name) for name in FOUR] == [(10, 0)] * 3 + [(11, 0)]


@pytest.mark.parametrize("lane", range(LANES))
@pytest.mark.parametrize("between", ["transfer", "new card"])
def test_what_follows_a_reversal_does_not_overtake_it(books: Books, lane: int, between: str) -> None:
    """Its sale is of the same call, which takes several stages or trips for what lies between: the points are gone."""
    buyer, giver, taker = (FOUR[(lane + step) % LANES] for step in range(3))

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        bought = books.issue(buyer, "200.00")
        transfer = [books.issue(giver, "2000.00"), books.transfer(giver, taker, 1)]
        split = transfer if between == "transfer" else [books.redeem("fresh", 1), books.enrolment("fresh", "alpha")]
        return await lanes.submit(bought, *split, books.reverse(bought), books.redeem(buyer, books.balance(buyer)[0] + 100))

    assert refusal_of(played(books, play)[-1]).reason is Reason.INSUFFICIENT_POINTS


@pytest.mark.parametrize("knows_lanes", [False, True], ids=["new", "experienced"])
def test_a_batch_keeps_the_order_of_its_members_commands(books: Books, *, knows_lanes: bool) -> None:
    """From the card to the lane of another member and back, for every two lanes; a new writer learns on the way."""
    pairs = names_by_lane(2 * LANES, prefix="n")

    def batch(giver: str, taker: str) -> list[Command]:
        bought = books.issue(giver, "200.00")
        return [
            books.redeem(giver, 1),  # nobody has the card yet
            books.enrolment(giver, "alpha"),
            books.enrolment(taker, "alpha"),
            bought,
            replace(books.redeem(giver, 10), member=by_id(giver)),
            replace(books.transfer(giver, taker, 90), target=by_id(taker)),
            books.redeem(giver, 1),  # nothing is left
            books.redeem(taker, 80),
            books.transfer(taker, giver, 10),
            books.redeem(taker, 1),
            replace(books.redeem(giver, 10), member=by_id(giver)),
            books.reverse(bought, amount="20.00"),
            bought,
        ]

    async def play(lanes: Lanes) -> list[Sequence[Result]]:
        if knows_lanes:
            await lanes.submit(books.issue(FOUR[3], "1.00"))
        return [await lanes.submit(*batch(pairs[source].pop(), pairs[target].pop())) for source, target in PAIRS]

    answers = played(books, play)

    booked, short = "booked", "INSUFFICIENT_POINTS"
    expected = ["MEMBER_NOT_FOUND", *[booked] * 5, short, booked, booked, short, booked, booked, "again"]
    assert [said(results) for results in answers] == [expected] * len(PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_nothing_overtakes_a_transfer_while_a_new_writer_learns(books: Books, pair: tuple[int, int]) -> None:
    """Members that other writers know: what follows the transfer waits for it, wherever the first guess went."""
    giver, taker = (FOUR[lane] for lane in pair)
    books.book(books.issue(giver, "200.00"))
    commands = [
        books.transfer(giver, taker, 60),
        books.redeem(giver, 60),
        books.redeem(taker, 60),
        replace(books.redeem(giver, 40), member=by_id(giver)),
    ]

    answers = played(books, lambda lanes: lanes.submit(*commands))

    assert said(answers) == ["booked", "INSUFFICIENT_POINTS", "booked", "booked"]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_key_that_comes_twice_in_a_batch_belongs_to_the_first_of_them(books: Books, pair: tuple[int, int]) -> None:
    """Also where the two concern members of different lanes."""
    one, other = (FOUR[lane] for lane in pair)
    first = books.issue(one, "20.00")
    second = replace(books.issue(other, "20.00"), idempotency_key=first.idempotency_key)

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        return await lanes.submit(books.issue(other, "2.00"), first, second, first, second)

    answers = played(books, play)

    reused = "IDEMPOTENCY_KEY_REUSED"
    assert said(answers) == ["booked", "booked", reused, "again", reused]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_card_that_is_enrolled_twice_in_a_batch_belongs_to_the_first_of_them(books: Books, pair: tuple[int, int]) -> None:
    """The members would live in different lanes; what follows finds the first."""
    mine, his = names_by_lane(1, prefix="e")[pair[0]][0], names_by_lane(1, prefix="e")[pair[1]][0]
    first = replace(books.enrolment(mine, "alpha"), card_hash="card")
    second = replace(books.enrolment(his, "alpha"), card_hash="card")

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        return await lanes.submit(first, second, books.issue("card", "20.00"), books.redeem("card", 4))

    answers = played(books, play)

    assert said(answers) == ["booked", "CARD_ALREADY_ENROLLED", "booked", "booked"]
    assert {books.receipts.by_bytes[one.receipt].member_id for one in answers if isinstance(one, Answer)} == {
        by_id(mine).member_id
    }


def test_results_come_in_the_order_in_which_they_were_asked(books: Books) -> None:
    """Whatever lane gave them."""
    numbers = random.Random(7)
    commands: list[Command] = [books.issue(numbers.choice(FOUR), "2.00") for _ in range(80)]

    answers = played(books, lambda lanes: lanes.submit(*commands))

    keys = [books.receipts.by_bytes[one.receipt].idempotency_key for one in answers if isinstance(one, Answer)]
    assert keys == [command.idempotency_key for command in commands]


@pytest.mark.parametrize("lanes_then", [2, 7])
def test_the_number_of_lanes_changes_under_a_batch(books: Books, lanes_then: int) -> None:
    """What was on its way to a lane of the old map finds that of the new one; nothing is lost, no order changes."""
    giver, taker = FOUR[3], FOUR[1]
    commands = [
        books.issue(giver, "200.00"),
        books.transfer(giver, taker, 100),
        books.redeem(giver, 1),
        replace(books.redeem(taker, 100), member=by_id(taker)),
        books.issue(FOUR[2], "2.00"),
    ]

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        waiting = await lanes.held(lanes.gate(3), *commands)
        with writing(books.network.engine) as connection:
            change_lanes(connection, lanes_then, at_ms=books.now_ms)
        lanes.gate(3).opened.set()
        return await waiting

    assert said(played(books, play)) == ["booked"] * 5
    after = books.rows(select(entries.c.bucket, entries.c.lane).where(entries.c.window_id == 2))
    assert len(after) == len(commands) + 1
    assert all(row.lane == row.bucket % lanes_then for row in after)


def test_a_full_queue_counts_what_waits_in_all_lanes(books: Books) -> None:
    """One above the limit is refused at once, whatever lane it belongs to."""

    async def play(lanes: Lanes) -> list[Sequence[Result]]:
        await warmed(books, lanes)
        held = [await lanes.held(lanes.gate(lane), books.issue(name, "2.00")) for lane, name in enumerate(FOUR)]
        queued = [asyncio.create_task(lanes.submit(books.issue(name, "2.00"))) for name in FOUR]
        await asyncio.sleep(0)
        refused = await lanes.submit(books.issue(FOUR[0], "2.00"))
        for gate in lanes.gates:
            gate.opened.set()
        return [refused, *await asyncio.gather(*held, *queued)]

    refused, *taken = played(books, play, queue_max=LANES)

    assert said(refused) == ["QUEUE_FULL"]
    assert [said(one) for one in taken] == [["booked"]] * 2 * LANES


def test_a_deadline_that_passes_in_one_lane_holds_up_no_other(books: Books) -> None:
    """Of one batch: what waited too long is refused, the rest is booked."""

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        slow = await lanes.held(lanes.gate(2), books.issue(FOUR[2], "2.00"))
        deadline = time.monotonic() + 0.5
        batch = asyncio.create_task(lanes.submit(*(books.issue(name, "2.00") for name in FOUR), deadline=deadline))
        await asyncio.sleep(deadline - time.monotonic() + 0.001)  # until it has passed
        lanes.gate(2).opened.set()
        await slow
        return await batch

    assert said(played(books, play)) == ["booked", "booked", "DEADLINE_PASSED", "booked"]


def test_what_a_lane_gives_back_while_the_writer_stops_is_carried_out_all_the_same(books: Books) -> None:
    """It was taken before; its caller waits."""

    async def play(lanes: Lanes) -> Sequence[Result]:
        waiting = await lanes.held(lanes.gates[0], *(books.issue(name, "2.00") for name in FOUR))
        stopping = asyncio.create_task(lanes.writer.stop())
        await asyncio.sleep(0)
        lanes.gates[0].opened.set()
        answers = await waiting
        await stopping
        return answers

    assert said(played(books, play)) == ["booked"] * LANES


def test_what_must_go_to_another_lane_while_the_writer_stops_finds_that_lane_at_work(books: Books) -> None:
    """Although nothing waited there when it was told to stop: else the caller would never hear."""
    names = names_by_lane(20, prefix="d")[1]
    stray = next(name for name in names if zlib.crc32(name.encode()) % LANES == 0)  # where a new card is sought first
    books.enrol(stray)

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        waiting = await lanes.held(lanes.gate(0), books.issue(stray, "2.00"))
        stopping = asyncio.create_task(lanes.writer.stop())
        await asyncio.sleep(0.05)  # lanes without work would end by now
        lanes.gate(0).opened.set()
        answers = await waiting
        await stopping
        return answers

    assert said(played(books, play)) == ["booked"]


def test_a_store_that_is_gone_is_told_of_when_cards_must_be_looked_up(books: Books) -> None:
    """The caller of a batch hears so, and does not wait for ever."""

    async def play(lanes: Lanes) -> tuple[Sequence[Result], Sequence[Result]]:
        await warmed(books, lanes)
        lanes.writer.engine = open_engine("postgresql://nobody@/nowhere?host=/nowhere")  # as when it went between two batches
        commands = [books.issue("somebody", "2.00"), books.issue(FOUR[0], "2.00")]
        gone = await lanes.submit(*commands)
        lanes.writer.engine = books.network.engine  # and came back
        return gone, await lanes.submit(*commands)

    gone, back = played(books, play)

    assert said(gone) == ["STORE_UNAVAILABLE"] * 2
    assert said(back) == ["MEMBER_NOT_FOUND", "booked"]


def test_contention_in_one_lane_is_no_affair_of_the_others(books: Books) -> None:
    """It is tried again there alone, and nobody hears of it."""

    async def play(lanes: Lanes) -> Sequence[Result]:
        await warmed(books, lanes)
        lanes.gate(1).failure = StoreContention("40001")
        return await warmed(books, lanes)

    assert said(played(books, play)) == ["booked"] * LANES


@pytest.mark.postgres
@pytest.mark.parametrize("pair", [(0, 1), (3, 2)], ids=str)
def test_a_key_that_two_lanes_book_at_once_has_one_effect(postgres_books: Books, pair: tuple[int, int]) -> None:
    """Neither sees the other before it commits; the constraint decides, and the one that lost hears what the key is used for."""
    books = postgres_books
    one, other = (FOUR[lane] for lane in pair)

    def at_once(_number: int) -> tuple[Command, Command]:
        first = books.issue(one, "2.00")
        return first, replace(books.issue(other, "2.00"), idempotency_key=first.idempotency_key)

    answers = played(books, lambda lanes: _race(books, lanes, at_once))

    assert {tuple(sorted(pair)) for pair in answers} == {("IDEMPOTENCY_KEY_REUSED", "booked")}


@pytest.mark.postgres
@pytest.mark.parametrize("pair", [(0, 1), (3, 2)], ids=str)
def test_a_card_that_two_lanes_enrol_at_once_has_one_member(postgres_books: Books, pair: tuple[int, int]) -> None:
    """The one that lost hears that the card is taken."""
    pool = names_by_lane(ROUNDS, prefix="r")

    def at_once(number: int) -> tuple[Command, Command]:
        one, other = (replace(postgres_books.enrolment(pool[lane][number], "alpha"), card_hash=f"c{number}") for lane in pair)
        return one, other

    answers = played(postgres_books, lambda lanes: _race(postgres_books, lanes, at_once))

    assert {tuple(sorted(pair)) for pair in answers} == {("CARD_ALREADY_ENROLLED", "booked")}


ROUNDS = 20


async def _race(books: Books, lanes: Lanes, at_once: Callable[[int], tuple[Command, Command]]) -> list[tuple[str, str]]:
    """Sends two commands at once, again and again; answers what became of each."""
    await warmed(books, lanes)
    answers = []
    for number in range(ROUNDS):
        one, other = at_once(number)
        first, second = await asyncio.gather(lanes.submit(one), lanes.submit(other))
        answers.append((said(first)[0], said(second)[0]))
    return answers
