"""Two gateways over one PostgreSQL, asked at once: one effect a key, one receipt byte for byte, and books that are proved."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lanes import lane_of
from gateway.storage.engine import reading
from gateway.storage.tables import entries
from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.requests import Booking
from partners.pos.till import AsyncTill
from tests.e2e.commands import done, run_command
from tests.e2e.processes import GatewayProcess, gateway_process, live_network
from tests.e2e.test_races import MAKERS, answer_of, issue, reasons, redeem
from tests.e2e.tills import open_live_till
from tests.given import GivenNetwork
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres
LANES = 4
ROUNDS = 12
COPIES = 4  # of a call, at each gateway
CAP_POINTS = 1_000


@dataclass(frozen=True, slots=True)
class Two:
    """The network and its gateways. Members are acme's; initech may owe no more than `CAP_POINTS` are worth."""

    network: GivenNetwork
    gateways: tuple[GatewayProcess, GatewayProcess]
    numbers: Iterator[int]

    def cards(self, count: int, lane: int | None = None) -> list[str]:
        """New card numbers, of members that will live in a lane if acme enrols them under `enrol-<card>`."""
        fresh = (f"4712-{number:06}" for number in self.numbers)
        return list(itertools.islice((card for card in fresh if lane in (None, lane_of_card(card))), count))

    @asynccontextmanager
    async def tills(self, partner_id: str = "acme") -> AsyncIterator[tuple[AsyncTill, AsyncTill]]:
        """A till of a partner's at each, ready to call."""
        async with AsyncExitStack() as stack:
            one, other = [
                await stack.enter_async_context(open_live_till(gateway, self.network, partner_id)) for gateway in self.gateways
            ]
            await asyncio.gather(one.learn(), other.learn())
            yield one, other

    def entries_of(self, key: str) -> int:
        """How many there are in the books."""
        query = select(func.count()).select_from(entries).where(entries.c.idempotency_key == key)
        with reading(self.network.engine) as connection:
            return int(connection.execute(query).scalar_one())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Two]:
    """For all tests of the file: members and keys are their own. At the end the books are proved."""
    url = postgres_server.new_database()
    network = live_network(tmp_path_factory.mktemp("two") / "net", "acme", "globex", "initech", url=url)
    network.cap("initech", CAP_POINTS)
    with gateway_process(network.folder, "one") as one, gateway_process(network.folder, "two") as other:
        yield Two(network, (one, other), itertools.count(1))
    network.now_ms = system_clock()
    assert "books proved" in done(run_command(network, "audit", "--full")).out
    network.engine.dispose()
    postgres_server.give_back(url)


async def enrolled(till: AsyncTill, cards: Sequence[str], points: int = 0) -> None:
    """Makes the members, each with so many points."""
    answers = await till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in cards])
    if points:
        answers += await till.submit_batch([issue(card, points, f"first-{card}") for card in cards])
    assert {type(answer) for answer in answers} == {Booked}


def lane_of_card(card: str) -> int:
    """Where the member lives that acme enrols under `enrol-<card>`."""
    return lane_of(bucket_of(member_id("acme", f"enrol-{card}")), LANES)


async def at_once(calls: Sequence[tuple[AsyncTill, Booking]]) -> list[Booked | Refused]:
    """Sends them all in one turn of the loop."""
    return list(await asyncio.gather(*(answer_of(till.book(command)) for till, command in calls)))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_key_at_both_has_one_effect_and_one_receipt(two: Two, kind: str) -> None:
    """Byte for byte, signature included, whichever gateway answers; exactly one answer is no replay."""
    cards = two.cards(2 * ROUNDS)
    commands = [MAKERS[kind](cards[number], cards[-1 - number]) for number in range(ROUNDS)]

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills() as tills:
            await enrolled(tills[0], cards, points=100)
            answers = [await at_once([(till, command) for _ in range(COPIES) for till in tills]) for command in commands]
            asked = [[await till.get_entry(key=command.idempotency_key) for till in tills] for command in commands]
            return [[*given, *found] for given, found in zip(answers, asked, strict=True)]

    rounds = asyncio.run(race())

    for command, answers in zip(commands, rounds, strict=True):
        booked = [answer for answer in answers if isinstance(answer, Booked)]
        assert reasons(answers) == ["booked"] * (2 * COPIES + 2)
        assert len({answer.signed_receipt.SerializeToString(deterministic=True) for answer in booked}) == 1
        assert [answer.is_replayed for answer in booked[: 2 * COPIES]].count(False) == 1
        assert two.entries_of(command.idempotency_key) == 1


