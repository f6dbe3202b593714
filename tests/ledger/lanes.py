"""A writer of several lanes on real books, whose batches can be watched, and held before they begin.

async with writing_in_lanes(books) as lanes:
await lanes.submit(*commands)
lanes.batches            which lanes each batch was sent to, and its commands
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.domain.command import Command, MemberRef
from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lanes import lane_of
from gateway.domain.receipt import Answer, Result
from gateway.ledger.clerk import Routed
from gateway.ledger.keeper import Keeper
from gateway.ledger.writer import Writer
from gateway.storage.errors import StoreError
from tests.ledger.books import Books
from tests.patience import patience_s

LANES = 4
WAIT_S_MAX = 20  # a writer that forgets a caller fails the test instead of holding it up


class Gate:
    """What batches that take a lane must pass. `failure`: of the next of them, and once."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Event()
        self.opened.set()
        self.failure: StoreError | None = None

    def pass_through(self) -> None:
        """Waits until it is open; raises the failure."""
        self.entered.set()
        assert self.opened.wait(patience_s(WAIT_S_MAX))
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure


class Watched:
    """Carries out batches, once they have passed the gates of their lanes."""

    def __init__(self, books: Books, gates: Sequence[Gate], batches: list[tuple[tuple[int, ...], list[Command]]]) -> None:
        self.keeper = Keeper(books.network.engine, books.settings, lambda: books.now_ms)
        self.gates = gates
        self.batches = batches

    def start(self) -> None:
        """As a Keeping does."""
        self.keeper.start()

    def close(self) -> None:
        """As a Keeping does."""
        self.keeper.close()

    def __call__(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Routed]:
        """What a clerk's thread runs."""
        for lane in lanes:
            if lane < LANES:
                self.gates[lane].pass_through()
        self.batches.append((tuple(lanes), list(commands)))
        return self.keeper(commands, lanes)


@dataclass
class Lanes:
    """The writer, the gates of the first lanes, and the batches that passed them."""

    writer: Writer
    gates: list[Gate]
    batches: list[tuple[tuple[int, ...], list[Command]]]

    async def submit(self, *commands: Command, deadline: float | None = None) -> Sequence[Result]:
        """One result a command; fails if there is none for long."""
        async with asyncio.timeout(patience_s(WAIT_S_MAX)):
            return await self.writer.submit(commands, deadline=deadline)

    def gate(self, lane: int) -> Gate:
        """Of a lane."""
        return self.gates[lane]

    async def held(self, gate: Gate, *commands: Command, deadline: float | None = None) -> asyncio.Task[Sequence[Result]]:
        """Submits what the gate keeps waiting, until it is opened."""
        gate.opened.clear()
        gate.entered.clear()
        task = asyncio.create_task(self.submit(*commands, deadline=deadline))
        assert await asyncio.to_thread(gate.entered.wait, patience_s(WAIT_S_MAX))
        return task


@asynccontextmanager
async def writing_in_lanes(
    books: Books, *, queue_max: int = 1_000, batch_max: int = 100, enough: int = 1
) -> AsyncIterator[Lanes]:
    """A new writer, which knows nothing yet; stopped at the end, whatever happens.

    One command is enough for a batch, unless a test says otherwise: so each lane has batches of its own, side by side.
    """
    gates = [Gate() for _ in range(LANES)]
    batches: list[tuple[tuple[int, ...], list[Command]]] = []
    writer = Writer(
        engine=books.network.engine,
        new_keeping=lambda: Watched(books, gates, batches),
        queue_max=queue_max,
        batch_max=batch_max,
        batches_at_once=LANES,
        enough=enough,
    )
    await writer.start()
    try:
        yield Lanes(writer, gates, batches)
    finally:
        for gate in gates:
            gate.opened.set()
        async with asyncio.timeout(patience_s(WAIT_S_MAX)):
            await writer.stop()


def by_id(name: str, partner: str = "alpha") -> MemberRef:
    """The member that `Books.enrolment` makes, named by its id."""
    return MemberRef(member_id=member_id(partner, f"enrol-{name}"))


def lane_of_member(name: str, lanes: int = LANES, partner: str = "alpha") -> int:
    """Where that member lives."""
    return lane_of(bucket_of(member_id(partner, f"enrol-{name}")), lanes)


def names_by_lane(count: int, *, prefix: str = "m", lanes: int = LANES) -> list[list[str]]:
    """So many names of members for each lane."""
    found: list[list[str]] = [[] for _ in range(lanes)]
    number = 0
    while any(len(names) < count for names in found):
        number += 1
        name = f"{prefix}{number}"
        found[lane_of_member(name, lanes)].append(name)
    return [names[:count] for names in found]


def said(results: Sequence[Result]) -> list[str]:
    """A word for each: booked, again, or the reason of its refusal."""
    words = []
    for result in results:
        refusal = result.refusal if isinstance(result, Answer) else result
        if refusal is not None:
            words.append(refusal.reason.name)
        else:
            assert isinstance(result, Answer)
            words.append("again" if result.is_replayed else "booked")
    return words
