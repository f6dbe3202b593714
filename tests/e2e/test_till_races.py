"""What tills do at one time to one hold, one checkout, one paper receipt: one effect, whoever wins, and books that are proved.

On a SQLite file one gateway is asked by all; on PostgreSQL two of them, over four lanes.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Table, select

from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage.engine import reading
from gateway.storage.tables_till import checkouts, holds
from partners.pos import requests, requests_till
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.requests import Booking
from partners.pos.till import AsyncTill
from tallystick.v1 import types_pb2
from tests.e2e.test_races import answer_of, issue, reasons
from tests.e2e.test_two_gateways import LANES, at_once, lane_of_card
from tests.e2e.tills import DAY_MS, open_async_till
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork, create_network

ROUNDS = 12
COPIES = 16
TTL_S = 60


@dataclass(frozen=True, slots=True)
class Shops:
    """The network and two ways to reach it; members are acme's, and points are worth a cent."""

    network: GivenNetwork
    gateways: tuple[RunningGateway, RunningGateway]
    numbers: Iterator[int]

    def cards(self, count: int, lane: int | None = None) -> list[str]:
        """New card numbers, of members that will live in a lane if acme enrols them under `enrol-<card>`."""
        fresh = (f"4713-{number:06}" for number in self.numbers)
        return list(itertools.islice((card for card in fresh if lane in (None, lane_of_card(card))), count))

    @asynccontextmanager
    async def tills(self) -> AsyncIterator[tuple[AsyncTill, AsyncTill]]:
        """A till of acme's at each, ready to call."""
        async with AsyncExitStack() as stack:
            one, other = [
                await stack.enter_async_context(open_async_till(self.network, "acme", gateway.address))
                for gateway in self.gateways
            ]
            await asyncio.gather(one.learn(), other.learn())
            yield one, other

    def rows(self, table: Table, ids: Sequence[str]) -> dict[str, Any]:
        """By the first column of the table's key."""
        key = table.primary_key.columns[0]
        with reading(self.network.engine) as connection:
            return {getattr(row, key.name): row for row in connection.execute(select(table).where(key.in_(ids)))}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, module_url: str | None) -> Iterator[Shops]:
    """For all tests of the file: members and keys are their own. At the end the books are proved."""
    folder = tmp_path_factory.mktemp("shops") / "net"
    network = create_network(folder, lanes=1 if module_url is None else LANES, url=module_url)
    network.onboard("acme", {"EUR": "1"})
    network.now_ms += DAY_MS
    with RunningGateway(network) as one:
        if module_url is None:
            yield Shops(network, (one, one), itertools.count(1))
        else:
            with RunningGateway(network) as other:
                yield Shops(network, (one, other), itertools.count(1))
    form = ReceiptForm(encode_receipt, decode_receipt)
    assert audit(network.engine, full=True, now_ms=network.now_ms, receipts=form).failures == ()
    network.engine.dispose()


async def enrolled(till: AsyncTill, cards: Sequence[str], points: int) -> None:
    """Makes the members, each with so many points."""
    answers = await till.submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in cards])
    answers += await till.submit_batch([issue(card, points, f"first-{card}") for card in cards])
    assert {type(answer) for answer in answers} == {Booked}


def euros(amount: str) -> types_pb2.Amount:
    """So much."""
    return requests.amount(f"{amount} EUR")


def sell(card: str, total: str, key: str, **asked: Any) -> Booking:
    """A basket."""
    return requests_till.checkout(requests.card(card), euros(total), key=key, **asked)


async def balances(till: AsyncTill, cards: Sequence[str]) -> list[int]:
    """Of members, as the gateway says."""
    return [(await till.balance(requests.card(card))).balance_points for card in cards]


def test_a_hold_is_captured_voided_or_lapsed_and_never_two_of_these(shops: Shops) -> None:
    """All at once, while its time runs out; each answer says what became of it."""
    cards = shops.cards(ROUNDS)

    async def race() -> list[tuple[Booked, list[Booked | Refused]]]:
        rounds = []
        async with shops.tills() as (one, other):
            await enrolled(one, cards, 100)
            for number, card in enumerate(cards):
                hold = await one.book(requests_till.place_hold(requests.card(card), 60, key=f"hold-{card}", ttl_s=TTL_S))
                calls = [
                    (one, sell(card, "1.00", f"capture-{card}", hold_id=hold.entry_id)),
                    (other, requests_till.void_hold(key=f"void-{card}", hold_id=hold.entry_id)),
                ]
                # Each third round the time is over before anybody asks; in the others whoever asks first wins.
                asked = asyncio.ensure_future(at_once(calls if number % 2 else calls[::-1]))
                if number % 3 == 0:
                    shops.network.now_ms += TTL_S * 1_000
                late = await answer_of(other.book(issue(card, 1, f"late-{card}")))
                rounds.append((hold, [*await asked, late]))
        return rounds

    rounds = asyncio.run(race())
    states = {hold_id: row.state for hold_id, row in shops.rows(holds, [hold.entry_id for hold, _ in rounds]).items()}

    for number, (hold, answers) in enumerate(rounds):
        first, second, _ = reasons(answers)
        capture, void = (first, second) if number % 2 else (second, first)
        expected = {
            "CAPTURED": ("booked", "HOLD_NOT_OPEN"),
            "VOIDED": ("HOLD_NOT_OPEN", "booked"),
            "LAPSED": ("HOLD_NOT_OPEN", "HOLD_NOT_OPEN"),
        }
        assert (capture, void) == expected[states[hold.entry_id]]
    assert set(states.values()) - {"OPEN"} == set(states.values())


