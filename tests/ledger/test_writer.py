"""The group-commit writer on a real SQLite file: who gets which answer, and when."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import Connection, select

from gateway.domain.command import Command
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Result
from gateway.ledger.clerk import Routed
from gateway.ledger.keeper import Keeper
from gateway.ledger.writer import Writer
from gateway.storage.engine import reading, writing_on
from gateway.storage.errors import ConstraintBroken, StoreContention, StoreUnavailable
from gateway.storage.tables import entries
from tests.ledger.books import Books

POISON = "poison"


class Gate:
    """Runs real batches; can hold the writer before one, and fail as a database or a bug would."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.keeper = Keeper(books.network.engine, books.settings, lambda: books.now_ms)
        self.opened = threading.Event()
        self.opened.set()
        self.entered = threading.Event()
        self.sizes: list[int] = []
        self.failures: list[Exception] = []

    def start(self) -> None:
        """As a Keeping does."""
        self.keeper.start()

    def close(self) -> None:
        """As a Keeping does."""
        self.keeper.close()

    def __call__(self, commands: Sequence[Command], lanes: Sequence[int]) -> Sequence[Routed]:
        """What the writer runs."""
        self.entered.set()
        self.opened.wait()
        if self.failures:
            raise self.failures.pop(0)
        if any(command.idempotency_key == POISON for command in commands):
            raise ConstraintBroken(POISON)
        self.sizes.append(len(commands))
        return self.keeper(commands, lanes)


@asynccontextmanager
async def running(gate: Gate, *, queue_max: int = 100, batch_max: int = 10) -> AsyncIterator[Writer]:
    """A writer that is stopped at the end, whatever happens."""
    writer = Writer(
        engine=gate.books.network.engine,
        new_keeping=lambda: gate,
        queue_max=queue_max,
        batch_max=batch_max,
    )
    await writer.start()
    try:
        yield writer
    finally:
        gate.opened.set()
        await writer.stop()


async def held(gate: Gate, writer: Writer) -> asyncio.Task[Sequence[Result]]:
    """The writer is in the middle of a batch of one, and stays there until the gate opens."""
    gate.opened.clear()
    gate.entered.clear()
    task = asyncio.create_task(writer.submit([gate.books.issue("ann", "2.00")], deadline=None))
    await asyncio.to_thread(gate.entered.wait)
    return task


async def let_run() -> None:
    """Lets tasks that were just made put their commands into the queue."""
    await asyncio.sleep(0)


def reasons(results: Sequence[Result]) -> list[Reason | None]:
    """None for what was booked."""
    return [None if isinstance(result, Answer) else result.reason for result in results]


def test_what_comes_while_a_batch_commits_forms_the_next_one(books: Books) -> None:
    """The queue is taken as it is, up to the limit of a batch."""

    async def day(gate: Gate) -> None:
        async with running(gate, batch_max=10) as writer:
            first = await held(gate, writer)
            others = [asyncio.create_task(writer.submit([books.issue("ann", "2.00")], deadline=None)) for _ in range(13)]
            await let_run()
            gate.opened.set()
            await asyncio.gather(first, *others)

    gate = Gate(books)
    asyncio.run(day(gate))

    assert gate.sizes == [1, 10, 3]
    assert books.balance("ann") == (14, 0)


def test_an_answer_comes_after_the_commit(books: Books) -> None:
    """Another connection finds the entry as soon as the caller has its answer."""

    async def day() -> int:
        async with running(Gate(books)) as writer:
            command = books.issue("ann", "2.00")
            await writer.submit([command], deadline=None)
            with reading(books.network.engine) as connection:
                return len(connection.execute(select(entries).where(entries.c.entry_id == command.entry_id)).all())

    assert asyncio.run(day()) == 1


def test_commands_of_one_caller_are_not_torn_apart(books: Books) -> None:
    """A group larger than what is left of the batch waits for the next one."""

    async def day(gate: Gate) -> None:
        async with running(gate, batch_max=10) as writer:
            first = await held(gate, writer)
            six = [[books.issue("ann", "2.00") for _ in range(6)] for _ in range(2)]
            groups = [asyncio.create_task(writer.submit(group, deadline=None)) for group in six]
            await let_run()
            gate.opened.set()
            await asyncio.gather(first, *groups)

    gate = Gate(books)
    asyncio.run(day(gate))

    assert gate.sizes == [1, 6, 6]


def test_a_full_queue_refuses_at_once(books: Books) -> None:
    """At the limit it takes, one above it refuses, and nothing of it is booked."""

    async def day(gate: Gate) -> list[Sequence[Result]]:
        async with running(gate, queue_max=3) as writer:
            first = await held(gate, writer)
            three = [books.issue("ann", "2.00") for _ in range(3)]
            waiting = asyncio.ensure_future(writer.submit(three, deadline=None))
            await let_run()
            refused = await writer.submit([books.issue("ann", "2.00")], deadline=None)
            gate.opened.set()
            await first
            return [await waiting, refused]

    waited, refused = asyncio.run(day(Gate(books)))

    assert (reasons(waited), reasons(refused)) == ([None] * 3, [Reason.QUEUE_FULL])
    assert books.balance("ann") == (4, 0)