@pytest.mark.parametrize("is_other_lane", [False, True], ids=["one member", "members of two lanes"])
def test_one_key_with_two_contents_at_both_books_one_of_them(two: Two, *, is_other_lane: bool) -> None:
    """The other is told what became of the key, also where no lock but the key's own stands between the two."""
    mine, his = two.cards(ROUNDS, lane=1), two.cards(ROUNDS, lane=2)
    pairs = zip(mine, his if is_other_lane else mine, strict=True)

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills() as (one, other):
            await enrolled(one, [*mine, *his])
            return [
                await at_once([(one, issue(card, 3, f"two-{card}")), (other, issue(another, 4, f"two-{card}"))])
                for card, another in pairs
            ]

    rounds = asyncio.run(race())

    assert {tuple(sorted(reasons(answers))) for answers in rounds} == {("IDEMPOTENCY_KEY_REUSED", "booked")}


def test_a_card_that_is_enrolled_at_both_has_one_member(two: Two) -> None:
    """Two partners' shops hand it out at once: one of them hears that it is taken."""
    cards = two.cards(ROUNDS)

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills("acme") as (one, _), two.tills("globex") as (_, other):
            return [await at_once([(till, requests.enrol(card, key=f"enrol-{card}")) for till in (one, other)]) for card in cards]

    rounds = asyncio.run(race())

    assert {tuple(sorted(reasons(answers))) for answers in rounds} == {("CARD_ALREADY_ENROLLED", "booked")}


def test_redemptions_at_both_never_overdraw(two: Two) -> None:
    """Four of 30 points at each for 100: three win; every refusal is final, with one receipt."""
    cards = two.cards(ROUNDS)

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills("acme") as (one, _), two.tills("globex") as (_, other):
            await enrolled(one, cards, points=100)
            return [
                await at_once([(till, redeem(card, 30, f"b-{card}-{number}")) for number in range(4) for till in (one, other)])
                for card in cards
            ]

    rounds = asyncio.run(race())

    expected = ["INSUFFICIENT_POINTS"] * 5 + ["booked"] * 3
    assert [sorted(reasons(answers)) for answers in rounds] == [expected] * ROUNDS


def test_transfers_between_lanes_in_both_directions_at_once_end(two: Two) -> None:
    """Every pair of lanes, to and fro, at both gateways: heads are locked in order, so nobody waits for ever."""
    by_lane = [two.cards(3, lane=lane) for lane in range(LANES)]
    people = [card for cards in by_lane for card in cards]
    ways = [
        (giver, taker)
        for one, other in itertools.permutations(range(LANES), 2)
        for giver, taker in zip(by_lane[one], by_lane[other], strict=True)
    ]

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills() as tills:
            await enrolled(tills[0], people, points=100)
            return [
                await at_once(
                    [
                        (tills[number % 2], gift(giver, taker, f"way-{turn}-{number}"))
                        for number, (giver, taker) in enumerate(ways)
                    ]
                )
                for turn in range(3)
            ]

    def gift(giver: str, taker: str, key: str) -> Booking:
        return requests.transfer(requests.card(giver), requests.card(taker), 1, key=key)

    rounds = asyncio.run(race())

    async def balances() -> list[int]:
        async with two.tills() as (_, other):
            return [(await other.balance(requests.card(card))).balance_points for card in people]

    assert [reasons(answers) for answers in rounds] == [["booked"] * len(ways)] * 3
    assert asyncio.run(balances()) == [100] * len(people)


def test_a_cap_holds_over_both_gateways_and_all_lanes(two: Two) -> None:
    """Forty issues of 90 at once, room for eleven; what was refused may come again, and is refused again."""
    cards = [card for lane in range(LANES) for card in two.cards(10, lane=lane)]
    sales = [issue(card, 90, f"cap-{card}") for card in cards]

    async def race() -> list[list[Booked | Refused]]:
        async with two.tills("acme") as (one, _), two.tills("initech") as tills:
            await enrolled(one, cards)
            return [await at_once([(tills[number % 2], sale) for number, sale in enumerate(sales)]) for _ in range(2)]

    first, again = asyncio.run(race())

    assert sorted(reasons(first)) == ["NET_DEBIT_CAP_EXCEEDED"] * (40 - CAP_POINTS // 90) + ["booked"] * (CAP_POINTS // 90)
    assert reasons(again) == reasons(first)
