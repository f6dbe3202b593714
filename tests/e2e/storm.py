"""Eight tills with fixed keys in a storm: a third of their answers are lost on the way, and the gateway is killed under them.

The tills of one process, each with a connection of its own. What each key was ever answered is kept, lost answers too.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
import grpc.aio

from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.errors import NoAnswer, Refused
from partners.pos.requests import Booking
from partners.pos.till import AsyncTill
from tallystick.v1.points_pb2 import IssuePointsRequest, RedeemPointsRequest
from tests.e2e.processes import GatewayProcess
from tests.e2e.tills import ONE_ATTEMPT, signer_of
from tests.given import AUDIENCE, GivenNetwork

TILLS = 8
CALLS_AT_ONCE = 3  # of each till
COMMANDS = 100  # of each till
CARDS = tuple(f"4000-{number:04}" for number in range(24))
CANCEL_S_MAX = 0.02
_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # how long an attempt may take
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
)

Key = tuple[str, str]
"""Partner and idempotency key."""


def plan(rng: random.Random, till: int, count: int = COMMANDS) -> list[Booking]:
    """A till's commands: mostly sales, some of which are redeemed, brought back or passed on."""
    commands: list[Booking] = []
    for number in range(count):
        key, card = f"till-{till}/{number}", requests.card(rng.choice(CARDS))
        what = rng.choices(("issue", "redeem", "reverse", "transfer"), (5, 3, 2, 1))[0]
        earlier = [one.idempotency_key for one in commands if isinstance(one, IssuePointsRequest | RedeemPointsRequest)]
        if what == "redeem":
            commands.append(requests.redeem(card, rng.randint(1, 60), key=key))
        elif what == "transfer":
            other = requests.card(rng.choice([one for one in CARDS if one != card.card_number]))
            commands.append(requests.transfer(card, other, rng.randint(1, 30), key=key))
        elif what == "reverse" and earlier:
            commands.append(requests.reverse(key=key, original_key=rng.choice(earlier)))
        else:
            commands.append(requests.issue(card, requests.amount(f"{rng.randint(1, 90)}.00 EUR"), key=key))
    return commands


@dataclass
class Storm:
    """`answers`: the distinct bytes that each key was ever answered, signature included; `final`: what it is answered at the end.

    `acknowledged`: keys whose answer reached its till while the gateway was being killed.
    """

    network: GivenNetwork
    gateway: GatewayProcess
    seed: int
    commands: int = COMMANDS  # of each till
    answers: defaultdict[Key, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    final: dict[Key, Booked | Refused] = field(default_factory=dict)
    acknowledged: set[Key] = field(default_factory=set)
    figures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Makes the plans; the first half of the tills is acme's."""
        self.rng = random.Random(self.seed)
        self.partners = ["acme"] * (TILLS // 2) + ["globex"] * (TILLS - TILLS // 2)
        self.plans = [plan(self.rng, till, self.commands) for till in range(TILLS)]

    async def rage(self, kills: int) -> None:
        """Plays under kills, then sends everything again, to a gateway that is left alone."""
        self._serving, self._answered = asyncio.Event(), asyncio.Condition()
        self._serving.set()
        async with AsyncExitStack() as stack:
            self._channels = [self._channel() for _ in self.partners]
            tills = [
                await stack.enter_async_context(self._till(partner, channel))
                for partner, channel in zip(self.partners, self._channels, strict=True)
            ]
            await self._channels[0].channel_ready()
            await tills[0].submit_batch([requests.enrol(card, key=f"enrol-{card}") for card in CARDS])
            workers = [
                asyncio.create_task(self._work(till, number)) for number, till in enumerate(tills) for _ in range(CALLS_AT_ONCE)
            ]
            for _ in range(kills):
                await self._kill()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await asyncio.gather(*(self._send_again(till, number) for number, till in enumerate(tills)))

    async def _kill(self) -> None:
        """After a random number of answers and a moment more: somewhere between a call and its answer."""
        await asyncio.to_thread(self.gateway.prepare)
        until = self.figures["answers"] + self.rng.randint(5, 60)
        async with self._answered:
            await self._answered.wait_for(lambda: self.figures["answers"] >= until)
        await asyncio.sleep(self.rng.uniform(0, 0.02))
        self._serving.clear()
        await asyncio.to_thread(self.gateway.kill)
        await asyncio.to_thread(self.gateway.start)
        self._serving.set()

    async def _work(self, till: AsyncTill, number: int) -> None:
        """Sends what has no answer yet, in any order; when all have one, all again."""
        rng, partner = random.Random(f"{self.seed}-{number}"), self.partners[number]
        while True:
            waiting = [one for one in self.plans[number] if (partner, one.idempotency_key) not in self.acknowledged]
            command = rng.choice((waiting or self.plans[number])[:10])
            await self._serving.wait()
            await self._channels[number].channel_ready()
            await self._attempt(
                till, partner, command, fate=rng.choice(("arrives", "arrives", "arrives", "arrives", "lost", "cut"))
            )

    async def _attempt(self, till: AsyncTill, partner: str, command: Booking, *, fate: str) -> None:
        """One call. `lost`: its answer does not reach the till; `cut`: the call is broken off on the way."""
        key = (partner, command.idempotency_key)
        try:
            if fate == "cut":
                async with asyncio.timeout(self.rng.uniform(0, CANCEL_S_MAX)):
                    await self._book(till, key, command)
            else:
                await self._book(till, key, command)
        except TimeoutError:
            self.figures["cut"] += 1
            return
        except NoAnswer:
            self.figures["without answer"] += 1
            return
        self.figures[fate] += 1
        if fate == "arrives" and self.answers[key]:
            self.acknowledged.add(key)
        async with self._answered:
            self.figures["answers"] += 1
            self._answered.notify_all()

    async def _book(self, till: AsyncTill, key: Key, command: Booking) -> Booked | Refused:
        answer: Booked | Refused
        try:
            answer = await till.book(command)
        except Refused as refused:
            answer = refused
        signed = answer.signed_receipt if isinstance(answer, Booked) else answer.facts.signed_receipt
        if signed is not None:
            self.answers[key].add(signed.SerializeToString(deterministic=True))
        return answer

    async def _send_again(self, till: AsyncTill, number: int) -> None:
        """Everything, in the till's own order, so that what is brought back was sold before."""
        await self._channels[number].channel_ready()
        for command in self.plans[number]:
            key = (self.partners[number], command.idempotency_key)
            self.final[key] = await self._book(till, key, command)

    def _channel(self) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self.gateway.ca_file.read_bytes())
        return grpc.aio.secure_channel(self.gateway.address, credentials, options=_RECONNECT)

    def _till(self, partner: str, channel: grpc.aio.Channel) -> AsyncTill:
        return AsyncTill(channel, signer_of(self.network, partner), audience=AUDIENCE, policy=ONE_ATTEMPT)

    def keys(self) -> Sequence[Key]:
        """All that the tills ever sent."""
        return [
            (partner, command.idempotency_key)
            for partner, plan_ in zip(self.partners, self.plans, strict=True)
            for command in plan_
        ]
