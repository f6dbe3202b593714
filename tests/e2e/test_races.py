"""What comes at the same time, over real connections: one effect, one winner, in whichever order it arrives."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.requests import Booking
from partners.pos.till import AsyncTill
from tests.e2e.tills import open_async_till, open_till, two_partners
from tests.edge.running import RunningGateway

ROUNDS = 60
COPIES = 16

Cards = Callable[[int], list[str]]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Of acme and globex; each test has members and keys of its own."""
    network = two_partners(tmp_path_factory.mktemp("races") / "net")
    with RunningGateway(network) as running:
        yield running
    network.engine.dispose()


@pytest.fixture
def capped(tmp_path: Path) -> Iterator[RunningGateway]:
    """Where globex may owe 10.00 EUR, and nothing has been booked."""
    network = two_partners(tmp_path / "net")
    network.cap("globex", 1_000)
    with RunningGateway(network) as running:
        yield running
    network.engine.dispose()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Never the same one twice."""
    return itertools.count(1)


@pytest.fixture
def cards(gateway: RunningGateway, numbers: Iterator[int]) -> Cards:
    """Makes members, and answers their cards."""

    def make(count: int) -> list[str]:
        made = [f"4711-{next(numbers):06}" for _ in range(count)]
        with open_till(gateway.network, "acme", gateway.address) as till:
            till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in made])
        return made

    return make


def issue(card: str, points: int, key: str) -> Booking:
    """So many points, at a point a euro."""
    return requests.issue(requests.card(card), requests.amount(f"{points}.00 EUR"), key=key)


def redeem(card: str, points: int, key: str) -> Booking:
    """So many points."""
    return requests.redeem(requests.card(card), points, key=key)


@asynccontextmanager
async def two_tills(gateway: RunningGateway) -> AsyncIterator[tuple[AsyncTill, AsyncTill]]:
    """One of acme's, one of globex's; they know the network already, so that nothing but the calls themselves is on the way."""
    async with (
        open_async_till(gateway.network, "acme", gateway.address) as acme,
        open_async_till(gateway.network, "globex", gateway.address) as globex,
    ):
        await asyncio.gather(acme.learn(), globex.learn())
        yield acme, globex


async def answer_of(call: Awaitable[Booked]) -> Booked | Refused:
    """A refusal as a value."""
    try:
        return await call
    except Refused as refused:
        return refused


def reasons(answers: Sequence[Booked | Refused]) -> list[str]:
    """What became of each, by a word."""
    return ["booked" if isinstance(answer, Booked) else answer.reason for answer in answers]


def balances(gateway: RunningGateway, cards: Sequence[str]) -> list[int]:
    """Of the members."""
    with open_till(gateway.network, "acme", gateway.address) as till:
        return [till.balance(requests.card(card)).balance_points for card in cards]


def entries_by_key(gateway: RunningGateway, key: str) -> int:
    """How many there are in the books."""
    query = select(func.count()).select_from(entries).where(entries.c.idempotency_key == key)
    with reading(gateway.network.engine) as connection:
        return int(connection.execute(query).scalar_one())


@contextmanager
def stopped_writer(gateway: RunningGateway) -> Iterator[None]:
    """Whatever is sent meanwhile waits inside the gateway: somebody else holds the database."""
    holder = sqlite3.connect(gateway.network.folder / "books.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        yield
    finally:
        holder.close()


def test_two_redemptions_race_for_the_last_points_and_one_wins(gateway: RunningGateway, cards: Cards) -> None:
    """Two partners ask for 60 of 100 at once, again and again: one is booked, the other is refused for good."""
    raced = cards(ROUNDS)

    async def race() -> list[tuple[Booked | Refused, Booked | Refused]]:
        async with two_tills(gateway) as (acme, globex):
            await acme.submit_batch([issue(card, 100, f"first-{card}") for card in raced])
            return [
                await asyncio.gather(
                    answer_of(acme.book(redeem(card, 60, f"race-{card}"))),
                    answer_of(globex.book(redeem(card, 60, f"race-{card}"))),
                )
                for card in raced
            ]

    answers = asyncio.run(race())

    assert {tuple(sorted(reasons(pair))) for pair in answers} == {("INSUFFICIENT_POINTS", "booked")}
    assert balances(gateway, raced) == [40] * ROUNDS


def test_many_redemptions_race_in_one_burst_and_none_overdraws(gateway: RunningGateway, cards: Cards) -> None:
    """Eight asks of 30 points from either partner for 100, for all members at once: three win each."""
    raced = cards(8)

    async def race() -> list[Booked | Refused]:
        async with two_tills(gateway) as tills:
            await tills[0].submit_batch([issue(card, 100, f"burst-{card}") for card in raced])
            calls = [
                answer_of(till.book(redeem(card, 30, f"burst-{card}-{number}")))
                for number, till in itertools.product(range(4), tills)
                for card in raced
            ]
            return list(await asyncio.gather(*calls))

    answers = reasons(asyncio.run(race()))

    assert answers.count("booked") == 3 * len(raced)
    assert answers.count("INSUFFICIENT_POINTS") == 5 * len(raced)
    assert balances(gateway, raced) == [10] * len(raced)


MAKERS: dict[str, Callable[[str, str], Booking]] = {
    "issue": lambda card, _: issue(card, 70, f"same-issue-{card}"),
    "redeem": lambda card, _: redeem(card, 70, f"same-redeem-{card}"),
    "reverse": lambda card, _: requests.reverse(key=f"same-reverse-{card}", original_key=f"first-{card}"),
    "transfer": lambda card, other: requests.transfer(requests.card(card), requests.card(other), 70, key=f"same-transfer-{card}"),
    "enrol": lambda card, _: requests.enrol(f"{card}-new", key=f"same-enrol-{card}"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_key_sixteen_times_in_parallel_has_one_effect_and_one_receipt(
    gateway: RunningGateway, cards: Cards, kind: str
) -> None:
    """Byte for byte, signature included; exactly one of the answers is no replay."""
    card, other = cards(2)
    command = MAKERS[kind](card, other)

    async def race() -> list[Booked]:
        async with two_tills(gateway) as (acme, _):
            await acme.book(issue(card, 100, f"first-{card}"))
            return list(await asyncio.gather(*(acme.book(command) for _ in range(COPIES))))

    answers = asyncio.run(race())

    assert len({answer.signed_receipt.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert [answer.is_replayed for answer in answers].count(False) == 1
    assert entries_by_key(gateway, command.idempotency_key) == 1
    assert balances(gateway, [card]) == [100 + answers[0].points * (kind != "enrol")]


def test_the_same_refusal_sixteen_times_in_parallel_is_one_receipt(gateway: RunningGateway, cards: Cards) -> None:
    """A final refusal is remembered, byte for byte, and books nothing."""
    (card,) = cards(1)

    async def race() -> list[Booked | Refused]:
        async with two_tills(gateway) as (acme, _):
            return list(await asyncio.gather(*(answer_of(acme.book(redeem(card, 1, f"none-{card}"))) for _ in range(COPIES))))

    answers = asyncio.run(race())
    signed = [answer.facts.signed_receipt for answer in answers if isinstance(answer, Refused)]

    assert set(reasons(answers)) == {"INSUFFICIENT_POINTS"}
    assert len({one.SerializeToString(deterministic=True) for one in signed if one is not None}) == 1
    assert entries_by_key(gateway, f"none-{card}") == 0


def test_one_key_with_two_meanings_at_once_books_one_of_them(gateway: RunningGateway, cards: Cards) -> None:
    """The other one is told that the key was used."""
    (card,) = cards(1)

    async def race() -> list[Booked | Refused]:
        async with two_tills(gateway) as (acme, _):
            calls = [answer_of(acme.book(issue(card, points, f"reused-{card}"))) for points in range(1, COPIES + 1)]
            return list(await asyncio.gather(*calls))

    answers = asyncio.run(race())
    booked = [answer for answer in answers if isinstance(answer, Booked)]

    assert sorted(reasons(answers)) == ["IDEMPOTENCY_KEY_REUSED"] * (COPIES - 1) + ["booked"]
    assert balances(gateway, [card]) == [booked[0].points]


def test_a_copy_that_comes_while_the_first_one_runs_gets_the_same_receipt(gateway: RunningGateway, cards: Cards) -> None:
    """Both wait inside the gateway, and one of them is booked."""
    (card,) = cards(1)

    async def race() -> list[Booked]:
        async with two_tills(gateway) as (acme, globex):
            with stopped_writer(gateway):
                first = asyncio.ensure_future(acme.book(issue(card, 5, f"copy-{card}")))
                await globex.balance(requests.card(card))  # reading goes on meanwhile, and lets the first call get there
                second = asyncio.ensure_future(acme.book(issue(card, 5, f"copy-{card}")))
                await globex.balance(requests.card(card))
                assert not first.done()
                assert not second.done()
            return list(await asyncio.gather(first, second))

    first, second = asyncio.run(race())

    assert first.signed_receipt == second.signed_receipt
    assert (first.is_replayed, second.is_replayed) == (False, True)
    assert balances(gateway, [card]) == [5]


def test_a_call_that_is_given_up_while_it_runs_is_answered_to_its_copy(gateway: RunningGateway, cards: Cards) -> None:
    """Whether the first was booked or not: after the copy there is one entry."""
    (card,) = cards(1)

    async def race() -> Booked:
        async with two_tills(gateway) as (acme, globex):
            with stopped_writer(gateway):
                first = asyncio.ensure_future(acme.book(issue(card, 5, f"given-up-{card}")))
                await globex.balance(requests.card(card))
                first.cancel()
                second = asyncio.ensure_future(acme.book(issue(card, 5, f"given-up-{card}")))
                await globex.balance(requests.card(card))
            return await second

    booked = asyncio.run(race())

    assert booked.balance_points == 5
    assert entries_by_key(gateway, f"given-up-{card}") == 1


def test_three_issues_of_600_under_a_cap_worth_1000_in_one_batch_let_one_pass(capped: RunningGateway) -> None:
    """At a price of 1.00 a point; the others have to wait until goods come back."""
    with open_till(capped.network, "globex", capped.address) as till:
        till.enrol("4711-0001", key="enrol")
        answers, again = (till.submit_batch([issue("4711-0001", 600, f"cap-{number}") for number in range(3)]) for _ in range(2))
        till.reverse(key="cap-return", original_key="cap-0")
        after_return = till.submit_batch([issue("4711-0001", 600, f"cap-{number}") for number in (1, 2)])

    assert reasons(answers) == ["booked", "NET_DEBIT_CAP_EXCEEDED", "NET_DEBIT_CAP_EXCEEDED"]
    assert reasons(again) == reasons(answers)
    assert reasons(after_return) == ["booked", "NET_DEBIT_CAP_EXCEEDED"]


def test_a_cap_holds_against_a_burst_of_single_calls_and_a_higher_one_lets_them_pass(capped: RunningGateway) -> None:
    """Sixteen issues of 200 at once, room for five; what a cap refuses is not refused for good."""
    commands = [issue("4711-0001", 200, f"burst-{number}") for number in range(COPIES)]

    async def burst() -> list[Booked | Refused]:
        async with two_tills(capped) as (_, globex):
            await globex.enrol("4711-0001", key="enrol")
            return list(await asyncio.gather(*(answer_of(globex.book(command)) for command in commands)))

    answers = reasons(asyncio.run(burst()))
    capped.network.cap("globex", None)
    with open_till(capped.network, "globex", capped.address) as till:
        retried = till.submit_batch(commands)

    assert sorted(answers) == ["NET_DEBIT_CAP_EXCEEDED"] * (COPIES - 5) + ["booked"] * 5
    assert [answer == "booked" for answer in answers] == [isinstance(one, Booked) and one.is_replayed for one in retried]
    assert reasons(retried) == ["booked"] * COPIES


def test_a_batch_is_carried_out_in_its_order(gateway: RunningGateway, numbers: Iterator[int]) -> None:
    """Each command sees what those before it did, and a refused one harms no other."""
    card, other = (f"4711-{next(numbers):06}" for _ in range(2))
    commands = [
        redeem(card, 10, f"{card}-a"),  # nobody has the card yet
        requests.enrol(card, key=f"{card}-b"),
        redeem(card, 10, f"{card}-c"),  # nor any points
        issue(card, 30, f"{card}-d"),
        redeem(card, 10, f"{card}-e"),
        requests.reverse(key=f"{card}-f", original_key=f"{card}-e", part=4),
        requests.enrol(other, key=f"{card}-g"),
        requests.transfer(requests.card(card), requests.card(other), 24, key=f"{card}-h"),
        redeem(card, 1, f"{card}-i"),
        issue(card, 30, f"{card}-d"),  # the same as above: joins it
        issue(card, 31, f"{card}-d"),  # the same key, something else
        requests.reverse(key=f"{card}-j", original_key=f"{card}-d"),
    ]
    with open_till(gateway.network, "acme", gateway.address) as till:
        answers = till.submit_batch(commands)

    assert reasons(answers) == [
        "MEMBER_NOT_FOUND",
        "booked",
        "INSUFFICIENT_POINTS",
        "booked",
        "booked",
        "booked",
        "booked",
        "booked",
        "INSUFFICIENT_POINTS",
        "booked",
        "IDEMPOTENCY_KEY_REUSED",
        "booked",
    ]
    joined, first = answers[9], answers[3]
    assert isinstance(joined, Booked)
    assert isinstance(first, Booked)
    assert joined.is_replayed
    assert joined.signed_receipt == first.signed_receipt
    assert balances(gateway, [card, other]) == [-30, 24]