def test_two_refunds_that_together_exceed_a_checkout_book_one(shops: Shops) -> None:
    """The other is told the rest, for good."""
    cards = shops.cards(ROUNDS)

    async def race() -> tuple[list[list[Booked | Refused]], list[int]]:
        async with shops.tills() as (one, other):
            await enrolled(one, cards, 100)
            for card in cards:
                await one.book(sell(card, "10.00", f"sale-{card}", points=50))
            rounds = [
                await at_once(
                    [
                        (till, requests_till.refund(key=f"{name}-{card}", checkout_key=f"sale-{card}", part=euros("6.00")))
                        for name, till in (("one", one), ("other", other))
                    ]
                )
                for card in cards
            ]
            return rounds, await balances(other, cards)

    rounds, left = asyncio.run(race())
    rests = [answer.facts.details["rest"] for answers in rounds for answer in answers if isinstance(answer, Refused)]

    assert {tuple(sorted(reasons(answers))) for answers in rounds} == {("REFUND_EXCEEDS_REST", "booked")}
    assert rests == ["400"] * ROUNDS
    assert left == [100 - 20 + 3] * ROUNDS  # 30 of 50 points are back; of 9.50, 3.80 are left, which earn 3


def test_a_paper_receipt_is_claimed_by_one_of_two_members_of_different_lanes(shops: Shops) -> None:
    """No lock but the receipt's own stands between them."""
    mine, his = shops.cards(ROUNDS, lane=1), shops.cards(ROUNDS, lane=2)
    at_ms = shops.network.now_ms - 60_000

    async def race() -> tuple[list[list[Booked | Refused]], list[int]]:
        async with shops.tills() as (one, other):
            await enrolled(one, [*mine, *his], 100)
            rounds = [
                await at_once(
                    [
                        (
                            till,
                            requests_till.claim_receipt(
                                requests.card(card),
                                euros("7.00"),
                                key=f"claim-{card}",
                                receipt_number=f"P-{number}",
                                occurred_at_ms=at_ms,
                            ),
                        )
                        for card, till in ((one_card, one), (other_card, other))
                    ]
                )
                for number, (one_card, other_card) in enumerate(zip(mine, his, strict=True))
            ]
            return rounds, await balances(other, [*mine, *his])

    rounds, left = asyncio.run(race())

    assert {tuple(sorted(reasons(answers))) for answers in rounds} == {("RECEIPT_ALREADY_CLAIMED", "booked")}
    assert [a + b for a, b in zip(left[:ROUNDS], left[ROUNDS:], strict=True)] == [207] * ROUNDS


def test_sixteen_copies_of_one_checkout_have_one_effect_and_one_receipt(shops: Shops) -> None:
    """Points and money, both entries in the receipt, byte for byte."""
    (card,) = shops.cards(1)
    basket = sell(card, "10.00", f"copies-{card}", points=50)

    async def race() -> tuple[list[Booked | Refused], list[int]]:
        async with shops.tills() as (one, other):
            await enrolled(one, [card], 100)
            answers = await at_once([(till, basket) for _ in range(COPIES // 2) for till in (one, other)])
            return answers, await balances(other, [card])

    answers, left = asyncio.run(race())
    booked = [answer for answer in answers if isinstance(answer, Booked)]

    assert len({answer.signed_receipt.SerializeToString(deterministic=True) for answer in booked}) == 1
    assert [answer.is_replayed for answer in booked].count(False) == 1
    assert (len(booked), len(booked[0].receipt.legs), left) == (COPIES, 1, [59])


def test_a_checkout_and_its_refund_at_once_leave_nothing_of_it(shops: Shops) -> None:
    """Whether the refund finds the sale, or waits for it: all came back once."""
    cards = shops.cards(ROUNDS)

    async def race() -> tuple[list[list[Booked | Refused]], list[int]]:
        async with shops.tills() as (one, other):
            await enrolled(one, cards, 100)
            rounds = []
            for card in cards:
                refund = requests_till.refund(
                    key=f"back-{card}", checkout_key=f"sold-{card}", part=euros("10.00"), who=requests.card(card)
                )
                rounds.append(await at_once([(one, refund), (other, sell(card, "10.00", f"sold-{card}", points=50))]))
            return rounds, await balances(other, cards)

    rounds, left = asyncio.run(race())
    sold = [answer.entry_id for _, answer in rounds if isinstance(answer, Booked)]

    assert {tuple(reasons(answers)) for answers in rounds} == {("booked", "booked")}
    assert left == [100] * ROUNDS
    assert {row.returned for row in shops.rows(checkouts, sold).values()} == {1_000}
