"""A net debit cap over several lanes: what a batch may add beside others, what it must decide alone, and 64 clients at once."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.domain.command import Command, Issue
from gateway.domain.lanes import Deferred, Misrouted
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Result
from gateway.domain.units import MICROS
from gateway.ledger.audit import audit
from gateway.ledger.queues import ENOUGH
from gateway.storage.books import load_book, lock_heads
from gateway.storage.directory import load_terms
from gateway.storage.engine import writing_on
from gateway.storage.tables import positions
from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books
from tests.ledger.lanes import LANES, Lanes, names_by_lane, said, writing_in_lanes

CLIENTS, CALLS = 64, 8
PRICE_MICROS = 1_200_000  # what bravo owes for a point: 1.20 cents
PEOPLE = [name for names in names_by_lane(8) for name in names]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month's network with four lanes; only to be copied."""
    network = month(tmp_path_factory.mktemp("caps") / "net", lanes=LANES)
    network.engine.dispose()
    return network


@pytest.fixture
def books(template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """With eight members in each lane; it is 5 June 2026, noon."""
    yield from _opened(template.copy(tmp_path / "net", url=network_url))


@pytest.fixture
def postgres_books(template: GivenNetwork, tmp_path: Path, postgres_url: str) -> Iterator[Books]:
    """The same on PostgreSQL alone: where lanes commit side by side."""
    yield from _opened(template.copy(tmp_path / "net", url=postgres_url))


def _opened(network: GivenNetwork) -> Iterator[Books]:
    books = Books(network, now_ms=at("2026-06-01", "09:00"))
    books.run(*(books.enrolment(name, "alpha") for name in PEOPLE))
    books.now_ms = NOON
    yield books
    books.connection.close()
    network.engine.dispose()


def worth(points: int) -> int:
    """A cap in cents that holds so many of bravo's points."""
    return points * PRICE_MICROS // MICROS


def exposure(books: Books) -> int:
    """Bravo's, in micros, over all lanes."""
    summed = select(func.sum(positions.c.open_value_micros + positions.c.net_debit_micros))
    return int(books.rows(summed.where(positions.c.partner_id == "bravo"))[0][0] or 0)


def beside_others(books: Books, share_points: int, *commands: Command) -> list[Result | Misrouted | Deferred]:
    """What a batch of lane 0 says that may add so many of bravo's points; nothing is saved."""
    with writing_on(books.connection):
        book = load_book(
            books.connection,
            commands,
            locked=lock_heads(books.connection, (0,)),
            now_ms=books.now_ms,
            terms=load_terms(books.connection),
            encode=books.receipts.encode,
            receipt_key_id="r1",
        )
        book.work.cap_shares = {"bravo": share_points * PRICE_MICROS}
        return [book.execute(command) for command in commands]


def words(results: Sequence[object]) -> list[str]:
    """Booked, deferred, or the reason of a refusal."""
    return [said([one])[0] if isinstance(one, Answer | Refusal) else type(one).__name__ for one in results]


def test_a_batch_adds_its_share_and_no_more(books: Books) -> None:
    """Below and at it; one point above is deferred, and what is smaller still fits."""
    ann, ben = PEOPLE[0], PEOPLE[1]
    commands = [
        books.issue(name, amount, partner="bravo") for name, amount in ((ann, "60.00"), (ben, "41.00"), (PEOPLE[2], "40.00"))
    ]

    assert words(beside_others(books, 100, *commands)) == ["booked", "Deferred", "booked"]


def test_what_another_partner_issues_is_no_affair_of_the_share(books: Books) -> None:
    """Neither is an issue that gives no points."""
    commands = [books.issue(PEOPLE[0], "60.00"), books.issue(PEOPLE[0], "0.10", partner="bravo")]

    assert words(beside_others(books, 0, *commands)) == ["booked", "booked"]


def test_a_cap_that_is_exceeded_refuses_at_once(books: Books) -> None:
    """Whoever decides alone would say the same."""
    books.network.cap("bravo", worth(10))

    assert words(beside_others(books, 0, books.issue(PEOPLE[0], "11.00", partner="bravo"))) == ["NET_DEBIT_CAP_EXCEEDED"]


def test_nothing_overtakes_what_is_deferred(books: Books) -> None:
    """Its member, its reversal and its key come after it; others do not wait."""
    ann, ben = PEOPLE[0], PEOPLE[1]
    deferred = books.issue(ann, "60.00", partner="bravo")
    commands = (
        deferred,
        books.redeem(ann, 10),
        books.issue(ann, "2.00"),
        books.transfer(ann, ben, 10),
        books.redeem(ben, 10),
        books.reverse(deferred),
        deferred,
        books.issue(PEOPLE[2], "2.00"),
    )

    assert words(beside_others(books, 10, *commands)) == [*["Deferred"] * 7, "booked"]


@pytest.mark.postgres
def test_whoever_holds_all_heads_adds_up_to_the_cap_at_once(postgres_books: Books) -> None:
    """Nobody adds beside it, so it has no share to keep to; whoever holds all but one has."""
    books, command = postgres_books, postgres_books.issue(PEOPLE[0], "60.00", partner="bravo")
    books.network.cap("bravo", worth(1_000))

    def shares(lanes: int) -> dict[str, int]:
        with writing_on(books.connection):
            book = load_book(
                books.connection,
                [command],
                locked=lock_heads(books.connection, range(lanes)),
                now_ms=books.now_ms,
                terms=load_terms(books.connection),
                encode=books.receipts.encode,
                receipt_key_id="r1",
            )
            return book.work.cap_shares

    assert shares(LANES) == {}
    assert shares(LANES - 1).keys() == {"bravo"}


@pytest.mark.postgres
def test_what_is_near_the_cap_is_decided_in_its_order(postgres_books: Books) -> None:
    """In the same call: results stand where they were asked, and the second sees the first."""
    books, (ann, ben) = postgres_books, PEOPLE[:2]
    books.network.cap("bravo", worth(1_000))
    results = books.run(
        books.issue(ann, "600.00", partner="bravo"),
        books.issue(PEOPLE[2], "2.00"),
        books.issue(ben, "600.00", partner="bravo"),
        books.redeem(ann, 600),
        books.issue(ben, "400.00", partner="bravo"),
    )

    assert said(results) == ["booked", "booked", "NET_DEBIT_CAP_EXCEEDED", "booked", "booked"]


@pytest.mark.postgres
@pytest.mark.parametrize("enough", [1, ENOUGH], ids=["lanes side by side", "lanes together"])
@pytest.mark.parametrize("seed", range(3))
def test_64_clients_of_four_lanes_do_not_exceed_a_cap(postgres_books: Books, seed: int, enough: int) -> None:
    """The design allows four times the largest command beyond it; there is none, and nobody is refused what fits."""
    books, numbers = postgres_books, random.Random(seed)
    cap = worth(4_000)
    books.network.cap("bravo", cap)
    calls = [
        [books.issue(numbers.choice(PEOPLE), f"{numbers.randint(1, 60)}.00", partner="bravo") for _ in range(CALLS)]
        for _ in range(CLIENTS)
    ]

    async def client(lanes: Lanes, commands: Sequence[Issue]) -> list[Result]:
        return [(await lanes.submit(command))[0] for command in commands]

    async def day() -> list[list[Result]]:
        async with writing_in_lanes(books, enough=enough) as lanes:
            return await asyncio.gather(*(client(lanes, commands) for commands in calls))

    answers = asyncio.run(day())
    end = exposure(books)
    refused = [
        command.eligible.minor_units
        for commands, results in zip(calls, answers, strict=True)
        for command, result in zip(commands, results, strict=True)
        if isinstance(result, Refusal) and result.reason is Reason.NET_DEBIT_CAP_EXCEEDED
    ]

    assert end <= cap * MICROS
    assert refused
    assert end + min(refused) // 100 * PRICE_MICROS > cap * MICROS
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=NOON).failures] == []
