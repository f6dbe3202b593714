"""A small world in virtual time: shops with skewed clocks, a wire that loses, delays, doubles and reorders, and a real gateway.

One seed is one world: all chance comes from it, calls reach the gateway one by one, and time passes only from event to
event. A till repeats an order, signed anew, until it has heard what became of it.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from gateway.domain.terms import DebtPolicy
from gateway.network_terms import TermsChange
from partners.pos.requests import BOOKINGS, Booking
from tallystick.v1 import types_pb2
from tests.e2e.commands import done, run_command
from tests.edge.running import Caller, RunningGateway, seen
from tests.given import GivenNetwork, at, month

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
# What another order, or the operator, can cure; the till asks again later. All else is an answer.
CURABLE = frozenset({"MEMBER_NOT_FOUND", "ENTRY_NOT_FOUND", "NET_DEBIT_CAP_EXCEEDED", "PARTNER_NOT_ACTIVE"})
MISTIMED = "SIGNATURE_TIME_OUT_OF_WINDOW"


@dataclass(eq=False)
class Order:
    """What a till wants booked, and what it heard of it: the signed receipt, or the reason of a refusal without one."""

    till: "ShopTill"
    message: Booking
    heard: set[bytes] = field(default_factory=set)
    receipt: types_pb2.Receipt | None = None
    refused: str = ""
    attempts: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Partner and idempotency key."""
        return self.till.partner_id, self.message.idempotency_key

    @property
    def is_booked(self) -> bool:
        """Whether it stands in the books."""
        return self.receipt is not None and not self.receipt.refused


@dataclass(eq=False)
class World:
    """The network of the oracle's month, its gateway, and what is still to happen."""

    seed: int
    folder: Path
    orders: list[Order] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Opens the shops; bravo has a cap that a good day reaches. With an odd seed nobody gets into debt."""
        self.rng = random.Random(self.seed)
        self.network: GivenNetwork = month(self.folder)
        if self.seed % 2:
            self.network.network_terms("2026-06-03", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
        self.network.cap("bravo", 150_00)
        self.numbers = itertools.count(1)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self.gateway = RunningGateway(self.network)
        self.gateway.__enter__()
        self.tills = [ShopTill(self, partner) for partner in ("alpha", "alpha", "bravo", "charlie", "charlie", "delta")]

    def close(self) -> None:
        """Ends the gateway."""
        self.gateway.__exit__()
        self.network.engine.dispose()

    @property
    def now_ms(self) -> int:
        """Virtual time."""
        return self.network.now_ms

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Lets something happen later."""
        heapq.heappush(self._due, (self.now_ms + delay_ms, next(self.numbers), act))

    def pass_time(self, until_ms: int) -> None:
        """What is due by then happens, in its order."""
        while self._due and self._due[0][0] <= until_ms:
            self.network.now_ms, _, act = heapq.heappop(self._due)
            act()
        self.network.now_ms = until_ms

    def restart(self) -> None:
        """The gateway drains, and another one starts."""
        self.gateway.__exit__()
        self.gateway = RunningGateway(self.network)
        self.gateway.__enter__()
        self.figures["restarts"] += 1

    def command(self, *words: str) -> str:
        """A command of the operator's; answers what it printed."""
        return done(run_command(self.network, *words)).out

    def by_operator(self, *words: str) -> str:
        """The same, signed by ada."""
        return self.command(*words, "--operator", "ada", "--key", str(self.folder / "ada.pem"))

    def night(self, day: str) -> None:
        """The settlement of a day, half an hour after it."""
        self.pass_time(at(day, "23:59:59") + 30 * MINUTE_MS)
        self.command("settlement", "run", "--at", f"{day}T23:59:59+02:00")


class ShopTill:
    """A till on a bad line. Its clock is off, mostly by what the gateway tolerates."""

    def __init__(self, world: World, partner_id: str) -> None:
        self.world = world
        self.partner_id = partner_id
        self._skew_ms = world.rng.choice((0, -90 * SECOND_MS, 20 * SECOND_MS, -10 * MINUTE_MS, 10 * MINUTE_MS))
        self._corrected_ms = 0

    def place(self, message: Booking) -> Order:
        """Takes an order, and sees to it until it is answered."""
        order = Order(self, message)
        self.world.orders.append(order)
        self.send(order)
        return order

    def send(self, order: Order) -> None:
        """Signs, puts on the wire, and looks again later."""
        if order.receipt is not None or order.refused:
            return
        rng, path = self.world.rng, BOOKINGS[type(order.message)][0].path
        body = order.message.SerializeToString()
        created = f"{self.world.now_ms + self._skew_ms + self._corrected_ms:013d}"
        caller = Caller(self.world.gateway, self.partner_id, self.world.network.keys[self.partner_id], created=created)
        metadata = caller.metadata(path, body)
        self.world.figures["sent"] += 1
        for _ in range(rng.choices((0, 1, 2, 3), (10, 70, 15, 5))[0]):
            delay_ms = rng.choice((50, 300, 2 * SECOND_MS, 20 * SECOND_MS, 5 * MINUTE_MS))
            self.world.after(delay_ms, lambda: self._deliver(order, path, body, metadata))
        order.attempts += 1
        self.world.after(rng.randint(5 * SECOND_MS, 20 * SECOND_MS) << min(order.attempts, 10), lambda: self.send(order))

    def _deliver(self, order: Order, path: str, body: bytes, metadata: Any) -> None:
        world = self.world
        world.figures["delivered"] += 1
        caller = Caller(world.gateway, self.partner_id, world.network.keys[self.partner_id])
        try:
            response = BOOKINGS[type(order.message)][0].answer.FromString(caller.send(path, body, metadata))
        except grpc.RpcError as error:
            refusal = seen(error)
            reason, answer = refusal.reason, refusal.answer
            server_time_ms = int(refusal.facts.get("server_time_ms", 0))
        else:
            reason, answer, server_time_ms = "", response.answer, 0
        if answer is not None:
            order.heard.add(answer.receipt.SerializeToString(deterministic=True))
        if world.rng.random() < 0.25:
            world.figures["answers lost"] += 1
        elif reason == MISTIMED:
            world.figures["mistimed"] += 1
            self._corrected_ms = server_time_ms - world.now_ms - self._skew_ms
        elif answer is not None:
            order.receipt = types_pb2.Receipt.FromString(answer.receipt.receipt)
        elif reason not in CURABLE:
            order.refused = reason


def flush(world: World) -> None:
    """The operator lifts the cap; then all that is open is sent over a good line, in the order in which it was placed."""
    world.network.cap("bravo", None)
    for order in world.orders:
        if order.receipt is None and not order.refused:
            _settle(world, order)


def _settle(world: World, order: Order) -> None:
    method, _ = BOOKINGS[type(order.message)]
    caller = Caller(world.gateway, order.till.partner_id, world.network.keys[order.till.partner_id])
    try:
        answer = caller.call(method, order.message).answer
    except grpc.RpcError as error:
        refusal = seen(error)
        if refusal.answer is None:
            order.refused = refusal.reason
            return
        answer = refusal.answer
    order.heard.add(answer.receipt.SerializeToString(deterministic=True))
    order.receipt = types_pb2.Receipt.FromString(answer.receipt.receipt)