def test_what_has_waited_past_its_deadline_never_enters_a_batch(books: Books) -> None:
    """Its caller has gone; the next one is served."""

    async def day(gate: Gate) -> list[Sequence[Result]]:
        async with running(gate) as writer:
            first = await held(gate, writer)
            late = asyncio.create_task(writer.submit([books.issue("ann", "2.00")], deadline=time.monotonic()))
            timely = asyncio.create_task(writer.submit([books.issue("ann", "2.00")], deadline=time.monotonic() + 60))
            await let_run()
            gate.opened.set()
            return list(await asyncio.gather(first, late, timely))

    _, late, timely = asyncio.run(day(Gate(books)))

    assert (reasons(late), reasons(timely)) == ([Reason.DEADLINE_PASSED], [None])
    assert books.balance("ann") == (2, 0)


def test_a_caller_that_left_before_its_batch_books_nothing(books: Books) -> None:
    """Its command is dropped from the queue."""

    async def day(gate: Gate) -> None:
        async with running(gate) as writer:
            first = await held(gate, writer)
            gone = asyncio.create_task(writer.submit([books.issue("ann", "200.00")], deadline=None))
            await let_run()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            gate.opened.set()
            await first

    asyncio.run(day(Gate(books)))

    assert books.balance("ann") == (1, 0)


def test_a_command_that_a_constraint_refuses_harms_no_other(books: Books) -> None:
    """Its batch runs again singly: the others are booked, it alone fails."""

    async def day(gate: Gate) -> list[Sequence[Result] | BaseException]:
        async with running(gate) as writer:
            first = await held(gate, writer)
            poison = replace(books.issue("ann", "2.00"), idempotency_key=POISON)
            tasks = [asyncio.create_task(writer.submit([c], deadline=None)) for c in (books.issue("ann", "2.00"), poison)]
            tasks.append(asyncio.create_task(writer.submit([books.issue("ann", "2.00"), poison], deadline=None)))
            await let_run()
            gate.opened.set()
            await first
            return list(await asyncio.gather(*tasks, return_exceptions=True))

    good, bad, mixed = asyncio.run(day(Gate(books)))

    assert isinstance(bad, ConstraintBroken)
    assert isinstance(good, list)
    assert isinstance(mixed, list)
    assert (reasons(good), reasons(mixed)) == ([None], [None, Reason.INTERNAL])
    assert books.balance("ann") == (3, 0)


def test_contention_is_tried_again_and_a_store_that_is_down_is_not(books: Books) -> None:
    """The caller of the first learns nothing of it; that of the second may repeat with the same key."""

    async def day(gate: Gate) -> tuple[Sequence[Result], Sequence[Result], Sequence[Result]]:
        async with running(gate) as writer:
            gate.failures = [StoreContention("40001")] * 4
            contended = await writer.submit([books.issue("ann", "2.00")], deadline=None)
            gate.failures = [StoreUnavailable("disk full")]
            command = books.issue("ann", "2.00")
            down = await writer.submit([command], deadline=None)
            return contended, down, await writer.submit([command], deadline=None)

    contended, down, again = asyncio.run(day(Gate(books)))

    assert (reasons(contended), reasons(down), reasons(again)) == ([None], [Reason.STORE_UNAVAILABLE], [None])


def test_endless_contention_never_looks_like_lack_of_points(books: Books) -> None:
    """After the last attempt it is called by its name."""

    async def day(gate: Gate) -> Sequence[Result]:
        async with running(gate) as writer:
            gate.failures = [StoreContention("40001")] * 5
            return await writer.submit([books.issue("ann", "2.00")], deadline=None)

    assert reasons(asyncio.run(day(Gate(books)))) == [Reason.REQUEST_IN_PROGRESS]


def test_stopping_empties_the_queue_and_takes_nothing_more(books: Books) -> None:
    """Who was in the queue is answered; who comes later hears that the gateway is draining."""

    async def day(gate: Gate) -> list[Sequence[Result]]:
        async with running(gate) as writer:
            first = await held(gate, writer)
            queued = asyncio.create_task(writer.submit([books.issue("ann", "2.00")], deadline=None))
            await let_run()
            stopping = asyncio.create_task(writer.stop())
            await let_run()
            late = await writer.submit([books.issue("ann", "2.00")], deadline=None)
            gate.opened.set()
            await stopping
            return [await first, await queued, late]

    first, queued, late = asyncio.run(day(Gate(books)))

    assert (reasons(first), reasons(queued), reasons(late)) == ([None], [None], [Reason.DRAINING])
    assert books.balance("ann") == (2, 0)


def test_a_chore_runs_between_batches_and_its_failure_ends_nothing(books: Books) -> None:
    """On the writer's connection, in a transaction of its own."""
    seen: list[int] = []

    def count(connection: Connection) -> None:
        with writing_on(connection):
            seen.append(len(connection.execute(select(entries)).all()))

    def fail(_connection: Connection) -> None:
        raise RuntimeError

    async def day(gate: Gate) -> Sequence[Result]:
        async with running(gate) as writer:
            writer.add_chore(fail)
            writer.add_chore(count)
            return await writer.submit([books.issue("ann", "2.00")], deadline=None)

    assert reasons(asyncio.run(day(Gate(books)))) == [None]
    assert seen == [2]
