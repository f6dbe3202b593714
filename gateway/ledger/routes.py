"""Guesses the lane of a command, and learns from lanes that give commands back. A wrong guess costs a second trip, no more.

A member's id gives its bucket. Identifiers and original entries do not: where they were found is remembered, for a number.
"""

import zlib
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence

from gateway.domain.command import Command, Enrol, MemberRef, PlaceHold, entry_named, identifier_claimed, member_refs
from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lanes import Misrouted, lane_of
from gateway.domain.receipt import Answer, Result

REMEMBERED_MAX = 100_000  # identifiers and entries; the oldest are forgotten first


class Routes:
    """Belongs to one event loop. `lanes` is the number in force, as far as is known."""

    def __init__(self) -> None:
        """One lane, until a lane says otherwise."""
        self.lanes = 1
        self._found: OrderedDict[str, int] = OrderedDict()

    def guess(self, command: Command, near: Mapping[str, int]) -> tuple[int, ...]:
        """The lanes of a command, ascending: one, or two for a transfer between lanes.

        `near`: where the commands before it, from the same caller, were sent, by what they named.
        """
        if self.lanes == 1:
            return (0,)
        lanes = {self._of_member(member, near) for member in member_refs(command)}
        if isinstance(command, Enrol):
            lanes.add(self._of_id(member_id(command.partner_id, command.idempotency_key)))
        elif not lanes:
            lanes.add(self._of_name(entry_named(command) or "", near))
        return tuple(sorted(lanes))

    def follow(self, command: Command, lanes: tuple[int, ...], near: dict[str, int]) -> bool:
        """Adds the command to `near`; False, without effect, if one before it named the same and was sent elsewhere.

        Such as a card that nobody had, and that is enrolled now: the two must not overtake each other.
        """
        if len(lanes) != 1:
            return True
        named = (command.entry_id, *_names(command))
        if any(near.get(name, lanes[0]) != lanes[0] for name in named):
            return False
        near |= dict.fromkeys(named, lanes[0])
        return True

    def learn(self, command: Command, given_back: Misrouted) -> None:
        """A command was given back."""
        if given_back.lanes_in_force != self.lanes:
            self.lanes = given_back.lanes_in_force
            self._found.clear()
        if len(given_back.lanes) == 1:
            self._remember(dict.fromkeys(_names(command), given_back.lanes[0]))

    def answered(self, command: Command, result: Result, *, awaited: Collection[str] = ()) -> None:
        """A command was answered: what it named leads from now on to where it was booked, if it was.

        Any lane knows what was answered before, that a member is not known, and that somebody else has a card. `awaited`: the
        entries that commands of the same call are about, which must not overtake this one. Other entries are not remembered,
        but for holds: few are ever reversed, and to name each of them would cost all others more than a second trip.
        """
        if self.lanes == 1 or not isinstance(result, Answer) or len(result.lanes) != 1:
            return
        if result.refusal is None and not result.is_replayed:
            (lane,) = result.lanes
            names = [name for name in _names(command) if self._found.get(name) != lane]
            if isinstance(command, PlaceHold) or (awaited and command.entry_id in awaited):
                names.append(command.entry_id)
            self._remember(dict.fromkeys(names, lane))

    def unknown(self, commands: Sequence[Command]) -> list[str]:
        """The identifiers (by hash) and entries that the commands name, as far as nobody knows where they are."""
        return sorted({name for command in commands for name in _names(command)} - self._found.keys())

    def found(self, buckets: Mapping[str, int]) -> None:
        """The buckets of names that were unknown."""
        self._remember({name: lane_of(bucket, self.lanes) for name, bucket in buckets.items()})

    def _of_member(self, member: MemberRef, near: Mapping[str, int]) -> int:
        name = member.named_hash
        return self._of_id(member.member_id or "") if name is None else self._of_name(name, near)

    def _of_id(self, member: str) -> int:
        return lane_of(bucket_of(member), self.lanes)

    def _of_name(self, name: str, near: Mapping[str, int]) -> int:
        lane = self._found.get(name, near.get(name))
        return zlib.crc32(name.encode()) % self.lanes if lane is None else lane

    def _remember(self, lanes: Mapping[str, int]) -> None:
        self._found.update(lanes)
        while len(self._found) > REMEMBERED_MAX:
            self._found.popitem(last=False)


def _names(command: Command) -> list[str]:
    """What the command names that does not say its bucket by itself: cards and the like, and the entry that it is about."""
    named = (entry_named(command), identifier_claimed(command), *(member.named_hash for member in member_refs(command)))
    return [name for name in named if name is not None]
