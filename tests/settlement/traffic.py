"""Traffic beside a night, as processes of their own: as much as goes, or by the clock through the gateway's writer."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from gateway.domain.command import Command, Enrol
from gateway.domain.receipt import Answer, Receipt
from gateway.ledger.batch import BatchSettings
from gateway.ledger.keeper import Keeper
from gateway.ledger.writer import Writer
from tests.given import at, terms_as_of
from tests.settlement.given import Shop, card_hash, encode, issue, network_engine, redeem

ISSUES_PER_S = 200
MEMBERS = tuple(f"s{number}" for number in range(16))
NOON_MS = at("2026-06-30")


def keep_booking(folder: Path, started: Event, stop: Event) -> None:
    """Issues and redeems in small batches until told to stop."""
    shop = Shop(network_engine(folder))
    number = 0
    while not stop.is_set():
        number += 1
        commands = [issue(f"t{number}", "bravo", "m1", 10_00), redeem(f"r{number}", "charlie", "m1", 5)]
        shop.book_all(commands, now_ms=at("2026-06-30") + number)
        started.set()


@dataclass(frozen=True, slots=True)
class Sold:
    """What became of traffic by the clock: lanes and sequences of all receipts, and how long the slowest call took."""

    places: Sequence[tuple[int, int]]
    slowest_ms: int


def sell_by_the_clock(folder: Path, answer: "Connection[Sold, None]", started: Event, stop: Event) -> None:
    """`ISSUES_PER_S`, whatever the answers take, and a redemption after each fourth, until told to stop; then answers."""
    answer.send(asyncio.run(_Seller(folder).sell(started, stop)))


@dataclass
class _Seller:
    folder: Path
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    booked: list[str] = field(default_factory=list)
    slowest_s: float = 0

    async def sell(self, started: Event, stop: Event) -> Sold:
        engine = network_engine(self.folder)
        settings = BatchSettings(terms_as_of(), self._encode, lambda _now_ms: "r1")
        began = time.monotonic()

        def now_ms() -> int:
            return NOON_MS + int((time.monotonic() - began) * 1_000)

        writer = Writer(engine=engine, new_keeping=lambda: Keeper(engine, settings, now_ms), queue_max=10_000, batch_max=500)
        await writer.start()
        calls = [asyncio.create_task(self._call(writer, self._enrolments()))]
        await calls[0]
        started.set()
        number, first_at = 0, time.monotonic()
        while not stop.is_set():
            number += 1
            calls.append(asyncio.create_task(self._call(writer, self._sale(number))))
            # By the clock, not by the answers: who is late for one call makes the next at once.
            await asyncio.sleep(max(first_at + number / ISSUES_PER_S - time.monotonic(), 0))
        await asyncio.gather(*calls)
        await writer.stop()
        engine.dispose()
        return Sold([self.places[entry_id] for entry_id in self.booked], int(self.slowest_s * 1_000))

    async def _call(self, writer: Writer, commands: Sequence[Command]) -> None:
        asked = time.monotonic()
        answers = await writer.submit(commands, deadline=None)
        self.slowest_s = max(self.slowest_s, time.monotonic() - asked)
        assert all(isinstance(one, Answer) and one.refusal is None for one in answers), answers
        self.booked += [command.entry_id for command in commands]

    def _enrolments(self) -> list[Command]:
        key_id = "alpha/till-1/1"
        return [Enrol(partner_id="alpha", key_id=key_id, idempotency_key=name, card_hash=card_hash(name)) for name in MEMBERS]

    def _sale(self, number: int) -> list[Command]:
        member = MEMBERS[number % len(MEMBERS)]
        sale = issue(f"t{number}", "bravo", member, 10_00)
        return [sale, redeem(f"r{number}", "charlie", member, 5)] if number % 4 == 0 else [sale]

    def _encode(self, receipt: Receipt) -> bytes:
        self.places[receipt.entry_id] = (receipt.lane, receipt.sequence)
        return encode(receipt)
