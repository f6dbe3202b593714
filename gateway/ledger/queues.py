"""A queue for each lane, and the clerks who empty them: while one batch commits, the next collects.

A batch takes lane after lane, the one that has waited longest first, until it has enough; so a little traffic in many lanes
costs one transaction, and a lane with much of it has one to itself, beside which other lanes commit.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from gateway.domain.command import Command
from gateway.ledger.clerk import Chore, Clerk, Keeping, Outcome, Pending, Routed, TellStore, Work
from gateway.ledger.figures import BatchFigures, QueueState

ENOUGH = 100  # commands of a batch: with more of them, what a batch costs by itself hardly shows
STUCK_S = 0.05  # a batch that takes longer may wait for somebody's lock, and holds up its own lanes alone


@dataclass(slots=True, eq=False)
class _Lane:
    queue: deque[Pending] = field(default_factory=deque)
    waiting: int = 0  # commands in the queue

    def state(self) -> QueueState:
        """May be asked by any thread."""
        try:
            return QueueState(self.waiting, self.queue[0].since_s)
        except IndexError:
            return QueueState(0, None)


@dataclass(eq=False)
class Queues:
    """Belongs to one event loop.

    `clerks_max`: batches under way at a time, of different lanes. `enough`: commands with which a batch takes no further lane.
    """

    engine: Engine
    new_keeping: Callable[[], Keeping]
    batch_max: int
    clerks_max: int
    enough: int
    tell_store: TellStore | None = None
    figures: BatchFigures | None = None

    def __post_init__(self) -> None:
        """Nobody works yet."""
        self.waiting = 0  # commands, in all lanes
        self._lanes: dict[int, _Lane] = {}
        self._chores: list[Chore] = []
        self._taken: set[int] = set()  # lanes of batches under way
        self._idle: list[Clerk] = []
        self._at_work = 0
        self._clerks: list[Clerk] = []
        self._is_due = False  # a batch begins at the end of this turn of the loop
        self._begun_s = 0.0  # when the last one did
        self._watch: asyncio.TimerHandle | None = None
        self._work_done = asyncio.Event()

    async def start(self) -> None:
        """Gets the first clerk ready. Raises what keeps it from that."""
        keeping = self.new_keeping()
        await asyncio.to_thread(keeping.start)
        self._idle.append(self._new_clerk(keeping))

    async def stop(self) -> None:
        """Empties the queues, and ends the threads. Nothing may be submitted any more."""
        while self._at_work or self.waiting or self._chores:
            self._work_done.clear()
            self._look()
            await self._work_done.wait()
        await asyncio.gather(*(clerk.end() for clerk in self._clerks))

    def submit(
        self, commands: Sequence[Command], lanes: tuple[int, ...], *, deadline: float | None
    ) -> asyncio.Future[Sequence[Routed]]:
        """One answer a command, in their order within the lane; `lanes` are ascending, two for a transfer between them.

        All of them are refused alike: DEADLINE_PASSED, STORE_UNAVAILABLE, REQUEST_IN_PROGRESS. Raises what a bug raised.
        `deadline`: of `time.monotonic`.
        """
        future: asyncio.Future[Sequence[Routed]] = asyncio.get_running_loop().create_future()
        lane = self._lanes.get(lanes[0]) or self._new_lane(lanes[0])
        lane.queue.append(Pending(commands, lanes, deadline, future, time.monotonic()))
        lane.waiting += len(commands)
        self.waiting += len(commands)
        self._look()
        return future

    def add_chore(self, chore: Chore) -> None:
        """Runs it between two batches, on a connection of the engine. A chore that fails is logged, not repeated."""
        self._chores.append(chore)
        self._look()

    def _new_lane(self, number: int) -> _Lane:
        lane = self._lanes[number] = _Lane()
        if self.figures is not None:
            self.figures.queues[number] = lane.state
        return lane

    def _new_clerk(self, keeping: Keeping) -> Clerk:
        name = f"tallystick-clerk-{len(self._clerks) + 1}"
        self._clerks.append(Clerk(name, self.engine, keeping, self._done, self.tell_store))
        return self._clerks[-1]

    def _look(self) -> None:
        """Has a batch begin at the end of this turn, so that what came in together goes together."""
        if not self._is_due and self._may_begin():
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _may_begin(self) -> bool:
        """Beside a batch that is under way another one begins only if it is worth it, or if that one seems to be stuck."""
        if not self._at_work:
            return bool(self.waiting or self._chores)
        if self._at_work >= self.clerks_max:
            return False
        free = sum(lane.waiting for number, lane in self._lanes.items() if number not in self._taken)
        return free >= self.enough or (free > 0 and time.monotonic() - self._begun_s >= STUCK_S)

    def _begin(self) -> None:
        self._is_due = False
        if not self._may_begin():
            return
        work = self._gathered()
        if not (work.batch or work.chores):
            return  # what waits needs a lane that another batch has taken: its end is looked at
        self._at_work += 1
        self._begun_s = time.monotonic()
        self._taken.update(work.lanes)
        clerk = self._idle.pop() if self._idle else self._new_clerk(self.new_keeping())
        clerk.hand(work)
        if self.clerks_max > 1 and len(self._lanes) > 1:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = asyncio.get_running_loop().call_later(STUCK_S, self._look)
        self._look()

    def _gathered(self) -> Work:
        batch: list[Pending] = []
        taken: set[int] = set()
        size = 0
        free = [lane for number, lane in self._lanes.items() if lane.queue and number not in self._taken]
        for lane in sorted(free, key=_waits_since):
            if size >= self.enough:
                break
            while lane.queue and self._fits(lane.queue[0], size):
                batch.append(lane.queue.popleft())
                count = len(batch[-1].commands)
                lane.waiting -= count
                size += count
                taken.update(batch[-1].lanes)
        self.waiting -= size
        chores, self._chores = self._chores, []
        return Work(batch, tuple(sorted(taken)), chores)

    def _fits(self, pending: Pending, size: int) -> bool:
        return self._taken.isdisjoint(pending.lanes) and (not size or size + len(pending.commands) <= self.batch_max)

    def _done(self, clerk: Clerk, work: Work, outcomes: list[Outcome]) -> None:
        """Back in the loop: first whoever waited gets an answer, then the next batch is due."""
        self._at_work -= 1
        self._taken.difference_update(work.lanes)
        self._idle.append(clerk)
        _resolve(outcomes)
        self._look()
        self._work_done.set()


def _waits_since(lane: _Lane) -> float:
    return lane.queue[0].since_s


def _resolve(outcomes: list[Outcome]) -> None:
    for pending, outcome in outcomes:
        if pending.future.done():
            continue  # the caller went away; a retry with its key finds the answer
        if isinstance(outcome, Exception):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)
