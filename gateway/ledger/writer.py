"""Takes commands for all lanes: routes each to the lane that its member lives in, and brings back one result a command.

What waits is bounded, over all lanes; what does not fit is refused at once. A command that a lane gives back, since its
member lives elsewhere or the number of lanes has changed, goes to the lane that was named, in its order.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from gateway.domain.command import ON_TWO_MEMBERS, Command, entry_named
from gateway.domain.lanes import Misrouted
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.ledger.clerk import Chore, Keeping, Routed, TellStore
from gateway.ledger.figures import BatchFigures
from gateway.ledger.queues import ENOUGH, Queues
from gateway.ledger.routes import Routes
from gateway.storage.engine import reading
from gateway.storage.errors import StoreError, translate
from gateway.storage.whereabouts import load_buckets

TRIPS_MAX = 6  # of a command from lane to lane, while the number of lanes changes under it


@dataclass(eq=False)
class Writer:
    """Belongs to one event loop. `new_keeping` makes what carries out batches, one at a time.

    `batches_at_once`: under way at a time, of different lanes. `enough`: commands with which a batch takes no further lane.
    """

    engine: Engine
    new_keeping: Callable[[], Keeping]
    queue_max: int
    batch_max: int
    batches_at_once: int = 2
    enough: int = ENOUGH
    tell_store: TellStore | None = None
    figures: BatchFigures | None = None
    _routes: Routes = field(default_factory=Routes, init=False, repr=False)
    _is_draining: bool = field(default=False, init=False, repr=False)
    _under_way: int = field(default=0, init=False, repr=False)  # callers that were taken and have no answer yet
    _nobody_waits: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        """Nothing is started yet."""
        self._queues = Queues(
            self.engine,
            self.new_keeping,
            batch_max=self.batch_max,
            clerks_max=self.batches_at_once,
            enough=self.enough,
            tell_store=self.tell_store,
            figures=self.figures,
        )

    async def start(self) -> None:
        """Gets ready; called from within the event loop that will wait for the results."""
        await self._queues.start()

    async def stop(self) -> None:
        """Takes nothing more, empties the queues, and ends the threads."""
        self._is_draining = True
        if self._under_way:
            # A batch may yet give back what another one must carry out.
            await self._nobody_waits.wait()
        await self._queues.stop()

    async def submit(self, commands: Sequence[Command], *, deadline: float | None) -> Sequence[Result]:
        """One result a command, after COMMIT. `deadline` is an instant of `time.monotonic`.

        Refuses all of them alike: DRAINING, QUEUE_FULL; those of a lane: DEADLINE_PASSED, STORE_UNAVAILABLE,
        REQUEST_IN_PROGRESS. Raises what a bug raised.
        """
        results: Sequence[Result]
        if self._is_draining:
            results = [Refusal(Reason.DRAINING)] * len(commands)
        elif self._queues.waiting + len(commands) > self.queue_max:
            results = [Refusal(Reason.QUEUE_FULL)] * len(commands)
        else:
            self._under_way += 1
            try:
                carry_out = self._carry_out_one if len(commands) == 1 else self._carry_out
                results = await carry_out(commands, deadline)
            finally:
                self._answered()
        if self.figures is not None:
            self.figures.answered(commands, results)
        return results

    def add_chore(self, chore: Chore) -> None:
        """Runs it between two batches, on a connection of the engine. A chore that fails is logged, not repeated."""
        self._queues.add_chore(chore)

    def _answered(self) -> None:
        self._under_way -= 1
        if self._is_draining and not self._under_way:
            self._nobody_waits.set()

    async def _carry_out_one(self, commands: Sequence[Command], deadline: float | None) -> list[Result]:
        """What a till sends: few steps, for it is done a thousand times a second."""
        (command,) = commands
        lanes = self._routes.guess(command, {})
        for _ in range(TRIPS_MAX):
            (answer,) = await self._queues.submit(commands, lanes, deadline=deadline)
            if not isinstance(answer, Misrouted):
                self._routes.answered(command, answer)
                return [answer]
            self._routes.learn(command, answer)
            lanes = answer.lanes
        return [Refusal(Reason.REQUEST_IN_PROGRESS)]

    async def _carry_out(self, commands: Sequence[Command], deadline: float | None) -> list[Result]:
        """Stage by stage: within one, what belongs to different lanes has nothing to do with each other."""
        if self._routes.lanes > 1:
            try:
                await self._find(commands)
            except StoreError:
                return [Refusal(Reason.STORE_UNAVAILABLE)] * len(commands)
        results: list[Result] = [Refusal(Reason.REQUEST_IN_PROGRESS)] * len(commands)
        awaited = {entry for command in commands if (entry := entry_named(command)) is not None}
        for stage in _stages(commands) if self._routes.lanes > 1 else (range(len(commands)),):
            waiting: dict[int, tuple[int, ...]] = dict.fromkeys(stage, ())
            in_vain = 0
            while waiting and in_vain < TRIPS_MAX:
                before = len(waiting)
                waiting = await self._trip(commands, waiting, results, deadline, awaited)
                in_vain = in_vain + 1 if len(waiting) == before else 0
        return results

    async def _trip(
        self,
        commands: Sequence[Command],
        waiting: Mapping[int, tuple[int, ...]],
        results: list[Result],
        deadline: float | None,
        awaited: Collection[str],
    ) -> dict[int, tuple[int, ...]]:
        """Takes the commands that wait, by their index, to the lanes that were named for them, or else that are guessed.

        Answers which of them were given back, and what lanes were named; and those that must follow one of them. `awaited`: the
        entries that commands of the call are about.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        near: dict[str, int] = {}
        given_back = dict(waiting)
        for index, named in waiting.items():
            lanes = named or self._routes.guess(commands[index], near)
            if not self._routes.follow(commands[index], lanes, near):
                break
            groups.setdefault(lanes, []).append(index)
            del given_back[index]
        futures = [
            self._queues.submit([commands[index] for index in group], lanes, deadline=deadline) for lanes, group in groups.items()
        ]
        for future, group in zip(futures, groups.values(), strict=True):
            for index, answer in zip(group, await _answers(future, len(group)), strict=True):
                if isinstance(answer, Misrouted):
                    self._routes.learn(commands[index], answer)
                    given_back[index] = answer.lanes
                else:
                    self._routes.answered(commands[index], answer, awaited=awaited)
                    results[index] = answer
        return dict(sorted(given_back.items()))

    async def _find(self, commands: Sequence[Command]) -> None:
        """Looks up what no route is known for: commands of one caller must not overtake each other on detours.

        Raises StoreError.
        """
        unknown = self._routes.unknown(commands)
        if unknown:
            self._routes.found(await asyncio.to_thread(self._look_up, unknown))

    def _look_up(self, names: Sequence[str]) -> dict[str, int]:
        try:
            with reading(self.engine) as connection:
                return load_buckets(connection, names)
        except DBAPIError as error:
            raise translate(error) from error


def _stages(commands: Sequence[Command]) -> Iterator[range]:
    """A transfer or a merge may move points from lane to lane: what follows it waits for it, and it for what comes before."""
    start = 0
    for index, command in enumerate(commands):
        if isinstance(command, ON_TWO_MEMBERS):
            yield range(start, index)
            yield range(index, index + 1)
            start = index + 1
    yield range(start, len(commands))


async def _answers(future: "asyncio.Future[Sequence[Routed]]", group: int) -> Sequence[Routed]:
    """A bug that ended one command of several must not take the answers of the others with it; it was logged."""
    try:
        return await future
    except Exception:  # noqa: BLE001 - the boundary of a group
        return [Refusal(Reason.INTERNAL)] * group
